//! `shaper show`: what is shaped, by which engine, and how well; and which routing policy is in force.

use super::args::ShowArgs;
use super::by::By;
use super::exit::{Code, Failure};
use super::{failure, output, target};
use crate::api::commands::Form;
use crate::client::Client;
use crate::probe::{self, Cap};
use crate::report::{self, Shown};

pub(super) fn run(args: ShowArgs) -> Result<(), Failure> {
    match By::of(&args.by.agent, &args.target)? {
        By::Agent(client) => output::print(told(&args, &client)?),
        By::Command => look(&args),
    }
}

fn unsaid() -> Failure {
    Failure::new(Code::Usage, anyhow::anyhow!(target::WHICH))
}

fn told(args: &ShowArgs, client: &Client) -> Result<String, Failure> {
    let place = target::place(&args.target)?;
    match args.format {
        Some(format) => client.rules(place.ok_or_else(unsaid)?, args.dev.clone(), format),
        None => client.show(place, if args.json { Form::Json } else { Form::Text }),
    }
}

fn look(args: &ShowArgs) -> Result<(), Failure> {
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let target = target::of(&args.target)?;
    if let Some(format) = args.format {
        let file = report::file::of_target(&target.ok_or_else(unsaid)?, args.dev.as_deref());
        return output::print(file.map_err(failure::report)?.to_text(format));
    }
    let shown = Shown::of(target.as_ref()).map_err(failure::report)?;
    if args.json { output::print_json(&shown) } else { output::print(shown.text()) }
}
