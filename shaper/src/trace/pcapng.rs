//! Packets as `pcapng` has them (draft-ietf-opsawg-pcapng), as far as a trace needs it.
//!
//! A file is a section header, a block for each interface, and then the packets, each with a comment. Numbers are
//! little-endian, which the section header says.

use shaper_common::abi::Direction;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
const VERSION: (u16, u16) = (1, 0);
/// The section's length is not known when its header is written.
const LENGTH_UNKNOWN: u64 = u64::MAX;
const LINKTYPE_ETHERNET: u16 = 1;
/// Times are in units of 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Numbers of options. Below 2 they mean the same in every block.
mod option {
    pub(super) const END: u16 = 0;
    pub(super) const COMMENT: u16 = 1;
    pub(super) const SHB_HARDWARE: u16 = 2;
    pub(super) const SHB_OS: u16 = 3;
    pub(super) const SHB_USERAPPL: u16 = 4;
    pub(super) const IF_NAME: u16 = 2;
    pub(super) const IF_DESCRIPTION: u16 = 3;
    pub(super) const IF_TSRESOL: u16 = 9;
    pub(super) const EPB_FLAGS: u16 = 2;
    pub(super) const ISB_IFDROP: u16 = 5;
}

/// What wrote the file, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The machine.
    pub hardware: &'a str,
    /// The operating system.
    pub os: &'a str,
    /// The program.
    pub application: &'a str,
}

/// A packet, or its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// The interface's place among those described, from 0.
    pub interface: u32,
    /// When it came, in nanoseconds since 1970.
    pub unix_ns: u64,
    /// Where it goes, seen from the interface.
    pub direction: Direction,
    /// Bytes that it has on the wire.
    pub wire_bytes: u32,
    /// Those that are here, the first ones.
    pub bytes: &'a [u8],
    /// What there is to say of it.
    pub comment: &'a str,
}

/// The section header block, which comes first.
#[must_use]
pub fn section(origin: Origin<'_>) -> Vec<u8> {
    let mut block = Block::new(SECTION_HEADER);
    block.u32(BYTE_ORDER_MAGIC).u16(VERSION.0).u16(VERSION.1).u64(LENGTH_UNKNOWN);
    block
        .text(option::SHB_HARDWARE, origin.hardware)
        .text(option::SHB_OS, origin.os)
        .text(option::SHB_USERAPPL, origin.application);
    block.end()
}

/// The description of an Ethernet interface of whose packets at most `snaplen` bytes are captured.
#[must_use]
pub fn interface(name: &str, description: &str, snaplen: u32) -> Vec<u8> {
    let mut block = Block::new(INTERFACE_DESCRIPTION);
    block.u16(LINKTYPE_ETHERNET).u16(0).u32(snaplen);
    block
        .text(option::IF_NAME, name)
        .text(option::IF_DESCRIPTION, description)
        .option(option::IF_TSRESOL, &[NANOSECONDS]);
    block.end()
}

/// A packet, as an enhanced packet block.
#[must_use]
pub fn packet(captured: &Captured<'_>) -> Vec<u8> {
    let inbound_or_outbound: u32 = match captured.direction {
        Direction::Ingress => 1,
        Direction::Egress => 2,
    };
    let mut block = Block::new(ENHANCED_PACKET);
    block.u32(captured.interface).time(captured.unix_ns);
    block.u32(len_of(captured.bytes)).u32(captured.wire_bytes).padded(captured.bytes);
    block
        .option(option::EPB_FLAGS, &inbound_or_outbound.to_le_bytes())
        .text(option::COMMENT, captured.comment);
    block.end()
}

/// How many packets of an interface are not in the file for want of room, as an interface statistics block.
#[must_use]
pub fn statistics(interface: u32, unix_ns: u64, dropped: u64) -> Vec<u8> {
    let mut block = Block::new(INTERFACE_STATISTICS);
    block.u32(interface).time(unix_ns).option(option::ISB_IFDROP, &dropped.to_le_bytes());
    block.end()
}

/// A block that is being written.
struct Block {
    bytes: Vec<u8>,
}

impl Block {
    fn new(kind: u32) -> Self {
        let mut block = Self { bytes: Vec::with_capacity(256) };
        // The length comes here when it is known.
        block.u32(kind).u32(0);
        block
    }

    fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// The high half first, whatever the byte order.
    fn time(&mut self, unix_ns: u64) -> &mut Self {
        self.u32((unix_ns >> 32) as u32).u32(unix_ns as u32)
    }

    /// Bytes, filled up to a multiple of four.
    fn padded(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// An option, cut where it is too long for its length field.
    fn option(&mut self, code: u16, value: &[u8]) -> &mut Self {
        let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.u16(code).u16(len).padded(&value[..len.into()])
    }

    fn text(&mut self, code: u16, text: &str) -> &mut Self {
        self.option(code, &text.as_bytes()[..text.floor_char_boundary(u16::MAX.into())])
    }

    /// The block, with the end of its options and its length at both ends.
    fn end(mut self) -> Vec<u8> {
        self.u16(option::END).u16(0);
        let len = len_of(&self.bytes) + 4;
        self.u32(len);
        self.bytes[4..8].copy_from_slice(&len.to_le_bytes());
        self.bytes
    }
}

fn len_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
