//! `shaper agent --check`: whether the agent that listens is well.

use std::path::Path;
use std::time::Duration;

use hyper::Method;
use tokio::time::timeout;

use crate::cli::exit::{Code, Failure};
use crate::http::Client;

/// An agent that is at work answers this at once.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn run(listen: &Path) -> Result<(), Failure> {
    let failed =
        |error: anyhow::Error| Failure::new(Code::Unreachable, error).context("the agent is not well");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.into()))?;
    let answer = runtime.block_on(async {
        timeout(ANSWER_WITHIN, Client::at(listen).call(Method::GET, "/healthz", "")).await
    });
    match answer {
        Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
        Ok(Ok(answer)) => Err(failed(anyhow::anyhow!("it answers {}", answer.status))),
        Ok(Err(error)) => Err(failed(error.into())),
        Err(_) => Err(failed(anyhow::anyhow!("it does not answer within {} s", ANSWER_WITHIN.as_secs()))),
    }
}
