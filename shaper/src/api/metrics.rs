//! `/metrics`: counters of every instance and rule, in the text format of Prometheus.

use std::fmt::Write as _;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use futures_util::future::join_all;

use super::Refusal;
use super::instances::look;
use crate::agent::Agent;
use crate::report::{Counted, Namespace};
use crate::states::Held;

/// The name of a metric, what it says, and its value.
type Metric = (&'static str, &'static str, fn(&Counted) -> Option<u64>);

/// What is told of each rule.
const RULE_METRICS: [Metric; 9] = [
    ("shaper_packets_total", "Packets that met the rule.", |counted| Some(counted.packets)),
    ("shaper_bytes_total", "Bytes of these packets on the wire.", |counted| Some(counted.bytes)),
    ("shaper_shaped_packets_total", "Packets that were shaped.", |counted| Some(counted.shaped_packets)),
    ("shaper_queue_drops_total", "Packets dropped by the full queue.", |counted| Some(counted.queue_drops)),
    ("shaper_lost_total", "Packets lost.", |counted| counted.lost),
    ("shaper_duplicated_total", "Packets sent twice.", |counted| counted.duplicated),
    ("shaper_corrupted_total", "Packets with a flipped bit.", |counted| counted.corrupted),
    ("shaper_reordered_total", "Packets sent ahead of others.", |counted| counted.reordered),
    ("shaper_filtered_total", "Packets dropped or rejected by a filter.", |counted| Some(counted.filtered)),
];

pub(super) async fn scrape(State(agent): State<Agent>) -> Result<impl IntoResponse, Refusal> {
    let instances = agent.registered();
    let looks = instances.iter().map(|instance| look(instance));
    // One that is gone or cannot be read is not told of.
    let reports = join_all(looks).await;
    let reports: Vec<(String, Namespace)> = instances
        .iter()
        .zip(reports)
        .filter_map(|(instance, report)| Some((instance.name().to_string(), report.ok()?)))
        .collect();
    let text = text(&reports, &agent.states().held().await?);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

fn text(reports: &[(String, Namespace)], held: &Held) -> String {
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, value: usize| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    };
    gauge("shaper_instances", "Instances that are looked after.", reports.len());
    gauge("shaper_states", "States that were signalled or are waited for.", held.states);
    gauge("shaper_topics", "Topics that were published to or are read.", held.topics);
    gauge("shaper_waiters", "Those who wait for a state or an item.", held.waiters);
    for (name, help, value) in RULE_METRICS {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for (instance, namespace) in reports {
            for attached in &namespace.attachments {
                for rule in attached.report.each_rule() {
                    // Of a rule that is alone, the counters are those of the attachment.
                    let counted = rule.counters.as_ref().or(attached.report.counters.as_ref());
                    let Some(value) = counted.and_then(value) else { continue };
                    let to = rule.to.map(|to| to.to_string()).unwrap_or_default();
                    let (link, direction) = (escaped(&attached.report.link), attached.report.direction);
                    let instance = escaped(instance);
                    let _ = writeln!(
                        text,
                        "{name}{{instance=\"{instance}\",link=\"{link}\",direction=\"{direction}\",to=\"{to}\"}} {value}"
                    );
                }
            }
        }
    }
    text
}

/// As the value of a label is written.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
