//! States are counted and waited for.

use serde_json::json;

use crate::world::Service;

fn barrier(id: &str, target: i64) -> String {
    json!({"id": id, "barrier": {"state": "s", "target": target}}).to_string()
}

#[tokio::test]
async fn a_barrier_passes_with_entries_before_and_after_it_and_again() {
    let service = Service::start().await;
    let (mut waiter, mut other) = (service.raw().await, service.raw().await);
    waiter.say(&barrier("3", 3)).await;
    waiter.say(&barrier("2", 2)).await;
    service.held(|held| held.waiters == 2).await;
    let signal = r#"{"id":"0","signal_entry":{"state":"s"}}"#;
    for count in 1..=3 {
        other.say(signal).await;
        assert_eq!(other.hear().await["signal_entry"]["seq"], count);
        if count > 1 {
            assert_eq!(waiter.hear().await["id"], count.to_string());
        }
    }
    // Nothing was used up, for the same targets, smaller ones and on other connections.
    for target in [3, 3, 1, 0] {
        for raw in [&mut waiter, &mut other] {
            raw.say(&barrier("again", target)).await;
            assert_eq!(raw.hear().await["id"], "again");
        }
    }
    waiter.say(&barrier("4", 4)).await;
    waiter.nothing_came().await;
}

#[tokio::test]
async fn targets_that_are_not_above_zero_are_reached_at_once() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    for target in ["0", "-1", "-9223372036854775808", "null"] {
        raw.say(&format!(r#"{{"id":"1","barrier":{{"state":"s","target":{target}}}}}"#)).await;
        assert_eq!(raw.hear().await["error"], "");
    }
    raw.say(r#"{"id":"1","barrier":{"state":"s"}}"#).await;
    assert_eq!(raw.hear().await["error"], "");
    assert_eq!(service.states.held().await.unwrap(), Default::default());
}

#[tokio::test]
async fn a_barrier_does_not_keep_other_requests_waiting() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say(&barrier("1", 1)).await;
    raw.say(r#"{"id":"2","signal_entry":{"state":"s"}}"#).await;
    let (one, other) = (raw.hear().await, raw.hear().await);
    assert_eq!((&one["id"], &other["id"]), (&json!("2"), &json!("1")));
}

#[tokio::test]
async fn a_cancelled_barrier_says_nothing() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say(&barrier("1", 1)).await;
    service.held(|held| held.waiters == 1).await;
    raw.say(r#"{"id":"1","is_cancel":true}"#).await;
    service.held(|held| held.waiters == 0).await;
    service.states.signal("s").await.unwrap();
    raw.nothing_came().await;
}

#[tokio::test]
async fn a_refused_state_is_told_as_a_json_text() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say(&barrier("1", 1)).await;
    service.held(|held| held.waiters == 1).await;
    service.states.refuse("s", "rules[0]: no \"subnet\"").await.unwrap();
    let heard = raw.hear().await;
    assert_eq!(heard["id"], "1");
    let why: String = serde_json::from_str(heard["error"].as_str().unwrap()).unwrap();
    assert_eq!(why, "state `s` was refused: rules[0]: no \"subnet\"");
    raw.say(&barrier("2", 1)).await;
    assert_ne!(raw.hear().await["error"], "");
    raw.say(r#"{"id":"3","signal_entry":{"state":"s"}}"#).await;
    raw.hear().await;
    raw.say(&barrier("4", 1)).await;
    assert_eq!(raw.hear().await["error"], "");
}

#[tokio::test]
async fn a_run_that_is_forgotten_is_told_to_those_who_wait() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say(r#"{"id":"1","barrier":{"state":"run:a:s","target":1}}"#).await;
    raw.say(r#"{"id":"2","subscribe":{"topic":"run:a:t"}}"#).await;
    service.held(|held| held.waiters == 2).await;
    service.states.forget("run:a:").await.unwrap();
    for _ in 0..2 {
        let why: String = serde_json::from_str(raw.hear().await["error"].as_str().unwrap()).unwrap();
        assert!(why.ends_with("is of a run that is over"), "{why}");
    }
    service.held(|held| held == Default::default()).await;
    raw.nothing_came().await;
}
