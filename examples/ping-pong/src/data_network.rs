//! Instances reach each other in the data network, and not by the control network that they share with the sync service.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::json;
use testground::client::Client;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::Result;
use crate::network::data_address;

const PORT: u16 = 1234;
const PATIENCE: Duration = Duration::from_secs(3);

pub async fn run(client: &Client) -> Result<()> {
    let instances = client.run_parameters().test_instance_count;
    let _listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let own =
        [("data", IpAddr::V4(data_address(client)?), true), ("control", control_address().await?, false)];
    for (topic, address, _) in own {
        client.publish(topic, Cow::Owned(json!(address))).await?;
    }
    client.signal_and_wait("listening", instances).await?;

    let mut surprises = Vec::new();
    for (topic, own, is_wanted) in own {
        let all = client.subscribe(topic, 256).await;
        let all: Vec<_> = all.take(usize::try_from(instances)?).collect().await;
        for address in all {
            let address: IpAddr = serde_json::from_value(address?)?;
            if address == own {
                continue;
            }
            let reached = timeout(PATIENCE, TcpStream::connect((address, PORT))).await;
            let reached = reached.map_err(std::io::Error::from).flatten().map(drop);
            let line = format!("{topic} address {address}: {reached:?}");
            println!("{line}");
            if reached.is_ok() != is_wanted {
                surprises.push(line);
            }
        }
    }
    client.signal_and_wait("done", instances).await?;
    if surprises.is_empty() { Ok(()) } else { Err(surprises.join("; ").into()) }
}

/// The address from which the sync service is reached; nothing is sent.
async fn control_address() -> Result<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
    socket.connect(("testground-sync-service", 5050)).await?;
    Ok(socket.local_addr()?.ip())
}
