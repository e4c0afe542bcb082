//! Whatever a client sends, it is answered or sent away, nothing of it stays, and others are served meanwhile.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

use crate::connections::idle;
use crate::world::{Service, soon};

/// The least message that a client in Go does not take (its library's limit).
const BEYOND_GO: usize = (32 << 10) + 1;

/// Bytes as a client sends them: noise, frames with noise in them, and frames whose head lies about them.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let noise = || prop::collection::vec(any::<u8>(), 0..200);
    let head = prop_oneof![3 => Just(0x81u8), 1 => Just(0x82), 3 => any::<u8>()];
    let text = prop_oneof![
        2 => noise(),
        1 => Just(br#"{"id":"0","signal_entry":{"state":"s"}}"#.to_vec()),
        1 => any_request().prop_map(String::into_bytes),
    ];
    let frame = (head, text, prop::option::of(any::<u8>())).prop_map(|(head, text, length)| {
        let length = length.unwrap_or(0x80 | text.len().min(125) as u8);
        // The mask is zero.
        [&[head, length, 0, 0, 0, 0], text.as_slice()].concat()
    });
    prop::collection::vec(prop_oneof![1 => noise(), 4 => frame], 1..6).prop_map(|parts| parts.concat())
}

/// A JSON object whose keys are the protocol's and whose values are of any type.
fn any_request() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("[]".to_owned()),
        Just("{}".to_owned()),
        Just("1e400".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        Just(r#"{"state":"s","target":-1}"#.to_owned()),
        Just(r#"{"state":{},"target":"1"}"#.to_owned()),
        Just(r#"{"topic":"t","payload":[[[]]]}"#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
    ];
    let key =
        prop::sample::select(vec!["id", "is_cancel", "publish", "subscribe", "barrier", "signal_entry"]);
    let members = prop::collection::vec((key, value), 0..3);
    members.prop_map(|members| {
        let members = members.iter().map(|(key, value)| format!(r#""{key}":{value}"#));
        format!(r#"{{"id":"x",{}}}"#, members.collect::<Vec<_>>().join(",")).replace(",}", "}")
    })
}

/// Sends bytes behind the handshake, and reads until the service closes, as it does when there is nothing more to come.
async fn send(service: &Service, bytes: &[u8]) {
    let mut stream = idle(service).await;
    let is_gone = |error: &std::io::Error| {
        matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::NotConnected)
    };
    let sent = async {
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        stream.read_to_end(&mut Vec::new()).await
    };
    if let Err(error) = soon(sent).await {
        assert!(is_gone(&error), "{error}");
    }
}

/// Counts panics of this process: those of a connection's task end the connection, as is right for most of these bytes.
fn count_panics() -> &'static AtomicUsize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        others(panic);
    }));
    &PANICS
}

#[test]
fn any_bytes_end_with_their_connection_and_others_are_served_meanwhile() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let service = runtime.block_on(Service::start());
    let other = Mutex::new(runtime.block_on(service.raw()));
    let panics = count_panics();
    let mut runner = TestRunner::default();
    let done = runner.run(&any_bytes(), |bytes| {
        runtime.block_on(async {
            send(&service, &bytes).await;
            other.lock().await.nothing_came().await;
            service.held(|held| held.waiters == 0 && held.subscribers == 0).await;
        });
        prop_assert_eq!(panics.load(Ordering::Relaxed), 0);
        Ok(())
    });
    done.unwrap();
}

#[tokio::test]
async fn a_message_beyond_what_go_takes_is_taken_and_sent_whole() {
    let service = Service::start().await;
    let (mut writer, mut reader) = (service.raw().await, service.raw().await);
    reader.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    let frame = r#"{"id":"0","publish":{"topic":"t","payload":""}}"#;
    let letters = "x".repeat(BEYOND_GO - frame.len());
    let message = frame.replace(r#""""#, &format!(r#""{letters}""#));
    assert_eq!(message.len(), BEYOND_GO);
    writer.say(&message).await;
    assert_eq!(writer.hear().await["publish"]["seq"], 1);
    assert_eq!(reader.item("1").await, letters);
}
