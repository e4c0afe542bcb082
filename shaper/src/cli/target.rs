//! From the flags that name a namespace to the namespace.

use super::args::TargetArgs;
use super::exit::{Code, Failure};
use super::failure;
use crate::api::Place;
use crate::docker::{self, Runtime};
use crate::target::Target;

/// What is said when no namespace is named.
pub(super) const WHICH: &str = "say which namespace: --ns, --pid, --container or --self";

/// The namespace named, if one is; asks the container runtime for that of a container.
pub(super) fn of(args: &TargetArgs) -> Result<Option<Target>, Failure> {
    let Some(name) = &args.container else { return Ok(args.target()) };
    let running = async { Runtime::of_environment()?.running(name).await };
    let pid = docker::block_on(running).map_err(failure::docker)?.pid;
    Ok(Some(Target::Container { name: name.clone(), pid }))
}

/// The same as an agent is told it, which asks the container runtime by itself.
pub(super) fn place(args: &TargetArgs) -> Result<Option<Place>, Failure> {
    if let Some(name) = &args.container {
        return Ok(Some(Place::of_container(name)));
    }
    let Some(target) = args.target() else { return Ok(None) };
    // One that is named and cannot be told must not become all that there are.
    let untold = || Failure::new(Code::Usage, anyhow::anyhow!("an agent cannot be told of `{target}`"));
    Ok(Some(Place::of(&target).ok_or_else(untold)?))
}
