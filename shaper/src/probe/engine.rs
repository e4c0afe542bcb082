//! From findings to engines: which can work, and which to take. Pure.

use std::fmt;

use shaper_common::abi::Engine;

use super::{Capability, Error, Finding, Findings, Outcome};
use crate::plan::Needs;
use crate::plan::capable::{self, Incapable};
use crate::prose::list;
use crate::shape::{Direction, EngineChoice};

/// Engines, best first: `edt` costs the least and decides with our core, `netem` needs no process either.
pub const PREFERENCE: [Engine; 3] = [Engine::Edt, Engine::Netem, Engine::Relay];

/// What an engine needs for `direction` and, when it is known, for the shape; what sets it apart from the others comes first.
pub fn requirements(engine: Engine, direction: Direction, needs: &Needs) -> impl Iterator<Item = Capability> {
    use Capability::{ClsBpf, Clsact, Csum, Fq, Htb, Ifb, Mirred, Netem, Packet, SkbSetTstamp, Tun};
    let always: &[Capability] = match engine {
        Engine::Edt => &[Fq, Clsact, ClsBpf, SkbSetTstamp],
        Engine::Netem => &[Netem, Htb, Clsact, ClsBpf],
        Engine::Relay => &[Tun, Clsact, ClsBpf],
    };
    let per_direction: &[Capability] = match (engine, direction) {
        (Engine::Edt | Engine::Netem, Direction::Ingress | Direction::Both) => &[Ifb, Mirred],
        (Engine::Relay, Direction::Egress | Direction::Both) => &[Packet],
        (Engine::Edt | Engine::Netem, Direction::Egress) | (Engine::Relay, Direction::Ingress) => &[],
    };
    let corrupts = needs.any(|shape| shape.corrupt().is_some());
    let per_shape: &[Capability] = if engine == Engine::Edt && corrupts { &[Csum] } else { &[] };
    always.iter().chain(per_direction).chain(per_shape).copied()
}

/// Whether an engine works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that it needs is there.
    Works,
    /// The kernel lacks something.
    Lacks,
    /// Something could not be tried.
    Untold,
}

/// What findings say of one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// The engine.
    pub engine: Engine,
    /// Whether it works.
    pub verdict: Verdict,
    /// What it needs and what was tried in vain, or could not be tried, in the order of [`requirements`].
    pub missing: Vec<(Capability, Finding)>,
}

impl Assessment {
    /// What the kernel lacks, each with its evidence.
    fn lacks(&self) -> impl Iterator<Item = String> {
        self.missing.iter().filter_map(|(capability, finding)| match &finding.outcome {
            Outcome::No(refusal) => Some(format!("{capability} ({}; {refusal})", capability.needs())),
            Outcome::Yes(_) | Outcome::NotTried(_) => None,
        })
    }

    fn untold(&self) -> Error {
        for (capability, finding) in &self.missing {
            if let Outcome::NotTried(obstacle) = &finding.outcome {
                let (tried, obstacle) = (finding.tried.clone(), obstacle.clone());
                return Error::Untold { engine: self.engine, capability: *capability, tried, obstacle };
            }
        }
        panic!("engine {:?} was not assessed on complete findings", self.engine)
    }
}

/// Says of each engine, best first, whether it works for `direction`, and if not, what is missing.
#[must_use]
pub fn assess(direction: Direction, needs: &Needs, findings: &Findings) -> Vec<Assessment> {
    PREFERENCE.iter().map(|&engine| assess_one(engine, direction, needs, findings)).collect()
}

fn assess_one(engine: Engine, direction: Direction, needs: &Needs, findings: &Findings) -> Assessment {
    let mut missing = Vec::new();
    let mut verdict = Verdict::Works;
    for capability in requirements(engine, direction, needs) {
        match findings.get(capability) {
            Some(finding) if finding.is_yes() => {}
            Some(finding) => {
                if matches!(finding.outcome, Outcome::No(_)) {
                    verdict = Verdict::Lacks;
                }
                missing.push((capability, finding.clone()));
            }
            None if verdict == Verdict::Works => verdict = Verdict::Untold,
            None => {}
        }
    }
    if verdict == Verdict::Works && !missing.is_empty() {
        verdict = Verdict::Untold;
    }
    Assessment { engine, verdict, missing }
}

/// Tries capabilities with `attempt`, each at most once, until it is known which engine to take.
///
/// An engine that was asked for is tried first, with all that it needs, for a complete answer when it cannot work; one that
/// cannot do the shape is out, and nothing is tried for it.
pub(super) fn explore(
    choice: EngineChoice,
    direction: Direction,
    needs: &Needs,
    mut attempt: impl FnMut(Capability) -> Finding,
) -> Findings {
    let mut findings = Findings::default();
    let asked = choice.engine();
    if asked.is_some_and(|engine| incapable(engine, needs).is_some()) {
        return findings;
    }
    let can = |engine: &Engine| incapable(*engine, needs).is_none();
    for engine in asked.into_iter().chain(PREFERENCE).filter(can) {
        for capability in requirements(engine, direction, needs) {
            if findings.get(capability).is_none() {
                findings.insert(capability, attempt(capability));
            }
            let is_yes = findings.get(capability).is_some_and(Finding::is_yes);
            if !is_yes && asked != Some(engine) {
                break;
            }
        }
        if assess_one(engine, direction, needs, &findings).verdict == Verdict::Works {
            break;
        }
    }
    findings
}

/// The engine to take, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// The engine.
    pub engine: Engine,
    /// The reason, as it follows "because": evidence, in one sentence.
    pub why: String,
}

/// `relay, because ...`.
impl fmt::Display for Picked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, because {}", EngineChoice::from(self.engine), self.why)
    }
}

/// Picks the engine asked for, or the best that works and can do the shape; without a needs, any can.
///
/// # Errors
///
/// [`Error::Incapable`], [`Error::EngineLacks`], [`Error::NoEngine`], or [`Error::Untold`] when what matters could not be
/// tried.
pub fn pick(
    choice: EngineChoice,
    direction: Direction,
    needs: &Needs,
    findings: &Findings,
) -> Result<Picked, Error> {
    match choice.engine() {
        Some(engine) => pick_asked(engine, direction, needs, findings),
        None => pick_best(direction, needs, findings),
    }
}

fn incapable(engine: Engine, needs: &Needs) -> Option<Incapable> {
    capable::check(engine, needs).err()
}

fn pick_asked(
    engine: Engine,
    direction: Direction,
    needs: &Needs,
    findings: &Findings,
) -> Result<Picked, Error> {
    if let Some(incapable) = incapable(engine, needs) {
        return Err(incapable.into());
    }
    let asked = assess_one(engine, direction, needs, findings);
    match asked.verdict {
        Verdict::Works => Ok(Picked { engine, why: "it was asked for".to_owned() }),
        Verdict::Untold => Err(asked.untold()),
        Verdict::Lacks => {
            let mut others = assess(direction, needs, findings).into_iter();
            let works = others
                .find(|other| other.verdict == Verdict::Works && incapable(other.engine, needs).is_none());
            let works = works.map(|other| other.engine);
            Err(Error::EngineLacks { engine, lacks: asked.lacks().collect(), works })
        }
    }
}

fn pick_best(direction: Direction, needs: &Needs, findings: &Findings) -> Result<Picked, Error> {
    let mut lacks: Vec<(Engine, String)> = Vec::new();
    let mut cannot: Vec<Incapable> = Vec::new();
    let mut untold = None;
    for assessment in assess(direction, needs, findings) {
        if let Some(incapable) = incapable(assessment.engine, needs) {
            cannot.push(incapable);
            continue;
        }
        match assessment.verdict {
            Verdict::Works => {
                let why = why(assessment.engine, direction, needs, &lacks, &cannot);
                return Ok(Picked { engine: assessment.engine, why });
            }
            Verdict::Untold => untold = untold.or_else(|| Some(assessment.untold())),
            Verdict::Lacks => lacks.extend(assessment.lacks().next().map(|lack| (assessment.engine, lack))),
        }
    }
    Err(untold.unwrap_or(Error::NoEngine { lacks, incapable: cannot }))
}

fn why(
    engine: Engine,
    direction: Direction,
    needs: &Needs,
    lacks: &[(Engine, String)],
    cannot: &[Incapable],
) -> String {
    let kernel = if lacks.is_empty() {
        list(requirements(engine, direction, needs).map(|capability| capability.name().to_owned()))
    } else {
        let mut lacks: Vec<String> = lacks.iter().map(|(_, lack)| format!("no {lack}")).collect();
        lacks.dedup();
        list(lacks)
    };
    list([format!("this kernel has {kernel}")].into_iter().chain(cannot.iter().map(Incapable::what)))
}
