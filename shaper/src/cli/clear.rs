//! `shaper clear`: takes shapes and policies away and puts the links back as they were.

use super::args::ClearArgs;
use super::by::By;
use super::exit::Failure;
use super::{failure, output, target};
use crate::agent::{Cleared, Order, Row};
use crate::probe::{self, Cap};

pub(super) fn run(args: ClearArgs) -> Result<(), Failure> {
    let (cleared, failed) = match By::of(&args.by.agent, &args.target)? {
        By::Agent(client) => client.clear(target::place(&args.target)?, args.to)?,
        By::Command => clear(&args)?,
    };
    if args.json {
        output::print_json(&cleared)?;
    } else {
        output::print(text(&cleared))?;
    }
    failed.map_or(Ok(()), Err)
}

fn clear(args: &ClearArgs) -> Result<(Cleared, Option<Failure>), Failure> {
    probe::require(&[Cap::NetAdmin, Cap::SysAdmin, Cap::Bpf]).map_err(failure::probe)?;
    let order = args.to.map_or(Order::Clear, Order::Remove);
    let (mut cleared, mut failed) = (Cleared::default(), None);
    for (name, target) in Cleared::whose(target::of(&args.target)?)? {
        // One namespace that cannot be cleared must not keep the others shaped.
        if let Err(error) = cleared.add(&name, &target, order.carry_out(&target)) {
            failed = failed.or(Some(error));
        }
    }
    Ok((cleared, failed))
}

fn text(cleared: &Cleared) -> String {
    if cleared.cleared.is_empty() && cleared.policies.is_empty() {
        return "nothing to clear\n".to_owned();
    }
    let line = |row: &Row| format!("cleared: {} of `{}` in `{}`\n", row.direction, row.link, row.namespace);
    let policies = cleared.policies.iter().map(|namespace| format!("cleared: policy of `{namespace}`\n"));
    cleared.cleared.iter().map(line).chain(policies).collect()
}
