//! Which engine can do which rules, whatever the kernel.

use shaper_common::abi::Engine;

use super::Needs;
use crate::prose::list;
use crate::shape::{EngineChoice, Loss, Named as _};
use crate::units::Delay;

/// netem cuts a longer jitter to this, without a word: its tables are multiplied in 32 bits.
const NETEM_JITTER_MAX: Delay = Delay::from_ns(i32::MAX as u64);

/// Rules that `netem` is given: each has a class and a qdisc with a table of its own, 20 KB of the kernel's memory.
pub const NETEM_RULES_MAX: usize = 4_096;

/// Parts of a shape that an engine cannot do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}; {}", what(*.engine, .parts), instead(.capable))]
pub struct Incapable {
    /// The engine.
    pub engine: Engine,
    /// The parts, by their flags in backquotes.
    pub parts: Vec<&'static str>,
    /// The engines that can do all.
    pub capable: Vec<Engine>,
}

impl Incapable {
    /// Says what cannot be done, without who can.
    #[must_use]
    pub fn what(&self) -> String {
        what(self.engine, &self.parts)
    }
}

fn what(engine: Engine, parts: &[&'static str]) -> String {
    let parts = list(parts.iter().map(|part| (*part).to_owned()));
    format!("engine `{}` cannot do {parts}", EngineChoice::from(engine))
}

fn instead(capable: &[Engine]) -> String {
    if capable.is_empty() {
        return "nor can another do all of this".to_owned();
    }
    format!("{} can", list(capable.iter().map(|engine| format!("`{}`", EngineChoice::from(*engine)))))
}

/// Says whether an engine can do all that rules ask for.
///
/// # Errors
///
/// [`Incapable`] with every part that it cannot do.
pub fn check(engine: Engine, needs: &Needs) -> Result<(), Incapable> {
    let parts = lacking(engine, needs);
    if parts.is_empty() {
        return Ok(());
    }
    let engines = EngineChoice::ALL.iter().filter_map(|choice| choice.engine());
    let capable = engines.filter(|other| lacking(*other, needs).is_empty()).collect();
    Err(Incapable { engine, parts, capable })
}

/// The parts that the engine cannot do.
fn lacking(engine: Engine, needs: &Needs) -> Vec<&'static str> {
    let parts: &[(&'static str, bool)] = match engine {
        Engine::Netem => &[
            ("`--jitter` above 2.147s", needs.any(|shape| shape.jitter() > NETEM_JITTER_MAX)),
            ("`--loss-pattern`", needs.any(|shape| matches!(shape.loss(), Some(Loss::Pattern(_))))),
            ("`--keep-order`", needs.any(|shape| shape.keep_order())),
            ("`--ecn`", needs.any(|shape| shape.ecn().is_some())),
            ("`--burst`", needs.any(|shape| shape.burst().is_some())),
            // Since Linux 6.16, and older stable kernels of 2025: "cannot mix duplicating netems with other netems in tree".
            (
                "`--duplicate` beside other rules",
                needs.rules > 1 && needs.any(|shape| shape.duplicate().is_some()),
            ),
            ("more than 4096 rules", needs.rules > NETEM_RULES_MAX),
        ],
        // The kernel takes a departure time for IP packets only.
        Engine::Edt => &[("`--shape-neighbours`", needs.shape_neighbours)],
        Engine::Relay => &[],
    };
    parts.iter().filter(|(_, asked)| *asked).map(|(part, _)| *part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Parts, Shape};

    fn shape(flags: &[(&str, &str)]) -> Needs {
        let given: serde_json::Map<_, _> = flags
            .iter()
            .map(|(key, value)| {
                let value = if *value == "true" { true.into() } else { (*value).into() };
                ((*key).to_owned(), value)
            })
            .collect();
        let parts: Parts = serde_json::from_value(given.into()).unwrap();
        Shape::new(parts).unwrap().into()
    }

    #[test]
    fn netem_does_all_that_it_has_an_option_for() {
        for flags in [
            &[("latency", "10ms"), ("jitter", "1ms"), ("jitter_correlation", "25%")][..],
            &[("latency", "1h"), ("jitter", "2147ms")],
            &[("latency", "10ms"), ("reorder", "25%"), ("reorder_correlation", "50%")],
            &[("loss", "1%"), ("loss_correlation", "25%"), ("duplicate", "1%"), ("corrupt", "1%")],
            &[("loss_gemodel", "1%,10%")],
            &[("loss_state", "1%,10%")],
            &[("bandwidth", "10mbit"), ("queue", "50ms"), ("overhead", "10b,48b,5b")],
        ] {
            for engine in [Engine::Edt, Engine::Netem, Engine::Relay] {
                assert_eq!(check(engine, &shape(flags)), Ok(()), "{flags:?}");
            }
        }
    }

    #[test]
    fn what_netem_cannot_do_is_named_with_who_can() {
        for (flags, expected) in [
            (&[("loss_pattern", "0010")][..], "`--loss-pattern`"),
            (&[("latency", "10ms"), ("jitter", "1ms"), ("keep_order", "true")], "`--keep-order`"),
            (&[("latency", "1h"), ("jitter", "2148ms")], "`--jitter` above 2.147s"),
            (&[("bandwidth", "10mbit"), ("ecn", "5ms"), ("burst", "15kb")], "`--ecn` and `--burst`"),
        ] {
            let shape = shape(flags);
            assert_eq!(
                check(Engine::Netem, &shape).unwrap_err().to_string(),
                format!("engine `netem` cannot do {expected}; `edt` and `relay` can")
            );
            assert_eq!((check(Engine::Edt, &shape), check(Engine::Relay, &shape)), (Ok(()), Ok(())));
        }
    }
}
