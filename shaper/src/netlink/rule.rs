//! Rules that choose the routing table for a packet: what `ip rule` shows, adds and deletes.

use super::uapi::*;
use super::{Error, Family, Message, Reply, Socket};

/// Length of `struct fib_rule_hdr`: family, prefix lengths, TOS, table, two reserved, action, flags.
const HEADER_LEN: usize = 12;

/// What becomes of a packet for which a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The table of this number is asked; when it has no route, the next rule.
    Lookup(u32),
    /// The sender is told `EACCES`.
    Prohibit,
    /// Another of the kernel's (`FR_ACT_*`).
    Other(u8),
}

/// A rule; the kernel asks them by ascending preference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whose packets.
    pub family: Family,
    /// Place in the order, from 0 to 4 294 967 295.
    pub pref: u32,
    /// What is done.
    pub action: Action,
    /// Who made it (`RTPROT_*`).
    pub protocol: u8,
    /// Whether it holds for every packet and lets no route of its table fall through.
    pub is_plain: bool,
}

impl Rule {
    /// A rule for every packet.
    pub fn new(family: Family, pref: u32, protocol: u8, action: Action) -> Self {
        Self { family, pref, action, protocol, is_plain: true }
    }

    /// Adds the rule, which must be new.
    pub fn add(&self) -> Message<'static> {
        let action = match self.action {
            Action::Lookup(_) => FR_ACT_TO_TBL,
            Action::Prohibit => FR_ACT_PROHIBIT,
            Action::Other(action) => action,
        };
        self.message("add", libc::RTM_NEWRULE, libc::NLM_F_CREATE | libc::NLM_F_EXCL, action)
    }

    /// Deletes the rule.
    pub fn delete(&self) -> Message<'static> {
        // Any action, as with iproute2, where the table says enough.
        let action = match self.action {
            Action::Lookup(_) => 0,
            Action::Prohibit => FR_ACT_PROHIBIT,
            Action::Other(action) => action,
        };
        self.message("del", libc::RTM_DELRULE, 0, action)
    }

    fn message(&self, verb: &str, kind: u16, flags: i32, action: u8) -> Message<'static> {
        let (ip, pref, protocol) = (self.family.ip(), self.pref, self.protocol);
        let does = match self.action {
            Action::Lookup(table) => format!("table {table}"),
            Action::Prohibit => "prohibit".to_owned(),
            Action::Other(action) => format!("type {action}"),
        };
        let words = format!("pref {pref} protocol {protocol} {does}");
        let mut message = Message::new(
            kind,
            flags,
            format!("{} {} rule `{words}`", if verb == "add" { "add" } else { "delete" }, self.family),
            format!("{ip} rule {verb} {words}"),
        );
        let mut header = [0; HEADER_LEN];
        header[0] = self.family.number();
        header[7] = action;
        let body = message.body_mut();
        body.raw(&header).attr_u32(FRA_PRIORITY, pref).attr_u8(FRA_PROTOCOL, protocol);
        if let Action::Lookup(table) = self.action {
            body.attr_u32(FRA_TABLE, table);
        }
        message
    }

    fn parse(reply: &Reply) -> Option<Self> {
        let (header, attributes) = reply.split::<HEADER_LEN>()?;
        let [family, dst_len, src_len, tos, table, _, _, action, flags @ ..] = *header;
        let number = |kind| attributes.find_kind(kind).and_then(|attribute| attribute.u32());
        let table = number(FRA_TABLE).unwrap_or_else(|| table.into());
        // Whatever this code does not know narrows the rule.
        let narrows = attributes.into_iter().any(|attribute| match attribute.kind {
            FRA_PRIORITY | FRA_TABLE | FRA_PROTOCOL => false,
            FRA_SUPPRESS_PREFIXLEN => attribute.u32() != Some(u32::MAX),
            _ => true,
        });
        let flags = u32::from_ne_bytes(flags) & !FIB_RULE_PERMANENT;
        Some(Self {
            family: Family::from_number(family)?,
            pref: number(FRA_PRIORITY).unwrap_or(0),
            action: match action {
                FR_ACT_TO_TBL => Action::Lookup(table),
                FR_ACT_PROHIBIT => Action::Prohibit,
                other => Action::Other(other),
            },
            protocol: attributes.find_kind(FRA_PROTOCOL).and_then(|protocol| protocol.u8()).unwrap_or(0),
            is_plain: [dst_len, src_len, tos] == [0; 3] && flags == 0 && !narrows,
        })
    }
}

/// Lists the rules of one family, in the order in which the kernel asks them.
///
/// # Errors
///
/// `EOPNOTSUPP` or `EAFNOSUPPORT` from a kernel without rules (`CONFIG_IP_MULTIPLE_TABLES`) or without the family; see
/// also [`Socket::dump`].
pub fn dump(socket: &mut Socket, family: Family) -> Result<Vec<Rule>, Error> {
    let command = format!("{} rule show", family.ip());
    let mut message = Message::new(libc::RTM_GETRULE, 0, format!("list {family} rules"), command);
    let mut header = [0; HEADER_LEN];
    header[0] = family.number();
    message.body_mut().raw(&header);
    Ok(socket.dump(message)?.iter().filter_map(Rule::parse).collect())
}
