use shaper_common::abi::Engine;

use super::*;
use crate::shape::{Parts, Shape};

const UNKNOWN_QDISC: &str = "Specified qdisc kind is unknown";

fn yes() -> Finding {
    Finding { tried: "a request".into(), outcome: Outcome::Yes(None) }
}

fn no() -> Finding {
    let refusal = Refusal { errno: Some(nix::errno::Errno::ENOENT), words: Some(UNKNOWN_QDISC.into()) };
    Finding { tried: "a request".into(), outcome: Outcome::No(refusal) }
}

fn denied() -> Finding {
    let obstacle = Obstacle::Permission { takes: "CAP_BPF", refusal: nix::errno::Errno::EPERM.into() };
    Finding { tried: "bpf(BPF_PROG_LOAD)".into(), outcome: Outcome::NotTried(obstacle) }
}

/// A kernel that has everything but `lacks`, where those of `denied` cannot be tried.
fn kernel(lacks: &[Capability], denied_ones: &[Capability]) -> Findings {
    let mut findings = Findings::default();
    for capability in Capability::ALL {
        findings.insert(capability, answer(lacks, denied_ones, capability));
    }
    findings
}

fn answer(lacks: &[Capability], denied_ones: &[Capability], capability: Capability) -> Finding {
    if lacks.contains(&capability) {
        no()
    } else if denied_ones.contains(&capability) {
        denied()
    } else {
        yes()
    }
}

#[test]
fn auto_takes_the_best_engine_that_works() {
    use Capability::{ClsBpf, Fq, Ifb, Netem, Packet, SkbSetTstamp, Tun};
    for (lacks, direction, expected) in [
        (&[][..], Direction::Egress, Some(Engine::Edt)),
        (&[Tun, Netem], Direction::Both, Some(Engine::Edt)),
        (&[Fq], Direction::Egress, Some(Engine::Netem)),
        (&[SkbSetTstamp], Direction::Ingress, Some(Engine::Netem)),
        (&[Fq, Netem], Direction::Both, Some(Engine::Relay)),
        (&[Ifb], Direction::Egress, Some(Engine::Edt)),
        (&[Ifb], Direction::Ingress, Some(Engine::Relay)),
        (&[Fq, Netem, Packet], Direction::Ingress, Some(Engine::Relay)),
        (&[Fq, Netem, Packet], Direction::Egress, None),
        (&[ClsBpf], Direction::Egress, None),
    ] {
        let picked = pick(EngineChoice::Auto, direction, &Needs::default(), &kernel(lacks, &[]));
        assert_eq!(picked.ok().map(|picked| picked.engine), expected, "without {lacks:?}, {direction}");
    }
}

#[test]
fn the_reason_is_the_evidence() {
    let all = pick(EngineChoice::Auto, Direction::Egress, &Needs::default(), &kernel(&[], &[])).unwrap();
    assert_eq!(all.to_string(), "edt, because this kernel has fq, clsact, cls_bpf and bpf_skb_set_tstamp");
    let few = kernel(&[Capability::Fq, Capability::Netem], &[]);
    assert_eq!(
        pick(EngineChoice::Auto, Direction::Egress, &Needs::default(), &few).unwrap().to_string(),
        "relay, because this kernel has no fq (CONFIG_NET_SCH_FQ; ENOENT: \"Specified qdisc kind is unknown\") and no netem \
         (CONFIG_NET_SCH_NETEM; ENOENT: \"Specified qdisc kind is unknown\")"
    );
    assert_eq!(
        pick(EngineChoice::Relay, Direction::Egress, &Needs::default(), &few).unwrap().why,
        "it was asked for"
    );
}

#[test]
fn an_engine_that_cannot_do_the_shape_is_passed_over() {
    use Capability::{Clsact, Fq, Netem, Tun};
    let parts = Parts { loss_pattern: Some("0010".parse().unwrap()), ..Parts::default() };
    let needs = Needs::from(Shape::new(parts).unwrap());
    let shaped = |choice, lacks| pick(choice, Direction::Egress, &needs, &kernel(lacks, &[]));
    assert_eq!(shaped(EngineChoice::Auto, &[]).unwrap().engine, Engine::Edt);
    assert_eq!(
        shaped(EngineChoice::Auto, &[Fq]).unwrap().to_string(),
        "relay, because this kernel has no fq (CONFIG_NET_SCH_FQ; ENOENT: \"Specified qdisc kind is unknown\") and engine \
         `netem` cannot do `--loss-pattern`"
    );

    let error = shaped(EngineChoice::Netem, &[]).unwrap_err();
    assert_eq!(error.to_string(), "engine `netem` cannot do `--loss-pattern`; `edt` and `relay` can");
    assert!(error.is_unsupported() && !error.is_permission());
    let error = shaped(EngineChoice::Edt, &[Fq, Tun]).unwrap_err();
    assert!(matches!(error, Error::EngineLacks { works: None, .. }), "{error}");
    let error = shaped(EngineChoice::Auto, &[Fq, Tun]).unwrap_err();
    assert!(error.to_string().ends_with("; engine `netem` cannot do `--loss-pattern`"), "{error}");
    assert!(error.is_unsupported());

    let mut tried = Vec::new();
    engine::explore(EngineChoice::Auto, Direction::Egress, &needs, |capability| {
        tried.push(capability);
        answer(&[Fq], &[], capability)
    });
    assert!(tried.contains(&Clsact) && !tried.contains(&Netem), "{tried:?}");
}

#[test]
fn an_engine_that_cannot_work_names_what_is_missing_and_one_that_can() {
    let error = pick(
        EngineChoice::Edt,
        Direction::Egress,
        &Needs::default(),
        &kernel(&[Capability::Fq, Capability::Netem], &[]),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "engine `edt` cannot work here: this kernel has no fq (CONFIG_NET_SCH_FQ; ENOENT: \"Specified qdisc kind is unknown\")"
    );
    assert_eq!(error.hint(), "engine `relay` works here: `--engine relay`, or no `--engine`");
    assert!(error.is_unsupported() && !error.is_permission());

    let error =
        pick(EngineChoice::Auto, Direction::Egress, &Needs::default(), &kernel(&[Capability::Clsact], &[]))
            .unwrap_err();
    assert!(matches!(&error, Error::NoEngine { lacks, .. } if lacks.len() == 3), "{error}");
    assert!(error.is_unsupported(), "{error}");
}

#[test]
fn what_could_not_be_tried_is_not_said_to_be_missing() {
    use Capability::{ClsBpf, Fq, Netem, SkbSetTstamp};
    let findings = kernel(&[Fq, Netem], &[ClsBpf, SkbSetTstamp]);
    let error = pick(EngineChoice::Auto, Direction::Egress, &Needs::default(), &findings).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot tell whether engine `relay` can work here: cls_bpf: bpf(BPF_PROG_LOAD): EPERM: Operation not permitted; \
         takes CAP_BPF"
    );
    assert!(error.is_permission() && !error.is_unsupported());
    let verdicts: Vec<_> =
        assess(Direction::Egress, &Needs::default(), &findings).iter().map(|engine| engine.verdict).collect();
    assert_eq!(verdicts, [Verdict::Lacks, Verdict::Lacks, Verdict::Untold]);
    // An engine that lacks something is out whatever else could not be tried.
    assert!(
        pick(EngineChoice::Edt, Direction::Egress, &Needs::default(), &findings)
            .unwrap_err()
            .is_unsupported()
    );
}

#[test]
fn no_more_is_tried_than_the_choice_needs() {
    use Capability::{ClsBpf, Clsact, Fq, Htb, Netem, Packet, SkbSetTstamp, Tun};
    for (choice, lacks, expected) in [
        (EngineChoice::Auto, &[][..], &[Fq, Clsact, ClsBpf, SkbSetTstamp][..]),
        (EngineChoice::Auto, &[Fq, Netem], &[Fq, Netem, Tun, Clsact, ClsBpf, Packet]),
        (EngineChoice::Relay, &[], &[Tun, Clsact, ClsBpf, Packet]),
        (EngineChoice::Netem, &[Netem], &[Netem, Htb, Clsact, ClsBpf, Fq, SkbSetTstamp]),
    ] {
        let mut tried = Vec::new();
        let findings = engine::explore(choice, Direction::Egress, &Needs::default(), |capability| {
            tried.push(capability);
            answer(lacks, &[], capability)
        });
        assert_eq!(tried, expected, "{choice} without {lacks:?}");
        // What was not tried makes no difference to the choice.
        let full = pick(choice, Direction::Egress, &Needs::default(), &kernel(lacks, &[]));
        assert_eq!(
            pick(choice, Direction::Egress, &Needs::default(), &findings),
            full,
            "{choice} without {lacks:?}"
        );
    }
}

/// The kernel under the test, whatever it is: quick and full attempts agree, and nothing stays in our namespace.
#[test]
fn quick_and_full_attempts_agree() {
    let full = all();
    for direction in [Direction::Egress, Direction::Both] {
        for choice in [EngineChoice::Auto, EngineChoice::Edt, EngineChoice::Netem, EngineChoice::Relay] {
            for (capability, finding) in for_engines(choice, direction, &Needs::default()).iter() {
                // With few rights the quick attempt may get further.
                let Some(expected) = full.get(capability).and_then(Finding::available) else { continue };
                assert_eq!(finding.available(), Some(expected), "{capability}: {finding}");
            }
        }
    }
    assert!(
        full.iter().map(|(capability, _)| capability).eq(Capability::ALL),
        "everything is tried, in order"
    );
}

#[test]
fn a_missing_privilege_is_named_with_its_purpose() {
    let error = Error::Privileges { caps: vec![Cap::NetAdmin, Cap::Bpf] };
    assert_eq!(
        error.to_string(),
        "permission denied: this process lacks CAP_NET_ADMIN (to change qdiscs and links) and CAP_BPF (to load classifiers)"
    );
    assert!(error.is_permission());
    assert!(require(&[]).is_ok());
}
