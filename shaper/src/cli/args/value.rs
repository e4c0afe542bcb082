//! Values of flags that are checked at the prompt and have no type of their own.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, RangedI64ValueParser, TypedValueParser};

use super::{AgentAt, StatesAt};
use crate::rules::{TIME_LIMIT_MAX, TIME_LIMIT_MIN, TIME_LIMIT_RANGE};
use crate::shape::{Direction, Named, REORDER_GAP_MAX, REORDER_GAP_MIN};
use crate::target::link::{LINK_NAME_MAX, is_link_name};
use crate::target::{self, Target};
use crate::units::Delay;

/// Reads one of the words of `T`; `--help` and errors list them.
pub(super) fn named<T: Named + Send + Sync>() -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(T::ALL.iter().map(|value| value.name())).try_map(|word| T::from_name(&word))
}

/// Reads an inherited descriptor.
pub(super) fn descriptor() -> RangedI64ValueParser<RawFd> {
    clap::value_parser!(RawFd).range(0..)
}

/// Reads the place of a Unix socket.
pub(super) fn unix(text: &str) -> Result<PathBuf, String> {
    // The kernel has room for 108 bytes, the final zero among them (unix(7)).
    let path = text.strip_prefix("unix:").filter(|path| path.contains('/') && path.len() < 108);
    path.map(PathBuf::from).ok_or_else(|| {
        format!("{text:?} is no Unix socket: write `unix:` and a path of at most 107 bytes, such as `unix:/run/shaper/agent.sock`")
    })
}

/// Reads which agent is asked.
pub(super) fn agent(text: &str) -> Result<AgentAt, String> {
    match text {
        // As an environment variable that is there and says nothing.
        "auto" | "" => Ok(AgentAt::Auto),
        "none" => Ok(AgentAt::None),
        path if path.starts_with("unix:") => unix(path).map(AgentAt::Unix),
        _ => Err(format!(
            "{text:?} is no agent: write its socket, such as `unix:/run/shaper/agent.sock`, or `none`, or `auto`"
        )),
    }
}

/// Reads a host and its port; the host is looked up when it is connected to.
pub(super) fn host_and_port(text: &str) -> Result<String, String> {
    let is_legal =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if is_legal {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} is no host and port: write one such as `testground-sync-service:5050` or `[fd00::1]:5050`"
    ))
}

/// Reads where states are kept.
pub(super) fn states(text: &str) -> Result<StatesAt, String> {
    match text {
        "memory" => Ok(StatesAt::Memory),
        url if ["redis://", "unix://"].iter().any(|scheme| url.starts_with(scheme)) => Ok(StatesAt::Server(url.to_owned())),
        // It may hold a password, so it is not repeated.
        _ => Err("write `memory`, or the URL of a server such as `redis://host:6379/0` or `unix:///run/redis.sock`".to_owned()),
    }
}

/// Reads the name of a link.
pub(super) fn link(text: &str) -> Result<String, String> {
    if is_link_name(text) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "{text:?} cannot be the name of a link: write one that `ip link` lists (such as `eth0`), of at most \
         {LINK_NAME_MAX} bytes and without `/`, `:` or spaces"
    ))
}

/// Reads a process id.
pub(super) fn pid(text: &str) -> Result<u32, String> {
    let pid = text.parse().ok().filter(|pid| Target::of_pid(*pid).is_ok());
    pid.ok_or_else(|| target::not_a_pid(&format!("{text:?}")))
}

/// Reads a seed.
pub(super) fn seed(text: &str) -> Result<u64, String> {
    let seed = text.parse().ok();
    seed.ok_or_else(|| {
        format!("{text:?} is not a seed: write a whole number from 0 to {}, such as `42`", u64::MAX)
    })
}

/// Reads the gap between reordered packets.
pub(super) fn gap(text: &str) -> Result<u32, String> {
    let gap = text.parse().ok().filter(|gap| (REORDER_GAP_MIN..=REORDER_GAP_MAX).contains(gap));
    gap.ok_or_else(|| {
        format!(
            "{text:?} is not a gap: write a whole number of packets from {REORDER_GAP_MIN} to {REORDER_GAP_MAX}, such as `5`"
        )
    })
}

/// Reads how many packets to tell of.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("{text:?} is not a count: write a whole number from 1, such as `100`"))
}

/// Reads how long a shape is to last.
pub(super) fn time_limit(text: &str) -> Result<Delay, String> {
    let limit: Delay = text.parse().map_err(|e: crate::units::Error| e.to_string())?;
    let in_range = (TIME_LIMIT_MIN..=TIME_LIMIT_MAX).contains(&limit);
    in_range.then_some(limit).ok_or_else(|| format!("`{text}` is out of range: {TIME_LIMIT_RANGE}"))
}

/// Reads the direction of a relay, of which there is one for each.
pub(super) fn one_direction(text: &str) -> Result<Direction, String> {
    match Direction::from_name(text) {
        Ok(Direction::Both) => Err("a relay serves one direction: write `egress` or `ingress`".to_owned()),
        Ok(direction) => Ok(direction),
        Err(e) => Err(e.to_string()),
    }
}
