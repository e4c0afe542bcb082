//! `shaper doctor`: says what this kernel can do.

use super::args::DoctorArgs;
use super::exit::{Code, Failure};

pub(super) fn run(args: DoctorArgs) -> Result<(), Failure> {
    let _ = args;
    Err(Failure::new(
        Code::Failed,
        anyhow::anyhow!("`shaper doctor` is not built yet"),
    ))
}
