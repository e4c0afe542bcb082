//! What the TAP hands over: a `virtio_net_hdr`, the hold header of the kernel program, and the frame.

use std::ops::Range;

use shaper_common::abi::HoldHeader;

/// Length of the `virtio_net_hdr` the TAP and the packet socket exchange (the shortest form, without `num_buffers`).
pub(super) const VNET_LEN: usize = 10;

/// Bytes in front of the frame.
pub(super) const PREFIX_LEN: usize = VNET_LEN + HOLD_LEN;

/// Most bytes one read of the TAP returns.
///
/// The kernel segments what reaches the TAP with 65536 bytes or more (`gso_max_size`), and its largest MTU is 65521; a VLAN
/// tag may come on top.
pub(super) const READ_LEN_MAX: usize = VNET_LEN + 65536 + VLAN_TAG_LEN;

const HOLD_LEN: usize = size_of::<HoldHeader>();
/// [`HoldHeader::corrupt`] in the hold header.
const CORRUPT_AT: usize = 8;
const VLAN_TAG_LEN: usize = 4;
/// Where the kernel inserts a VLAN tag: behind what it takes for the two MAC addresses.
const VLAN_TAG_AT: usize = 12;
const ETHERNET_LEN: usize = 14;

// linux/virtio_net.h
const FLAGS_AT: usize = 0;
const GSO_TYPE_AT: usize = 1;
const HDR_LEN_AT: usize = 2;
const CSUM_START_AT: usize = 6;
const F_NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;

/// A frame made ready to be sent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stripped {
    /// `CLOCK_MONOTONIC` time to send it.
    pub(super) departure_ns: u64,
    /// Place of the bit to flip; zero: none.
    pub(super) corrupt: u32,
    /// Where in the buffer the `virtio_net_hdr` and, right behind it, the frame are.
    pub(super) range: Range<usize>,
}

/// Takes the hold header out of what one read of the TAP returned; `None` when it is too short to be ours.
pub(super) fn strip(read: &mut [u8]) -> Option<Stripped> {
    let mut vnet: [u8; VNET_LEN] = *read.first_chunk()?;
    let mut hold: [u8; HOLD_LEN] = *read.get(VNET_LEN..)?.first_chunk()?;
    let start = HOLD_LEN;
    // A frame whose VLAN tag was still beside it (hardware offload) gets the tag inserted at byte 12 of what the kernel takes for the
    // frame, which is inside our header: `reserved`, which the program leaves zero, shows it.
    let tag: [u8; VLAN_TAG_LEN] = *hold[VLAN_TAG_AT..].first_chunk()?;
    if tag != [0; VLAN_TAG_LEN] {
        let addresses = PREFIX_LEN + VLAN_TAG_LEN;
        if read.len() < addresses + VLAN_TAG_AT {
            return None;
        }
        read.copy_within(addresses..addresses + VLAN_TAG_AT, PREFIX_LEN);
        read[PREFIX_LEN + VLAN_TAG_AT..][..VLAN_TAG_LEN].copy_from_slice(&tag);
        hold[VLAN_TAG_AT..].fill(0);
    }
    if read.len() < PREFIX_LEN + ETHERNET_LEN {
        return None;
    }
    let departure_ns = u64::from_ne_bytes(*hold.first_chunk()?);
    let corrupt = u32::from_ne_bytes(*hold[CORRUPT_AT..].first_chunk()?);
    // The kernel counts these from what it takes for the frame's first byte.
    if vnet[FLAGS_AT] & F_NEEDS_CSUM != 0 {
        shorten(&mut vnet, CSUM_START_AT)?;
    }
    if vnet[GSO_TYPE_AT] != GSO_NONE {
        shorten(&mut vnet, HDR_LEN_AT)?;
    }
    read[start..start + VNET_LEN].copy_from_slice(&vnet);
    Some(Stripped { departure_ns, corrupt, range: start..read.len() })
}

/// A checksum that is left to the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    /// Where what it covers starts in the packet.
    pub(super) start: usize,
    /// Where it goes, from `start`.
    pub(super) field: usize,
}

/// Takes the request for a checksum out of a header; `None` when there is none, or one for each of several segments.
pub(super) fn take_checksum(vnet: &mut [u8; VNET_LEN]) -> Option<Checksum> {
    if vnet[FLAGS_AT] & F_NEEDS_CSUM == 0 || vnet[GSO_TYPE_AT] != GSO_NONE {
        return None;
    }
    let [.., start, start_high, field, field_high] = *vnet;
    vnet[FLAGS_AT] &= !F_NEEDS_CSUM;
    Some(Checksum {
        start: u16::from_ne_bytes([start, start_high]).into(),
        field: u16::from_ne_bytes([field, field_high]).into(),
    })
}

/// Subtracts the hold header's length from the 16-bit field at `at`; `None` when it is shorter than that.
fn shorten(vnet: &mut [u8; VNET_LEN], at: usize) -> Option<()> {
    let field = vnet[at..].first_chunk_mut::<2>()?;
    *field = u16::from_ne_bytes(*field).checked_sub(HOLD_LEN as u16)?.to_ne_bytes();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(len: usize) -> Vec<u8> {
        (0..len).map(|byte| byte as u8).collect()
    }

    fn read_of(vnet: [u8; VNET_LEN], departure_ns: u64, frame: &[u8]) -> Vec<u8> {
        let mut read = vnet.to_vec();
        read.extend_from_slice(&departure_ns.to_ne_bytes());
        read.extend_from_slice(&[0; 8]);
        read.extend_from_slice(frame);
        read
    }

    /// What `tun_put_user` writes for a tag that is beside the frame.
    fn with_tag(mut read: Vec<u8>, tag: [u8; 4]) -> Vec<u8> {
        let at = VNET_LEN + VLAN_TAG_AT;
        read.splice(at..at, tag);
        read
    }

    #[test]
    fn a_plain_frame_loses_its_header() {
        let mut read = read_of([0; VNET_LEN], 77, &frame(60));
        let stripped = strip(&mut read).unwrap();
        assert_eq!((stripped.departure_ns, stripped.corrupt), (77, 0));
        assert_eq!(read[stripped.range.clone()][..VNET_LEN], [0; VNET_LEN]);
        assert_eq!(read[stripped.range][VNET_LEN..], frame(60));
    }

    #[test]
    fn offsets_are_counted_from_the_frame_again() {
        // As read for a TSO frame over IPv4: hdr_len 82, gso_size 1448, csum_start 50, csum_offset 16.
        let mut vnet = [1, 1, 0, 0, 0, 0, 0, 0, 16, 0];
        vnet[2..4].copy_from_slice(&82_u16.to_ne_bytes());
        vnet[4..6].copy_from_slice(&1448_u16.to_ne_bytes());
        vnet[6..8].copy_from_slice(&50_u16.to_ne_bytes());
        let mut read = read_of(vnet, 1, &frame(3000));
        let stripped = strip(&mut read).unwrap();
        let sent = &read[stripped.range];
        assert_eq!(u16::from_ne_bytes([sent[2], sent[3]]), 66);
        assert_eq!(u16::from_ne_bytes([sent[4], sent[5]]), 1448);
        assert_eq!(u16::from_ne_bytes([sent[6], sent[7]]), 34);
    }

    #[test]
    fn a_vlan_tag_inside_the_header_goes_back_into_the_frame() {
        let tag = [0x81, 0x00, 0x00, 0x07];
        let mut read = with_tag(read_of([0; VNET_LEN], u64::MAX, &frame(60)), tag);
        let stripped = strip(&mut read).unwrap();
        assert_eq!(stripped.departure_ns, u64::MAX);
        let mut tagged = frame(60);
        tagged.splice(12..12, tag);
        assert_eq!(read[stripped.range][VNET_LEN..], tagged);
    }

    #[test]
    fn what_is_too_short_is_refused() {
        for len in 0..PREFIX_LEN + ETHERNET_LEN {
            assert_eq!(strip(&mut vec![0; len]), None, "{len}");
        }
        let mut inconsistent = read_of([1, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1, &frame(60));
        assert_eq!(strip(&mut inconsistent), None);
    }
}
