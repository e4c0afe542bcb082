//! What is wanted, in JSON: the rules as the document that `apply -f` takes, and beside it what no file says.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use shaper_common::abi::{self, link_flag};

use super::{Address, Routing, Wanted};
use crate::plan::set::Wish;
use crate::policy::{Keep, Policy};
use crate::rules::file::{Document, Entry, Format};
use crate::rules::{File, Rule, RuleParts, RuleSet};
use crate::shape::{Direction, Distribution, Measured};

/// What is to become of the rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rules {
    /// Nothing: they are not looked at.
    #[default]
    None,
    /// These, and no others.
    Whole,
    /// These, beside those for other peers.
    Put,
    /// Those that are there.
    Keep,
}

/// How it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    #[serde(default)]
    rules: Rules,
    config: Box<RawValue>,
    #[serde(default)]
    tables: BTreeMap<String, Distribution>,
    #[serde(default)]
    is_beside: bool,
    #[serde(default)]
    addresses: Vec<Address>,
    #[serde(default)]
    policy: Option<Policies>,
}

/// How it is written.
#[derive(Serialize)]
struct Written {
    rules: Rules,
    config: Config,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, Distribution>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_beside: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<Address>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Policies>,
}

/// A document whose rules name tables instead of telling them: rules by the thousand may have the same one.
#[derive(Serialize)]
struct Config {
    #[serde(flatten)]
    above: Document,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<Vec<Named>>,
}

#[derive(Serialize)]
struct Named {
    #[serde(flatten)]
    entry: Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    distribution: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Policies {
    policy: Policy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keep: Vec<Keep>,
}

impl Serialize for Wanted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        written(self).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(Read::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

fn written(wanted: &Wanted) -> Result<Written, &'static str> {
    let has = |flag: u32| wanted.flags & flag != 0;
    let (rules, sets) = sets(&wanted.wishes)?;
    let mut tables = BTreeMap::new();
    let above = Document {
        dev: wanted.dev.clone(),
        direction: (rules != Rules::None).then(|| wanted.direction()),
        engine: Some(wanted.engine),
        seed: wanted.seed,
        shape_neighbours: has(link_flag::SHAPE_NEIGHBOURS),
        fail_closed: has(link_flag::FAIL_CLOSED),
        down: has(link_flag::DOWN),
        mtu: wanted.mtu,
        rules: None,
    };
    let has_rules = matches!(rules, Rules::Whole | Rules::Put);
    let entries = has_rules.then(|| entries(&sets).map(|entry| named(entry, &mut tables)).collect());
    Ok(Written {
        rules,
        config: Config { above, rules: entries },
        tables,
        is_beside: wanted.is_beside,
        addresses: wanted.addresses.clone(),
        policy: wanted.policy.as_ref().map(|routing| match routing {
            Routing::AllowAll => Policies { policy: Policy::AllowAll, keep: Vec::new() },
            Routing::DenyAll { keep } => Policies { policy: Policy::DenyAll, keep: keep.clone() },
        }),
    })
}

type Sets<'a> = Vec<(Direction, &'a RuleSet)>;

/// What becomes of the rules of all directions, and those of each.
fn sets(wishes: &[(abi::Direction, Wish)]) -> Result<(Rules, Sets<'_>), &'static str> {
    let mut all = Rules::None;
    let mut sets = Vec::new();
    for (direction, wish) in wishes {
        let (rules, set) = match wish {
            Wish::Whole(set) => (Rules::Whole, Some(set)),
            Wish::Put(set) => (Rules::Put, Some(set)),
            Wish::Keep => (Rules::Keep, None),
            Wish::Remove(_) => return Err("rules are taken away by an order of its own"),
        };
        if all != Rules::None && all != rules {
            return Err("the rules of both directions come and go alike");
        }
        all = rules;
        sets.extend(set.map(|set| (Direction::from(*direction), set)));
    }
    Ok((all, sets))
}

/// The rules of both directions as one list; those that are the same in both stand there once.
fn entries<'a>(sets: &'a [(Direction, &'a RuleSet)]) -> Box<dyn Iterator<Item = Entry> + 'a> {
    let entry = |direction: Option<Direction>, rule: &Rule| Entry { direction, rule: RuleParts::from(*rule) };
    match sets {
        [(_, first), (_, second)] if first != second => Box::new(
            sets.iter()
                .flat_map(move |(direction, set)| set.iter().map(move |rule| entry(Some(*direction), rule))),
        ),
        _ => Box::new(
            sets.iter().take(1).flat_map(move |(_, set)| set.iter().map(move |rule| entry(None, rule))),
        ),
    }
}

fn named(mut entry: Entry, tables: &mut BTreeMap<String, Distribution>) -> Named {
    let Some(distribution @ Distribution::Table(table)) = entry.rule.shape.distribution else {
        return Named { entry, distribution: None };
    };
    entry.rule.shape.distribution = None;
    // What has a slash is looked up.
    let name = format!("tables/{}", table.number());
    tables.insert(name.clone(), distribution);
    Named { entry, distribution: Some(name) }
}

fn read(read: Read) -> Result<Wanted, String> {
    let Read { rules, config, tables, is_beside, addresses, policy } = read;
    if let [one, other, ..] = addresses.as_slice()
        && (addresses.len() > 2 || one.address.is_ipv4() == other.address.is_ipv4())
    {
        return Err("addresses: a link gets one of IPv4 and one of IPv6 at most".to_owned());
    }
    let file = match rules {
        Rules::Whole | Rules::Put => {
            let mut measured = |name: &str| match tables.get(name) {
                Some(Distribution::Table(table)) => Ok(Measured::Table(table)),
                _ => Err(format!("there is no `{name}` among the `tables`")),
            };
            File::parse_with(config.get(), Format::Json, &mut measured)
        }
        Rules::None | Rules::Keep => Document::parse(config.get(), Format::Json).and_then(|document| {
            if document.rules.is_some() {
                return Err(crate::rules::file::Error::Value {
                    path: "rules".to_owned(),
                    message: "say beside `config` what becomes of them: `\"rules\": \"put\"` or `\"whole\"`"
                        .to_owned(),
                });
            }
            File::new(Document { rules: Some(Vec::new()), ..document })
        }),
    };
    let file = file.map_err(|error| format!("config: {error}"))?;
    let wish = match rules {
        Rules::Whole => Wish::Whole,
        Rules::Put => Wish::Put,
        Rules::None | Rules::Keep => |_| Wish::Keep,
    };
    let mut wanted = Wanted::of_rules(&file, wish).map_err(|error| format!("config: {error}"))?;
    if rules == Rules::None {
        wanted.wishes.clear();
    }
    let policy = match policy {
        None => None,
        Some(Policies { policy: Policy::AllowAll, keep }) if keep.is_empty() => Some(Routing::AllowAll),
        Some(Policies { policy: Policy::AllowAll, .. }) => {
            return Err("policy: `keep` is for `deny-all`, which leaves nothing else".to_owned());
        }
        Some(Policies { policy: Policy::DenyAll, keep }) => Some(Routing::DenyAll { keep }),
    };
    Ok(Wanted { is_beside, addresses, policy, ..wanted })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::any_set;
    use crate::shape::{EngineChoice, Named as _};

    fn any_wishes() -> impl Strategy<Value = Vec<(abi::Direction, Wish)>> {
        let (egress, ingress) = (abi::Direction::Egress, abi::Direction::Ingress);
        let each = |wish: fn(RuleSet) -> Wish| {
            (any_set(), any_set(), 0..4).prop_map(move |(one, other, which)| match which {
                0 => vec![(egress, wish(one))],
                1 => vec![(ingress, wish(one))],
                2 => vec![(egress, wish(one.clone())), (ingress, wish(one))],
                _ => vec![(egress, wish(one)), (ingress, wish(other))],
            })
        };
        prop_oneof![each(Wish::Whole), each(Wish::Put), each(|_| Wish::Keep), Just(Vec::new())]
    }

    fn any_wanted() -> impl Strategy<Value = Wanted> {
        let engine = prop::sample::select(EngineChoice::ALL);
        let keep = || {
            prop::sample::select(vec!["192.0.2.7", "2001:db8::/32"]).prop_map(|text| text.parse().unwrap())
        };
        let policy = prop::option::of(prop_oneof![
            Just(Routing::AllowAll),
            prop::collection::vec(keep(), 0..3).prop_map(|keep| Routing::DenyAll { keep }),
        ]);
        let own = (prop::option::of(Just("eth0".to_owned())), engine, any::<bool>(), 0..8u32, policy);
        (any_wishes(), own, prop::option::of(1_280..65_535u32), any::<bool>()).prop_map(
            |(wishes, (dev, engine, is_beside, flags, policy), mtu, has_address)| Wanted {
                dev,
                engine,
                wishes,
                flags: super::super::flags(flags & 1 != 0, flags & 2 != 0, flags & 4 != 0),
                mtu: mtu.map(|bytes| bytes.try_into().unwrap()),
                is_beside,
                addresses: if has_address {
                    ["10.0.0.7/24", "fd00::7/64"].map(|text| text.parse().unwrap()).into()
                } else {
                    Vec::new()
                },
                policy,
                ..Wanted::default()
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_what_is_read(wanted in any_wanted()) {
            let text = serde_json::to_string(&wanted).unwrap();
            let read: Wanted = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            prop_assert_eq!(read, wanted);
        }
    }
}
