//! What a test is, before it is a trial on some engine.

use std::time::Duration;

use crate::engine::Engine;
use crate::family::Family;

/// What a trial gets to know.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub(crate) engine: Option<Engine>,
    family: Family,
}

impl Context {
    /// The context of a trial on `engine`, or of one that is the same on all, over `family`.
    pub fn new(engine: Option<Engine>, family: Family) -> Self {
        Self { engine, family }
    }

    /// Returns the engine to test.
    ///
    /// # Panics
    /// In a case made by [`Case::once`], which has none.
    pub fn engine(&self) -> Engine {
        self.engine.expect("this case runs on each engine")
    }

    /// Returns what the trial's packets are to go over.
    pub fn family(&self) -> Family {
        self.family
    }
}

/// What a trial does to its neighbours on the machine, and they to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It mostly waits, and no reading of it suffers from others: any number of these run at once.
    Light,
    /// It mostly waits, and reads times below a millisecond: light where there are processors to spare, alone where there is one.
    Timing,
    /// It loads the machine, or its readings suffer from others who do: nothing else runs meanwhile.
    Alone,
}

/// One test: a name that says the behaviour, and the engines and families on which it is shown.
#[derive(Clone, Debug)]
pub struct Case {
    pub(crate) name: &'static str,
    pub(crate) engines: Vec<Option<Engine>>,
    pub(crate) families: Vec<Family>,
    pub(crate) load: Load,
    pub(crate) deadline: Duration,
    pub(crate) condition: fn() -> Result<(), String>,
    pub(crate) body: fn(&Context),
}

impl Case {
    /// A case that becomes a trial per engine.
    pub fn each_engine(name: &'static str, load: Load, body: fn(&Context)) -> Self {
        Self { engines: Engine::ALL.iter().copied().map(Some).collect(), ..Self::once(name, load, body) }
    }

    /// A case that is the same on every engine.
    pub fn once(name: &'static str, load: Load, body: fn(&Context)) -> Self {
        Self {
            name,
            engines: vec![None],
            families: vec![Family::V4],
            load,
            deadline: Duration::from_secs(30),
            condition: || Ok(()),
            body,
        }
    }

    /// Makes a trial over IPv6 of each one over IPv4; [`Context::family`] tells them apart, and `_ipv6` in their names.
    #[must_use]
    pub fn each_family(mut self) -> Self {
        self.families = Family::ALL.into();
        self
    }

    /// Keeps only `engine`.
    #[must_use]
    pub fn only(mut self, engine: Engine) -> Self {
        self.engines = vec![Some(engine)];
        self
    }

    /// Leaves `engine` out, for which the behaviour is another or not promised.
    #[must_use]
    pub fn except(mut self, engine: Engine) -> Self {
        self.engines.retain(|&kept| kept != Some(engine));
        self
    }

    /// Gives a trial more or less than 30 s before it counts as hanging.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Skips the trials with the reason that `condition` gives.
    #[must_use]
    pub fn when(mut self, condition: fn() -> Result<(), String>) -> Self {
        self.condition = condition;
        self
    }
}
