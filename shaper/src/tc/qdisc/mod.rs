//! Queueing disciplines: what `tc qdisc` adds, one kind per file.

pub mod fq;
pub mod htb;
pub mod netem;

use super::object::tcmsg;
use super::{Handle, Observed, Verb};
use crate::netlink::attr::Writer;
use crate::netlink::link::Device;
use crate::netlink::uapi::*;
use crate::netlink::{Error, Message, Socket};

/// What kind of qdisc, with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Holds filters for both directions and queues nothing.
    Clsact,
    /// Holds each packet until its departure time.
    Fq(fq::Options),
    /// Sends the packets of each class at its rate.
    Htb(htb::Qdisc),
    /// Delays and limits with its own dice.
    Netem(netem::Options),
    /// Sends at once.
    Noqueue,
}

impl Kind {
    /// Returns the kernel's name.
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Clsact => "clsact",
            Kind::Fq(_) => "fq",
            Kind::Htb(_) => "htb",
            Kind::Netem(_) => "netem",
            Kind::Noqueue => "noqueue",
        }
    }

    fn write(&self, out: &mut Writer) {
        match self {
            Kind::Clsact | Kind::Noqueue => {}
            Kind::Fq(options) => {
                out.nest(TCA_OPTIONS, |out| options.write(out));
            }
            Kind::Htb(options) => {
                out.nest(TCA_OPTIONS, |out| options.write(out));
            }
            Kind::Netem(options) => {
                out.nest(TCA_OPTIONS, |out| options.write(out));
            }
        }
    }

    fn words(&self) -> String {
        match self {
            Kind::Clsact | Kind::Noqueue => String::new(),
            Kind::Fq(options) => options.words(),
            Kind::Htb(options) => options.words(),
            Kind::Netem(options) => options.words(),
        }
    }
}

/// A qdisc at its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qdisc {
    /// The link.
    pub dev: Device,
    /// What it is attached to: [`Handle::ROOT`], a class, or [`Handle::CLSACT`].
    pub parent: Handle,
    /// Its name; [`Handle::NONE`] lets the kernel choose, and deletes whatever its name is.
    pub handle: Handle,
    /// Kind and options.
    pub kind: Kind,
}

impl Qdisc {
    /// Makes the clsact qdisc of a link.
    pub fn clsact(dev: Device) -> Self {
        Self { dev, parent: Handle::CLSACT, handle: Handle::qdisc(0xffff), kind: Kind::Clsact }
    }

    /// Returns the message that does `verb`.
    pub fn message(&self, verb: Verb) -> Message<'static> {
        let Self { dev, parent, handle, kind } = self;
        let (rtm, flags) = match verb {
            Verb::Add => (libc::RTM_NEWQDISC, libc::NLM_F_CREATE | libc::NLM_F_EXCL),
            Verb::Change => (libc::RTM_NEWQDISC, 0),
            Verb::Replace => (libc::RTM_NEWQDISC, libc::NLM_F_CREATE | libc::NLM_F_REPLACE),
            Verb::Del => (libc::RTM_DELQDISC, 0),
        };
        let operation = verb.sentence(&format!("qdisc `{}`", kind.name()), &dev.name);
        let mut message =
            Message::new(rtm, flags, format!("{operation} (parent {parent})"), self.command(verb));
        let body = message.body_mut();
        body.raw(&tcmsg(dev.ifindex, handle.to_u32(), *parent, 0)).attr_str(TCA_KIND, kind.name());
        if verb != Verb::Del {
            kind.write(body);
        }
        message
    }

    /// Returns the command that does `verb`.
    pub fn command(&self, verb: Verb) -> String {
        let Self { dev, parent, handle, kind } = self;
        let place = match *parent {
            Handle::CLSACT => String::new(),
            Handle::ROOT => " root".to_owned(),
            class => format!(" parent {class}"),
        };
        let handle = match *handle {
            Handle::NONE => String::new(),
            _ if *parent == Handle::CLSACT => String::new(),
            handle => format!(" handle {handle}"),
        };
        let words = if verb == Verb::Del { String::new() } else { kind.words() };
        format!("tc qdisc {verb} dev {dev}{place}{handle} {}{words}", kind.name())
    }
}

/// Lists the qdiscs of all links of the socket's namespace.
///
/// # Errors
///
/// See [`Socket::dump`].
pub fn dump(socket: &mut Socket) -> Result<Vec<Observed>, Error> {
    let mut message = Message::new(libc::RTM_GETQDISC, 0, "list qdiscs", "tc -s qdisc show");
    message.body_mut().raw(&tcmsg(0, 0, Handle::NONE, 0));
    Ok(socket.dump(message)?.iter().filter_map(Observed::parse).collect())
}
