//! The protocol counters of a namespace.

use std::fs;

use crate::family::Family;
use crate::node::Node;

/// The counters of one moment.
#[derive(Clone, Debug)]
pub struct Snmp {
    ipv4: String,
    ipv6: String,
}

impl Snmp {
    /// Reads the counters of a node's namespace.
    ///
    /// # Panics
    /// Without procfs.
    #[track_caller]
    pub fn of(node: &Node) -> Self {
        // Not /proc/net, which is that of the process's first thread.
        let read = |name| fs::read_to_string(format!("/proc/thread-self/net/{name}"));
        let [ipv4, ipv6] = node.run(|| ["snmp", "snmp6"].map(read));
        Self { ipv4: ipv4.expect("procfs has counters"), ipv6: ipv6.unwrap_or_default() }
    }

    /// Returns a counter of one family, such as `InCsumErrors` of `Udp`: of /proc/net/snmp, or `Udp6InCsumErrors` of /proc/net/snmp6.
    ///
    /// # Panics
    /// When there is none of that name.
    #[track_caller]
    pub fn counter(&self, family: Family, protocol: &str, counter: &str) -> u64 {
        let value = match family {
            Family::V4 => self.ipv4(protocol, counter),
            Family::V6 => self.ipv6(&format!("{protocol}6{counter}")),
        };
        value.unwrap_or_else(|| panic!("no counter {counter} of {protocol} over {family:?}"))
    }

    fn ipv4(&self, protocol: &str, counter: &str) -> Option<u64> {
        let mut rows = self.ipv4.lines().filter(|row| row.split(':').next() == Some(protocol));
        let (names, values) = (rows.next()?, rows.next()?);
        let found =
            names.split_whitespace().zip(values.split_whitespace()).find(|(name, _)| *name == counter);
        found.and_then(|(_, value)| value.parse().ok())
    }

    fn ipv6(&self, counter: &str) -> Option<u64> {
        let mut rows = self.ipv6.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.find(|row| row[0] == counter).and_then(|row| row[1].parse().ok())
    }
}
