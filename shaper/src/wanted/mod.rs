//! What is wanted of one namespace, from whoever says so: a command, a call of the agent's, a test plan.

mod address;
mod error;
mod form;
mod make;
mod pick;

use shaper_common::abi::{self, link_flag};

use crate::attachment::Attachment;
use crate::engine;
use crate::plan::Needs;
use crate::plan::set::Wish;
use crate::policy::Keep;
use crate::rules::{self, File, Mtu, Rule, RuleParts, RuleSet};
use crate::shape::{Direction, EngineChoice};

pub use address::{Address, NotAnAddress};
pub use error::Error;
pub use make::{Made, Shaped, make, open};

/// What is wanted of one link of a namespace, and of the namespace's routes.
///
/// In JSON the rules are a document as `apply -f` takes it, `config`, and `rules` says what becomes of those that are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The link; the only one there is when nothing is said.
    pub dev: Option<String>,
    /// Who is to hold packets.
    pub engine: EngineChoice,
    /// Seed of new rules that have none of their own; the one of the rules that are there, or a new one, when nothing is said.
    pub seed: Option<u64>,
    /// What is to become of the rules of each direction; nothing of a direction that is not here.
    pub wishes: Vec<(abi::Direction, Wish)>,
    /// [`link_flag`] bits.
    pub flags: u32,
    /// The link's MTU; what it is without us when nothing is said.
    pub mtu: Option<Mtu>,
    /// Flags and MTU that an earlier command asked for stay, but for a link that was down.
    pub is_beside: bool,
    /// Addresses of the link, at most one of each family, in place of those it has in the same network; they stay when nothing is said.
    pub addresses: Vec<Address>,
    /// What is to become of the routing policy; it stays when nothing is said.
    pub policy: Option<Routing>,
}

/// Which places a namespace is to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Whatever its routes lead to.
    AllowAll,
    /// The network of the link, and what is kept besides.
    DenyAll {
        /// The hosts and networks that stay reachable as they are.
        keep: Vec<Keep>,
    },
}

impl Wanted {
    /// What a file says as the whole of the rules; the other directions of the link stay as they are.
    ///
    /// # Errors
    ///
    /// None of a file that was checked.
    pub fn of_file(file: &File) -> Result<Self, rules::Error> {
        Self::of_rules(file, Wish::Whole)
    }

    /// What a file says as rules beside those that are there.
    ///
    /// # Errors
    ///
    /// As [`Self::of_file`].
    pub fn beside(file: &File) -> Result<Self, rules::Error> {
        Ok(Self { is_beside: true, ..Self::of_rules(file, Wish::Put)? })
    }

    fn of_rules(file: &File, wish: fn(RuleSet) -> Wish) -> Result<Self, rules::Error> {
        let wished = |direction: abi::Direction| Ok((direction, wish(seeded(file, direction)?)));
        let said = |direction: &abi::Direction| {
            file.direction().each().contains(direction) || !file.rules(*direction).is_empty()
        };
        let wishes = Direction::Both.each().iter().copied().filter(said).map(wished);
        Ok(Self {
            dev: file.dev().map(str::to_owned),
            engine: file.engine(),
            seed: file.seed(),
            wishes: wishes.collect::<Result<_, rules::Error>>()?,
            flags: flags(file.down(), file.shape_neighbours(), file.fail_closed()),
            mtu: file.mtu(),
            is_beside: file.down(),
            addresses: Vec::new(),
            policy: None,
        })
    }

    /// The directions.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self.wishes.as_slice() {
            [(one, _)] => Direction::from(*one),
            _ => Direction::Both,
        }
    }

    /// How many rules are wanted as a whole, of all directions.
    #[must_use]
    pub fn rules(&self) -> usize {
        let count = |wish: &Wish| if let Wish::Whole(rules) = wish { rules.len() } else { 0 };
        self.wishes.iter().map(|(_, wish)| count(wish)).sum()
    }

    /// What the rules need, whatever others there are.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let shape_neighbours = self.flags & link_flag::SHAPE_NEIGHBOURS != 0;
        let mut needs = Needs { shape_neighbours, ..Needs::default() };
        for (_, wish) in &self.wishes {
            match wish {
                Wish::Whole(rules) => {
                    needs.shapes.extend(rules.iter().filter_map(Rule::shape));
                    needs.rules = needs.rules.max(rules.len());
                }
                Wish::Put(rules) => needs.shapes.extend(rules.iter().filter_map(Rule::shape)),
                Wish::Remove(_) | Wish::Keep => {}
            }
        }
        needs
    }

    fn flags(&self, found: Option<&Attachment>) -> u32 {
        let had = found.and_then(|found| found.record.as_ref().ok()).map_or(0, |record| record.flags);
        if self.is_beside { self.flags | had & !link_flag::DOWN } else { self.flags }
    }

    fn mtu(&self, found: Option<&Attachment>) -> Option<u32> {
        let had = || engine::mtu_of(found?.record.as_ref().ok()?);
        self.mtu.map(Mtu::bytes).or_else(|| had().filter(|_| self.is_beside))
    }
}

/// The [`link_flag`] bits of what is said of a link.
#[must_use]
pub fn flags(down: bool, shape_neighbours: bool, fail_closed: bool) -> u32 {
    let flags = [
        (down, link_flag::DOWN),
        (shape_neighbours, link_flag::SHAPE_NEIGHBOURS),
        (fail_closed, link_flag::FAIL_CLOSED),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag)
}

/// The rules of a file for one direction, with its seed where they have none of their own.
fn seeded(file: &File, direction: abi::Direction) -> Result<RuleSet, rules::Error> {
    let rules = file.rules(direction);
    if file.seed().is_none() {
        return Ok(rules);
    }
    let seeded = |rule: &Rule| {
        let mut parts = RuleParts::from(*rule);
        parts.shape.seed = parts.shape.seed.or(file.seed());
        Rule::new(parts)
    };
    RuleSet::new(rules.iter().map(seeded).collect::<Result<Vec<_>, _>>()?)
}
