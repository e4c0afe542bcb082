//! Taking everything of ours away, and nothing else.

use nix::errno::Errno;
use shaper_common::abi::{Direction, Engine, undo};

use crate::attachment::{self, Attachment, FILTER_HANDLE, PREF, ROOT, Survey};
use crate::netlink::link;
use crate::netlink::{self, Message};
use crate::tc::filter::bpf::{Action, Filter};
use crate::tc::qdisc::{Kind, Qdisc, fq, htb};
use crate::tc::{Handle, Verb};

use super::{Error, Session, answer, engine_of, finish, loopback, policy, relay, settings};

/// One direction of a link that was cleared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleared {
    /// The link.
    pub link: String,
    /// The direction.
    pub direction: Direction,
}

/// What was cleared in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clearance {
    /// Shapes.
    pub shapes: Vec<Cleared>,
    /// Whether there was a routing policy, or a part of one.
    pub policy: bool,
}

/// Clears every link of the session's namespace, and its routing policy; goes on past failures and reports the first.
///
/// # Errors
///
/// The first failure.
pub fn clear(session: &mut Session) -> Result<Clearance, Error> {
    let survey = session.survey()?;
    let mut cleared = Vec::new();
    let mut failed = None;
    let mut left: Vec<u32> = survey.attachments.iter().map(|found| found.link.ifindex).collect();
    for found in &survey.attachments {
        let ifindex = found.link.ifindex;
        // The other direction may have been refused, and its filter is then still the record of what is left.
        let is_last = left.iter().filter(|other| **other == ifindex).count() == 1;
        match take_off(session, &survey, found, is_last) {
            Ok(()) => {
                left.remove(left.iter().position(|other| *other == ifindex).unwrap_or_default());
                cleared.push(Cleared { link: found.link.name.clone(), direction: found.direction });
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let strays = answer::strays(&survey).into_iter();
    let leftovers = survey.leftovers().into_iter().map(|holder| link::delete(&holder));
    for message in strays.chain(leftovers) {
        if let Err(error) = gone(session.send(vec![message])) {
            failed = failed.or(Some(error));
        }
    }
    let policy = policy::clear(session).unwrap_or_else(|error| {
        failed.get_or_insert(error);
        false
    });
    failed.map_or(Ok(Clearance { shapes: cleared, policy }), Err)
}

/// Clears one direction of a link.
pub(super) fn attachment(session: &mut Session, survey: &Survey, found: &Attachment) -> Result<(), Error> {
    let is_only =
        survey.attachments.iter().filter(|other| other.link.ifindex == found.link.ifindex).count() == 1;
    take_off(session, survey, found, is_only)
}

/// The filter goes last, because its maps are the record of all the rest; where it is the last filter there, it goes with the clsact
/// qdisc, by one message, so that no clsact is left of which nobody knows whose it is.
fn take_off(session: &mut Session, survey: &Survey, found: &Attachment, is_last: bool) -> Result<(), Error> {
    if let Some(root) = our_root(survey, found) {
        gone(session.send(vec![root]))?;
    }
    settings::give_back(session, survey, found, is_last)?;
    match &found.holder {
        Some(holder) if engine_of(found) != Some(Engine::Relay) => {
            gone(session.send(vec![link::delete(&holder.device())]))?;
        }
        _ => relay::end(session, found)?,
    }
    let filter = Filter {
        dev: found.link.device(),
        parent: attachment::hook(found.direction),
        pref: PREF,
        handle: FILTER_HANDLE,
        name: "shaper".to_owned(),
        action: Action::Direct,
    };
    if survey.finishers.contains(&found.link.ifindex) && found.direction == Direction::Egress {
        gone(session.send(vec![finish::filter(&found.link.device()).delete()]))?;
    }
    let foreign = survey.foreign_filters.contains(&found.link.ifindex);
    let shared = undo_of_others(survey, found.link.ifindex, undo::CLSACT | loopback::UNDO);
    if is_last {
        loopback::switch(session, &found.link, shared, false)?;
    }
    let is_clsact_ours = is_last && !foreign && shared & undo::CLSACT != 0;
    let clsact = Qdisc::clsact(found.link.device());
    if is_clsact_ours {
        return gone(session.send(vec![clsact.message(Verb::Del)]));
    }
    let mut messages = vec![filter.delete()];
    // After the filter that marks, or what is marked would pass; in one batch with it, because they keep no record.
    messages.extend(answer::delete(survey, &found.link.device(), found.direction));
    gone(session.send(messages))
}

/// Deletes what a killed `apply` to this direction left without a filter that would tell of it.
pub(super) fn leftovers_of(
    session: &mut Session,
    survey: &Survey,
    ifindex: u32,
    direction: Direction,
) -> Result<(), Error> {
    let names = [attachment::tap_name(direction, ifindex), attachment::ifb_name(ifindex)];
    for holder in survey.leftovers() {
        if holder.name == names[0] || direction == Direction::Ingress && holder.name == names[1] {
            gone(session.send(vec![link::delete(&holder)]))?;
        }
    }
    Ok(())
}

/// Which of `bits` some record of the link has: what both directions of a link need goes with the last of them.
pub(super) fn undo_of_others(survey: &Survey, ifindex: u32, bits: u32) -> u32 {
    let of_link = survey.attachments.iter().filter(|found| found.link.ifindex == ifindex);
    of_link.filter_map(|found| found.record.as_ref().ok()).fold(0, |undo, record| undo | record.undo & bits)
}

fn our_root(survey: &Survey, found: &Attachment) -> Option<Message<'static>> {
    // A record of another version cannot tell; then the handle does.
    let recorded = found
        .record
        .as_ref()
        .map_or(found.direction == Direction::Egress, |record| record.undo & undo::ROOT_QDISC != 0);
    let root = survey.root(found.link.ifindex)?;
    // The kernel checks that the kind is the one there.
    let kind = match root.kind.as_str() {
        "fq" => Kind::Fq(fq::Options::default()),
        "htb" => Kind::Htb(htb::Qdisc::default()),
        _ => return None,
    };
    let qdisc = Qdisc { dev: found.link.device(), parent: Handle::ROOT, handle: ROOT, kind };
    (recorded && root.handle == ROOT).then(|| qdisc.message(Verb::Del))
}

/// A thing that is already gone is cleared.
pub(super) fn gone(result: Result<(), netlink::Error>) -> Result<(), Error> {
    match result {
        Err(error) if matches!(error.errno(), Errno::ENOENT | Errno::ENODEV | Errno::ESRCH) => Ok(()),
        other => other.map_err(Error::from),
    }
}
