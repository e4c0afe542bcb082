//! YAML, by `serde-saphyr`.

use serde_saphyr::{Error as YamlError, options};

use super::fault::tidy;
use super::node::Node;
use super::read::line_and_column;
use super::{DEPTH_MAX, Error, Format, TEXT_MAX, VALUES_MAX};

pub(super) fn read(text: &str) -> Result<Node<'_>, Error> {
    // What aliases repeat counts as if it stood there, so that a file cannot grow beyond what it may be.
    let budget = serde_saphyr::budget! {
        max_events: 2 * VALUES_MAX,
        max_nodes: 2 * VALUES_MAX,
        max_aliases: VALUES_MAX,
        max_merge_keys: VALUES_MAX,
        max_total_scalar_bytes: TEXT_MAX,
        max_depth: DEPTH_MAX as usize + 1,
        enforce_alias_anchor_ratio: false,
    };
    let options = options! {
        budget: budget,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 2 * VALUES_MAX, max_replay_stack_depth: 4 },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        with_snippet: false,
    };
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |parser| Node::read(parser))
        .map_err(|error| syntax(text, &error))
}

fn syntax(text: &str, error: &YamlError) -> Error {
    let place = error.location().map(|location| (location.line(), location.column()));
    let message = error.to_string();
    let (line, column, message) = match place {
        Some((line, column)) if line > 0 => {
            let at = format!(" at line {line}, column {column}");
            let message = message.strip_suffix(&at).unwrap_or(&message).to_owned();
            (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1), message)
        }
        // What has no place was noticed at the end.
        _ => {
            let (line, column) = line_and_column(text, text.len());
            (line, column, message)
        }
    };
    Error::Syntax { format: Format::Yaml, line, column: column.max(1), message: tidy(&message) }
}
