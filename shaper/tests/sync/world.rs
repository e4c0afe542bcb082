//! A service on a port of its own, and a client that says exactly what it is told to say.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use shaper::states::{Held, States};
use shaper::testground::client::Client;
use shaper::testground::server::Server;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(PATIENCE, what).await.expect("it did not come in time")
}

pub(crate) struct Service {
    pub(crate) states: States,
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Service {
    pub(crate) async fn start() -> Self {
        Self::with(|server| server).await
    }

    pub(crate) async fn with(made: impl FnOnce(Server) -> Server) -> Self {
        let states = States::memory();
        let server = made(Server::new(states.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let error = server.serve(listener).await;
            panic!("the listener failed: {error}");
        });
        Self { states, address, task }
    }

    pub(crate) async fn raw(&self) -> Raw {
        self.raw_at("/").await
    }

    pub(crate) async fn raw_at(&self, path: &str) -> Raw {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}{path}", self.address);
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let (ws, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await.unwrap();
        Raw { ws }
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.address).await.unwrap()
    }

    /// Waits until what is held is as said.
    pub(crate) async fn held(&self, is: impl Fn(Held) -> bool) {
        soon(async {
            while !is(self.states.held().await.unwrap()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

/// A client that knows nothing of the protocol.
pub(crate) struct Raw {
    pub(crate) ws: WebSocketStream<TcpStream>,
}

impl Raw {
    pub(crate) async fn say(&mut self, text: &str) {
        soon(self.ws.send(Message::text(text))).await.unwrap();
    }

    pub(crate) async fn say_binary(&mut self, bytes: &[u8]) {
        soon(self.ws.send(Message::binary(bytes.to_vec()))).await.unwrap();
    }

    /// The next message as it is.
    pub(crate) async fn message(&mut self) -> Message {
        soon(self.ws.next()).await.expect("the connection ended").unwrap()
    }

    /// The text of the next message, which must be one of text.
    pub(crate) async fn text(&mut self) -> String {
        match self.message().await {
            Message::Text(text) => text.as_str().into(),
            other => panic!("not a text: {other:?}"),
        }
    }

    /// The next message, which must have all that each message has.
    pub(crate) async fn hear(&mut self) -> Value {
        let text = self.text().await;
        assert!(text.ends_with("}\n") && text.matches('\n').count() == 1, "{text:?}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["error", "id", "publish", "signal_entry", "subscribe"], "{text}");
        assert!(
            value["id"].is_string() && value["error"].is_string() && value["subscribe"].is_string(),
            "{text}"
        );
        let set = [
            value["error"] != "",
            value["subscribe"] != "",
            !value["publish"].is_null(),
            !value["signal_entry"].is_null(),
        ];
        assert!(set.into_iter().filter(|set| *set).count() <= 1, "{text}");
        value
    }

    /// The next item of subscription `id`.
    pub(crate) async fn item(&mut self, id: &str) -> Value {
        let heard = self.hear().await;
        assert_eq!(heard["id"], id, "{heard}");
        serde_json::from_str(heard["subscribe"].as_str().unwrap())
            .unwrap_or_else(|error| panic!("{heard}: {error}"))
    }

    /// Says nothing came of what was said before: the answer to another request comes first.
    pub(crate) async fn nothing_came(&mut self) {
        self.say(r#"{"id":"after","signal_entry":{"state":"nothing came"}}"#).await;
        let heard = self.hear().await;
        assert_eq!(heard["id"], "after", "{heard}");
    }

    /// How the service closes the connection.
    pub(crate) async fn closed(&mut self) -> (CloseCode, String) {
        loop {
            match self.message().await {
                Message::Close(Some(frame)) => return (frame.code, frame.reason.as_str().into()),
                Message::Close(None) => panic!("closed without a reason"),
                _ => {}
            }
        }
    }
}

/// Whether a future is not ready now; it goes on afterwards.
pub(crate) async fn waits<F: Future + ?Sized>(future: &mut Pin<Box<F>>) -> bool {
    futures_util::poll!(future.as_mut()).is_pending()
}
