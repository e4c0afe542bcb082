//! Why there is no engine, or no permission.

use shaper_common::abi::Engine;

use super::privileges::Cap;
use super::{Capability, Obstacle};
use crate::plan::capable::Incapable;
use crate::prose::list;
use crate::shape::EngineChoice;

/// What keeps a command from shaping anything here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This process lacks capabilities(7).
    #[error("permission denied: this process lacks {}", list(.caps.iter().map(|cap| format!("{} ({})", cap.name(), cap.purpose()))))]
    Privileges {
        /// Those that are missing.
        caps: Vec<Cap>,
    },
    /// The engine that was asked for cannot work on this kernel.
    #[error("engine `{}` cannot work here: this kernel has {}", EngineChoice::from(*.engine), list(.lacks.iter().map(|lack| format!("no {lack}"))))]
    EngineLacks {
        /// The engine.
        engine: Engine,
        /// What the kernel lacks for it, each with the kernel's own words and the symbol that brings it.
        lacks: Vec<String>,
        /// An engine that would work.
        works: Option<Engine>,
    },
    /// The engine that was asked for cannot do the shape on any kernel.
    #[error(transparent)]
    Incapable(#[from] Incapable),
    /// No engine that can do the shape can work on this kernel.
    #[error("no engine can work here: this kernel has {}{}", list(.lacks.iter().map(|(engine, lack)| format!("no {lack} for {}", EngineChoice::from(*engine)))), also(.incapable))]
    NoEngine {
        /// The first thing that each engine lacks.
        lacks: Vec<(Engine, String)>,
        /// The engines that cannot do the shape, whatever the kernel has.
        incapable: Vec<Incapable>,
    },
    /// It could not be found out whether an engine works.
    #[error("cannot tell whether engine `{}` can work here: {capability}: {tried}: {obstacle}", EngineChoice::from(*.engine))]
    Untold {
        /// The engine.
        engine: Engine,
        /// What could not be tried.
        capability: Capability,
        /// The request.
        tried: String,
        /// Why not.
        obstacle: Obstacle,
    },
}

impl Error {
    /// Says whether a process with more rights would get further.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        match self {
            Self::Privileges { .. } => true,
            Self::Untold { obstacle, .. } => matches!(obstacle, Obstacle::Permission { .. }),
            Self::EngineLacks { .. } | Self::Incapable(_) | Self::NoEngine { .. } => false,
        }
    }

    /// Says whether another kernel or another engine would get further.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::EngineLacks { .. } | Self::Incapable(_) | Self::NoEngine { .. })
    }

    /// Says what the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Privileges { .. } => "run it as root, or with these capabilities".to_owned(),
            Self::EngineLacks { works: Some(engine), .. } => {
                format!("engine `{0}` works here: `--engine {0}`, or no `--engine`", EngineChoice::from(*engine))
            }
            Self::Incapable(_) => "without `--engine`, the best engine that can do the shape is taken".to_owned(),
            Self::EngineLacks { works: None, .. } | Self::NoEngine { .. } => {
                "`shaper doctor` shows what each engine takes and what this kernel has".to_owned()
            }
            Self::Untold { obstacle: Obstacle::Permission { .. }, .. } => {
                "run it as root of the whole machine: in a user namespace, as many containers are, a capability may be \
                 held and still not count"
                    .to_owned()
            }
            Self::Untold { .. } => "`shaper doctor` shows what else can be told".to_owned(),
        }
    }
}

/// Why the engines that the kernel would run are none either.
fn also(incapable: &[Incapable]) -> String {
    incapable.iter().map(|incapable| format!("; {}", incapable.what())).collect()
}
