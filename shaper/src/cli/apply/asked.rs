//! What the flags of `shaper apply`, or its file, ask for.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::Path;

use serde::Serialize;

use crate::cli::args::{ApplyArgs, LinkArgs};
use crate::cli::exit::{Code, Failure};
use crate::cli::{distribution, policy};
use crate::plan::set::Wish;
use crate::rules::file::{self, Format};
use crate::rules::{File, Filter, Mtu, Rule, RuleParts, RuleSet};
use crate::shape::{EngineChoice, Named as _};
use crate::wanted::{self, Wanted};

/// What is asked for, and how it is told.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Asked {
    #[serde(skip)]
    pub(super) wanted: Wanted,
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
    let wish = rule.map(|rule| RuleSet::new([rule])).transpose()?.map_or(Wish::Keep, Wish::Put);
    let wanted = Wanted {
        dev: args.dev.clone(),
        engine: args.engine,
        seed: parts.shape.seed,
        wishes: args.direction.each().iter().map(|direction| (*direction, wish.clone())).collect(),
        flags: wanted::flags(down, shape_neighbours, fail_closed),
        mtu,
        is_beside: is_of_the_link || down || rule.is_some_and(|rule| rule.to().is_some()),
        addresses: args.address.into_iter().collect(),
        policy: policy::asked(&args.policy),
    };
    Ok(Asked { wanted, rule: rule.map(|rule| told(&rule)), rules: None, down, mtu })
}

fn of_file(args: &ApplyArgs, file: &File) -> Result<Asked, Failure> {
    let policy = policy::asked(&args.policy);
    let mut wanted =
        Wanted { addresses: args.address.into_iter().collect(), policy, ..Wanted::of_file(file)? };
    wanted.dev = args.dev.clone().or(wanted.dev);
    if args.engine != EngineChoice::Auto {
        wanted.engine = args.engine;
    }
    Ok(Asked { rules: Some(wanted.rules()), wanted, rule: None, down: file.down(), mtu: file.mtu() })
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
        words.extend(self.shape.as_ref().map(crate::shape::Shape::words));
        if words.is_empty() {
            words.push("let alone".to_owned());
        }
        words.extend(self.time_limit.map(|limit| format!("for {limit}")));
        let to = self.to.map(|to| format!("to {to}: ")).unwrap_or_default();
        format!("{to}{}", words.join(", "))
    }
}
