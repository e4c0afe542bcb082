//! From rules to the tables in which the kernel program finds those of a packet ([`shaper_common::lookup`]).
//!
//! Rules are asked in this order: the longest prefix first, then those for all of one family, then those for every peer; of
//! one prefix port and protocol first, then the port, then the protocol, then neither. Those after the first one without a
//! time limit are never asked.

mod classes;
mod error;
mod own;
mod tree;

use std::collections::BTreeSet;
use std::ops::Range;

use shaper_common::lookup::{Candidates, Family, Match, PORTED, PortKey, PrefixKey, Search};

use self::classes::Classes;
pub use self::error::Error;
use self::own::Own;

/// Most rules of one table.
pub const RULES_MAX: usize = 65_536;
/// Most entries of a table for ports and protocols, counted before prefixes with equal results share theirs.
pub const PORT_ENTRIES_MAX: usize = 4 * RULES_MAX;

/// One rule as the tables need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The peers that it is for; `None`: all, of both families.
    pub prefix: Option<PrefixKey>,
    /// The peers' port; zero: any. Only the protocols of [`PORTED`] have ports.
    pub port: u16,
    /// `IPPROTO_*`; `None`: any, or with a port any that has ports.
    pub protocol: Option<u8>,
    /// Its number in [`Candidates`], not zero. Rows may share one.
    pub slot: u32,
    /// It has a time limit, so another rule may have to take over.
    pub is_timed: bool,
}

/// The tables of one rule set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Where searches begin and how they go on.
    pub search: Box<Search>,
    /// The prefixes' hash, sorted by key: at most [`shaper_common::lookup::STEPS`] for each row.
    pub prefixes: Vec<(PrefixKey, Match)>,
    /// The ports' hash, sorted by key: at most [`PORT_ENTRIES_MAX`].
    pub ports: Vec<(PortKey, Candidates)>,
}

/// The tables of `rows`, whatever their order.
///
/// # Errors
///
/// [`Error::Rules`], [`Error::Row`] and [`Error::Duplicate`] for rows that cannot be; [`Error::Timed`] where too many rules with a
/// time limit are in front of each other, in any prefix that has a row; [`Error::Ports`] for more than [`PORT_ENTRIES_MAX`].
pub fn build(rows: &[Row]) -> Result<Table, Error> {
    let sorted = sorted(rows)?;
    let (keys, own): (Vec<_>, Vec<_>) = sorted.into_iter().unzip();
    let everyone = keys.partition_point(Option::is_none);
    let keys: Vec<PrefixKey> = keys.into_iter().flatten().collect();

    let mut search = Box::new(Search::default());
    let lengths: BTreeSet<u32> = keys.iter().map(|key| key.tag).collect();
    tree::plant(&mut search, &lengths.into_iter().collect::<Vec<_>>());

    let mut classes = Classes::default();
    let every_peer = classes.over(Match::default(), &own[..everyone])?;
    search.any = [every_peer; 2];
    let own = &own[everyone..];
    let mut around = [Family::Ipv4, Family::Ipv6].map(|_| vec![Around::every_peer(every_peer)]);
    let points = points(&search, &keys);
    let mut prefixes = Vec::with_capacity(points.len());
    for Point { key, rows } in points {
        let family = tree::family(key.tag);
        let around = &mut around[family];
        while around.pop_if(|around| !around.holds(&key)).is_some() {}
        let best = around.last().map_or(every_peer, |around| around.found);
        let found = if rows.is_empty() { best } else { classes.over(best, &own[rows.clone()])? };
        if !rows.is_empty() {
            around.push(Around { address: key.address, mask: tree::mask(key.tag), found });
        }
        if tree::length(key.tag) == 0 {
            search.any[family] = found;
        } else {
            prefixes.push((key, found));
        }
    }
    Ok(Table { search, prefixes, ports: classes.into_ports() })
}

/// The rows by prefix (every peer first), port and protocol, if each can be and is there once.
fn sorted(rows: &[Row]) -> Result<Vec<(Option<PrefixKey>, Own)>, Error> {
    if rows.len() > RULES_MAX {
        return Err(Error::Rules { count: rows.len() });
    }
    rows.iter().try_for_each(check)?;
    let mut sorted: Vec<_> = rows.iter().map(|row| (row.prefix, Own::from(row))).collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|two| two[0].0 == two[1].0 && two[0].1.what() == two[1].1.what()) {
        Some(two) => Err(Error::Duplicate { slots: [two[0].1.slot, two[1].1.slot] }),
        None => Ok(sorted),
    }
}

fn check(row: &Row) -> Result<(), Error> {
    let wrong = |what| Err(Error::Row { slot: row.slot, what });
    if row.slot == 0 {
        return wrong("zero is no slot");
    }
    if row.port != 0 && row.protocol.is_some_and(|protocol| !PORTED.contains(&protocol)) {
        return wrong("its protocol has no ports");
    }
    let Some(PrefixKey { address, tag, reserved }) = row.prefix else {
        return Ok(());
    };
    if !tree::is_tag(tag) || reserved != 0 {
        return wrong("its prefix is of no known family or too long");
    }
    let mask = tree::mask(tag);
    if address[0] & !mask[0] != 0 || address[1] & !mask[1] != 0 {
        return wrong("its address has bits behind the prefix");
    }
    Ok(())
}

/// One entry of the prefixes' hash to be.
#[derive(Debug)]
struct Point {
    key: PrefixKey,
    /// Its own rows; none: a marker.
    rows: Range<usize>,
}

/// The prefixes, and the markers on the search paths to them, sorted: each after all that it is within.
fn points(search: &Search, keys: &[PrefixKey]) -> Vec<Point> {
    let mut points = Vec::with_capacity(keys.len());
    // Sorted prefixes have sorted markers, so that only the last one of a length may come again.
    let mut latest = [None; tree::TAGS];
    let mut start = 0;
    for rows in keys.chunk_by(PartialEq::eq) {
        let (key, end) = (rows[0], start + rows.len());
        points.push(Point { key, rows: start..end });
        start = end;
        for node in tree::shorter(search, key.tag) {
            let address = [key.address[0] & node.mask[0], key.address[1] & node.mask[1]];
            if latest[node.tag as usize].replace(address) != Some(address) {
                points.push(Point { key: PrefixKey { address, tag: node.tag, reserved: 0 }, rows: 0..0 });
            }
        }
    }
    points.sort_unstable_by_key(|point| (point.key, point.rows.is_empty()));
    points.dedup_by_key(|point| point.key);
    points
}

/// A prefix around those that follow it.
#[derive(Debug)]
struct Around {
    address: [u64; 2],
    mask: [u64; 2],
    found: Match,
}

impl Around {
    fn every_peer(found: Match) -> Self {
        Self { address: [0; 2], mask: [0; 2], found }
    }

    fn holds(&self, key: &PrefixKey) -> bool {
        self.address == [key.address[0] & self.mask[0], key.address[1] & self.mask[1]]
    }
}

#[cfg(test)]
mod tests;
