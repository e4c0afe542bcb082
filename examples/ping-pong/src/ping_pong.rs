//! Two instances play ping-pong over one TCP connection, at 100 ms and then at 10 ms.

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use ipnetwork::Ipv4Network;
use serde_json::{Value, json};
use testground::client::Client;
use testground::network_conf::{FilterAction, NetworkConfiguration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::StreamExt;

use crate::Result;
use crate::network::{data_address, shape, unshaped};

const PORT: u16 = 1234;

pub async fn run(client: &Client) -> Result<()> {
    let instances = client.run_parameters().test_instance_count;
    if instances != 2 {
        return Err(format!("ping-pong takes two, not {instances}").into());
    }

    let before = data_address(client)?;
    client.configure_network(with_latency(100, "network-configured")).await?;
    if data_address(client)? != before {
        return Err("a shape changed the address".into());
    }

    // Who is first gets 1, and listens on all addresses: also on the one that is still to come.
    let seq = client.signal_and_wait("ip-allocation", instances).await?;
    let listener =
        if seq == 1 { Some(TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?) } else { None };

    let [a, b, ..] = before.octets();
    let wanted = Ipv4Addr::new(a, b, 1, u8::try_from(seq)?);
    let mut config = with_latency(100, "ip-changed");
    // Of which network it is does not matter: the data network keeps its own prefix.
    config.ipv4 = Some(Ipv4Network::new(wanted, 12)?);
    client.configure_network(config).await?;
    let own = data_address(client)?;
    if own != wanted {
        return Err(format!("asked for the address {wanted}, got {own}").into());
    }

    let peer = exchange(client, own).await?;
    let mut stream = match listener {
        Some(listener) => listener.accept().await?.0,
        None => TcpStream::connect((peer, PORT)).await?,
    };
    stream.set_nodelay(true)?;

    let ball = u8::try_from(seq)?;
    measure(&mut stream, ball, 100, 200..=215).await?;
    client.signal_and_wait("ping-pong-200", instances).await?;

    // The same connection, with nothing but the latency changed.
    client.configure_network(with_latency(10, "latency-reduced")).await?;
    measure(&mut stream, ball, 10, 20..=35).await?;
    client.signal_and_wait("ping-pong-10", instances).await?;
    Ok(())
}

fn with_latency(ms: u64, callback_state: &str) -> NetworkConfiguration {
    let default = shape(Duration::from_millis(ms), 1 << 20, FilterAction::Accept);
    NetworkConfiguration { default, ..unshaped(callback_state) }
}

/// Tells the own address, and returns that of the other instance.
async fn exchange(client: &Client, own: Ipv4Addr) -> Result<Ipv4Addr> {
    client.publish("peers", Cow::Owned(json!(own))).await?;
    let mut peers = client.subscribe("peers", 16).await;
    while let Some(address) = peers.next().await {
        let address: Value = address?;
        let address = serde_json::from_value(address)?;
        if address != own {
            return Ok(address);
        }
    }
    Err("the sync service ended the subscription".into())
}

/// Both play at the same time: each serves, returns the other's ball and waits for its own.
async fn measure(
    stream: &mut TcpStream,
    ball: u8,
    latency: u64,
    wanted_ms: RangeInclusive<u64>,
) -> Result<()> {
    // Ready?
    stream.write_u8(0).await?;
    stream.read_u8().await?;

    let start = Instant::now();
    stream.write_u8(ball).await?;
    let theirs = stream.read_u8().await?;
    stream.write_u8(theirs).await?;
    let back = stream.read_u8().await?;
    let rtt = start.elapsed();
    if back != ball {
        return Err(format!("served {ball}, got {back} back").into());
    }

    let (from, to) = (*wanted_ms.start(), *wanted_ms.end());
    let is_met = (Duration::from_millis(from)..=Duration::from_millis(to)).contains(&rtt);
    let line = format!("ball {ball}, {latency} ms each way: RTT {:.3} ms", rtt.as_secs_f64() * 1e3);
    println!("{line}, {from} to {to} ms wanted");
    if is_met { Ok(()) } else { Err(format!("{line}, which is not within {from} to {to} ms").into()) }
}
