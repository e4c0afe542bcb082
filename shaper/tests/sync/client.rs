//! Our own client, against our own service.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use shaper::testground::client::{Client, Error};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::world::{Service, soon, waits};

#[tokio::test]
async fn clients_meet_at_barriers_and_read_each_other() {
    let service = Service::start().await;
    let mut tasks = Vec::new();
    for number in 0..20_u64 {
        let client = service.client().await;
        tasks.push(tokio::spawn(async move {
            client.publish("peers", &json!({"number": number})).await.unwrap();
            let seq = client.signal("ready").await.unwrap();
            client.barrier("ready", 20).await.unwrap();
            let mut peers = client.subscribe("peers").await.unwrap();
            let mut numbers = 0;
            for _ in 0..20 {
                let item: serde_json::Value = serde_json::from_str(&peers.next().await.unwrap()).unwrap();
                numbers += item["number"].as_u64().unwrap();
            }
            (seq, numbers)
        }));
    }
    let mut entries = Vec::new();
    for task in tasks {
        let (seq, numbers) = soon(task).await.unwrap();
        assert_eq!(numbers, 190);
        entries.push(seq);
    }
    entries.sort_unstable();
    assert_eq!(entries, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_dropped_is_cancelled_at_the_service() {
    let service = Service::start().await;
    let client = service.client().await;
    {
        let mut barrier = Box::pin(client.barrier("s", 1));
        let subscription = client.subscribe("t").await.unwrap();
        assert!(waits(&mut barrier).await);
        service.held(|held| held.waiters == 2).await;
        drop((barrier, subscription));
    }
    service.held(|held| held == Default::default()).await;
    assert_eq!(soon(client.signal("s")).await.unwrap(), 1);
}

#[tokio::test]
async fn refusals_are_told() {
    let service = Service::start().await;
    let client = service.client().await;
    service.states.refuse("s", "no").await.unwrap();
    let error = soon(client.barrier("s", 1)).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(why) if why == "state `s` was refused: no"), "{error:?}");
    let long = "x".repeat(2000);
    let mut subscription = client.subscribe(&long).await.unwrap();
    let error = soon(subscription.next()).await.unwrap_err();
    assert_eq!(error.to_string(), "a name of 2000 bytes; up to 1024 are legal");
    for error in [client.publish(&long, &1).await.unwrap_err(), client.signal(&long).await.unwrap_err()] {
        assert!(matches!(error, Error::Refused(_)), "{error:?}");
    }
}

#[tokio::test]
async fn the_end_of_a_connection_is_told_to_all_who_wait() {
    let service = Service::start().await;
    let client = service.client().await;
    let mut subscription = client.subscribe("t").await.unwrap();
    let mut barrier = Box::pin(client.barrier("s", 1));
    assert!(waits(&mut barrier).await);
    service.held(|held| held.waiters == 2).await;
    drop(service);
    assert!(matches!(soon(barrier).await, Err(Error::Closed(_))));
    assert!(matches!(soon(subscription.next()).await, Err(Error::Closed(_))));
    assert!(matches!(soon(client.signal("s")).await, Err(Error::Closed(_))));
}

#[tokio::test]
async fn the_last_handle_ends_the_connection() {
    let service = Service::start().await;
    let client = service.client().await;
    let mut subscription = client.clone().subscribe("t").await.unwrap();
    drop(client);
    service.states.publish("t", "1").await.unwrap();
    assert_eq!(&*soon(subscription.next()).await.unwrap(), "1");
    drop(subscription);
    service.held(|held| held.subscribers == 0).await;
}

#[tokio::test]
async fn nobody_there_and_no_websocket_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connecting = tokio::spawn(Client::connect(address));
    drop(soon(listener.accept()).await.unwrap());
    assert!(matches!(soon(connecting).await.unwrap(), Err(Error::Handshake(_))));
    drop(listener);
    assert!(matches!(soon(Client::connect(address)).await, Err(Error::Connect(_))));
}

/// The stock service's ways: plain errors, keys sorted, an empty item before a subscription ends, a Close with a reason.
#[tokio::test]
async fn the_stock_service_is_understood() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut ws = tokio_tungstenite::accept_async(stream).await.unwrap();
        ws.next().await.unwrap().unwrap();
        for (error, item) in [("", ""), ("", r#"{"a":1}"#), ("topic: context canceled", "")] {
            let response =
                json!({"id": "0", "error": error, "publish": null, "subscribe": item, "signal_entry": null});
            ws.send(Message::text(response.to_string())).await.unwrap();
        }
        // It goes with a status when it is asked once more.
        ws.next().await.unwrap().unwrap();
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
            code: 1009.into(),
            reason: "read limited at 32769 bytes".into(),
        };
        ws.close(Some(frame)).await.unwrap();
    });
    let client = soon(Client::connect(address)).await.unwrap();
    let mut subscription = client.subscribe("t").await.unwrap();
    assert_eq!(&*soon(subscription.next()).await.unwrap(), r#"{"a":1}"#);
    assert_eq!(soon(subscription.next()).await.unwrap_err().to_string(), "topic: context canceled");
    let error = soon(client.signal("s")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the connection to the sync service ended: 1009: read limited at 32769 bytes"
    );
    soon(service).await.unwrap();
}
