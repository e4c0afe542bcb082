//! What of ours is on the links of a namespace, found through the kernel objects alone.
//!
//! An *attachment* is one direction of one link, shaped by one engine. Its filter holds its program, the program holds its
//! maps, and the maps say the rest: what was asked for, what was changed and must be put back. There is no other record.

use shaper_common::abi::{self, Direction};

use crate::bpf::{self, Maps};
use crate::netlink::link::{self, Device, Link};
use crate::netlink::{self, Socket};
use crate::tc::{self, Handle, filter, qdisc};

/// Preference of our filters on a hook: before those that are added without one (tc counts down from 49152), so that a
/// filter that ends the classification does not keep packets from us; ours lets packets go on to those behind it.
pub const PREF: u16 = 0x5a;
/// Preference of the filter that finishes checksums in front of ours.
pub const FINISH_PREF: u16 = PREF - 1;
/// Preference of the filter behind ours that answers rejected packets.
pub const ANSWER_PREF: u16 = PREF + 1;
/// Handle of our filter within the preference.
pub const FILTER_HANDLE: u32 = 1;
/// Handle, within [`ANSWER_PREF`], of the filter on the hook that the answers of the other direction come by.
pub const WAY_BACK_HANDLE: u32 = 2;
/// Handle of a root qdisc of ours.
pub const ROOT: Handle = Handle::qdisc(0x5a00);

/// The htb class of the rule in a slot.
#[must_use]
pub const fn class(slot: u32) -> Handle {
    Handle::new(ROOT.major(), slot as u16)
}

/// Handle of the netem below the [`class`] of a slot.
#[must_use]
pub const fn leaf(slot: u32) -> Handle {
    Handle::qdisc(ROOT.major() + slot as u16)
}

/// What our filters' names start with.
const FILTER_PREFIX: &str = "shaper_";

/// Name of the TAP for a direction of a link; at most 15 bytes with the largest ifindex.
#[must_use]
pub fn tap_name(direction: Direction, ifindex: u32) -> String {
    match direction {
        Direction::Egress => format!("shp-e{ifindex}"),
        Direction::Ingress => format!("shp-i{ifindex}"),
    }
}

/// Name of the ifb for the ingress of a link.
#[must_use]
pub fn ifb_name(ifindex: u32) -> String {
    format!("shi-{ifindex}")
}

/// Whether a link is one that we made to hold packets: a TAP or an ifb of a name that [`tap_name`] or [`ifb_name`] gives.
#[must_use]
pub fn is_holder(link: &Link) -> bool {
    let numbered = |prefix| link.name.strip_prefix(prefix).is_some_and(|rest| rest.parse::<u32>().is_ok());
    match link.kind.as_deref() {
        Some("tun") => numbered("shp-e") || numbered("shp-i"),
        Some("ifb") => numbered("shi-"),
        _ => false,
    }
}

/// Whether a filter is one of ours that have to do with the answers to rejected packets.
#[must_use]
pub fn is_answer(filter: &filter::Observed) -> bool {
    filter.pref == ANSWER_PREF
        && filter.bpf.as_ref().is_some_and(|program| {
            [abi::program::ANSWER, abi::program::FORGET].contains(&program.name.as_str())
        })
}

/// The clsact hook of a direction.
#[must_use]
pub fn hook(direction: Direction) -> Handle {
    match direction {
        Direction::Egress => Handle::EGRESS,
        Direction::Ingress => Handle::INGRESS,
    }
}

/// One direction of one link that is shaped.
#[derive(Debug)]
pub struct Attachment {
    /// The link.
    pub link: Link,
    /// The direction.
    pub direction: Direction,
    /// Id of the program that decides.
    pub program: u32,
    /// Id of the program on the link's hook; another one where packets are diverted to an ifb.
    pub hook_program: u32,
    /// Its maps; an error when they cannot be read.
    pub maps: Result<Maps, bpf::object::Error>,
    /// What the maps say of the link; an error when another version wrote it.
    pub record: Result<abi::Link, bpf::object::Error>,
    /// The TAP or ifb that belongs to it, when it is there.
    pub holder: Option<Link>,
}

/// Everything of interest in one namespace.
#[derive(Debug)]
pub struct Survey {
    /// All links.
    pub links: Vec<Link>,
    /// All qdiscs.
    pub qdiscs: Vec<tc::Observed>,
    /// What is shaped.
    pub attachments: Vec<Attachment>,
    /// Links (by number) whose egress has our filter that finishes checksums.
    pub finishers: Vec<u32>,
    /// Filters of ours for answers to rejected packets: link (by number), hook, handle.
    pub answers: Vec<(u32, Handle, u32)>,
    /// Links (by number) whose hooks have filters that are not ours.
    pub foreign_filters: Vec<u32>,
}

impl Survey {
    /// Looks at the socket's namespace.
    ///
    /// # Errors
    ///
    /// When a dump is refused.
    pub fn take(socket: &mut Socket) -> Result<Self, netlink::Error> {
        let links = link::dump(socket)?;
        let qdiscs = qdisc::dump(socket)?;
        let mut survey = Self {
            links,
            qdiscs,
            attachments: Vec::new(),
            finishers: Vec::new(),
            answers: Vec::new(),
            foreign_filters: Vec::new(),
        };
        for link in survey.links.clone() {
            if is_holder(&link) || survey.clsact(&link).is_none() {
                continue;
            }
            for direction in [Direction::Egress, Direction::Ingress] {
                survey.look_at_hook(socket, &link, direction)?;
            }
        }
        Ok(survey)
    }

    fn look_at_hook(
        &mut self,
        socket: &mut Socket,
        link: &Link,
        direction: Direction,
    ) -> Result<(), netlink::Error> {
        for filter in filter::dump(socket, &link.device(), hook(direction))? {
            let is_named =
                |is: &dyn Fn(&str) -> bool| filter.bpf.as_ref().is_some_and(|program| is(&program.name));
            if filter.pref == FINISH_PREF && is_named(&|name| name == abi::program::FINISH) {
                self.finishers.push(link.ifindex);
                continue;
            }
            if is_answer(&filter) {
                self.answers.push((link.ifindex, hook(direction), filter.handle));
                continue;
            }
            let ours = filter.pref == PREF && is_named(&|name| name.starts_with(FILTER_PREFIX));
            match filter.bpf.and_then(|program| program.id) {
                Some(id) if ours => {
                    let found = self.attachment(socket, link, direction, id)?;
                    self.attachments.push(found);
                }
                _ => self.foreign_filters.push(link.ifindex),
            }
        }
        Ok(())
    }

    fn attachment(
        &self,
        socket: &mut Socket,
        link: &Link,
        direction: Direction,
        hook_program: u32,
    ) -> Result<Attachment, netlink::Error> {
        let names = [tap_name(direction, link.ifindex), ifb_name(link.ifindex)];
        let belongs = |other: &&Link| {
            is_holder(other)
                && (other.name == names[0] || direction == Direction::Ingress && other.name == names[1])
        };
        let holder = self.links.iter().find(belongs).cloned();
        // The program on the link only diverts to the ifb, where the one is that decides.
        let decider = match &holder {
            Some(ifb) if ifb.name == names[1] => decider_on(socket, &ifb.device())?,
            _ => None,
        };
        let program = decider.unwrap_or(hook_program);
        let maps = Maps::of_program(program);
        let record = match &maps {
            Ok(maps) => maps.link(),
            // The maps' own error is reported from `maps`.
            Err(_) => Ok(abi::Link::default()),
        };
        Ok(Attachment { link: link.clone(), direction, program, hook_program, maps, record, holder })
    }

    /// The attachment of one direction of a link.
    #[must_use]
    pub fn attachment_of(&self, ifindex: u32, direction: Direction) -> Option<&Attachment> {
        self.attachments.iter().find(|found| found.link.ifindex == ifindex && found.direction == direction)
    }

    /// The clsact (or ingress) qdisc of a link.
    #[must_use]
    pub fn clsact(&self, link: &Link) -> Option<&tc::Observed> {
        self.qdiscs.iter().find(|qdisc| qdisc.ifindex == link.ifindex && qdisc.parent == Handle::CLSACT)
    }

    /// The root qdisc of a link.
    #[must_use]
    pub fn root(&self, ifindex: u32) -> Option<&tc::Observed> {
        self.qdiscs.iter().find(|qdisc| qdisc.ifindex == ifindex && qdisc.parent == Handle::ROOT)
    }

    /// The netem qdiscs below our htb classes on a link, by slot.
    pub fn leaves(&self, ifindex: u32) -> impl Iterator<Item = (u32, &tc::Observed)> {
        let ours = move |qdisc: &&tc::Observed| {
            qdisc.ifindex == ifindex && qdisc.parent.major() == ROOT.major() && qdisc.parent.minor() != 0
        };
        self.qdiscs.iter().filter(ours).map(|qdisc| (u32::from(qdisc.parent.minor()), qdisc))
    }

    /// Devices of ours that belong to no attachment: of an `apply` that was killed, or whose link is gone.
    #[must_use]
    pub fn leftovers(&self) -> Vec<Device> {
        let used = |link: &&Link| {
            self.attachments
                .iter()
                .any(|found| found.holder.as_ref().is_some_and(|holder| holder.ifindex == link.ifindex))
        };
        self.links.iter().filter(|link| is_holder(link) && !used(link)).map(Link::device).collect()
    }
}

/// Id of our program on the egress of an ifb; none where a killed `apply` left the ifb without one.
fn decider_on(socket: &mut Socket, ifb: &Device) -> Result<Option<u32>, netlink::Error> {
    let filters = filter::dump(socket, ifb, Handle::EGRESS)?;
    let ours = filters.into_iter().filter(|filter| filter.pref == PREF).filter_map(|filter| filter.bpf);
    Ok(ours.filter(|program| program.name.starts_with(FILTER_PREFIX)).find_map(|program| program.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_place_of_an_answer_is_ours_by_its_name() {
        let filter = |pref, name: &str| filter::Observed {
            ifindex: 2,
            parent: Handle::EGRESS,
            handle: FILTER_HANDLE,
            pref,
            protocol: 3,
            chain: 0,
            kind: "bpf".to_owned(),
            bpf: Some(filter::bpf::Program {
                name: name.to_owned(),
                id: Some(1),
                tag: None,
                direct_action: true,
            }),
        };
        assert!(is_answer(&filter(91, "shaper_answer")));
        assert!(!is_answer(&filter(91, "shaper_edt")));
        assert!(!is_answer(&filter(90, "shaper_answer")));
        assert!(!is_answer(&filter::Observed { bpf: None, ..filter(91, "shaper_answer") }));
    }
}
