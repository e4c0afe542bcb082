//! Which engines this kernel has, so that their tests may not be skipped.

use std::path::Path;
use std::process::Command;

use crate::command::ask;

/// The engines that `shaper doctor` finds here; at the least `relay`, on a kernel with TUN devices.
pub(super) fn of_this_kernel(shaper: &Path) -> Vec<String> {
    let mut engines = ask(Command::new(shaper).args(["doctor", "--json"]))
        .and_then(|text| available(&text))
        .unwrap_or_else(|| {
            eprintln!("`shaper doctor --json` does not say which engines there are");
            Vec::new()
        });
    if Path::new("/dev/net/tun").exists() && !engines.iter().any(|engine| engine == "relay") {
        engines.push("relay".to_owned());
    }
    engines
}

fn available(doctor: &str) -> Option<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Doctor {
        engines: Vec<Engine>,
    }
    #[derive(serde::Deserialize)]
    struct Engine {
        name: String,
        /// `null` where doctor could not try.
        available: Option<bool>,
    }
    let doctor: Doctor = serde_json::from_str(doctor).ok()?;
    let available = doctor.engines.into_iter().filter(|engine| engine.available == Some(true));
    Some(available.map(|engine| engine.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_doctor_calls_available_is() {
        let text = r#"{"version": 1, "engines": [{"name": "edt", "available": false, "missing": ["fq"]},
            {"name": "netem", "available": null}, {"name": "relay", "available": true, "missing": []}]}"#;
        assert_eq!(available(text), Some(vec!["relay".to_owned()]));
        assert_eq!(available("not built yet"), None);
    }
}
