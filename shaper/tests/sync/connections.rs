//! Connections end, and there are many of them.

use futures_util::SinkExt as _;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::world::{Raw, Service, soon};

async fn waiting(service: &Service) -> Raw {
    let mut raw = service.raw().await;
    for id in 0..10 {
        raw.say(&json!({"id": id.to_string(), "barrier": {"state": "s", "target": 1}}).to_string()).await;
        raw.say(&json!({"id": id.to_string(), "subscribe": {"topic": "t"}}).to_string()).await;
    }
    service.held(|held| held.waiters == 20 && held.subscribers == 10).await;
    raw
}

#[tokio::test]
async fn a_connection_that_ends_takes_its_barriers_and_subscriptions_with_it() {
    let service = Service::start().await;
    // As Rust's SDK goes, by dropping TCP; as JS's goes, without a status; and by breaking the rules.
    drop(waiting(&service).await);
    service.held(|held| held == Default::default()).await;
    let mut raw = waiting(&service).await;
    soon(raw.ws.send(Message::Close(None))).await.unwrap();
    service.held(|held| held == Default::default()).await;
    let mut raw = waiting(&service).await;
    raw.say("null").await;
    service.held(|held| held == Default::default()).await;
}

#[tokio::test]
async fn a_close_is_answered() {
    let service = Service::start().await;
    let mut raw = service.raw().await;
    soon(raw.ws.send(Message::Close(None))).await.unwrap();
    assert_eq!(raw.message().await, Message::Close(None));
}

#[tokio::test]
async fn a_service_that_is_dropped_ends_its_connections() {
    let service = Service::start().await;
    let client = service.client().await;
    client.signal("s").await.unwrap();
    drop(service);
    soon(async { while client.signal("s").await.is_ok() {} }).await;
}

/// A connection that costs this process hardly more than the kernel's socket on the client's side.
pub(crate) async fn idle(service: &Service) -> TcpStream {
    let stream = TcpStream::connect(service.address).await.unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        service.address
    );
    stream.writable().await.unwrap();
    assert_eq!(stream.try_write(request.as_bytes()).unwrap(), request.len());
    let mut answer = [0; 512];
    soon(async {
        loop {
            stream.readable().await.unwrap();
            if let Ok(bytes) = stream.try_read(&mut answer) {
                return assert!(answer[..bytes].ends_with(b"\r\n\r\n"), "{:?}", &answer[..bytes]);
            }
        }
    })
    .await;
    stream
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Says to this program that it runs for one test alone.
const ALONE: &str = "SHAPER_TEST_ALONE";

/// In a process of its own: other tests take memory meanwhile.
#[test]
fn a_thousand_idle_connections_cost_little() {
    if std::env::var_os(ALONE).is_some() {
        return tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(a_thousand());
    }
    let name = "connections::a_thousand_idle_connections_cost_little";
    let alone = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(alone.status.success(), "{said}{}", String::from_utf8_lossy(&alone.stderr));
    assert!(said.contains("bytes of memory for each idle connection"), "{said}");
}

/// What a connection that says nothing may cost, in bytes: what the service keeps to read into, as much for the rest of it and for the
/// client's end, which is in this process, and as much for what the allocator does not fill.
const IDLE_MAX: usize = 3 * READ_BYTES;
/// What the service keeps to read into.
const READ_BYTES: usize = 4 << 10;

async fn a_thousand() {
    const MANY: usize = 1000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let wanted = 2 * MANY as u64 + 500;
    assert!(hard >= wanted, "needs {wanted} descriptors, {hard} are allowed");
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard).unwrap();
    let service = Service::start().await;
    let mut connections = Vec::new();
    for _ in 0..50 {
        connections.push(idle(&service).await);
    }
    let before = resident_bytes();
    for _ in 0..MANY {
        connections.push(idle(&service).await);
    }
    let each = resident_bytes().saturating_sub(before) / MANY;
    println!("{each} bytes of memory for each idle connection");
    assert!(each < IDLE_MAX, "{each} bytes for each connection");
    service.raw().await.nothing_came().await;
}
