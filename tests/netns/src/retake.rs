//! The second take of a trial that failed.
//!
//! Some 400 trials assert intervals of 99.9 %: every few runs one of them fails by chance alone, and others on the machine can make
//! any reading late. Failing twice in a row by chance is one in a million, and what is broken fails both times. So a trial fails
//! when it fails twice, the second time alone on the machine. That there was a second take is reported: what needs one often is
//! not in order.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::report::Outcome;

/// How many trials of one process are taken again. When more fail, something is wrong with the machine or with `shaper`, and second
/// takes of all would hide the one and take hours over the other.
pub(crate) const RETAKEN_MAX: usize = 10;

/// Whom a take shares the machine with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Company {
    /// Those that its load allows.
    AsDeclared,
    /// Nobody.
    Alone,
}

/// How one take of a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Take {
    Passed,
    /// With the panic's text.
    Panicked(String),
    /// Its thread still has its world, and its deadline was generous: never taken again.
    Hung(String),
}

impl From<Take> for Outcome {
    fn from(take: Take) -> Self {
        match take {
            Take::Passed => Self::Passed,
            Take::Panicked(reason) | Take::Hung(reason) => Self::Failed(reason),
        }
    }
}

/// How many trials may still be taken again.
#[derive(Debug)]
pub(crate) struct Retakes(AtomicUsize);

impl Retakes {
    pub(crate) const fn new(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    fn use_one(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

/// Takes the trial, and once more when it panics; returns how it ended and, when it was taken again, why the first take failed.
///
/// `take` must have given back its place on the machine when it returns, or the second take waits for it for ever.
pub(crate) fn at_most_twice(
    name: &str,
    retakes: &Retakes,
    mut take: impl FnMut(Company) -> Take,
) -> (Outcome, Option<String>) {
    let first = match take(Company::AsDeclared) {
        Take::Panicked(reason) => reason,
        ended => return (ended.into(), None),
    };
    if !retakes.use_one() {
        return (Outcome::Failed(format!("(no second take after {RETAKEN_MAX} others) {first}")), None);
    }
    println!("{name} is taken again, alone: {}", first.lines().next().unwrap_or_default());
    (take(Company::Alone).into(), Some(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How the trial ends that ends as `takes` say, and in whose company it was taken.
    fn ended(retakes: &Retakes, takes: &[Take]) -> (Outcome, Option<String>, Vec<Company>) {
        let mut company = Vec::new();
        let (outcome, retaken) = at_most_twice("a_trial", retakes, |with| {
            company.push(with);
            takes[company.len() - 1].clone()
        });
        (outcome, retaken, company)
    }

    fn panicked(reason: &str) -> Take {
        Take::Panicked(reason.to_owned())
    }

    #[test]
    fn what_passes_is_taken_once() {
        let once = (Outcome::Passed, None, vec![Company::AsDeclared]);
        assert_eq!(ended(&Retakes::new(1), &[Take::Passed]), once);
    }

    #[test]
    fn what_fails_once_passes_and_says_why_it_was_taken_again() {
        let (outcome, retaken, company) = ended(&Retakes::new(1), &[panicked("late"), Take::Passed]);
        assert_eq!((outcome, retaken), (Outcome::Passed, Some("late".to_owned())));
        assert_eq!(company, [Company::AsDeclared, Company::Alone]);
    }

    #[test]
    fn what_fails_twice_fails_with_the_reason_of_the_second_take() {
        for second in [panicked("broken"), Take::Hung("broken".to_owned())] {
            let (outcome, retaken, company) = ended(&Retakes::new(1), &[panicked("late"), second]);
            assert_eq!((outcome, retaken), (Outcome::Failed("broken".to_owned()), Some("late".to_owned())));
            assert_eq!(company.len(), 2);
        }
    }

    #[test]
    fn what_hangs_is_not_taken_again() {
        let retakes = Retakes::new(1);
        let (outcome, retaken, company) = ended(&retakes, &[Take::Hung("hangs".to_owned())]);
        assert_eq!((outcome, retaken), (Outcome::Failed("hangs".to_owned()), None));
        assert_eq!(company.len(), 1);
        assert!(retakes.use_one(), "nothing was used up");
    }

    #[test]
    fn when_too_many_fail_no_more_are_taken_again() {
        let retakes = Retakes::new(1);
        ended(&retakes, &[panicked("late"), Take::Passed]);
        for _ in 0..2 {
            let (outcome, retaken, company) = ended(&retakes, &[panicked("late"), Take::Passed]);
            let Outcome::Failed(reason) = outcome else { panic!("{outcome:?}") };
            assert!(reason.ends_with("late"), "{reason}");
            assert_eq!((retaken, company.len()), (None, 1));
        }
    }
}
