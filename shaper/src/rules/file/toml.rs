//! TOML, by the crate of that name.

use toml_parser::Source;
use toml_parser::lexer::TokenKind;

use super::fault::tidy;
use super::node::{Node, TOO_MANY};
use super::read::line_and_column;
use super::{Error, Format, VALUES_MAX};

/// Points outside of texts: dotted keys make tables of a few bytes each, and no key of ours has one.
const POINTS_MAX: usize = 1_000;
/// Pieces of a line `key = "value"`: key, space, sign, space, value and the line's end.
const PIECES: usize = 6;

pub(super) fn read(text: &str) -> Result<Node<'_>, Error> {
    let syntax = |at: usize, message: &str| {
        let (line, column) = line_and_column(text, at);
        Error::Syntax { format: Format::Toml, line, column, message: tidy(message) }
    };
    // The parser keeps the whole document before anything of it can be looked at.
    if let Some(at) = excess(text) {
        return Err(syntax(at, TOO_MANY));
    }
    let node = toml::Deserializer::parse(text).and_then(Node::read);
    node.map_err(|error| syntax(error.span().map_or(text.len(), |span| span.start), error.message()))
}

/// Where the text becomes more than a document may be.
fn excess(text: &str) -> Option<usize> {
    let (mut values, mut points) = (0, 0);
    for (nth, token) in Source::new(text).lex().enumerate() {
        match token.kind() {
            TokenKind::Dot => points += 1,
            TokenKind::Equals | TokenKind::Comma | TokenKind::LeftSquareBracket => values += 1,
            _ => {}
        }
        if points > POINTS_MAX || values > VALUES_MAX || nth > PIECES * VALUES_MAX {
            return Some(token.span().start());
        }
    }
    None
}
