//! JSON, by `serde_json`.

use super::fault::tidy;
use super::node::Node;
use super::{Error, Format};

pub(super) fn read(text: &str) -> Result<Node<'_>, Error> {
    let mut parser = serde_json::Deserializer::from_str(text);
    let node = Node::read(&mut parser).and_then(|node| parser.end().map(|()| node));
    node.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let place = format!(" at line {line} column {column}");
        let message = tidy(message.strip_suffix(&place).unwrap_or(&message));
        Error::Syntax { format: Format::Json, line, column: column.max(1), message }
    })
}
