//! Runs cases as trials: parallel, each within its deadline, with skips that say why.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::Instant;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::case::{Case, Context, Load};
use crate::engine;
use crate::progress::Progress;
use crate::report::{self, Outcome};
use crate::retake::{self, Company, RETAKEN_MAX, Retakes, Take};
use crate::{contained, directory, docker, kernel, named};

/// Trials mostly wait: more of them than processors keep the processors busy.
const THREADS_PER_PROCESSOR: usize = 3;

/// Shared by light trials, exclusive for those that need the machine to themselves.
static MACHINE: RwLock<()> = RwLock::new(());

static RETAKES: Retakes = Retakes::new(RETAKEN_MAX);

/// Runs what the command line selects of `cases`; the whole `main` of a test binary.
pub fn main(cases: Vec<Case>) -> ExitCode {
    if let Some(code) = contained::run_if_asked().or_else(docker::run_if_asked) {
        return code;
    }
    let mut arguments = Arguments::from_args();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    arguments.test_threads.get_or_insert(THREADS_PER_PROCESSOR * processors);
    if !arguments.list {
        named::sweep();
        directory::sweep();
        docker::cgroups::sweep();
    }
    let (shard, shards) = shard().unwrap_or((0, 1));
    // Every so many-th: the engines of a case, which take about as long as each other, are spread.
    let trials = cases.into_iter().flat_map(trials).skip(shard).step_by(shards).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Not the end of `main`: a trial that hangs is still on its thread, and its world ends with the process.
    conclusion.exit()
}

/// The part of the trials to run, from zero, and the number of parts: `SHAPER_SHARD=0/2`.
fn shard() -> Option<(usize, usize)> {
    let text = std::env::var("SHAPER_SHARD").ok()?;
    let (shard, shards) = text.split_once('/').expect("SHAPER_SHARD is like `0/2`");
    let number = |text: &str| text.parse::<usize>().expect("SHAPER_SHARD has two numbers");
    let (shard, shards) = (number(shard), number(shards));
    assert!(shard < shards, "SHAPER_SHARD={text}: there is no such part");
    Some((shard, shards))
}

fn trials(case: Case) -> Vec<Trial> {
    let mut trials = Vec::new();
    for &family in &case.families {
        for &engine in &case.engines {
            let case = case.clone();
            let name = match engine {
                Some(engine) => format!("{}{}::{engine}", case.name, family.suffix()),
                None => format!("{}{}", case.name, family.suffix()),
            };
            let context = Context::new(engine, family);
            trials.push(Trial::ignorable_test(name.clone(), move || run_trial(&name, &case, context)));
        }
    }
    trials
}

fn run_trial(name: &str, case: &Case, context: Context) -> Result<Completion, Failed> {
    let start = Instant::now();
    let engine = context.engine;
    let mut of_engine = engine;
    let mut retaken = None;
    let outcome = match engine.map_or(Ok(()), engine::available) {
        Err(reason) if engine.is_some_and(engine::is_required) => {
            Outcome::Failed(format!("SHAPER_REQUIRE names this engine, but: {reason}"))
        }
        Err(reason) => Outcome::Skipped(reason),
        Ok(()) => match (case.condition)() {
            Ok(()) => {
                let outcome;
                (outcome, retaken) =
                    retake::at_most_twice(name, &RETAKES, |company| run_body(case, context, company));
                outcome
            }
            Err(reason) => {
                // This says nothing about the engine, whose trials may be required not to be skipped.
                of_engine = None;
                Outcome::Skipped(reason)
            }
        },
    };
    report::append(name, of_engine, &outcome, retaken.as_deref(), start.elapsed());
    match outcome {
        Outcome::Passed => Ok(Completion::Completed),
        Outcome::Failed(reason) => Err(reason.into()),
        Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
    }
}

/// Runs the body on a thread of its own, so that the deadline holds even when the body never returns.
fn run_body(case: &Case, context: Context, company: Company) -> Take {
    let _alone;
    let _shared;
    let needs_all = company == Company::Alone
        || match case.load {
            Load::Alone => true,
            Load::Timing => kernel::is_user_mode(),
            Load::Light => false,
        };
    if needs_all {
        _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
    } else {
        _shared = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
    }
    let progress = Progress::default();
    let (done, result) = mpsc::channel();
    let body = case.body;
    let of_body = progress.clone();
    thread::Builder::new()
        .name(case.name.to_owned())
        .spawn(move || {
            of_body.enter();
            // The runner may have given up waiting: then nobody takes the result.
            let _given_up = done.send(panic::catch_unwind(AssertUnwindSafe(|| body(&context))));
        })
        .expect("a thread can be started");
    match result.recv_timeout(case.deadline) {
        Ok(Ok(())) => Take::Passed,
        Ok(Err(panic)) => Take::Panicked(panic_text(panic.as_ref()).to_owned()),
        Err(RecvTimeoutError::Timeout) => {
            Take::Hung(format!("hangs after {:?}: {}", case.deadline, progress.read()))
        }
        Err(RecvTimeoutError::Disconnected) => Take::Hung("the trial's thread vanished".into()),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panicked without a text")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::family::Family;

    /// A first take that kept its place on the machine would make this wait for ever.
    #[test]
    fn a_trial_that_fails_once_is_taken_again_alone_and_passes() {
        static TAKES: AtomicUsize = AtomicUsize::new(0);
        fn body(_: &Context) {
            let alone = MACHINE.try_read().is_err();
            assert!(TAKES.fetch_add(1, Ordering::Relaxed) > 0, "the first take");
            assert!(alone, "the second take has company");
        }
        let case = Case::once("fails_once", Load::Light, body);
        assert!(run_trial(case.name, &case, Context::new(None, Family::V4)).is_ok());
        assert_eq!(TAKES.load(Ordering::Relaxed), 2);
    }
}
