//! What there is in a container's namespace.

use std::net::IpAddr;

use tokio::task::spawn_blocking;

use super::super::Error;
use crate::failure::{self, Code, Failure};
use crate::netlink::link::{self, Link};
use crate::netlink::{Socket, address};
use crate::target::Target;

/// The links of a namespace, and their addresses.
pub(super) struct Links {
    pub(super) links: Vec<Link>,
    pub(super) addresses: Vec<(u32, IpAddr)>,
}

impl Links {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// When the namespace is gone, or cannot be entered.
    pub(super) async fn of(target: &Target) -> Result<Self, Error> {
        let target = target.clone();
        let look = move || {
            let netns = target.open().map_err(failure::netns)?;
            let mut socket = netns.run(Socket::open).map_err(failure::netns)?.map_err(failure::netlink)?;
            let links = link::dump(&mut socket).map_err(failure::netlink)?;
            let addresses = address::dump(&mut socket).map_err(failure::netlink)?;
            let addresses = addresses.into_iter().map(|address| (address.ifindex, address.local)).collect();
            Ok(Links { links, addresses })
        };
        match spawn_blocking(look).await {
            Ok(links) => links,
            Err(panic) => Err(Failure::new(Code::Failed, panic).into()),
        }
    }

    /// The number of a link; zero where there is none of that name.
    pub(super) fn number_of(&self, name: Option<&str>) -> u32 {
        let link = self.links.iter().find(|link| Some(link.name.as_str()) == name);
        link.map_or(0, |link| link.ifindex)
    }
}
