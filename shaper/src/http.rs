//! HTTP/1.1 calls over a Unix socket: to the agent, and to a container runtime. One connection for each call.

mod error;
mod lines;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

pub use error::Error;
pub use lines::Lines;

/// Bytes of an answer's body, at most: room for what is told of a namespace with all its rules.
pub const ANSWER_MAX: usize = 256 << 20;

/// A server that listens at a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    path: PathBuf,
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether it is a result.
    pub status: StatusCode,
    /// Its body, whole.
    pub body: Bytes,
}

impl Client {
    /// The server that listens at `path`; nothing is tried yet.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where the server listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Sends a request, `body` a JSON text or empty, and waits for the whole answer, whatever its status. In a runtime.
    ///
    /// # Errors
    ///
    /// [`Error`]: nobody listens, what came is no answer, or one of more than [`ANSWER_MAX`] bytes.
    pub async fn call(&self, method: Method, target: &str, body: impl Into<Bytes>) -> Result<Answer, Error> {
        let answer = self.send(method, target, body.into()).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                self.too_long()
            } else {
                self.broken("read the answer of", error)
            }
        })?;
        Ok(Answer { status, body: body.to_bytes() })
    }

    /// Asks for what is answered line by line for as long as the server likes. In a runtime.
    ///
    /// # Errors
    ///
    /// As [`Self::call`]; [`Error::Status`] when the answer is none that succeeds.
    pub async fn lines(&self, target: &str) -> Result<Lines, Error> {
        let answer = self.send(Method::GET, target, Bytes::new()).await?;
        if !answer.status().is_success() {
            return Err(Error::Status { path: self.path.clone(), status: answer.status() });
        }
        Ok(Lines::new(self.path.clone(), answer.into_body()))
    }

    async fn send(&self, method: Method, target: &str, body: Bytes) -> Result<Response<Incoming>, Error> {
        let stream = UnixStream::connect(&self.path)
            .await
            .map_err(|source| Error::Connect { path: self.path.clone(), source })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| self.broken("speak to", error))?;
        // It ends with the answer's body; how it failed shows there.
        drop(tokio::spawn(connection));
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, "localhost")
            .header(CONNECTION, "close")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.broken("word a request to", error))?;
        sender.send_request(request).await.map_err(|error| self.broken("speak to", error))
    }

    fn broken(
        &self,
        operation: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Error {
        Error::Broken { operation, path: self.path.clone(), source: source.into() }
    }

    fn too_long(&self) -> Error {
        Error::TooLong { path: self.path.clone(), limit: ANSWER_MAX }
    }
}
