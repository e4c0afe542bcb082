//! From connections to calls, within bounds.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::auth::{self, Door};
use super::{Listener, Token};

/// Connections at once, at most; more wait.
const CONNECTIONS_MAX: usize = 1_024;
/// A client that takes longer to say what it wants is left.
const HEADERS_WITHIN: Duration = Duration::from_secs(30);
/// Bytes of a request's headers, at most.
const HEADERS_MAX: usize = 16 << 10;
/// When the kernel has no descriptors left, others have to close theirs first.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// Answers the calls that come to `listener` until it is dropped; those that come by TCP have to say `token`.
///
/// # Errors
///
/// When the runtime cannot take the listener over.
pub async fn serve(listener: Listener, router: Router, token: Option<Token>) -> io::Result<()> {
    let router = match token {
        Some(token) => router.layer(middleware::from_fn_with_state(Door::new(token), auth::require)),
        None => router,
    };
    match &listener {
        Listener::Unix { listener, .. } => {
            let listener = UnixListener::from_std(listener.try_clone()?)?;
            accept(router, &listener).await
        }
        Listener::Tcp(listener) => {
            let listener = TcpListener::from_std(listener.try_clone()?)?;
            accept(router, &listener).await
        }
    }
}

/// Where connections come from, and who is at their other end, where that has an address.
trait Source: Sync {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    fn next(&self) -> impl Future<Output = io::Result<(Self::Stream, Option<SocketAddr>)>> + Send;
}

impl Source for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Option<SocketAddr>)> {
        self.accept().await.map(|(stream, _)| (stream, None))
    }
}

impl Source for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        self.accept().await.map(|(stream, peer)| (stream, Some(peer)))
    }
}

async fn accept(router: Router, source: &impl Source) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // They end with the listener.
    let mut connections = JoinSet::new();
    loop {
        let permit = Arc::clone(&room).acquire_owned().await.map_err(io::Error::other)?;
        match source.next().await {
            Ok((stream, peer)) => {
                let router = router.clone();
                connections.spawn(async move {
                    connection(stream, peer, router).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(AFTER_A_FAILURE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, peer: Option<SocketAddr>, router: Router) {
    let router = TowerToHyperService::new(router);
    let calls = service_fn(move |mut request: Request<Incoming>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        router.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), calls)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended");
    }
}
