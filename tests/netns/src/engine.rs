//! The engines, and which of them this kernel has.

use std::fmt;
use std::sync::OnceLock;

use crate::shaper::Exit;
use crate::world::World;

/// Who holds the packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The `fq` qdisc, by departure time.
    Edt,
    /// An `htb` class and its `netem` leaf.
    Netem,
    /// A process, through a TAP.
    Relay,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Edt, Self::Netem, Self::Relay];

    /// Returns the value of `--engine`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Edt => "edt",
            Self::Netem => "netem",
            Self::Relay => "relay",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Says why this kernel has not got the engine, in the words of `shaper apply`; tried once per engine.
///
/// Only the exit code for "this kernel lacks it" counts as absence: an engine that is there and fails must fail its trials.
///
/// # Errors
/// The reason, as a skipped trial prints it.
pub fn available(engine: Engine) -> Result<(), String> {
    static TRIED: [OnceLock<Result<(), String>>; 3] = [const { OnceLock::new() }; 3];
    TRIED[engine as usize]
        .get_or_init(|| {
            let world = World::new();
            let result = world.try_apply(engine, &["--latency", "1ms"]);
            if result.exit == Exit::Unsupported { Err(result.stderr.trim().to_owned()) } else { Ok(()) }
        })
        .clone()
}

/// Says whether `SHAPER_REQUIRE`, a list with commas, names the engine: its trials may then not be skipped.
pub fn is_required(engine: Engine) -> bool {
    std::env::var("SHAPER_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == engine.name()))
}
