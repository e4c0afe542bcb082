//! A JSON text in as few bytes as it takes.

/// Takes white space between values away, and escapes that need not be. What `json` says stays as it is, to the digits of its numbers and the
/// order of its keys. It must be valid.
pub(super) fn compact(json: &str) -> String {
    let mut short = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(open) = rest.find('"') {
        let (between, string) = rest.split_at(open);
        short.extend(between.split_ascii_whitespace());
        let (string, behind) = string.split_at(end(string));
        short.push_str(&shortest(string));
        rest = behind;
    }
    short.extend(rest.split_ascii_whitespace());
    short
}

/// Where the string ends with which `json` begins, its quotes included.
fn end(json: &str) -> usize {
    let mut escaped = true;
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    json.len()
}

/// A string in its quotes, with only the escapes it needs. Half a surrogate pair, which JSON's grammar allows and no text is, stays.
fn shortest(string: &str) -> String {
    match serde_json::from_str::<String>(string) {
        Ok(text) if string.contains('\\') => super::quoted(&text),
        _ => string.into(),
    }
}
