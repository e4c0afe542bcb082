//! `cls_bpf`: the filter that runs a program on each packet.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Mirred, csum};
use crate::netlink::Message;
use crate::netlink::attr::{Attributes, Writer};
use crate::netlink::link::Device;
use crate::netlink::uapi::*;
use crate::tc::object::tcmsg;
use crate::tc::{Handle, Verb};

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// The program's return value says (`direct-action`).
    Direct,
    /// Packets for which the program returns other than 0 go to another link.
    Redirect(Mirred),
    /// Packets for which the program returns other than 0 have their checksums computed; then the next filter has its turn.
    Checksum,
}

/// A program at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The link.
    pub dev: Device,
    /// [`Handle::INGRESS`] or [`Handle::EGRESS`] of clsact, or a qdisc.
    pub parent: Handle,
    /// Place among the filters of the hook, from 1: lower runs first.
    pub pref: u16,
    /// Number among those of the same preference, from 1.
    pub handle: u32,
    /// The name that a dump shows, up to 255 bytes.
    pub name: String,
    /// What happens to a packet.
    pub action: Action,
}

impl Filter {
    /// Returns the message that attaches the program: [`Verb::Add`] is refused when the place is taken,
    /// [`Verb::Change`] when it is free, [`Verb::Replace`] swaps the program with no packet missed.
    ///
    /// # Panics
    ///
    /// For [`Verb::Del`], which needs no program: see [`Filter::delete`].
    pub fn attach<'fd>(&self, verb: Verb, program: BorrowedFd<'fd>) -> Message<'fd> {
        let flags = match verb {
            Verb::Add => libc::NLM_F_CREATE | libc::NLM_F_EXCL,
            Verb::Change => 0,
            Verb::Replace => libc::NLM_F_CREATE,
            Verb::Del => panic!("a filter is deleted without a program"),
        };
        let mut message = self.message(libc::RTM_NEWTFILTER, flags, verb);
        message.body_mut().nest(TCA_OPTIONS, |out| self.write(program.as_raw_fd(), out));
        message
    }

    /// Returns the message that removes the filter, whatever program it runs.
    pub fn delete(&self) -> Message<'static> {
        self.message(libc::RTM_DELTFILTER, 0, Verb::Del)
    }

    /// Returns the command that does `verb`, with the filter's name in the place of a pinned program.
    pub fn command(&self, verb: Verb) -> String {
        let Self { dev, parent, pref, handle, name, action } = self;
        let parent = match *parent {
            Handle::INGRESS | Handle::EGRESS => parent.to_string(),
            qdisc => format!("parent {qdisc}"),
        };
        let options = match (verb, action) {
            (Verb::Del, _) => String::new(),
            (_, Action::Direct) => format!(" direct-action object-pinned {name}"),
            (_, Action::Redirect(mirred)) => format!(" object-pinned {name}{}", mirred.words()),
            (_, Action::Checksum) => format!(" object-pinned {name}{}", csum::WORDS),
        };
        format!("tc filter {verb} dev {dev} {parent} pref {pref} handle {handle} protocol all bpf{options}")
    }

    fn message<'fd>(&self, kind: u16, flags: i32, verb: Verb) -> Message<'fd> {
        let Self { dev, parent, pref, handle, name, .. } = self;
        let operation = verb.sentence(&format!("filter `{name}`"), &dev.name);
        let mut message =
            Message::new(kind, flags, format!("{operation} (parent {parent})"), self.command(verb));
        let protocol = u16::try_from(libc::ETH_P_ALL).expect("ETH_P_ALL is 3").to_be();
        let info = u32::from(*pref) << 16 | u32::from(protocol);
        message.body_mut().raw(&tcmsg(dev.ifindex, *handle, *parent, info)).attr_str(TCA_KIND, "bpf");
        message
    }

    fn write(&self, program: i32, out: &mut Writer) {
        match &self.action {
            Action::Direct => {}
            Action::Redirect(mirred) => {
                out.nest(TCA_BPF_ACT, |list| mirred.write(list));
            }
            Action::Checksum => {
                out.nest(TCA_BPF_ACT, csum::write);
            }
        }
        out.attr_u32(TCA_BPF_FD, program.cast_unsigned()).attr_str(TCA_BPF_NAME, &self.name);
        if self.action == Action::Direct {
            out.attr_u32(TCA_BPF_FLAGS, TCA_BPF_FLAG_ACT_DIRECT);
        }
    }
}

/// The program of a dumped filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// The name given when it was attached.
    pub name: String,
    /// The kernel's number of the program; `None` for a classic one.
    #[doc(alias = "TCA_BPF_ID")]
    pub id: Option<u32>,
    /// Digest of its instructions.
    #[doc(alias = "TCA_BPF_TAG")]
    pub tag: Option<[u8; 8]>,
    /// Whether its return value is the verdict.
    pub direct_action: bool,
}

impl Program {
    pub(super) fn parse(options: Attributes<'_>) -> Self {
        let flags = options.find_kind(TCA_BPF_FLAGS).and_then(|flags| flags.u32()).unwrap_or_default();
        Self {
            name: options.find_kind(TCA_BPF_NAME).map(|name| name.text()).unwrap_or_default(),
            id: options.find_kind(TCA_BPF_ID).and_then(|id| id.u32()),
            tag: options.find_kind(TCA_BPF_TAG).and_then(|tag| tag.value.try_into().ok()),
            direct_action: flags & TCA_BPF_FLAG_ACT_DIRECT != 0,
        }
    }
}
