//! `shaper demo`: shows the main job on two namespaces of its own.

use super::args::{DEMO_LATENCY, DemoArgs};
use super::exit::{Code, Failure};

pub(super) fn run(args: DemoArgs) -> Result<(), Failure> {
    let _shape = args.shape.shape_or(DEMO_LATENCY)?;
    Err(Failure::new(
        Code::Failed,
        anyhow::anyhow!("`shaper demo` is not built yet"),
    ))
}
