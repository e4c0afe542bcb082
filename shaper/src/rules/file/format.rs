//! TOML, YAML or JSON.

use std::path::Path;

use super::read;
use crate::shape::{Named, text_by_name};

/// How a file of rules is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// TOML 1.1.
    Toml,
    /// YAML 1.2; `true` and `false` are the only words for booleans, and digits that begin with a zero are a text.
    Yaml,
    /// JSON (RFC 8259).
    Json,
}

impl Format {
    /// The format that a file's name says, by `.toml`, `.yaml`, `.yml` or `.json` in either case.
    #[must_use]
    pub fn of_name(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        if extension == "yml" {
            return Some(Self::Yaml);
        }
        Self::ALL.iter().copied().find(|format| format.name() == extension)
    }

    /// The format that a text seems to be in, where no name says it.
    ///
    /// JSON if it begins with `{`, else TOML if it is TOML, else YAML if that makes keys and values of it. Where it is neither,
    /// the first line that is not a comment decides, so that the error is that of the likelier format: TOML if it begins with `[`
    /// or has a `=` and no `:` in front of it.
    #[must_use]
    pub fn guess(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with('{') {
            return Self::Json;
        }
        if read::is_table(text, Self::Toml) {
            return Self::Toml;
        }
        if read::is_table(text, Self::Yaml) {
            return Self::Yaml;
        }
        let line = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
        let line = line.unwrap_or_default();
        let first = line.find(['=', ':']).and_then(|at| line[at..].chars().next());
        if line.starts_with('[') || first == Some('=') { Self::Toml } else { Self::Yaml }
    }
}

impl Named for Format {
    const WHAT: &'static str = "a format";
    const ALL: &'static [Self] = &[Self::Toml, Self::Yaml, Self::Json];

    fn name(self) -> &'static str {
        match self {
            Self::Toml => "toml",
            Self::Yaml => "yaml",
            Self::Json => "json",
        }
    }
}

text_by_name!(Format);
