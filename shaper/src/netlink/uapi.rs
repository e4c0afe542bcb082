//! The kernel's numbers that `libc` lacks, each checked against the system's headers by the test below.

/// Defines each constant and, for the test, the header it must agree with.
macro_rules! constants {
    ($($header:literal { $($name:ident: $type:ty = $value:expr;)+ })+) => {
        $($(pub(crate) const $name: $type = $value;)+)+
        #[cfg(test)]
        const TABLE: &[(&str, &str, i64)] = &[$($(($header, stringify!($name), $name as i64)),+),+];
    };
}

constants! {
    "netlink.h" {
        NLM_F_DUMP_INTR: u16 = 0x10;
        NLM_F_CAPPED: u16 = 0x100;
        NLM_F_ACK_TLVS: u16 = 0x200;
        NLMSGERR_ATTR_MSG: u16 = 1;
    }
    "if_link.h" {
        IFLA_ADDRESS: u16 = 1;
        IFLA_IFNAME: u16 = 3;
        IFLA_MTU: u16 = 4;
        IFLA_LINK: u16 = 5;
        IFLA_MASTER: u16 = 10;
        IFLA_TXQLEN: u16 = 13;
        IFLA_LINKINFO: u16 = 18;
        IFLA_IFALIAS: u16 = 20;
        IFLA_AF_SPEC: u16 = 26;
        IFLA_NET_NS_FD: u16 = 28;
        IFLA_EXT_MASK: u16 = 29;
        IFLA_LINK_NETNSID: u16 = 37;
        IFLA_GSO_MAX_SEGS: u16 = 40;
        IFLA_GSO_MAX_SIZE: u16 = 41;
        IFLA_INFO_KIND: u16 = 1;
        IFLA_INFO_DATA: u16 = 2;
        IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
        IN6_ADDR_GEN_MODE_EUI64: u8 = 0;
        IN6_ADDR_GEN_MODE_NONE: u8 = 1;
    }
    "net_namespace.h" {
        NETNSA_NSID: u16 = 1;
        NETNSA_FD: u16 = 3;
        NETNSA_NSID_NOT_ASSIGNED: i32 = -1;
    }
    "veth.h" {
        VETH_INFO_PEER: u16 = 1;
    }
    "if_addr.h" {
        IFA_ADDRESS: u16 = 1;
        IFA_LOCAL: u16 = 2;
        IFA_LABEL: u16 = 3;
        IFA_BROADCAST: u16 = 4;
        IFA_CACHEINFO: u16 = 6;
        IFA_FLAGS: u16 = 8;
        IFA_RT_PRIORITY: u16 = 9;
        IFA_PROTO: u16 = 11;
        IFA_F_NODAD: u8 = 0x02;
        IFA_F_NOPREFIXROUTE: u32 = 0x200;
        IFA_F_MCAUTOJOIN: u32 = 0x400;
    }
    "rtnetlink.h" {
        RTA_DST: u16 = 1;
        RTA_OIF: u16 = 4;
        RTA_GATEWAY: u16 = 5;
        RTA_PRIORITY: u16 = 6;
        RTA_PREFSRC: u16 = 7;
        RTA_METRICS: u16 = 8;
        RTA_MULTIPATH: u16 = 9;
        RTA_CACHEINFO: u16 = 12;
        RTA_TABLE: u16 = 15;
        RTA_VIA: u16 = 18;
        RTA_PREF: u16 = 20;
        RTA_ENCAP_TYPE: u16 = 21;
        RTA_ENCAP: u16 = 22;
        RTA_NH_ID: u16 = 30;
        RTM_F_CLONED: u32 = 0x200;
        RTNH_F_DEAD: u32 = 1;
        RTNH_F_ONLINK: u32 = 4;
        RTEXT_FILTER_SKIP_STATS: u32 = 8;
        TCA_KIND: u16 = 1;
        TCA_OPTIONS: u16 = 2;
        TCA_STATS2: u16 = 7;
        TCA_CHAIN: u16 = 11;
    }
    "fib_rules.h" {
        FIB_RULE_PERMANENT: u32 = 1;
        FRA_PRIORITY: u16 = 6;
        FRA_SUPPRESS_PREFIXLEN: u16 = 14;
        FRA_TABLE: u16 = 15;
        FRA_PROTOCOL: u16 = 21;
        FR_ACT_TO_TBL: u8 = 1;
        FR_ACT_PROHIBIT: u8 = 8;
    }
    "gen_stats.h" {
        TCA_STATS_BASIC: u16 = 1;
        TCA_STATS_QUEUE: u16 = 3;
        TCA_STATS_APP: u16 = 4;
        TCA_STATS_PKT64: u16 = 8;
    }
    "pkt_sched.h" {
        TCA_FQ_PLIMIT: u16 = 1;
        TCA_FQ_FLOW_PLIMIT: u16 = 2;
        TCA_FQ_QUANTUM: u16 = 3;
        TCA_FQ_INITIAL_QUANTUM: u16 = 4;
        TCA_FQ_RATE_ENABLE: u16 = 5;
        TCA_FQ_BUCKETS_LOG: u16 = 8;
        TCA_FQ_ORPHAN_MASK: u16 = 10;
        TCA_FQ_LOW_RATE_THRESHOLD: u16 = 11;
        TCA_FQ_TIMER_SLACK: u16 = 13;
        TCA_FQ_HORIZON: u16 = 14;
        TCA_FQ_HORIZON_DROP: u16 = 15;
        TC_HTB_PROTOVER: u32 = 3;
        TCA_HTB_PARMS: u16 = 1;
        TCA_HTB_INIT: u16 = 2;
        TCA_HTB_CTAB: u16 = 3;
        TCA_HTB_RTAB: u16 = 4;
        TCA_HTB_DIRECT_QLEN: u16 = 5;
        TCA_HTB_RATE64: u16 = 6;
        TCA_HTB_CEIL64: u16 = 7;
        TCA_NETEM_CORR: u16 = 1;
        TCA_NETEM_DELAY_DIST: u16 = 2;
        TCA_NETEM_REORDER: u16 = 3;
        TCA_NETEM_CORRUPT: u16 = 4;
        TCA_NETEM_LOSS: u16 = 5;
        TCA_NETEM_RATE: u16 = 6;
        TCA_NETEM_RATE64: u16 = 8;
        TCA_NETEM_LATENCY64: u16 = 10;
        TCA_NETEM_JITTER64: u16 = 11;
        TCA_NETEM_PRNG_SEED: u16 = 14;
        NETEM_LOSS_GI: u16 = 1;
        NETEM_LOSS_GE: u16 = 2;
        NETEM_DIST_SCALE: i32 = 8192;
        NETEM_DIST_MAX: usize = 16384;
    }
    "pkt_cls.h" {
        TCA_BPF_ACT: u16 = 1;
        TCA_BPF_FD: u16 = 6;
        TCA_BPF_NAME: u16 = 7;
        TCA_BPF_FLAGS: u16 = 8;
        TCA_BPF_TAG: u16 = 10;
        TCA_BPF_ID: u16 = 11;
        TCA_BPF_FLAG_ACT_DIRECT: u32 = 1;
        TCA_ACT_KIND: u16 = 1;
        TCA_ACT_OPTIONS: u16 = 2;
        TC_ACT_UNSPEC: i32 = -1;
        TC_ACT_STOLEN: i32 = 4;
    }
    "tc_act/tc_csum.h" {
        TCA_CSUM_PARMS: u16 = 1;
        TCA_CSUM_UPDATE_FLAG_IPV4HDR: u32 = 1;
        TCA_CSUM_UPDATE_FLAG_ICMP: u32 = 2;
        TCA_CSUM_UPDATE_FLAG_TCP: u32 = 8;
        TCA_CSUM_UPDATE_FLAG_UDP: u32 = 16;
    }
    "tc_act/tc_mirred.h" {
        TCA_EGRESS_REDIR: i32 = 1;
        TCA_INGRESS_REDIR: i32 = 3;
        TCA_MIRRED_PARMS: u16 = 2;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::TABLE;

    /// Newer than the headers of a current Debian; the kernel's own number, since 6.6.
    const NEWER_THAN_HEADERS: &[&str] = &["TCA_NETEM_PRNG_SEED"];

    #[test]
    fn numbers_agree_with_the_systems_headers() {
        let mut checked = 0;
        for (header, name, value) in TABLE {
            let path = format!("/usr/include/linux/{header}");
            let Ok(text) = std::fs::read_to_string(&path) else {
                println!("SKIP {name}: {path} is not installed");
                continue;
            };
            match numbers(&text).get(*name) {
                Some(expected) => assert_eq!(value, expected, "{name} in {path}"),
                None => assert!(NEWER_THAN_HEADERS.contains(name), "{name} is not in {path}"),
            }
            checked += 1;
        }
        println!("{checked} of {} numbers compared", TABLE.len());
    }

    /// Reads a C header's enumerators, counted from the opening brace, and its plain `#define`s.
    fn numbers(header: &str) -> BTreeMap<String, i64> {
        let mut numbers = BTreeMap::new();
        let mut next = None;
        for line in without_comments(header).lines().map(str::trim) {
            if let Some(define) = line.strip_prefix("#define") {
                let mut words = define.split_whitespace();
                if let (Some(name), Some(value)) = (words.next(), number(words.collect::<String>().as_str()))
                {
                    numbers.insert(name.to_owned(), value);
                }
            } else if line.starts_with("enum") && line.ends_with('{') {
                next = Some(0);
            } else if line.starts_with('}') {
                next = None;
            } else if let Some(counter) = &mut next {
                for item in
                    line.split(',').map(str::trim).filter(|item| !item.is_empty() && !item.starts_with('#'))
                {
                    let (name, value) = item.split_once('=').unwrap_or((item, ""));
                    if let Some(value) = number(value.trim()).or_else(|| numbers.get(value.trim()).copied()) {
                        *counter = value;
                    }
                    numbers.insert(name.trim().to_owned(), *counter);
                    *counter += 1;
                }
            }
        }
        numbers
    }

    fn number(text: &str) -> Option<i64> {
        let text = text.trim_matches(['(', ')']);
        if let Some((one, shift)) = text.split_once("<<") {
            return Some(number(one)? << number(shift)?);
        }
        text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |hex| i64::from_str_radix(hex, 16).ok())
    }

    fn without_comments(text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some((code, comment)) = rest.split_once("/*") {
            out.push_str(code);
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        }
        out + rest
    }
}
