//! Names of a run's states and topics, as the SDKs put them together, without any escaping.
//!
//! A colon may be anywhere in a name, so a key can be read in more than one way. It is taken apart at the first place for each part:
//! `run:a:plan:b:case:c:topics:d:topics:e` is topic `d:topics:e` of case `c`. So the last name, which is the user's, may be anything; a run, plan
//! or case that would then be read as another one is refused by [`Run::new`]. What belongs to a known run is found without reading:
//! by [`Run::prefix`].

use std::fmt;

/// Why there can be no such run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "run `{run}`, plan `{plan}`, case `{case}`: their keys would be read as those of another run; names without colons are legal"
)]
pub struct Error {
    /// Its id.
    pub run: String,
    /// Its plan.
    pub plan: String,
    /// Its case.
    pub case: String,
}

/// What the keys of one run have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    run: String,
    plan: String,
    case: String,
}

/// What is left of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// A state.
    State(&'a str),
    /// A topic.
    Topic(&'a str),
    /// The topic of what happens in the run.
    Events,
}

impl Run {
    /// A run by the values of TEST_RUN, TEST_PLAN and TEST_CASE, each of which may be empty. Fails where its keys would be read as those of
    /// another run.
    pub fn new(run: &str, plan: &str, case: &str) -> Result<Self, Error> {
        let it = Self { run: run.into(), plan: plan.into(), case: case.into() };
        let kept = |key: String, name| Self::read(&key) == Some((it.clone(), name));
        if kept(it.topic(""), Name::Topic(""))
            && kept(it.state(""), Name::State(""))
            && kept(it.events(), Name::Events)
        {
            Ok(it)
        } else {
            Err(Error { run: run.into(), plan: plan.into(), case: case.into() })
        }
    }

    /// Takes a key apart; none, if it is of another form.
    #[must_use]
    pub fn read(key: &str) -> Option<(Self, Name<'_>)> {
        let (run, rest) = key.strip_prefix("run:")?.split_once(":plan:")?;
        let (plan, rest) = rest.split_once(":case:")?;
        let (topic, state) = (rest.split_once(":topics:"), rest.split_once(":states:"));
        let (case, name) = match (topic, state) {
            (Some((case, name)), None) => (case, Name::Topic(name)),
            (Some((case, name)), Some((other, _))) if case.len() < other.len() => (case, Name::Topic(name)),
            (_, Some((case, name))) => (case, Name::State(name)),
            (None, None) => (rest.strip_suffix(":run_events")?, Name::Events),
        };
        Some((Self { run: run.into(), plan: plan.into(), case: case.into() }, name))
    }

    /// How all keys of the run begin.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{self}:")
    }

    /// The key of a topic.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{self}:topics:{name}")
    }

    /// The key of a state.
    #[must_use]
    pub fn state(&self, name: &str) -> String {
        format!("{self}:states:{name}")
    }

    /// The key of the topic of what happens in the run.
    #[must_use]
    pub fn events(&self) -> String {
        format!("{self}:run_events")
    }

    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &str {
        &self.plan
    }

    /// Its case.
    #[must_use]
    pub fn case(&self) -> &str {
        &self.case
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run:{}:plan:{}:case:{}", self.run, self.plan, self.case)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_those_of_the_sdks() {
        let run = Run::new("c7fj", "demo", "quick").unwrap();
        assert_eq!(run.topic("network:host"), "run:c7fj:plan:demo:case:quick:topics:network:host");
        assert_eq!(
            run.state("network-initialized"),
            "run:c7fj:plan:demo:case:quick:states:network-initialized"
        );
        assert_eq!(run.events(), "run:c7fj:plan:demo:case:quick:run_events");
        assert_eq!(run.prefix(), "run:c7fj:plan:demo:case:quick:");
        assert_eq!(Run::read(&run.topic("network:host")), Some((run, Name::Topic("network:host"))));
    }

    #[test]
    fn other_texts_are_no_keys() {
        for text in [
            "",
            "run:a",
            "run:a:plan:b:case:c",
            "run:a:plan:b:topics:c",
            "Run:a:plan:b:case:c:run_events",
            "topic",
        ] {
            assert_eq!(Run::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_run_that_would_be_read_as_another_is_refused() {
        assert!(Run::new("", "", "").is_ok());
        assert!(Run::new("a:b", ":", "c:").is_ok());
        let others = [
            ("a:plan:b", "", ""),
            ("a:plan", "plan:", ""),
            ("", "x:case:y", ""),
            ("", "", "x:states:y"),
            ("", "", ":topics"),
        ];
        for (run, plan, case) in others {
            assert!(Run::new(run, plan, case).is_err(), "{run} {plan} {case}");
        }
    }

    /// Names made of what keys are made of.
    fn part() -> impl Strategy<Value = String> {
        let word =
            prop::sample::select(vec![":", "plan", "case", "topics", "states", "run_events", "run", "a", ""]);
        prop::collection::vec(word, 0..6).prop_map(|words| words.concat())
    }

    proptest! {
        #[test]
        fn what_is_put_together_is_taken_apart(run in part(), plan in part(), case in part(), name in part()) {
            if let Ok(run) = Run::new(&run, &plan, &case) {
                let (topic, state) = (Name::Topic(&name), Name::State(&name));
                let keys = [(run.topic(&name), topic), (run.state(&name), state), (run.events(), Name::Events)];
                for (key, name) in keys {
                    prop_assert_eq!(Run::read(&key), Some((run.clone(), name)));
                }
            }
        }
    }
}
