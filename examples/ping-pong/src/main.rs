//! Testground's network plans on its Rust SDK. Nothing in here knows of `shaper`: whoever serves Testground's protocol shapes.
//!
//! The environment says everything, as Testground's runners set it: `TEST_CASE` picks one of the cases below.

mod data_network;
mod network;
mod ping_pong;
mod splitbrain;
mod traffic;

use std::process::ExitCode;
use std::time::Duration;

use testground::client::Client;
use tokio::time::timeout;

/// What goes wrong is told in one line.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The SDK itself waits for ever, also for an answer that nobody will give.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let ended = timeout(PATIENCE, run()).await.unwrap_or_else(|_elapsed| {
        Err(format!("not done in {PATIENCE:?}: does every instance run, and is each known to the agent?")
            .into())
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    // Returns when every instance has its network.
    let client = Client::new_and_init().await?;
    let case = client.run_parameters().test_case;
    let ended = match case.as_str() {
        "ping-pong" => ping_pong::run(&client).await,
        "traffic-allowed" => traffic::allowed(&client).await,
        "traffic-blocked" => traffic::blocked(&client).await,
        "accept" | "reject" | "drop" => splitbrain::run(&client, &case).await,
        "uses-data-network" => data_network::run(&client).await,
        other => Err(format!("no such case: `{other}`").into()),
    };
    match &ended {
        Ok(()) => client.record_success().await?,
        Err(error) => client.record_failure(error.to_string()).await?,
    }
    ended
}
