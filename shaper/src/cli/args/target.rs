//! Which namespace.

use clap::Args;

use super::value;
use crate::target::Target;

/// The flags that name a namespace; at most one can be given.
#[derive(Args, Clone, Debug, Default)]
#[group(id = "target", multiple = false)]
#[command(next_help_heading = "Namespace")]
pub struct TargetArgs {
    /// A network namespace by its name in `ip netns`, or the path of a namespace file
    #[arg(long, value_name = "NAME|PATH", value_parser = Target::of_namespace)]
    ns: Option<Target>,
    /// The network namespace that this process runs in
    #[arg(long, value_name = "PID", value_parser = value::pid)]
    pid: Option<u32>,
    /// The network namespace of a container, by its name or the beginning of its id
    #[arg(long, value_name = "NAME|ID")]
    pub container: Option<String>,
    /// The network namespace that this command itself runs in
    #[arg(long = "self")]
    own: bool,
}

impl TargetArgs {
    /// The namespace named, if one is by something else than a container; a path from the root on, for it may be another process that
    /// opens it.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        let own = self.own.then_some(Target::Own);
        let ns = self.ns.clone().map(|target| match target {
            Target::Path(path) => Target::Path(std::path::absolute(&path).unwrap_or(path)),
            other => other,
        });
        ns.or(self.pid.map(Target::Pid)).or(own)
    }
}
