//! From the flags that name a namespace to the namespace.

use super::args::TargetArgs;
use super::exit::Failure;
use super::failure;
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
