//! What the flags of `shaper apply` ask for.

use serde::Serialize;
use shaper_common::abi::{self, link_flag};

use super::describe;
use crate::attachment::Attachment;
use crate::cli::args::ApplyArgs;
use crate::cli::exit::Failure;
use crate::plan::Needs;
use crate::plan::set::Wish;
use crate::rules::{Rule, RuleParts, To};
use crate::shape::{Direction, EngineChoice, Shape};
use crate::units::Delay;

/// What is asked for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Asked {
    /// The link, where it was named.
    #[serde(skip)]
    pub(super) dev: Option<String>,
    #[serde(skip)]
    pub(super) engine: EngineChoice,
    /// The seed of rules that have none.
    #[serde(skip)]
    pub(super) seed: Option<u64>,
    /// The rules of each direction.
    #[serde(skip)]
    pub(super) wishes: Vec<(abi::Direction, Wish)>,
    #[serde(skip)]
    flags: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<To>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_limit: Option<Delay>,
}

/// What the flags ask for.
///
/// # Errors
///
/// When they do not fit together.
pub(super) fn of(args: &ApplyArgs) -> Result<Asked, Failure> {
    let rule = Rule::new(RuleParts {
        to: None,
        filter: None,
        after: None,
        time_limit: args.time_limit,
        shape: args.shape.parts(),
    })?;
    let wish = Wish::Put(Box::new(rule));
    Ok(Asked {
        dev: args.dev.clone(),
        engine: args.engine,
        seed: args.shape.parts().seed,
        wishes: args.direction.each().iter().map(|direction| (*direction, wish.clone())).collect(),
        flags: 0,
        to: rule.to(),
        shape: rule.shape(),
        time_limit: rule.time_limit(),
    })
}

impl Asked {
    /// The directions.
    pub(super) fn direction(&self) -> Direction {
        match self.wishes.as_slice() {
            [(one, _)] => Direction::from(*one),
            _ => Direction::Both,
        }
    }

    /// What the rules that are asked for need, whatever others there are.
    pub(super) fn needs(&self) -> Needs {
        let mut needs =
            Needs { shape_neighbours: self.flags & link_flag::SHAPE_NEIGHBOURS != 0, ..Needs::default() };
        for (_, wish) in &self.wishes {
            match wish {
                Wish::Whole(rules) => needs.shapes.extend(rules.iter().filter_map(Rule::shape)),
                Wish::Put(rule) => needs.shapes.extend(rule.shape()),
                Wish::Remove(_) | Wish::Keep => {}
            }
        }
        needs
    }

    /// The flags of a link: those asked for; one rule more leaves those that are there, but for a link that is down.
    pub(super) fn flags(&self, found: Option<&Attachment>) -> u32 {
        let had = found.and_then(|found| found.record.as_ref().ok()).map_or(0, |record| record.flags);
        if self.to.is_some() { self.flags | had & !link_flag::DOWN } else { self.flags }
    }

    /// What is asked for, in words.
    pub(super) fn words(&self) -> String {
        let mut words = self.shape.as_ref().map(describe).unwrap_or_default();
        if let Some(limit) = self.time_limit {
            words.push_str(&format!(", for {limit}"));
        }
        words
    }
}
