//! What is taken, what is answered, and how a client is sent away.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;
use shaper::testground::protocol::MAX_INBOUND_BYTES;
use std::io::{Read as _, Write as _};
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use crate::world::{Service, soon};

#[tokio::test]
async fn every_response_is_as_the_contract_says() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    let table = [
        (
            r#"{"id":"7","is_cancel":false,"publish":{"topic":"t","payload":{"b":"<x>","a":1.50}}}"#,
            r#"{"id":"7","error":"","publish":{"seq":1},"subscribe":"","signal_entry":null}"#,
        ),
        (
            r#"{"id":"8","subscribe":{"topic":"t"}}"#,
            r#"{"id":"8","error":"","publish":null,"subscribe":"{\"b\":\"<x>\",\"a\":1.50}","signal_entry":null}"#,
        ),
        (
            r#"{"id":"9","signal_entry":{"state":"s"}}"#,
            r#"{"id":"9","error":"","publish":null,"subscribe":"","signal_entry":{"seq":1}}"#,
        ),
        (
            r#"{"id":"10","barrier":{"state":"s","target":1}}"#,
            r#"{"id":"10","error":"","publish":null,"subscribe":"","signal_entry":null}"#,
        ),
    ];
    for (said, heard) in table {
        raw.say(said).await;
        assert_eq!(raw.text().await, format!("{heard}\n"));
    }
}

#[tokio::test]
async fn text_and_binary_are_taken_and_text_is_sent() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say_binary(br#"{"id":"0","signal_entry":{"state":"s"}}"#).await;
    assert!(matches!(raw.message().await, Message::Text(_)));
    raw.say(r#"{"id":"1","signal_entry":{"state":"s"}}"#).await;
    assert_eq!(raw.hear().await["signal_entry"]["seq"], 2);
}

#[tokio::test]
async fn any_path_is_served() {
    let service = Service::start().await;
    for path in ["", "/", "/a/b?c=d", "/%2e%2e/;x"] {
        service.raw_at(path).await.nothing_came().await;
    }
}

/// What the Rust SDK sends, and JS's offer of compression.
#[tokio::test]
async fn an_odd_host_is_served_and_extensions_are_declined() {
    let service = Service::start().await;
    let address = service.address;
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream
            .write_all(
                b"GET / HTTP/1.1\r\nHost: ...\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: http://elsewhere\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                  Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n",
            )
            .unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        // {"id":"5"} and a barrier that is reached, in a masked binary frame whose mask is zero.
        let body = br#"{"id":"5","barrier":{"state":"s"}}"#;
        stream.write_all(&[0x82, 0x80 | body.len() as u8, 0, 0, 0, 0]).unwrap();
        stream.write_all(body).unwrap();
        let mut head = [0; 2];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(head[0], 0x81, "one frame of text");
        String::from_utf8(answer).unwrap().to_ascii_lowercase()
    });
    let answer = soon(answer).await.unwrap();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{answer}");
    assert!(!answer.contains("extensions") && !answer.contains("sec-websocket-protocol"), "{answer}");
}

#[tokio::test]
async fn pings_are_answered() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    soon(raw.ws.send(Message::Ping("are you there".into()))).await.unwrap();
    assert_eq!(raw.message().await, Message::Pong("are you there".into()));
}

#[tokio::test]
async fn what_go_would_not_decode_ends_the_connection_with_1007() {
    let service = Service::start().await;
    let texts = [
        "",
        "null",
        "{",
        "7",
        "[]",
        r#"{"id":7,"signal_entry":{"state":"s"}}"#,
        r#"{"id":"7","signal_entry":"s"}"#,
        r#"{"id":"7","barrier":{"state":"s","target":1.5}}"#,
        r#"{"id":"7","publish":{"topic":["t"]}}"#,
        r#"{"id":"7"} {"id":"8"}"#,
    ];
    for text in texts {
        let mut raw = service.raw().await;
        raw.say(text).await;
        let (code, reason) = raw.closed().await;
        assert_eq!(code, CloseCode::Invalid, "{text}");
        assert!(reason.starts_with("not a message of the sync service: "), "{text}: {reason}");
        assert!(soon(raw.ws.next()).await.is_none(), "{text}: the connection did not end");
    }
    assert_eq!(service.states.held().await.unwrap(), Default::default());
}

#[tokio::test]
async fn what_is_no_text_ends_the_connection_with_1007() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say_binary(b"{\"id\":\"\xff\"}").await;
    assert_eq!(raw.closed().await.0, CloseCode::Invalid);
    let mut raw = service.raw().await;
    let frame = Frame::message(b"\"\xff\"".to_vec(), OpCode::Data(Data::Text), true);
    soon(raw.ws.send(Message::Frame(frame))).await.unwrap();
    assert_eq!(raw.closed().await.0, CloseCode::Invalid);
}

#[tokio::test]
async fn frames_against_the_rules_end_the_connection_with_1002() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    let frame = Frame::message(b"{}".to_vec(), OpCode::Data(Data::Continue), true);
    soon(raw.ws.send(Message::Frame(frame))).await.unwrap();
    assert_eq!(raw.closed().await.0, CloseCode::Protocol);
}

#[tokio::test]
async fn what_was_asked_before_is_answered_before_the_connection_ends() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    for id in 0..40 {
        let text = format!(r#"{{"id":"{id}","signal_entry":{{"state":"s"}}}}"#);
        raw.ws.feed(Message::text(text)).await.unwrap();
    }
    raw.say("null").await;
    for id in 0..40 {
        assert_eq!(raw.hear().await["id"], id.to_string());
    }
    assert_eq!(raw.closed().await.0, CloseCode::Invalid);
}

/// A publish request of so many bytes.
fn publish(bytes: usize) -> String {
    let frame = r#"{"id":"0","publish":{"topic":"t","payload":""}}"#;
    frame.replace(r#""""#, &format!(r#""{}""#, "x".repeat(bytes - frame.len())))
}

#[tokio::test]
async fn a_mebibyte_is_taken_and_one_byte_more_ends_the_connection_with_1009() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    let largest = publish(MAX_INBOUND_BYTES);
    assert_eq!(largest.len(), 1 << 20);
    raw.say(&largest).await;
    assert_eq!(raw.hear().await["publish"]["seq"], 1);
    raw.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    assert_eq!(raw.item("1").await.as_str().unwrap().len(), (1 << 20) - 47);
    for bytes in [MAX_INBOUND_BYTES + 1, 8 * MAX_INBOUND_BYTES] {
        let mut raw = service.raw().await;
        raw.say(&publish(bytes)).await;
        assert_eq!(raw.closed().await.0, CloseCode::Size);
    }
    // Of a frame that says that it will be too long, nothing is waited for.
    let mut raw = service.raw().await;
    let head = [&[0x82, 0xff][..], &(8 * MAX_INBOUND_BYTES as u64).to_be_bytes(), &[0; 4]].concat();
    assert_eq!(raw.ws.get_mut().try_write(&head).unwrap(), head.len());
    assert_eq!(raw.closed().await.0, CloseCode::Size);
    // In fragments, each of which would be taken.
    let mut raw = service.raw().await;
    for (code, last) in [(Data::Text, false), (Data::Continue, true)] {
        let frame = Frame::message(vec![b'x'; MAX_INBOUND_BYTES / 2 + 1], OpCode::Data(code), last);
        soon(raw.ws.send(Message::Frame(frame))).await.unwrap();
    }
    assert_eq!(raw.closed().await.0, CloseCode::Size);
}

#[tokio::test]
async fn a_payload_is_sent_in_as_few_bytes_as_it_takes() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    // Go escapes `<`; twice encoded and as it came it would be beyond what Go takes.
    let spaced = format!("[ {} ]", vec![r#""\u003c\u003e""#; 2000].join(" ,\n   "));
    assert!(spaced.len() > 32_768);
    raw.say(&format!(r#"{{"id":"0","publish":{{"topic":"t","payload":{spaced}}}}}"#)).await;
    raw.hear().await;
    raw.say(r#"{"id":"1","subscribe":{"topic":"t"}}"#).await;
    let text = raw.text().await;
    assert!(text.len() < 15_000, "{} bytes", text.len());
    raw.say(r#"{"id":"2","subscribe":{"topic":"t"}}"#).await;
    assert_eq!(raw.item("2").await, json!(vec!["<>"; 2000]));
}

#[tokio::test]
async fn keys_are_taken_in_any_case_and_the_first_want_wins() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    raw.say(r#"{"ID":"0","Signal_Entry":{"State":"s"}}"#).await;
    assert_eq!(raw.hear().await["signal_entry"]["seq"], 1);
    raw.say(r#"{"id":"1","signal_entry":{"state":"s"},"barrier":{"state":"s","target":1}}"#).await;
    let heard = raw.hear().await;
    assert!(heard["id"] == "1" && heard["signal_entry"].is_null(), "{heard}");
    raw.say(r#"{"id":"2","signal_entry":{"state":"s"},"subscribe":{"topic":"t"},"publish":{"topic":"t","payload":1}}"#).await;
    assert_eq!(raw.hear().await["publish"]["seq"], 1);
    assert_eq!(service.states.count("s").await.unwrap().count, 1);
    assert_eq!(service.states.held().await.unwrap().subscribers, 0);
}

#[tokio::test]
async fn ids_come_back_as_they_were_and_nothing_asked_is_nothing_answered() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    for id in ["", "0", "007", "18446744073709551616", "a \"b\" \u{1} ä", "0"] {
        let request = json!({"id": id, "signal_entry": {"state": "s"}});
        raw.say(&request.to_string()).await;
        assert_eq!(raw.hear().await["id"], id);
    }
    for text in [
        "{}",
        r#"{"id":"1"}"#,
        r#"{"id":"1","unknown":{"state":"s"}}"#,
        r#"{"id":"1","publish":null}"#,
        r#"{"id":"none","is_cancel":true}"#,
    ] {
        raw.say(text).await;
        raw.nothing_came().await;
    }
}
