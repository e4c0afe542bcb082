//! What a kernel can have or lack.

use std::fmt;

/// Something that a kernel has or lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Capability {
    /// The qdisc that holds each packet until its departure time.
    Fq,
    /// The qdisc that delays with its own dice.
    Netem,
    /// The qdisc of classes with rates.
    Htb,
    /// The qdisc of one token bucket; no engine needs it.
    Tbf,
    /// The place for classifiers in both directions.
    Clsact,
    /// The filter that runs a program on each packet.
    ClsBpf,
    /// The helper that gives a packet its departure time.
    #[doc(alias = "BPF_FUNC_skb_set_tstamp")]
    SkbSetTstamp,
    /// The action that sends a packet to another link.
    Mirred,
    /// The action that finishes checksums; `edt` needs it to corrupt.
    Csum,
    /// The link whose egress is another link's ingress.
    Ifb,
    /// Links whose packets a process reads and writes.
    Tun,
    /// Sockets that send whole frames.
    #[doc(alias = "AF_PACKET")]
    Packet,
    /// Pairs of links.
    Veth,
    /// The newer place for classifiers; no engine needs it.
    Tcx,
    /// The kernel's description of its own types; no engine needs it.
    Btf,
    /// Programs run as machine code; without it they are interpreted.
    Jit,
}

/// What is known of a capability without asking a kernel.
struct Facts {
    name: &'static str,
    config: &'static str,
    /// First kernel, where the symbol alone does not tell.
    since: Option<&'static str>,
}

impl Capability {
    /// Every capability, those that engines need first.
    pub const ALL: [Self; 16] = [
        Self::Fq,
        Self::Netem,
        Self::Htb,
        Self::Tbf,
        Self::Clsact,
        Self::ClsBpf,
        Self::SkbSetTstamp,
        Self::Mirred,
        Self::Csum,
        Self::Ifb,
        Self::Tun,
        Self::Packet,
        Self::Veth,
        Self::Tcx,
        Self::Btf,
        Self::Jit,
    ];

    /// Its name, as the kernel and iproute2 have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The symbol of the kernel's configuration that brings it.
    #[must_use]
    pub fn config(self) -> &'static str {
        self.facts().config
    }

    /// What a kernel must be to have it: the symbol, and the first version where that is not enough.
    #[must_use]
    pub fn needs(self) -> String {
        let Facts { config, since, .. } = self.facts();
        since.map_or_else(|| config.to_owned(), |version| format!("{config}, Linux {version}"))
    }

    fn facts(self) -> Facts {
        let (name, config, since) = match self {
            Self::Fq => ("fq", "CONFIG_NET_SCH_FQ", None),
            Self::Netem => ("netem", "CONFIG_NET_SCH_NETEM", None),
            Self::Htb => ("htb", "CONFIG_NET_SCH_HTB", None),
            Self::Tbf => ("tbf", "CONFIG_NET_SCH_TBF", None),
            Self::Clsact => ("clsact", "CONFIG_NET_SCH_INGRESS", None),
            Self::ClsBpf => ("cls_bpf", "CONFIG_NET_CLS_BPF", None),
            Self::SkbSetTstamp => ("bpf_skb_set_tstamp", "CONFIG_BPF_SYSCALL", Some("5.18")),
            Self::Mirred => ("mirred", "CONFIG_NET_ACT_MIRRED", None),
            Self::Csum => ("csum", "CONFIG_NET_ACT_CSUM", None),
            Self::Ifb => ("ifb", "CONFIG_IFB", None),
            Self::Tun => ("tun", "CONFIG_TUN", None),
            Self::Packet => ("packet", "CONFIG_PACKET", None),
            Self::Veth => ("veth", "CONFIG_VETH", None),
            Self::Tcx => ("tcx", "CONFIG_NET_XGRESS", Some("6.6")),
            Self::Btf => ("BTF", "CONFIG_DEBUG_INFO_BTF", None),
            Self::Jit => ("JIT", "CONFIG_BPF_JIT", None),
        };
        Facts { name, config, since }
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
