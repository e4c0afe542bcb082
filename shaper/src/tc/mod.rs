//! Traffic control: qdiscs, classes and filters, named and printed as iproute2 does.
//!
//! Everything here is a value that knows its netlink [`Message`](crate::netlink::Message) and its `tc` command line;
//! only the `dump` functions touch the kernel. The bytes are checked against those of `tc` (`tests/netlink_golden.rs`).
//!
//! | module | iproute2 |
//! |---|---|
//! | [`qdisc`] | `tc qdisc ...`, one kind per file |
//! | [`class`] | `tc class ... htb` |
//! | [`filter`] | `tc filter ... bpf` |

pub mod class;
pub mod filter;
mod format;
mod handle;
mod object;
pub mod psched;
pub mod qdisc;
mod stats;

use std::fmt;

pub use handle::{Handle, ParseHandleError};
pub use object::Observed;
pub use stats::Stats;

/// What to do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Make it; refused when it is there.
    Add,
    /// Set its options in place; refused when it is absent.
    Change,
    /// Make it, or set its options in place when one of the same kind and handle is there.
    Replace,
    /// Remove it, and with a qdisc all below it; refused when what is there is of another kind.
    Del,
}

impl Verb {
    /// Says what is done to an object of a device, as it follows "cannot".
    fn sentence(self, object: &str, dev: &str) -> String {
        match self {
            Verb::Add => format!("add {object} to `{dev}`"),
            Verb::Change => format!("change {object} on `{dev}`"),
            Verb::Replace => format!("replace {object} on `{dev}`"),
            Verb::Del => format!("delete {object} from `{dev}`"),
        }
    }
}

impl fmt::Display for Verb {
    /// Prints the verb as `tc` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Add => "add",
            Verb::Change => "change",
            Verb::Replace => "replace",
            Verb::Del => "del",
        })
    }
}

#[cfg(test)]
mod tests;
