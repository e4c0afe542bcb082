//! Three or more instances in the regions A, B and C. Those of A filter what they send to those of B.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use testground::client::Client;
use testground::network_conf::{FilterAction, LinkRule, NetworkConfiguration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_stream::StreamExt;

use crate::Result;
use crate::network::{data_address, shape, unshaped};

const PORT: u16 = 8765;
const GREETING: &[u8] = b"hello";

/// What is filtered takes this long; a second attempt to connect is made after a second.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Region {
    A,
    B,
    C,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Instance {
    region: Region,
    address: Ipv4Addr,
}

pub async fn run(client: &Client, case: &str) -> Result<()> {
    let parameters = client.run_parameters();
    let instances = parameters.test_instance_count;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    tokio::spawn(greet(listener));

    let seq = client.signal_and_wait("region-select", instances).await?;
    let region = [Region::A, Region::B, Region::C][usize::try_from(seq % 3)?];
    let own = Instance { region, address: data_address(client)? };
    client.publish("nodes", Cow::Owned(json!(own))).await?;
    let all = client.subscribe("nodes", 256).await;
    let all: Vec<_> = all.take(usize::try_from(instances)?).collect().await;
    let mut others = Vec::new();
    for instance in all {
        let instance: Instance = serde_json::from_value(instance?)?;
        if instance != own {
            others.push(instance);
        }
    }

    if own.region == Region::A {
        let of_b = others.iter().filter(|other| other.region == Region::B);
        let rules = of_b.map(|other| LinkRule {
            link_shape: shape(Duration::ZERO, 0, filter(case)),
            subnet: IpAddr::V4(other.address).into(),
        });
        let callback_state = format!("reconfigured{}", parameters.hostname);
        let config = NetworkConfiguration {
            rules: Some(rules.collect()),
            callback_target: Some(1),
            ..unshaped(callback_state)
        };
        client.configure_network(config).await?;
    }
    client.signal_and_wait("nodeRoundup", instances).await?;

    let mut surprises = Vec::new();
    for other in others {
        let is_across = matches!((own.region, other.region), (Region::A, Region::B) | (Region::B, Region::A));
        let is_wanted = case == "accept" || !is_across;
        let reached = reach(other.address).await;
        let line = format!("{:?} to {:?}: {reached:?}", own.region, other.region);
        println!("{line}");
        if reached.is_ok() != is_wanted {
            surprises.push(line);
        }
    }
    // The others may still be at it: whoever leaves cannot be reached.
    client.signal_and_wait("testcomplete", instances).await?;
    if surprises.is_empty() {
        Ok(())
    } else {
        Err(format!("under `{case}`: {}", surprises.join("; ")).into())
    }
}

fn filter(case: &str) -> FilterAction {
    match case {
        "reject" => FilterAction::Reject,
        "drop" => FilterAction::Drop,
        _ => FilterAction::Accept,
    }
}

async fn greet(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (mut stream, _from) = listener.accept().await?;
        // One who is filtered does not get it; the next one may.
        let _broken = stream.write_all(GREETING).await;
    }
}

async fn reach(address: Ipv4Addr) -> std::io::Result<()> {
    let exchange = async {
        let mut stream = TcpStream::connect((address, PORT)).await?;
        let mut greeting = [0; GREETING.len()];
        stream.read_exact(&mut greeting).await.map(drop)
    };
    timeout(PATIENCE, exchange).await?
}
