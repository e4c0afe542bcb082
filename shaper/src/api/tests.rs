//! What can be asked without a namespace.

mod reports;

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::states::States;

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

async fn call(router: &Router, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let text = String::from_utf8(body.into()).unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn api() -> Router {
    router(Agent::new(States::memory()))
}

#[tokio::test]
async fn what_is_routed_is_what_the_document_says() {
    let routes = include_str!("mod.rs")
        .split("\"/")
        .skip(1)
        .map(|rest| format!("/{}", rest.split('"').next().unwrap()));
    let routes: BTreeSet<String> = routes.collect();
    let document = document();
    let paths: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(routes, paths);
    let router = api();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // A name that no namespace has, so that nothing is done.
        let uri = path.replace("{name}", "%20").replace("{link}", "eth0").replace("{state}", "s");
        for method in ["GET", "PUT", "PATCH", "POST", "DELETE"] {
            let (status, _) = if uri == "/v1/events" && method == "GET" {
                continue;
            } else {
                call(&router, method, &uri, "{}").await
            };
            let is_told = operations.get(method.to_lowercase()).is_some();
            assert_eq!(status != StatusCode::METHOD_NOT_ALLOWED, is_told, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn the_document_names_every_key_of_the_rules() {
    let document = document();
    let keys = |schema: &str| -> BTreeSet<String> {
        document["components"]["schemas"][schema]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    // A key that is not one is refused with the ones there are, so that each of the document is tried.
    for (schema, keys) in [("Rules", keys("Rules")), ("Rules", keys("LinkConfig")), ("Rule", keys("Rule"))] {
        for key in keys {
            let text = match schema {
                "Rules" => json!({ key.as_str(): null }),
                _ => json!({ "rules": [{ key.as_str(): null }] }),
            };
            let read =
                crate::rules::file::Document::parse(&text.to_string(), crate::rules::file::Format::Json);
            let said = read.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(!said.contains("unknown key"), "{schema}.{key}: {said}");
        }
    }
    let parts = serde_json::to_value(crate::rules::file::Document::default()).unwrap();
    for told in [keys("Rules"), keys("LinkConfig")] {
        for key in parts.as_object().unwrap().keys() {
            assert!(told.contains(key), "{key}");
        }
    }
}

#[tokio::test]
async fn a_state_is_signalled_read_and_waited_for() {
    let router = api();
    let wait = call(&router, "GET", "/v1/states/a%2Fb%20c?target=2&timeout=20s", "");
    let signal = async {
        assert_eq!(
            call(&router, "POST", "/v1/states/a%2Fb%20c", "").await.1,
            json!({"state": "a/b c", "seq": 1})
        );
        assert_eq!(call(&router, "POST", "/v1/states/a%2Fb%20c", "").await.1["seq"], 2);
    };
    let (waited, ()) = tokio::join!(wait, signal);
    assert_eq!(waited, (StatusCode::OK, json!({"state": "a/b c", "count": 2, "reached": true})));
    let (_, late) = call(&router, "GET", "/v1/states/a%2Fb%20c?target=3&timeout=1ms", "").await;
    assert_eq!(late, json!({"state": "a/b c", "count": 2, "reached": false}));
    let (_, all) = call(&router, "GET", "/v1/states?prefix=a", "").await;
    assert_eq!(all, json!({"states": [{"state": "a/b c", "count": 2}]}));
}

#[tokio::test]
async fn who_waits_for_a_state_that_is_refused_is_told_why() {
    let agent = Agent::new(States::memory());
    let router = router(agent.clone());
    let wait = call(&router, "GET", "/v1/states/s?target=1", "");
    let refuse = async { agent.states().refuse("s", "no such link").await.unwrap() };
    let ((status, body), ()) = tokio::join!(wait, refuse);
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("refused")));
    assert!(body["message"].as_str().unwrap().contains("no such link"), "{body}");
}

#[tokio::test]
async fn bad_calls_are_refused_with_what_would_be_right() {
    let router = api();
    let long = "x".repeat(2_000);
    for (method, path, body, status, words) in [
        ("GET", "/v2", "", 404, "there is nothing at `/v2`"),
        ("POST", "/healthz", "", 405, "`POST` is not for `/healthz`"),
        ("PUT", "/v1/instances/a%2Fb", "{}", 400, "cannot be the name of an instance"),
        ("PUT", "/v1/instances/none", "{}", 400, "there is no network namespace `none`"),
        ("GET", "/v1/instances/none", "", 404, "there is no instance `none`"),
        ("PUT", "/v1/instances/x", r#"{"nss": "a"}"#, 400, "unknown field `nss`"),
        (
            "PUT",
            "/v1/instances/x",
            r#"{"ns": "a", "pid": 1}"#,
            400,
            "say one of `ns`, `pid`, `container` and `self`",
        ),
        ("PUT", "/v1/instances/x", r#"{"container": "a/b"}"#, 400, "`a/b` cannot be the name or the id"),
        ("PUT", "/v1/instances/x", r#"{"container": "a", "pid": 1}"#, 400, "say one of"),
        ("PUT", "/v1/instances/x", r#"{"pid": 0}"#, 400, "0 is not a process id"),
        ("PUT", "/v1/instances/x", r#"{"pid": -1}"#, 400, "expected u32"),
        ("PUT", "/v1/instances/x", r#"["a"]"#, 400, "not an object"),
        ("PUT", "/v1/instances/x", "{", 400, "the body: EOF"),
        ("PUT", "/v1/instances/x/links/eth0", "{}", 400, "rules"),
        (
            "PUT",
            "/v1/instances/x/links/eth0",
            r#"{"rules": [{"latancy": "1ms"}]}"#,
            400,
            "did you mean `latency`",
        ),
        (
            "PUT",
            "/v1/instances/x/links/eth0",
            r#"{"rules": [], "dev": "eth1"}"#,
            400,
            "the path says link `eth0`",
        ),
        (
            "PUT",
            "/v1/instances/x/links/eth0",
            r#"{"rules": [], "callback_state": 7}"#,
            400,
            "expected a string",
        ),
        (
            "PUT",
            "/v1/instances/x/links/eth0",
            r#"{"rules": [], "callback_x": 7}"#,
            400,
            "callback_x: unknown key",
        ),
        ("PUT", "/v1/instances/x/links/a%20b", r#"{"rules": []}"#, 400, "cannot be the name of a link"),
        ("DELETE", "/v1/instances/x/links/a%20b", "", 400, "cannot be the name of a link"),
        ("PUT", "/v1/instances/x/policy", "{}", 400, "missing field `policy`"),
        ("PUT", "/v1/instances/x/policy", r#"{"policy": "deny"}"#, 400, "deny-all"),
        (
            "PUT",
            "/v1/instances/x/policy",
            r#"{"policy": "deny-all", "keep": ["h"]}"#,
            400,
            "`h` is not an address",
        ),
        ("PUT", "/v1/instances/x/policy", r#"{"policy": "allow-all", "keep": ["10.0.0.1"]}"#, 400, "keep"),
        ("POST", "/v1/apply", "{}", 400, "missing field `namespace`"),
        ("POST", "/v1/apply", r#"{"namespace": {"pid": 1}}"#, 400, "missing field `wanted`"),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {"pids": 1}, "wanted": {"config": {}}}"#,
            400,
            "unknown field `pids`",
        ),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {}, "wanted": {"config": {}}}"#,
            400,
            "one of `ns`, `pid` and `container`",
        ),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {"ns": "./a"}, "wanted": {"config": {}}}"#,
            400,
            "not an absolute path",
        ),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {"pid": 1, "seen_from": "1:1"}, "wanted": {"config": {}}}"#,
            400,
            "is another network namespace here",
        ),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {"pid": 1, "seen": "1:1"}, "wanted": {"rules": "put", "config": {"rules": [{"latancy": "1ms"}]}}}"#,
            400,
            "config: rules[0].latancy: unknown key; did you mean `latency`",
        ),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {"pid": 1}, "wanted": {"config": {"rules": []}}}"#,
            400,
            "say beside `config` what becomes of them",
        ),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {"pid": 1}, "wanted": {"rules": "put", "config": {"rules": [{"latency": "2ms", "jitter": "1ms", "distribution": "t/1"}]}}}"#,
            400,
            "there is no `t/1` among the `tables`",
        ),
        (
            "POST",
            "/v1/apply",
            r#"{"namespace": {"ns": "none"}, "wanted": {"config": {"engine": "x"}}}"#,
            400,
            "engine",
        ),
        ("POST", "/v1/clear", "{}", 400, "say which namespace, or `all`"),
        ("POST", "/v1/clear", r#"{"all": true, "to": "10.0.0.1"}"#, 400, "that is for one namespace"),
        (
            "POST",
            "/v1/clear",
            r#"{"all": true, "namespace": {"ns": "none"}}"#,
            400,
            "say which namespace, or `all`",
        ),
        (
            "POST",
            "/v1/clear",
            r#"{"namespace": {"ns": "none"}}"#,
            400,
            "there is no network namespace `none`",
        ),
        ("GET", "/v1/show?ns=none", "", 400, "there is no network namespace `none`"),
        ("GET", "/v1/show?ns=none&form=html", "", 400, "`html` is not a form: write one of `text`, `json`"),
        ("GET", "/v1/show?ns=none&dev=eth0", "", 400, "that is for `/v1/rules`"),
        ("GET", "/v1/show?name=none", "", 400, "unknown field `name`"),
        ("GET", "/v1/rules", "", 400, "say which namespace"),
        ("GET", "/v1/rules?ns=none&form=text", "", 400, "`text` is not a format"),
        ("GET", "/v1/states/s?target=x", "", 400, "target"),
        ("GET", "/v1/states/s?target=1&timeout=5", "", 400, "timeout"),
        ("GET", "/v1/states/s?target=1&timeout=1h", "", 400, "at most 600 s"),
        ("GET", "/v1/states/s?timeout=5s", "", 400, "say a `target`, too"),
        ("GET", "/v1/states/s?targets=5", "", 400, "unknown field `targets`"),
        ("POST", &format!("/v1/states/{long}"), "", 400, "up to 1024 are legal"),
    ] {
        let (got, answer) = call(&router, method, path, body).await;
        let message =
            answer["message"].as_str().unwrap_or_else(|| panic!("{method} {path} {body}: {answer}"));
        assert_eq!(got.as_u16(), status, "{method} {path} {body}: {answer}");
        assert!(message.contains(words), "{method} {path} {body}: {answer}");
        assert!(answer["code"].is_string(), "{answer}");
    }
    let (status, answer) = call(&router, "PUT", "/v1/instances/x", &" ".repeat(BODY_MAX + 1)).await;
    assert_eq!((status, &answer["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!("too-large")));
}
