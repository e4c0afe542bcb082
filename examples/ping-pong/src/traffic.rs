//! One instance, and a web server outside of the data network: `outside=HOST:PORT` among the parameters of the case.

use std::time::Duration;

use testground::client::Client;
use testground::network_conf::{NetworkConfiguration, RoutingPolicyType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;
use crate::network::unshaped;

const PATIENCE: Duration = Duration::from_secs(3);

pub async fn allowed(client: &Client) -> Result<()> {
    configure(client, RoutingPolicyType::AllowAll, "network-configured-with-policy").await?;
    expect_reached(client).await
}

/// It is the policy that blocks: without it the server is reached, before and after.
pub async fn blocked(client: &Client) -> Result<()> {
    configure(client, RoutingPolicyType::AllowAll, "allowed").await?;
    expect_reached(client).await?;
    configure(client, RoutingPolicyType::DenyAll, "network-configured-with-policy").await?;
    match get(client).await {
        Ok(answer) => return Err(format!("not blocked, the server answered {answer:?}").into()),
        Err(error) => println!("blocked: {error}"),
    }
    configure(client, RoutingPolicyType::AllowAll, "allowed-again").await?;
    expect_reached(client).await
}

async fn configure(client: &Client, routing_policy: RoutingPolicyType, callback_state: &str) -> Result<()> {
    let config = NetworkConfiguration { routing_policy, ..unshaped(callback_state) };
    Ok(client.configure_network(config).await?)
}

async fn expect_reached(client: &Client) -> Result<()> {
    let answer = get(client).await.map_err(|error| format!("the server was not reached: {error}"))?;
    if !answer.ends_with("\r\n\r\nhello world\n") {
        return Err(format!("the server answered {answer:?}").into());
    }
    println!("allowed: the server answered");
    Ok(())
}

async fn get(client: &Client) -> Result<String> {
    let parameters = client.run_parameters().test_instance_params;
    let server = parameters.get("outside").ok_or("no parameter `outside`")?.clone();
    let exchange = async {
        let mut stream = TcpStream::connect(&server).await?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(PATIENCE, exchange).await?
}
