//! The time that a packet takes in the kernel program, with few rules and with many, through `BPF_PROG_TEST_RUN`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd as _, OwnedFd};

use shaper::bpf::object::Room;
use shaper::bpf::{Maps, Object, sys};
use shaper::measure::stats;
use shaper::plan::set::{Circumstances, Set, Wish};
use shaper::rules::{Prefix, RULES_MAX, Rule, RuleParts, RuleSet};
use shaper::target::netns::Netns;
use shaper::units::Delay;
use shaper_common::abi::{self, Direction, Link};

use crate::family::Family;
use crate::tolerance::udp_headers;

/// Rules for hosts, beside which there is one for all: the fewest, some, and as many as there may be. The prefixes have one length,
/// so that a search has as many steps with each.
pub const HOSTS: [usize; 3] = [1, 1_000, RULES_MAX - 1];

/// The loopback device. In a namespace where it was never set up it takes a packet and drops it, which is the least that the
/// clone of `edt` can cost.
const LO: u32 = 1;
/// Packets of one run to the same destination: some milliseconds.
const REPEATS: u32 = 20_000;
/// Runs of one packet each, to as many destinations.
const DESTINATIONS: usize = 4_000;
/// Packets that tell a packet's time where the caches have just seen everything but its rule.
const FEW: u32 = 1;

/// A program whose maps have rules for hosts, in a namespace of its own.
#[derive(Debug)]
pub struct Classifier {
    program: OwnedFd,
    _maps: Maps,
    netns: Netns,
    family: Family,
    hosts: usize,
}

impl Classifier {
    /// Loads `program` with rules for `hosts` hosts of `family` and one for all.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn new(program: &str, family: Family, hosts: usize) -> Result<Self, String> {
        let set = set(family, hosts)?;
        let netns = Netns::create().map_err(|error| error.to_string())?;
        let load = || {
            let object = Object::committed()?;
            let maps = object.create_maps(&Room::for_set(&set))?;
            maps.fill(&set)?;
            maps.set_link(&Link {
                abi_version: abi::ABI_VERSION,
                ifindex: LO,
                holder_ifindex: LO,
                htb: 0x5a00_0000,
                rules: 1,
                // The heartbeat that nobody writes is fresh.
                stale_after_ns: u64::MAX,
                ..Link::default()
            })?;
            let program = object.bind(&maps)?.load(program)?;
            Ok((program, maps))
        };
        let (program, maps) = load().map_err(|error: shaper::bpf::object::Error| error.to_string())?;
        Ok(Self { program, _maps: maps, netns, family, hosts })
    }

    /// Mean nanoseconds of a packet to the same destination over and over.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn same_ns(&self) -> Result<f64, String> {
        self.inside(|| self.run(self.hosts / 2, REPEATS).map(f64::from))
    }

    /// Median nanoseconds of one packet to each of many destinations, each of which has a rule: the caches have not seen it lately.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn others_ns(&self) -> Result<f64, String> {
        let times = self.inside(|| {
            let destinations = (0..DESTINATIONS).map(|n| n.wrapping_mul(2_654_435_761) % self.hosts);
            destinations.map(|host| self.run(host, FEW).map(u64::from)).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(stats::Summary::of(times).map_or(f64::NAN, |times| times.p50))
    }

    fn inside<T: Send>(&self, run: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
        self.netns.run(run).map_err(|error| error.to_string())?
    }

    fn run(&self, host: usize, repeat: u32) -> Result<u32, String> {
        let frame = udp_frame(address(self.family, host));
        let run = sys::prog_test_run(self.program.as_fd(), &frame, &[], repeat);
        run.map(|run| run.duration_ns).map_err(|error| error.to_string())
    }
}

fn address(family: Family, host: usize) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from_bits(0x0a00_0000 + host as u32).into(),
        Family::V6 => Ipv6Addr::from_bits((0xfd00 << 112) + host as u128).into(),
    }
}

fn set(family: Family, hosts: usize) -> Result<Set, String> {
    let rule = |host: Option<usize>| -> Result<Rule, String> {
        let mut parts = RuleParts::default();
        if let Some(host) = host {
            parts.to = Some(Prefix::host(address(family, host)).map_err(|error| error.to_string())?.into());
        }
        parts.shape.latency = Some(Delay::from_ms(1));
        Rule::new(parts).map_err(|error| error.to_string())
    };
    let rules: Result<Vec<_>, _> = (0..hosts).map(Some).chain([None]).map(rule).collect();
    let wish = Wish::Whole(RuleSet::new(rules?).map_err(|error| error.to_string())?);
    let circumstances = Circumstances { direction: Direction::Egress, now_ns: 0, seed: 1 };
    Set::of(&wish, &[], &circumstances).map_err(|error| error.to_string())
}

/// A frame of the least size, with a UDP header.
fn udp_frame(destination: IpAddr) -> Vec<u8> {
    const LEAST: usize = 60;
    const UDP: u8 = 17;
    let family = if destination.is_ipv4() { Family::V4 } else { Family::V6 };
    let mut frame = vec![0; LEAST.max(udp_headers(family))];
    frame[12..14].copy_from_slice(&family.ethertype());
    match destination {
        IpAddr::V4(destination) => {
            (frame[14], frame[23]) = (0x45, UDP);
            frame[30..34].copy_from_slice(&destination.octets());
        }
        IpAddr::V6(destination) => {
            (frame[14], frame[20]) = (0x60, UDP);
            frame[38..54].copy_from_slice(&destination.octets());
        }
    }
    frame
}
