//! Classes: what `tc class` adds to an htb qdisc.
//!
//! ```text
//! tc qdisc add dev eth0 root handle 5a00: htb default 1
//! └─ tc class add dev eth0 parent 5a00: classid 5a00:1 htb rate 10mbit
//!    └─ tc qdisc add dev eth0 parent 5a00:1 handle 5a01: netem delay 100ms
//! ```

use super::object::tcmsg;
use super::qdisc::htb;
use super::{Handle, Observed, Verb};
use crate::netlink::link::Device;
use crate::netlink::uapi::*;
use crate::netlink::{Error, Message, Socket};

/// An htb class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// The link.
    pub dev: Device,
    /// The qdisc or class above.
    pub parent: Handle,
    /// The name.
    pub classid: Handle,
    /// Rates and bursts.
    pub options: htb::Class,
}

impl Class {
    /// Returns the message that does `verb`.
    pub fn message(&self, verb: Verb) -> Message<'static> {
        let Self { dev, parent, classid, options } = self;
        let (kind, flags) = match verb {
            Verb::Add => (libc::RTM_NEWTCLASS, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
            Verb::Change => (libc::RTM_NEWTCLASS, 0),
            Verb::Replace => (libc::RTM_NEWTCLASS, libc::NLM_F_CREATE),
            Verb::Del => (libc::RTM_DELTCLASS, 0),
        };
        let operation = verb.sentence(&format!("htb class {classid}"), &dev.name);
        let mut message =
            Message::new(kind, flags, format!("{operation} (parent {parent})"), self.command(verb));
        let body = message.body_mut();
        body.raw(&tcmsg(dev.ifindex, classid.to_u32(), *parent, 0));
        if verb != Verb::Del {
            body.attr_str(TCA_KIND, "htb").nest(TCA_OPTIONS, |out| options.write(out));
        }
        message
    }

    /// Returns the command that does `verb`.
    pub fn command(&self, verb: Verb) -> String {
        let Self { dev, parent, classid, options } = self;
        let place = format!("tc class {verb} dev {dev} parent {parent} classid {classid}");
        match verb {
            Verb::Add | Verb::Change | Verb::Replace => format!("{place} htb{}", options.words()),
            Verb::Del => place,
        }
    }
}

/// Lists the classes of a link.
///
/// # Errors
///
/// See [`Socket::dump`].
pub fn dump(socket: &mut Socket, dev: &Device) -> Result<Vec<Observed>, Error> {
    let mut message = Message::new(
        libc::RTM_GETTCLASS,
        0,
        format!("list classes of `{dev}`"),
        format!("tc -s class show dev {dev}"),
    );
    message.body_mut().raw(&tcmsg(dev.ifindex, 0, Handle::NONE, 0));
    Ok(socket.dump(message)?.iter().filter_map(Observed::parse).collect())
}
