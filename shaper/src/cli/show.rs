//! `shaper show`: says what is shaped, and how well.

use super::args::ShowArgs;
use super::exit::{Code, Failure};

pub(super) fn run(args: ShowArgs) -> Result<(), Failure> {
    let _ = args;
    Err(Failure::new(
        Code::Failed,
        anyhow::anyhow!("`shaper show` is not built yet"),
    ))
}
