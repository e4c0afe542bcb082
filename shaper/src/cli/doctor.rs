//! `shaper doctor`: what this kernel and this process can do, and the engine that follows from it.

use std::fs;

use serde::Serialize;

use super::args::DoctorArgs;
use super::exit::Failure;
use super::output::{self, Table};
use crate::plan;
use crate::probe::{self, Assessment, Cap, Capability, Finding, Findings, Verdict};
use crate::shape::{Direction, EngineChoice, Named as _};

/// What `doctor --json` prints.
#[derive(Debug, Serialize)]
struct Body {
    kernel: String,
    /// A user namespace of its own is where things were tried for want of root.
    rootless: bool,
    capabilities: Vec<Row>,
    engines: Vec<EngineRow>,
    picked: Option<&'static str>,
    why: String,
}

#[derive(Debug, Serialize)]
struct Row {
    name: &'static str,
    /// `null`: it could not be tried.
    available: Option<bool>,
    evidence: String,
    /// The kernel's configuration symbol; `null` for a right of this process.
    config: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct EngineRow {
    name: &'static str,
    #[serde(flatten)]
    egress: Needs,
    ingress: Needs,
}

/// Whether an engine works in one direction.
#[derive(Debug, Serialize)]
struct Needs {
    available: Option<bool>,
    missing: Vec<&'static str>,
    untried: Vec<&'static str>,
}

pub(super) fn run(args: DoctorArgs) -> Result<(), Failure> {
    // Before the user namespace, in which this process has them all.
    let privileges = Cap::ALL.map(privilege);
    // Where it is forbidden, each attempt will say that it takes more rights.
    let rootless = !Cap::SysAdmin.is_held() && probe::enter_user_namespace().is_ok();
    let body = examine(privileges, rootless, &probe::all());
    if args.json { output::print_json(&body) } else { output::print(text(&body)) }
}

fn examine(privileges: [Row; Cap::ALL.len()], rootless: bool, findings: &Findings) -> Body {
    let mut capabilities: Vec<Row> =
        findings.iter().map(|(capability, finding)| row(capability, finding)).collect();
    capabilities.extend(privileges);
    let egress = probe::assess(Direction::Egress, &plan::Needs::default(), findings);
    let ingress = probe::assess(Direction::Ingress, &plan::Needs::default(), findings);
    let (picked, why) =
        match probe::pick(EngineChoice::Auto, Direction::Egress, &plan::Needs::default(), findings) {
            Ok(picked) => (Some(EngineChoice::from(picked.engine).name()), picked.why),
            Err(error) => (None, error.to_string()),
        };
    Body {
        kernel: kernel(),
        rootless,
        capabilities,
        engines: egress.iter().zip(&ingress).map(|(egress, ingress)| engine(egress, ingress)).collect(),
        picked,
        why,
    }
}

fn privilege(cap: Cap) -> Row {
    let is_held = cap.is_held();
    let held = if is_held { "held" } else { "not held" };
    Row {
        name: cap.name(),
        available: Some(is_held),
        evidence: format!("{held}; {}", cap.purpose()),
        config: None,
    }
}

fn row(capability: Capability, finding: &Finding) -> Row {
    Row {
        name: capability.name(),
        available: finding.available(),
        evidence: finding.to_string(),
        config: Some(capability.config()),
    }
}

fn engine(egress: &Assessment, ingress: &Assessment) -> EngineRow {
    let name = EngineChoice::from(egress.engine).name();
    EngineRow { name, egress: needs(egress), ingress: needs(ingress) }
}

fn needs(assessment: &Assessment) -> Needs {
    let named = |available| {
        let names = assessment.missing.iter().filter(move |(_, finding)| finding.available() == available);
        names.map(|(capability, _)| capability.name()).collect()
    };
    let available = match assessment.verdict {
        Verdict::Works => Some(true),
        Verdict::Lacks => Some(false),
        Verdict::Untold => None,
    };
    Needs { available, missing: named(Some(false)), untried: named(None) }
}

/// The kernel's release.
pub(super) fn kernel() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn text(body: &Body) -> String {
    let mut capabilities = Table::new(["CAPABILITY", "HERE", "EVIDENCE"]);
    for Row { name, available, evidence, config } in &body.capabilities {
        let config = config
            .filter(|_| *available == Some(false))
            .map(|config| format!(" ({config})"))
            .unwrap_or_default();
        capabilities.row([name, &word(*available), &format!("{evidence}{config}")]);
    }
    let mut engines = Table::new(["ENGINE", "EGRESS", "INGRESS", "MISSING", "NOT TRIED"]);
    for EngineRow { name, egress, ingress } in &body.engines {
        let missing = union(&egress.missing, &ingress.missing);
        let untried = union(&egress.untried, &ingress.untried);
        engines.row([name, &word(egress.available), &word(ingress.available), &missing, &untried]);
    }
    let rootless = if body.rootless {
        "Tried in a user namespace of its own, for want of root; what shows `?` takes more.\n\n"
    } else {
        ""
    };
    let verdict = match body.picked {
        Some(engine) => format!("`shaper apply` takes engine `{engine}`: {}.", body.why),
        None => format!("No engine can be picked: {}.", body.why),
    };
    format!("Linux {}\n\n{rootless}{capabilities}\n{engines}\n{verdict}\n", body.kernel)
}

fn union(egress: &[&'static str], ingress: &[&'static str]) -> String {
    let only_ingress = ingress.iter().filter(|name| !egress.contains(name));
    egress.iter().chain(only_ingress).copied().collect::<Vec<_>>().join(", ")
}

fn word(available: Option<bool>) -> &'static str {
    match available {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Outcome, Refusal};

    /// A kernel that has everything but fq, of a process that may do everything.
    fn body() -> Body {
        let mut findings = Findings::default();
        for capability in Capability::ALL {
            let outcome = match capability {
                Capability::Fq => Outcome::No(Refusal::in_words("no such thing")),
                _ => Outcome::Yes(None),
            };
            findings.insert(capability, Finding { tried: "a request".to_owned(), outcome });
        }
        examine(Cap::ALL.map(privilege), false, &findings)
    }

    #[test]
    fn the_table_shows_evidence_and_the_symbol_of_what_is_missing() {
        let text = text(&body());
        assert!(
            text.contains("\nfq                  no    a request: no such thing (CONFIG_NET_SCH_FQ)\n"),
            "{text}"
        );
        assert!(text.contains("\nhtb                 yes   a request: done\n"), "{text}");
        assert!(text.contains("\nedt     no      no       fq\n"), "{text}");
        assert!(
            text.ends_with("engine `netem`: this kernel has no fq (CONFIG_NET_SCH_FQ; no such thing).\n"),
            "{text}"
        );
    }

    #[test]
    fn json_has_a_row_for_everything() {
        let json = serde_json::to_value(body()).unwrap();
        let rows = json["capabilities"].as_array().unwrap();
        assert_eq!(rows.len(), Capability::ALL.len() + Cap::ALL.len());
        assert_eq!(rows[0]["name"], "fq");
        assert_eq!(rows[0]["available"], false);
        assert_eq!(rows[0]["config"], "CONFIG_NET_SCH_FQ");
        assert_eq!(json["engines"][0]["missing"], serde_json::json!(["fq"]));
        assert_eq!(json["picked"], "netem");
    }
}
