//! `shaper show`: what is shaped, by which engine, and how well; and which routing policy is in force.

use super::args::ShowArgs;
use super::exit::{Code, Failure};
use super::{failure, output, target};
use crate::probe::{self, Cap};
use crate::report::{self, Shown};

pub(super) fn run(args: ShowArgs) -> Result<(), Failure> {
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let target = target::of(&args.target)?;
    if let Some(format) = args.format {
        let unsaid = || Failure::new(Code::Usage, anyhow::anyhow!(target::WHICH));
        let file = report::file::of_target(&target.ok_or_else(unsaid)?, args.dev.as_deref());
        return output::print(file.map_err(failure::report)?.to_text(format));
    }
    let shown = Shown::of(target.as_ref()).map_err(failure::report)?;
    if args.json { output::print_json(&shown) } else { output::print(shown.text()) }
}
