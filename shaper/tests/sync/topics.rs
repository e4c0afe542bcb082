//! What is published reaches who subscribes: all of it, in order, at once, and nobody waits for anybody else.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use shaper::testground::server::{Gate, MAX_PENDING};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::world::{Service, soon};

fn publish(id: &str, topic: &str, payload: &Value) -> String {
    json!({"id": id, "publish": {"topic": topic, "payload": payload}}).to_string()
}

#[tokio::test]
async fn a_subscriber_gets_all_items_from_the_first_on_in_order() {
    let service = Service::start().await;
    let (mut writer, mut reader) = (service.raw().await, service.raw().await);
    for number in 0..50 {
        writer.say(&publish("0", "t", &json!(number))).await;
        assert_eq!(writer.hear().await["publish"]["seq"], number + 1);
    }
    reader.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    for number in 50..100 {
        writer.say(&publish("0", "t", &json!(number))).await;
    }
    for number in 0..100 {
        assert_eq!(reader.item("1").await, json!(number));
    }
}

#[tokio::test]
async fn a_subscription_is_not_acknowledged() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    raw.nothing_came().await;
    raw.say(&publish("2", "t", &json!(null))).await;
    let acknowledged = raw.hear().await;
    assert!(acknowledged["id"] == "2" && acknowledged["publish"]["seq"] == 1, "{acknowledged}");
    assert_eq!(raw.item("1").await, json!(null));
}

#[tokio::test]
async fn publishes_of_one_connection_take_effect_as_they_came() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say(r#"{"id":"sub","subscribe":{"topic":"t"}}"#).await;
    for number in 0..500 {
        let text = publish(&number.to_string(), if number % 2 == 0 { "t" } else { "u" }, &json!(number));
        raw.ws.feed(Message::text(text)).await.unwrap();
    }
    soon(raw.ws.flush()).await.unwrap();
    let (mut acknowledged, mut items) = (0, 0);
    while acknowledged < 500 || items < 250 {
        let heard = raw.hear().await;
        if heard["id"] == "sub" {
            assert_eq!(heard["subscribe"], (2 * items).to_string());
            items += 1;
            assert!(acknowledged >= 2 * items - 1, "item {items} came before its acknowledgement");
        } else {
            assert_eq!(heard["id"], acknowledged.to_string());
            assert_eq!(heard["publish"]["seq"], acknowledged / 2 + 1);
            acknowledged += 1;
        }
    }
}

#[tokio::test]
async fn a_payload_is_any_json_and_a_missing_one_is_null() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    let payloads =
        ["null", "0", "\"\"", "\"text\"", "[]", "{\"z\":1,\"a\":[18446744073709551616,1.0]}", "true"];
    for payload in payloads {
        raw.say(&format!(r#"{{"id":"0","publish":{{"topic":"t","payload":{payload}}}}}"#)).await;
        raw.hear().await;
    }
    raw.say(r#"{"id":"0","publish":{"topic":"t"}}"#).await;
    raw.hear().await;
    raw.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    for payload in payloads.into_iter().chain(["null"]) {
        assert_eq!(raw.hear().await["subscribe"], payload);
    }
}

#[tokio::test]
async fn a_cancelled_subscription_ends_and_others_go_on() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    for id in ["1", "2"] {
        raw.say(&json!({"id": id, "subscribe": {"topic": "t"}}).to_string()).await;
    }
    raw.say(&publish("0", "t", &json!("first"))).await;
    let mut heard =
        [raw.hear().await["id"].clone(), raw.hear().await["id"].clone(), raw.hear().await["id"].clone()];
    heard.sort_by_key(Value::to_string);
    assert_eq!(heard, ["0", "1", "2"]);
    raw.say(r#"{"id":"1","is_cancel":true}"#).await;
    service.held(|held| held.subscribers == 1).await;
    raw.say(&publish("0", "t", &json!("second"))).await;
    assert_eq!(raw.hear().await["id"], "0");
    assert_eq!(raw.item("2").await, "second");
    raw.nothing_came().await;
}

#[tokio::test]
async fn items_are_pushed() {
    let service = Service::start().await;
    let (writer, reader) = (service.client().await, service.client().await);
    let mut subscription = reader.subscribe("t").await.unwrap();
    let mut took = Vec::new();
    for number in 0..51 {
        let began = Instant::now();
        writer.publish("t", &number).await.unwrap();
        soon(subscription.next()).await.unwrap();
        took.push(began.elapsed());
    }
    took.sort_unstable();
    // Half of an interval of polling, as in the stock service, would be 50 ms.
    assert!(took[25] < Duration::from_millis(20), "median {:?}", took[25]);
}

/// More than the sockets of a connection hold.
const FLOOD: usize = 24;

async fn flood(service: &Service) {
    let large = format!("\"{}\"", "x".repeat(512 << 10));
    for _ in 0..FLOOD {
        service.states.publish("t", &*large).await.unwrap();
    }
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_up_and_is_heard_all_the_same() {
    let service = Service::start().await;
    let (mut slow, client) = (service.raw().await, service.client().await);
    slow.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    service.held(|held| held.subscribers == 1).await;
    flood(&service).await;
    let mut subscription = client.subscribe("t").await.unwrap();
    for _ in 0..FLOOD {
        soon(subscription.next()).await.unwrap();
    }
    slow.say(r#"{"id":"2","signal_entry":{"state":"s"}}"#).await;
    soon(service.states.reached("s", 1)).await.unwrap();
    // What it did not read is still there for it.
    for _ in 0..FLOOD {
        while slow.hear().await["id"] != "1" {}
    }
}

#[tokio::test]
async fn who_does_not_read_for_too_long_is_cut_off() {
    let service = Service::with(|server| server.write_timeout(Duration::from_millis(50))).await;
    let mut slow = service.raw().await;
    flood(&service).await;
    slow.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    slow.item("1").await;
    service.held(|held| held.subscribers == 0).await;
}

#[tokio::test]
async fn what_is_too_much_for_one_connection_is_refused_until_there_is_room() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    for id in 0..MAX_PENDING {
        let text = json!({"id": id.to_string(), "barrier": {"state": "s", "target": 1}}).to_string();
        raw.ws.feed(Message::text(text)).await.unwrap();
    }
    for ask in [r#""subscribe":{"topic":"t"}"#, r#""barrier":{"state":"r","target":1}"#] {
        raw.say(&format!(r#"{{"id":"more",{ask}}}"#)).await;
        let heard = raw.hear().await;
        let why: String = serde_json::from_str(heard["error"].as_str().unwrap()).unwrap();
        assert!(heard["id"] == "more" && why.contains("4096 subscriptions and barriers"), "{heard}");
    }
    raw.say(r#"{"id":"7","is_cancel":true}"#).await;
    service.held(|held| held.waiters == MAX_PENDING - 1).await;
    raw.say(r#"{"id":"more","barrier":{"state":"r","target":1}}"#).await;
    service.held(|held| held.waiters == MAX_PENDING).await;
    raw.say(r#"{"id":"signal","signal_entry":{"state":"s"}}"#).await;
    assert_eq!(raw.hear().await["id"], "signal");
    for _ in 0..MAX_PENDING - 1 {
        assert_ne!(raw.hear().await["id"], "7");
    }
    service.held(|held| held.waiters == 1).await;
}

struct Strict(SocketAddr);

impl Gate for Strict {
    fn publish(&self, peer: SocketAddr, topic: &str) -> Result<(), String> {
        if peer.ip() == self.0.ip() && topic.ends_with(":network:other") {
            return Err(format!("{topic} is not of this instance"));
        }
        Ok(())
    }

    fn signal(&self, _: SocketAddr, state: &str) -> Result<(), String> {
        if state == "network-initialized" { Err("only the agent signals that".into()) } else { Ok(()) }
    }
}

#[tokio::test]
async fn a_gate_decides_what_may_be_published_and_signalled() {
    let service = Service::with(|server| server.gate(Strict(([127, 0, 0, 1], 0).into()))).await;
    let mut raw = service.raw().await;
    raw.say(&publish("0", "run:a:network:other", &json!(1))).await;
    let heard = raw.hear().await;
    assert_eq!(heard["error"], r#""run:a:network:other is not of this instance""#);
    raw.say(&publish("0", "run:a:network:mine", &json!(1))).await;
    assert_eq!(raw.hear().await["publish"]["seq"], 1);
    let client = service.client().await;
    let refused = soon(client.signal("network-initialized")).await.unwrap_err();
    assert_eq!(refused.to_string(), "only the agent signals that");
    assert_eq!(service.states.held().await.unwrap().states, 0);
}
