//! YAML, by `serde-saphyr`.

use serde_saphyr::budget::BudgetBreach;
use serde_saphyr::{Error as YamlError, options};

use super::fault::tidy;
use super::node::{Node, TOO_DEEP, TOO_MANY};
use super::read::line_and_column;
use super::{DEPTH_MAX, Error, Format, RULES_MAX, TEXT_MAX, VALUES_MAX};

/// Aliases, and what they repeat, as the parser counts it: every rule may have one of an average shape.
const ALIASES_MAX: usize = 2 * RULES_MAX;
const REPEATED_MAX: usize = 16 * RULES_MAX;

pub(super) fn read(text: &str) -> Result<Node<'_>, Error> {
    let options = options! {
        budget: serde_saphyr::budget! {
            max_events: 2 * VALUES_MAX,
            max_nodes: 2 * VALUES_MAX,
            max_aliases: ALIASES_MAX,
            max_anchors: ALIASES_MAX,
            max_merge_keys: ALIASES_MAX,
            max_recorded_anchor_events: ALIASES_MAX,
            max_total_scalar_bytes: TEXT_MAX,
            max_depth: DEPTH_MAX as usize + 1,
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: REPEATED_MAX, max_replay_stack_depth: 4 },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |parser| Node::read(parser))
        .map_err(|error| syntax(text, &error))
}

/// What the parser says of one of its bounds, in our words.
fn beyond(error: &YamlError) -> Option<&'static str> {
    match error {
        YamlError::AliasError { error, .. } | YamlError::WithSnippet { error, .. } => beyond(error),
        YamlError::Budget { breach: BudgetBreach::Depth { .. }, .. } => Some(TOO_DEEP),
        YamlError::Budget { .. } => Some(TOO_MANY),
        _ => None,
    }
}

fn syntax(text: &str, error: &YamlError) -> Error {
    let place = error.location().map(|location| (location.line(), location.column()));
    let mut message = error.to_string();
    let (line, column) = match place {
        Some((line, column)) if line > 0 => {
            let at = format!(" at line {line}, column {column}");
            message = message.strip_suffix(&at).map(str::to_owned).unwrap_or(message);
            (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1))
        }
        // What has no place was noticed at the end.
        _ => line_and_column(text, text.len()),
    };
    let message = beyond(error).map_or_else(|| tidy(&message), str::to_owned);
    Error::Syntax { format: Format::Yaml, line, column: column.max(1), message }
}
