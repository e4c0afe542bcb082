//! What the flags of `shaper apply`, or its file, ask for.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;
use shaper_common::abi::{self, link_flag};

use super::describe;
use crate::attachment::Attachment;
use crate::cli::args::{ApplyArgs, LinkArgs};
use crate::cli::distribution;
use crate::cli::exit::{Code, Failure};
use crate::engine;
use crate::plan::Needs;
use crate::plan::set::Wish;
use crate::rules::file::{self, Format};
use crate::rules::{self, File, Filter, Mtu, Rule, RuleParts, RuleSet};
use crate::shape::{Direction, EngineChoice, Named as _};

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
    /// What is to become of the rules of each direction.
    #[serde(skip)]
    pub(super) wishes: Vec<(abi::Direction, Wish)>,
    #[serde(skip)]
    flags: u32,
    /// The one rule, where it is one.
    #[serde(flatten)]
    rule: Option<Told>,
    /// How many rules a file has.
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    down: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<Mtu>,
}

/// A rule as `--json` tells it.
#[derive(Clone, Debug, Serialize)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<crate::rules::To>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<crate::units::Delay>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shape: Option<crate::shape::Shape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_limit: Option<crate::units::Delay>,
}

/// What the command line asks for.
///
/// # Errors
///
/// When its parts do not fit together, or the file cannot be read.
pub(super) fn of(args: &ApplyArgs) -> Result<Asked, Failure> {
    match &args.rule.file {
        Some(path) => of_file(args, &read(path)?),
        None => of_flags(args),
    }
}

fn of_flags(args: &ApplyArgs) -> Result<Asked, Failure> {
    let parts = RuleParts {
        to: args.rule.to,
        filter: args.rule.filter,
        after: args.rule.after,
        time_limit: args.time_limit,
        shape: args.shape.parts()?,
    };
    let LinkArgs { down, mtu, shape_neighbours, fail_closed } = args.link;
    let is_of_the_link = (down || mtu.is_some()) && parts == RuleParts::default();
    let rule = if is_of_the_link { None } else { Some(Rule::new(parts)?) };
    let wish = rule.map_or(Wish::Keep, |rule| Wish::Put(Box::new(rule)));
    Ok(Asked {
        dev: args.dev.clone(),
        engine: args.engine,
        seed: parts.shape.seed,
        wishes: args.direction.each().iter().map(|direction| (*direction, wish.clone())).collect(),
        flags: flags(down, shape_neighbours, fail_closed),
        rule: rule.map(|rule| told(&rule)),
        rules: None,
        down,
        mtu,
    })
}

fn of_file(args: &ApplyArgs, file: &File) -> Result<Asked, Failure> {
    let engine = if args.engine == EngineChoice::Auto { file.engine() } else { args.engine };
    let whole = |direction: abi::Direction| Ok((direction, Wish::Whole(seeded(file, direction)?)));
    let said = |direction: &abi::Direction| {
        file.direction().each().contains(direction) || !file.rules(*direction).is_empty()
    };
    let wishes = Direction::Both.each().iter().copied().filter(said).map(whole);
    let wishes = wishes.collect::<Result<Vec<_>, rules::Error>>()?;
    let count = wishes.iter().map(|(_, wish)| if let Wish::Whole(rules) = wish { rules.len() } else { 0 });
    Ok(Asked {
        dev: args.dev.clone().or_else(|| file.dev().map(str::to_owned)),
        engine,
        seed: file.seed(),
        rules: Some(count.sum()),
        wishes,
        flags: flags(file.down(), file.shape_neighbours(), file.fail_closed()),
        rule: None,
        down: file.down(),
        mtu: file.mtu(),
    })
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

fn read(path: &Path) -> Result<File, Failure> {
    let name = path.display();
    let is_stdin = path.as_os_str() == "-";
    let text = if is_stdin {
        let mut text = String::new();
        std::io::stdin().take(file::TEXT_MAX as u64 + 1).read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| {
        Failure::new(Code::Usage, anyhow::anyhow!("cannot read the rules from `{name}`: {error}"))
    })?;
    let format = Format::of_name(path).unwrap_or_else(|| Format::guess(&text));
    let place = if is_stdin { "standard input".to_owned() } else { format!("`{name}`") };
    let mut read = HashMap::new();
    let mut measured = |name: &str| {
        read.entry(name.to_owned()).or_insert_with_key(|name| distribution::measured(name)).clone()
    };
    File::parse_with(&text, format, &mut measured)
        .map_err(|error| Failure::new(Code::Usage, error).context(place))
}

fn flags(down: bool, shape_neighbours: bool, fail_closed: bool) -> u32 {
    let flags = [
        (down, link_flag::DOWN),
        (shape_neighbours, link_flag::SHAPE_NEIGHBOURS),
        (fail_closed, link_flag::FAIL_CLOSED),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag)
}

fn told(rule: &Rule) -> Told {
    let filter = Some(rule.filter()).filter(|filter| *filter != Filter::Accept);
    Told {
        to: rule.to(),
        filter: filter.map(|filter| filter.name()),
        after: rule.after(),
        shape: rule.shape(),
        time_limit: rule.time_limit(),
    }
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
        let shape_neighbours = self.flags & link_flag::SHAPE_NEIGHBOURS != 0;
        let mut needs = Needs { shape_neighbours, ..Needs::default() };
        for (_, wish) in &self.wishes {
            match wish {
                Wish::Whole(rules) => {
                    needs.shapes.extend(rules.iter().filter_map(Rule::shape));
                    needs.rules = needs.rules.max(rules.len());
                }
                Wish::Put(rule) => needs.shapes.extend(rule.shape()),
                Wish::Remove(_) | Wish::Keep => {}
            }
        }
        needs
    }

    /// The flags of a link: those asked for; a rule for some peers leaves those that are there, but for a link that is down.
    pub(super) fn flags(&self, found: Option<&Attachment>) -> u32 {
        let had = found.and_then(|found| found.record.as_ref().ok()).map_or(0, |record| record.flags);
        if self.is_one_more() { self.flags | had & !link_flag::DOWN } else { self.flags }
    }

    /// The MTU of a link: the one asked for, or the one that an earlier `apply` asked for, as with its flags.
    pub(super) fn mtu(&self, found: Option<&Attachment>) -> Option<u32> {
        let had = || engine::mtu_of(found?.record.as_ref().ok()?);
        self.mtu.map(Mtu::bytes).or_else(|| had().filter(|_| self.is_one_more()))
    }

    /// Whether what is asked for comes beside what is there.
    fn is_one_more(&self) -> bool {
        let is_of_the_link = self.rule.is_none() && self.rules.is_none();
        self.down || is_of_the_link || self.rule.as_ref().is_some_and(|rule| rule.to.is_some())
    }

    /// What is asked for, in words.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        if self.down {
            words.push("down".to_owned());
        }
        words.extend(self.mtu.map(|mtu| format!("mtu {mtu}")));
        match (&self.rules, &self.rule) {
            (Some(rules), _) => words.push(format!("{rules} rule{}", if *rules == 1 { "" } else { "s" })),
            (None, Some(rule)) => words.push(rule.words()),
            (None, None) => {}
        }
        words.join(", ")
    }
}

impl Told {
    fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(filter) = self.filter {
            words.push(match self.after {
                Some(after) => format!("{filter} after {after}"),
                None => filter.to_owned(),
            });
        }
        words.extend(self.shape.as_ref().map(describe));
        if words.is_empty() {
            words.push("let alone".to_owned());
        }
        words.extend(self.time_limit.map(|limit| format!("for {limit}")));
        let to = self.to.map(|to| format!("to {to}: ")).unwrap_or_default();
        format!("{to}{}", words.join(", "))
    }
}
