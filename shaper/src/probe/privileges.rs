//! The capabilities(7) of this process, and what each is for.

use caps::{CapSet, Capability};

use super::Error;

/// A capability(7) that shaping a link takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// `CAP_NET_ADMIN`.
    NetAdmin,
    /// `CAP_SYS_ADMIN`.
    SysAdmin,
    /// `CAP_BPF`, or `CAP_SYS_ADMIN`, which includes it and is all there is before Linux 5.8.
    Bpf,
    /// `CAP_NET_RAW`.
    NetRaw,
}

impl Cap {
    /// Every one, the most telling first.
    pub const ALL: [Self; 4] = [Self::NetAdmin, Self::SysAdmin, Self::Bpf, Self::NetRaw];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::Bpf => "CAP_BPF",
            Self::NetRaw => "CAP_NET_RAW",
        }
    }

    /// What it is for, as it follows the name: "to change qdiscs and links".
    #[must_use]
    pub fn purpose(self) -> &'static str {
        match self {
            Self::NetAdmin => "to change qdiscs and links",
            Self::SysAdmin => "to enter a network namespace and to find the programs on its links",
            Self::Bpf => "to load classifiers",
            Self::NetRaw => "to send what the relay held",
        }
    }

    /// Says whether this thread has it in its effective set, which says nothing of the user namespace it counts in.
    #[must_use]
    pub fn is_held(self) -> bool {
        match self {
            Self::NetAdmin => is_effective(Capability::CAP_NET_ADMIN),
            Self::SysAdmin => is_effective(Capability::CAP_SYS_ADMIN),
            Self::Bpf => is_effective(Capability::CAP_BPF) || is_effective(Capability::CAP_SYS_ADMIN),
            Self::NetRaw => is_effective(Capability::CAP_NET_RAW),
        }
    }
}

/// Where the set cannot be read, the kernel will say soon enough what is missing.
fn is_effective(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(true)
}

/// Checks that this process has every one of `caps`.
///
/// # Errors
///
/// [`Error::Privileges`] with those that it has not.
pub fn require(caps: &[Cap]) -> Result<(), Error> {
    let missing: Vec<Cap> = caps.iter().copied().filter(|cap| !cap.is_held()).collect();
    if missing.is_empty() { Ok(()) } else { Err(Error::Privileges { caps: missing }) }
}
