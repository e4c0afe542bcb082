//! The commands by way of the agent: typed calls of its API, with the failures of the commands themselves.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};

use crate::agent::{Cleared, Done};
use crate::api::Place;
use crate::api::commands::{Apply, Clear, Form, Look};
use crate::failure::{Code, Failure};
use crate::http::{self, Answer};
use crate::rules::To;
use crate::rules::file::Format;
use crate::shape::Named as _;
use crate::wanted::Wanted;

/// An order waits for others, and may take seconds; so long an agent is silent before it is asked whether it is there.
const SILENT: Duration = Duration::from_secs(5);
/// So soon it says that.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// An agent that listens at a Unix socket; its calls block.
#[derive(Debug)]
pub struct Client {
    http: http::Client,
    runtime: Runtime,
}

/// What is answered instead of a result.
#[derive(Deserialize)]
struct Refusal {
    code: String,
    message: String,
    hint: Option<String>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(flatten)]
    cleared: Cleared,
    failed: Option<Refusal>,
}

/// Whether somebody listens at `path`, and lets us call.
///
/// # Errors
///
/// Why not: `NotFound` and `ConnectionRefused` say that nobody does.
pub fn knock(path: &Path) -> io::Result<()> {
    UnixStream::connect(path).map(drop)
}

impl Client {
    /// The agent that listens at `path`; nothing is tried yet.
    ///
    /// # Errors
    ///
    /// When there can be no runtime.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| {
            Failure::new(Code::Failed, error).context("cannot make what waits for the agent")
        })?;
        Ok(Self { http: http::Client::at(path), runtime })
    }

    /// Has `wanted` made in a namespace, or only told what would be done.
    ///
    /// # Errors
    ///
    /// Those of [`crate::agent::Order::carry_out`], and [`Code::Unreachable`] when the agent does not answer.
    pub fn apply(&self, namespace: Place, wanted: Wanted, dry_run: bool) -> Result<Done, Failure> {
        self.json("/v1/apply", &Apply { namespace, wanted, dry_run })
    }

    /// Takes everything of ours away from a namespace or, where none is said, from all that the agent finds; or only the rule for some peers.
    /// What was cleared, and why what was not.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub fn clear(
        &self,
        namespace: Option<Place>,
        to: Option<To>,
    ) -> Result<(Cleared, Option<Failure>), Failure> {
        let Told { cleared, failed } =
            self.json("/v1/clear", &Clear { all: namespace.is_none(), namespace, to })?;
        Ok((cleared, failed.map(Failure::from)))
    }

    /// What `show` prints of a namespace, or of all that the agent finds.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub fn show(&self, namespace: Option<Place>, form: Form) -> Result<String, Failure> {
        let look = Look::at(namespace);
        self.text("/v1/show", &Look { form: Some(form.name().to_owned()), ..look })
    }

    /// The rules of a link of a namespace as a file of them.
    ///
    /// # Errors
    ///
    /// As [`Self::apply`].
    pub fn rules(&self, namespace: Place, dev: Option<String>, form: Format) -> Result<String, Failure> {
        let look = Look::at(Some(namespace));
        self.text("/v1/rules", &Look { dev, form: Some(form.name().to_owned()), ..look })
    }

    fn json<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::new(Code::Failed, error))?;
        let answer = self.call(Method::POST, path, body)?;
        serde_json::from_slice(&answer).map_err(|error| self.misunderstood(error))
    }

    fn text(&self, path: &str, look: &Look) -> Result<String, Failure> {
        let query = serde_urlencoded::to_string(look).map_err(|error| Failure::new(Code::Failed, error))?;
        let answer = self.call(Method::GET, &format!("{path}?{query}"), Vec::new())?;
        String::from_utf8(answer).map_err(|error| self.misunderstood(error))
    }

    fn call(&self, method: Method, target: &str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let called = self.runtime.block_on(async {
            tokio::select! {
                answer = self.http.call(method, target, body) => answer.map_err(broken),
                failure = self.fall_silent() => Err(failure),
            }
        });
        let Answer { status, body } = called?;
        if status.is_success() {
            return Ok(body.into());
        }
        match serde_json::from_slice(&body) {
            Ok(Refusal { code, message, .. }) if ["not-found", "not-allowed"].contains(&code.as_str()) => {
                Err(self.misunderstood(anyhow::anyhow!(message)))
            }
            Ok(refusal) => Err(refusal.into()),
            Err(error) => Err(self.misunderstood(error)),
        }
    }

    /// Waits until the agent does not even say that it is there.
    async fn fall_silent(&self) -> Failure {
        loop {
            sleep(SILENT).await;
            match timeout(ANSWERS_WITHIN, self.http.call(Method::GET, "/healthz", Vec::new())).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return broken(error),
                Err(_elapsed) => {
                    let path = self.http.path().display();
                    return unreachable(anyhow::anyhow!("`{path}` does not answer"));
                }
            }
        }
    }

    fn misunderstood(&self, error: impl Into<anyhow::Error>) -> Failure {
        let path = self.http.path().display();
        Failure::new(Code::Failed, error)
            .context(format!(
                "the agent at `{path}` does not speak our language: it is of another version, or none"
            ))
            .hint("`--agent none` does it without the agent, as root")
    }
}

fn broken(error: http::Error) -> Failure {
    match error {
        http::Error::TooLong { .. } => Failure::new(Code::Failed, error),
        _ => unreachable(error),
    }
}

/// An agent that does not answer.
pub(crate) fn unreachable(error: impl Into<anyhow::Error>) -> Failure {
    Failure::new(Code::Unreachable, error)
        .context("the agent does not answer")
        .hint("start one with `shaper agent`; or `--agent none` does it without, as root")
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, message, hint } = refusal;
        let code = Code::NAMES.iter().find(|(_, name)| *name == code).map_or(Code::Failed, |(code, _)| *code);
        let failure = Self::new(code, anyhow::anyhow!(message));
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
