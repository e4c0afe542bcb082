//! The way of a search through the prefix lengths in use.

use std::iter;

use shaper_common::lookup::{Family, Node, PrefixKey, Search};

/// More than any [`PrefixKey::tag`].
pub(super) const TAGS: usize = PrefixKey::tag(Family::Ipv6 as u32 + 1, 0) as usize;

/// Index of a tag's [`Family`].
pub(super) fn family(tag: u32) -> usize {
    (tag >> 8) as usize
}

/// Bits of a tag's prefix.
pub(super) fn length(tag: u32) -> u32 {
    tag & 0xff
}

/// Says whether there is such a family with such a length.
pub(super) fn is_tag(tag: u32) -> bool {
    [32, 128].get(family(tag)).is_some_and(|longest| length(tag) <= *longest)
}

/// An address's bits that belong to a prefix.
pub(super) fn mask(tag: u32) -> [u64; 2] {
    let ones = |bits: u32| u64::MAX.checked_shl(64 - bits.min(64)).unwrap_or(0);
    [ones(length(tag)), ones(length(tag).saturating_sub(64))]
}

/// Puts balanced trees of lengths into `search`; the lengths, as sorted tags, may have a zero in front for each family.
pub(super) fn plant(search: &mut Search, tags: &[u32]) {
    let mut used = 1;
    for family in [Family::Ipv4 as u32, Family::Ipv6 as u32] {
        let start = tags.partition_point(|tag| *tag <= PrefixKey::tag(family, 0));
        let end = tags.partition_point(|tag| *tag < PrefixKey::tag(family + 1, 0));
        search.first[family as usize] = grow(&mut search.nodes, &mut used, &tags[start..end]);
    }
}

/// A tree of some lengths behind the nodes in use; its first node. Of two in the middle the longer one is asked first: it needs
/// no marker for the other.
fn grow(nodes: &mut [Node], used: &mut u32, tags: &[u32]) -> u32 {
    let middle = tags.len() / 2;
    let Some(tag) = tags.get(middle) else {
        return 0;
    };
    let index = *used;
    *used += 1;
    let miss = grow(nodes, used, &tags[..middle]);
    let hit = grow(nodes, used, &tags[middle + 1..]);
    nodes[index as usize] = Node { mask: mask(*tag), tag: *tag, hit, miss, reserved: 0 };
    index
}

/// Nodes that a search must hit on its way to a length.
pub(super) fn shorter(search: &Search, tag: u32) -> impl Iterator<Item = &Node> {
    let next = |index: u32| (index != 0).then(|| &search.nodes[index as usize]);
    let first = next(search.first[family(tag)]);
    let way = iter::successors(first, move |node| next(if node.tag < tag { node.hit } else { node.miss }));
    way.take_while(move |node| node.tag != tag).filter(move |node| node.tag < tag)
}
