//! Who may publish what, with `--strict`: about its network each instance for itself alone.

use std::net::{IpAddr, SocketAddr};

use tokio::task::block_in_place;

use super::sidecar::NETWORK;
use super::{Agent, Instance};
use crate::netlink::{Socket, address};
use crate::seldom::Seldom;
use crate::testground::keys::{Name, Run};
use crate::testground::server::Gate;
use crate::units::quote;

/// Knows an instance by the address that its connection comes from, which must be one of its namespace's: nothing may translate addresses
/// on the way.
#[derive(Debug)]
pub struct Strict {
    agent: Agent,
    refused: Seldom,
}

impl Strict {
    /// The one for an agent's instances.
    #[must_use]
    pub fn new(agent: Agent) -> Self {
        Self { agent, refused: Seldom::default() }
    }
}

impl Gate for Strict {
    fn publish(&self, peer: SocketAddr, topic: &str) -> Result<(), String> {
        let Some((run, Name::Topic(name))) = Run::read(topic) else { return Ok(()) };
        let Some(hostname) = name.strip_prefix(NETWORK) else { return Ok(()) };
        let peer = peer.ip().to_canonical();
        let is_it = |instance: &Instance| {
            let said = instance.registration().testground.as_ref();
            said.is_some_and(|said| said.hostname == hostname && said.is_in(&run))
        };
        let instances = self.agent.registered();
        let own = instances.iter().filter(|instance| is_it(instance));
        // Asked anew each time, for instances change their addresses.
        if block_in_place(|| own.into_iter().any(|instance| has(instance, peer))) {
            return Ok(());
        }
        if let Some(untold) = self.refused.untold() {
            let instance = quote(hostname);
            tracing::warn!(%peer, topic = quote(topic), instance, untold, "refused: the topic of another instance");
        }
        Err(format!(
            "{peer} is no address of the instance `{hostname}`, which alone may publish about its network"
        ))
    }
}

fn has(instance: &Instance, peer: IpAddr) -> bool {
    let socket = instance.target().open().and_then(|netns| netns.run(Socket::open));
    let Ok(Ok(mut socket)) = socket else { return false };
    address::dump(&mut socket).is_ok_and(|addresses| addresses.iter().any(|address| address.local == peer))
}
