//! What this kernel and this process can do, found by trying.
//!
//! Nothing is deduced from a version or a configuration file. Each [`Capability`] is asked of the kernel in a network
//! namespace made for it and thrown away, and the kernel's answer is kept as a [`Finding`]: the evidence that `doctor`
//! shows, that `apply` gives as its reason for an engine, and that an error quotes.
//!
//! | module | |
//! |---|---|
//! | [`capability`], [`finding`] | what there is to know, and what is known |
//! | [`engine`] | pure: from findings to the engines that work, and the one to take |
//! | `attempt` | the trying |
//! | [`privileges`] | which capabilities(7) this process holds, and what each is for |

mod attempt;
pub mod capability;
pub mod engine;
mod error;
pub mod finding;
pub mod privileges;
mod program;
mod scratch;

pub use capability::Capability;
pub use engine::{Assessment, Picked, Verdict, assess, pick, requirements};
pub use error::Error;
pub use finding::{Finding, Findings, Obstacle, Outcome, Refusal};
pub use privileges::{Cap, require};
pub use scratch::enter_user_namespace;

use attempt::{Bench, Depth};

use crate::plan::Needs;
use crate::shape::{Direction, EngineChoice};

/// Tries everything, with the very programs and devices that the engines use; some tens of milliseconds.
#[must_use]
pub fn all() -> Findings {
    let mut bench = Bench::new(Depth::Full);
    let mut findings = Findings::default();
    for capability in Capability::ALL {
        findings.insert(capability, bench.attempt(capability));
    }
    findings
}

/// Tries what it takes to choose an engine, in the order of preference, and no more; about a millisecond.
///
/// An engine that was asked for is tried first and completely; the others only when it cannot work. One that cannot do
/// `shape` is not tried.
#[must_use]
pub fn for_engines(choice: EngineChoice, direction: Direction, needs: &Needs) -> Findings {
    let mut bench = Bench::new(Depth::Quick);
    engine::explore(choice, direction, needs, |capability| bench.attempt(capability))
}

/// Chooses the engine for `shape` in `direction`: [`for_engines`], then [`pick`].
///
/// # Errors
///
/// As [`pick`].
pub fn choose(choice: EngineChoice, direction: Direction, needs: &Needs) -> Result<Picked, Error> {
    pick(choice, direction, needs, &for_engines(choice, direction, needs))
}

#[cfg(test)]
mod tests;
