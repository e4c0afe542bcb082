//! `relay` on the loopback: IPv4 takes its own addresses from outside only when told to.
//!
//! A packet on the loopback carries the route it was sent by, and with that no source address is checked. One that a relay
//! held comes without, and would be a martian (net/ipv4/route.c, ip_route_input_slow; net/ipv4/fib_frontend.c,
//! __fib_validate_source). IPv6 has no such check.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use shaper_common::abi::undo;

use crate::netlink::link::Link;

use super::{Error, Session};

/// The settings of the loopback that are needed on, each with its bit in the record.
const SETTINGS: [(&str, u32); 2] =
    [("route_localnet", undo::ROUTE_LOCALNET), ("accept_local", undo::ACCEPT_LOCAL)];

/// All the bits.
pub(super) const UNDO: u32 = undo::ROUTE_LOCALNET | undo::ACCEPT_LOCAL;

/// Which settings are off now, as bits of the record.
pub(super) fn wanted(session: &Session, link: &Link) -> Result<u32, Error> {
    let mut bits = 0;
    for (setting, bit) in SETTINGS {
        let path = path(link, setting);
        // A kernel without IPv4 needs none of this.
        let off = session.netns().run(|| fs::read_to_string(path).is_ok_and(|value| value.trim() == "0"))?;
        bits |= if off { bit } else { 0 };
    }
    Ok(bits)
}

/// Switches the settings of `bits` on or off.
pub(super) fn switch(session: &mut Session, link: &Link, bits: u32, on: bool) -> Result<(), Error> {
    for (setting, bit) in SETTINGS {
        let value = if on { "1" } else { "0" };
        let name = format!("net.ipv4.conf.{}.{setting}", link.name);
        if bits & bit == 0 || !session.effect(|| format!("sysctl {name}={value}")) {
            continue;
        }
        let path = path(link, setting);
        // /proc/sys/net is that of the namespace of the thread that opens it.
        let failed = |source| Error::Sysctl { name: name.clone(), value, source };
        session.begin(failed)?.done(write_in(session, &path, value)).map_err(failed)?;
    }
    Ok(())
}

fn write_in(session: &Session, path: &Path, value: &str) -> io::Result<()> {
    session.netns().run(|| fs::write(path, value)).map_err(io::Error::other)?
}

fn path(link: &Link, setting: &str) -> PathBuf {
    Path::new("/proc/sys/net/ipv4/conf").join(&link.name).join(setting)
}
