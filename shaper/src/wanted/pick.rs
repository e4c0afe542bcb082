//! Which engine.

use shaper_common::abi::Engine;

use super::{Error, Wanted};
use crate::attachment::Survey;
use crate::engine::{self, Request};
use crate::plan::{Needs, capable};
use crate::probe::{self, Picked};
use crate::shape::{Direction, EngineChoice};

/// Gives the requests the engine asked for, the one that is there already if it can do what the rules then ask for, or the best
/// that can and that this kernel can run.
pub(super) fn pick(wanted: &Wanted, survey: &Survey, requests: &mut [Request]) -> Result<Picked, Error> {
    let mut needs = Needs::default();
    let mut there = None;
    let mut directions = Vec::new();
    for request in requests.iter() {
        let found = survey.attachment_of(request.link.ifindex, request.direction);
        needs = needs.and(request.needs_beside(found));
        there = there.or_else(|| engine::engine_of(found?));
        if !request.is_for_nothing(found) {
            directions.push(request.direction);
        }
    }
    // A direction that will have nothing needs no engine.
    let direction = match directions[..] {
        [only] => Direction::from(only),
        _ => wanted.direction(),
    };
    let picked = pick_engine(wanted, direction, &needs, there)?;
    for request in requests {
        request.engine = picked.engine;
    }
    Ok(picked)
}

fn pick_engine(
    wanted: &Wanted,
    direction: Direction,
    needs: &Needs,
    there: Option<Engine>,
) -> Result<Picked, Error> {
    let mut left = None;
    if let (EngineChoice::Auto, Some(engine)) = (wanted.engine, there) {
        match goes_on(engine, direction, needs) {
            Ok(()) => return Ok(Picked { engine, why: "it shapes this link already".to_owned() }),
            Err(reason) => left = Some(reason),
        }
    }
    let mut picked = probe::choose(wanted.engine, direction, needs)?;
    if let Some(reason) = left {
        picked.why = format!("{reason}, which shaped this link before; {}", picked.why);
    }
    Ok(picked)
}

/// Whether the engine that shapes the link now can do other rules too, or why not.
fn goes_on(engine: Engine, direction: Direction, needs: &Needs) -> Result<(), String> {
    capable::check(engine, needs).map_err(|incapable| incapable.what())?;
    // It works here, as is seen; what a shape needs beyond that is asked of the kernel, which takes milliseconds, only then.
    let nothing = Needs::default();
    if probe::requirements(engine, direction, needs).eq(probe::requirements(engine, direction, &nothing)) {
        return Ok(());
    }
    let choice = EngineChoice::from(engine);
    probe::choose(choice, direction, needs).map(drop).map_err(|error| error.to_string())
}
