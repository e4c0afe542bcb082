//! BPF programs and maps of one world, followed by their ids: the kernel's lists are global, and other trials run meanwhile.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use shaper::bpf::sys;
use shaper::netlink::attr::Attributes;

use crate::node::Node;
use crate::snapshot;

// linux/rtnetlink.h and linux/pkt_cls.h
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_ID: u16 = 11;
/// Length of `struct tcmsg`.
const TCMSG_LEN: usize = 20;

/// Ids of programs and maps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objects {
    /// Program ids, from the filters.
    pub programs: BTreeSet<u32>,
    /// Ids of the maps that those programs use.
    pub maps: BTreeSet<u32>,
}

impl Objects {
    /// Finds the programs that the filters of `node` run, and their maps.
    ///
    /// # Panics
    /// When the namespace cannot be read.
    #[track_caller]
    pub fn held_in(node: &Node) -> Self {
        let links = shaper::netlink::link::dump(&mut node.socket()).unwrap_or_else(|error| panic!("{error}"));
        let programs: BTreeSet<u32> = links
            .iter()
            .flat_map(|link| snapshot::filters(node, link.ifindex))
            .filter_map(|filter| {
                let (_, attributes) = filter.split::<TCMSG_LEN>()?;
                (attributes.find_kind(TCA_KIND)?.text() == "bpf").then_some(())?;
                let options: Attributes<'_> = attributes.find_kind(TCA_OPTIONS)?.nested();
                options.find_kind(TCA_BPF_ID)?.u32()
            })
            .collect();
        let maps = programs.iter().filter_map(|&id| maps_of(id)).flatten().collect();
        Self { programs, maps }
    }

    /// Adds what another look found.
    pub fn extend(&mut self, other: Self) {
        self.programs.extend(other.programs);
        self.maps.extend(other.maps);
    }

    /// Says whether the kernel has freed them all.
    pub fn are_gone(&self) -> bool {
        self.programs.iter().all(|&id| is_gone(sys::prog_fd_by_id(id)))
            && self.maps.iter().all(|&id| is_gone(sys::map_fd_by_id(id)))
    }
}

/// `None` for a program that has gone since it was listed.
fn maps_of(program: u32) -> Option<Vec<u32>> {
    let fd = sys::prog_fd_by_id(program).ok()?;
    sys::prog_map_ids(fd.as_fd()).ok()
}

fn is_gone(found: io::Result<OwnedFd>) -> bool {
    found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
