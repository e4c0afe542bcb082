//! The JSON objects that commands print.

use serde::Serialize;

/// Version of every JSON object that commands print; goes up when a field changes its meaning or goes away.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Versioned<'a, T> {
    version: u32,
    #[serde(flatten)]
    body: &'a T,
}

/// `body`, a struct or a map, as an object whose first field is `version`, on many lines.
///
/// # Errors
///
/// When it cannot be told in JSON.
pub fn pretty<T: Serialize>(body: &T) -> serde_json::Result<String> {
    Ok(serde_json::to_string_pretty(&Versioned { version: VERSION, body })? + "\n")
}

/// The same on one line.
///
/// # Errors
///
/// As [`pretty`].
pub fn line<T: Serialize>(body: &T) -> serde_json::Result<String> {
    Ok(serde_json::to_string(&Versioned { version: VERSION, body })? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_begins_with_the_version() {
        #[derive(Serialize)]
        struct Body {
            links: Vec<u32>,
        }
        assert_eq!(line(&Body { links: vec![1] }).unwrap(), "{\"version\":1,\"links\":[1]}\n");
    }
}
