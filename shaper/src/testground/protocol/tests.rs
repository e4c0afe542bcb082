use proptest::prelude::*;
use serde_json::{Value, json};

use super::compact::compact;
use super::*;

fn ask(text: &str) -> Ask {
    Request::read(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).ask
}

#[test]
fn requests_of_each_sdk_are_read() {
    let topic = || String::from("t");
    let go = r#"{"id":"7","is_cancel":false,"publish":{"topic":"t","payload":{"b":1.50,"a":null}}}"#;
    let request = Request::read(go.as_bytes()).unwrap();
    assert_eq!(&*request.id, "7");
    assert_eq!(request.ask, Ask::Publish { topic: topic(), payload: r#"{"b":1.50,"a":null}"#.into() });
    assert_eq!(ask(r#"{"id":"0","subscribe":{"topic":"t"}}"#), Ask::Subscribe { topic: topic() });
    assert_eq!(
        ask(r#"{"id":"0","barrier":{"state":"t","target":3}}"#),
        Ask::Barrier { state: topic(), target: 3 }
    );
    assert_eq!(ask(r#"{"id":"0","signal_entry":{"state":"t"}}"#), Ask::Signal { state: topic() });
    assert_eq!(ask(r#"{"id":"0","is_cancel":true}"#), Ask::Cancel);
    assert_eq!(ask(r#"{"id":"0"}"#), Ask::Nothing);
    assert_eq!(ask("{}"), Ask::Nothing);
}

#[test]
fn keys_are_read_in_any_case_and_nulls_are_not_there() {
    let signal = Ask::Signal { state: "s".into() };
    assert_eq!(ask(r#"{"ID":"0","Signal_Entry":{"STATE":"s"},"unknown":[1,{}]}"#), signal);
    assert_eq!(ask(r#"{"id":null,"is_cancel":null,"publish":null,"signal_entry":{"state":"s"}}"#), signal);
    assert_eq!(ask(r#"{"signal_entry":{"state":"r"},"SIGNAL_ENTRY":{"state":"s"}}"#), signal);
    assert_eq!(ask(r#"{"\u0073ignal_entry":{"state":"\u0073"}}"#), signal);
    assert_eq!(
        ask(r#"{"publish":{"topic":null}}"#),
        Ask::Publish { topic: String::new(), payload: "null".into() }
    );
    let barrier = |target| Ask::Barrier { state: "s".into(), target };
    for (text, target) in [
        ("null", 0),
        ("-4", 0),
        ("-9223372036854775808", 0),
        ("0", 0),
        ("9223372036854775807", i64::MAX as u64),
    ] {
        assert_eq!(ask(&format!(r#"{{"barrier":{{"state":"s","target":{text}}}}}"#)), barrier(target));
    }
}

#[test]
fn the_first_of_several_wants_wins() {
    let wants = [
        r#""publish":{"topic":"t"}"#,
        r#""subscribe":{"topic":"t"}"#,
        r#""barrier":{"state":"t"}"#,
        r#""signal_entry":{"state":"t"}"#,
    ];
    for first in 0..wants.len() {
        let alone = ask(&format!("{{{}}}", wants[first]));
        let reversed: Vec<_> = wants[first..].iter().rev().copied().collect();
        assert_eq!(ask(&format!("{{{}}}", reversed.join(","))), alone);
        assert_eq!(ask(&format!(r#"{{"is_cancel":true,{}}}"#, wants[first])), Ask::Cancel);
    }
}

#[test]
fn what_go_would_not_decode_is_refused() {
    let texts = [
        "",
        " ",
        "null",
        "1",
        r#""text""#,
        "[]",
        "{",
        "{}x",
        "{} {}",
        r#"{"id":7}"#,
        r#"{"id":["7"]}"#,
        r#"{"is_cancel":"true"}"#,
        r#"{"is_cancel":1}"#,
        r#"{"publish":5}"#,
        r#"{"publish":[]}"#,
        r#"{"publish":{"topic":1}}"#,
        r#"{"publish":{"topic":"t","payload":}}"#,
        r#"{"publish":{"topic":"t","payload":01}}"#,
        r#"{"publish":{"topic":"t","payload":nul}}"#,
        r#"{"barrier":{"state":"s","target":"3"}}"#,
        r#"{"barrier":{"state":"s","target":1.5}}"#,
        r#"{"barrier":{"state":"s","target":9223372036854775808}}"#,
        r#"{"signal_entry":{"state":{}}}"#,
        r#"{"signal_entry":"s"}"#,
        r#"{"publish":{"topic":"t"},"barrier":5}"#,
        r#"{'id':'7'}"#,
        r#"{"id":"7",}"#,
    ];
    for text in texts {
        assert!(Request::read(text.as_bytes()).is_err(), "{text}");
    }
    assert!(Request::read(b"{\"id\":\"\xff\"}").is_err());
    assert!(Request::read(b"{\"unknown\":\"\xff\"}").is_err());
    assert!(Request::read(format!(r#"{{"id":"{}"}}"#, "7".repeat(MAX_ID_BYTES)).as_bytes()).is_ok());
    assert!(Request::read(format!(r#"{{"id":"{}"}}"#, "7".repeat(MAX_ID_BYTES + 1)).as_bytes()).is_err());
}

#[test]
fn depth_is_no_way_to_the_end_of_the_stack() {
    let deep = 500_000;
    let text = format!(r#"{{"publish":{{"topic":"t","payload":{}{}}}}}"#, "[".repeat(deep), "]".repeat(deep));
    assert!(matches!(ask(&text), Ask::Publish { payload, .. } if payload.len() == 2 * deep));
    assert!(Request::read("[".repeat(deep).as_bytes()).is_err());
    assert_eq!(ask(&format!(r#"{{"x":{}{}}}"#, "[".repeat(deep), "]".repeat(deep))), Ask::Nothing);
}

#[test]
fn responses_have_all_keys_and_one_kind() {
    let text = |reply| Response { id: "7".into(), reply }.write();
    assert_eq!(
        text(Reply::Published(1)),
        "{\"id\":\"7\",\"error\":\"\",\"publish\":{\"seq\":1},\"subscribe\":\"\",\"signal_entry\":null}\n"
    );
    assert_eq!(
        text(Reply::Signalled(2)),
        "{\"id\":\"7\",\"error\":\"\",\"publish\":null,\"subscribe\":\"\",\"signal_entry\":{\"seq\":2}}\n"
    );
    assert_eq!(
        text(Reply::Reached),
        "{\"id\":\"7\",\"error\":\"\",\"publish\":null,\"subscribe\":\"\",\"signal_entry\":null}\n"
    );
    assert_eq!(
        text(Reply::Item(r#"{"a":"\"x\""}"#.into())),
        "{\"id\":\"7\",\"error\":\"\",\"publish\":null,\"subscribe\":\"{\\\"a\\\":\\\"\\\\\\\"x\\\\\\\"\\\"}\",\"signal_entry\":null}\n"
    );
    assert_eq!(
        text(Reply::Error("boom \"x\"".into())),
        "{\"id\":\"7\",\"error\":\"\\\"boom \\\\\\\"x\\\\\\\"\\\"\",\"publish\":null,\"subscribe\":\"\",\"signal_entry\":null}\n"
    );
}

#[test]
fn no_error_is_too_long_for_a_client() {
    for filling in ["\u{1}", "\"", "ä", "\\"] {
        let id: Arc<str> = "\u{1}".repeat(MAX_ID_BYTES).into();
        let text = Response { id, reply: Reply::Error(filling.repeat(100_000)) }.write();
        assert!(text.len() <= GO_BYTES, "{} bytes", text.len());
        assert!(matches!(Response::read(text.as_bytes()).unwrap().reply, Reply::Error(_)));
    }
}

#[test]
fn plain_errors_of_the_stock_service_are_read() {
    let text = r#"{"id":"1","error":"context canceled","publish":null,"subscribe":"","signal_entry":null}"#;
    assert_eq!(Response::read(text.as_bytes()).unwrap().reply, Reply::Error("context canceled".into()));
}

#[test]
fn payloads_are_kept_but_for_what_says_nothing() {
    let cases = [
        (
            " { \"b\" : [ 1.50 , 1e8 ,\n 18446744073709551616 ] , \"a\" : \" x \\\" y \" } ",
            r#"{"b":[1.50,1e8,18446744073709551616],"a":" x \" y "}"#,
        ),
        (r#""\u003c\u00e9\/\n\u0001""#, "\"<é/\\n\\u0001\""),
        (r#""\ud83d\ude00""#, "\"😀\""),
        (r#""\ud800 x""#, r#""\ud800 x""#),
        (r#"["\\","\\\""," "]"#, r#"["\\","\\\""," "]"#),
        (" true ", "true"),
    ];
    for (long, short) in cases {
        assert_eq!(compact(long), short);
    }
}

fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        ".*",
        prop::sample::select(vec![" ", "\"", "\\", "\\\"", "\u{1}", "😀", "{\"a\": 1}"])
            .prop_map(String::from)
    ];
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        text.clone().prop_map(Value::from),
        Just(json!(null)),
        any::<bool>().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let key = ".*";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect()))
        ]
    })
}

proptest! {
    #[test]
    fn a_payload_survives_the_way_there_and_back(payload in value(), spaced in any::<bool>(), id in "[0-9]{1,20}") {
        let text = if spaced { serde_json::to_string_pretty(&payload) } else { serde_json::to_string(&payload) }.unwrap();
        let request = format!(r#"{{"id":"{id}","publish":{{"topic":"t","payload":{text}}}}}"#);
        let read = Request::read(request.as_bytes()).unwrap();
        let Ask::Publish { payload: short, .. } = read.ask.clone() else { panic!("{:?}", read.ask) };
        prop_assert_eq!(&*short, &serde_json::to_string(&payload).unwrap());
        prop_assert_eq!(Request::read(read.write().as_bytes()).unwrap(), read.clone());
        let response = Response { id: read.id, reply: Reply::Item(short) };
        let written = response.write();
        let outer: Value = serde_json::from_str(&written).unwrap();
        let inner: Value = serde_json::from_str(outer["subscribe"].as_str().unwrap()).unwrap();
        prop_assert_eq!(inner, payload);
        prop_assert_eq!(Response::read(written.as_bytes()).unwrap(), response);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in r#"[\{\}\[\]":,a-z0-9\\ ]{0,80}"#) {
        let _ = Request::read(&bytes);
        let _ = Response::read(&bytes);
        let _ = Request::read(text.as_bytes());
        let _ = Response::read(text.as_bytes());
    }

    #[test]
    fn what_one_end_writes_the_other_reads(text in ".*", number in 0..=i64::MAX as u64, kind in 0..9) {
        let reply = match kind {
            0 => Some(Reply::Published(number)),
            1 => Some(Reply::Signalled(number)),
            2 => Some(Reply::Reached),
            3 => Some(Reply::Error(text.clone())),
            _ => None,
        };
        if let Some(reply) = reply {
            let response = Response { id: "1".into(), reply };
            prop_assert_eq!(Response::read(response.write().as_bytes()).unwrap(), response);
            return Ok(());
        }
        let ask = match kind {
            4 => Ask::Subscribe { topic: text },
            5 => Ask::Barrier { state: text, target: number },
            6 => Ask::Signal { state: text },
            7 => Ask::Cancel,
            _ => Ask::Nothing,
        };
        let request = Request { id: "1".into(), ask };
        prop_assert_eq!(Request::read(request.write().as_bytes()).unwrap(), request);
    }
}
