//! What a plan says of its network.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use testground::client::Client;
use testground::network_conf::{
    DEFAULT_DATA_NETWORK, FilterAction, LinkShape, NetworkConfiguration, RoutingPolicyType,
};

use crate::Result;

/// The data network as it is, unshaped and alone; `callback_state` must be another one for each change.
pub fn unshaped(callback_state: impl Into<String>) -> NetworkConfiguration {
    NetworkConfiguration {
        network: DEFAULT_DATA_NETWORK.to_owned(),
        ipv4: None,
        ipv6: None,
        enable: true,
        default: shape(Duration::ZERO, 0, FilterAction::Accept),
        rules: None,
        callback_state: callback_state.into(),
        // `None`: of all instances of the run.
        callback_target: None,
        routing_policy: RoutingPolicyType::DenyAll,
    }
}

/// What each packet that leaves meets: later by `latency`, at no more than `bandwidth` bits per second (0: any).
pub fn shape(latency: Duration, bandwidth: u64, filter: FilterAction) -> LinkShape {
    LinkShape {
        latency: u64::try_from(latency.as_nanos()).expect("a latency of less than 500 years"),
        jitter: 0,
        bandwidth,
        filter,
        loss: 0.0,
        corrupt: 0.0,
        corrupt_corr: 0.0,
        reorder: 0.0,
        reorder_corr: 0.0,
        duplicate: 0.0,
        duplicate_corr: 0.0,
    }
}

/// The instance's own address in the data network.
pub fn data_address(client: &Client) -> Result<Ipv4Addr> {
    match client.run_parameters().data_network_ip()? {
        Some(IpAddr::V4(address)) => Ok(address),
        other => Err(format!("no IPv4 address in the data network, but {other:?}").into()),
    }
}
