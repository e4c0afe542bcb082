//! Netlink attributes: a writer that pads and nests as iproute2 does, and a reader that never fails.

use std::net::IpAddr;

/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`, which the kernel sets in an attribute's type at its own discretion.
const TYPE_MASK: u16 = 0x3fff;

/// Length and type.
const HEADER_LEN: usize = 4;

/// The body of a message under construction: fixed structs first, then attributes, each padded to four bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what was written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends the bytes of a fixed struct, padded to four bytes.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad()
    }

    /// Appends one attribute.
    ///
    /// # Panics
    ///
    /// When `value` is longer than an attribute can be (65 531 bytes).
    pub fn attr(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let len = u16::try_from(HEADER_LEN + value.len()).expect("an attribute is shorter than 64 KiB");
        self.bytes.extend_from_slice(&len.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.raw(value)
    }

    /// Appends an attribute of one byte.
    pub fn attr_u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.attr(kind, &[value])
    }

    /// Appends an attribute of four bytes in the machine's order.
    pub fn attr_u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Appends an attribute of eight bytes in the machine's order.
    pub fn attr_u64(&mut self, kind: u16, value: u64) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Appends a text with the NUL that the kernel expects after most of its strings.
    pub fn attr_str(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    /// Appends an IPv4 or IPv6 address.
    pub fn attr_ip(&mut self, kind: u16, address: IpAddr) -> &mut Self {
        match address {
            IpAddr::V4(v4) => self.attr(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attr(kind, &v6.octets()),
        }
    }

    /// Appends an attribute whose value is what `fill` writes.
    ///
    /// The type is written as given: iproute2 sets `NLA_F_NESTED` in a few places only, and the kernel minds in none.
    ///
    /// # Panics
    ///
    /// When the value is longer than an attribute can be.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.bytes.len();
        self.attr(kind, &[]);
        fill(self);
        let len = u16::try_from(self.bytes.len() - start).expect("an attribute is shorter than 64 KiB");
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self
    }

    fn pad(&mut self) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }
}

/// One attribute as the kernel sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The type, without its flag bits.
    pub kind: u16,
    /// The value, without padding.
    pub value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Reads the value as one byte.
    pub fn u8(&self) -> Option<u8> {
        self.value.first().copied()
    }

    /// Reads the value's first two bytes in the machine's order.
    pub fn u16(&self) -> Option<u16> {
        self.value.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
    }

    /// Reads the value's first four bytes in the machine's order.
    pub fn u32(&self) -> Option<u32> {
        self.value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
    }

    /// Reads the value's first eight bytes in the machine's order.
    pub fn u64(&self) -> Option<u64> {
        self.value.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
    }

    /// Reads the value as text up to its NUL.
    pub fn text(&self) -> String {
        let end = self.value.iter().position(|byte| *byte == 0).unwrap_or(self.value.len());
        String::from_utf8_lossy(&self.value[..end]).into_owned()
    }

    /// Reads the value as an IPv4 or IPv6 address, by its length.
    pub fn ip(&self) -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(self.value) {
            return Some(IpAddr::from(v4));
        }
        <[u8; 16]>::try_from(self.value).ok().map(IpAddr::from)
    }

    /// Reads the value as attributes.
    pub fn nested(&self) -> Attributes<'a> {
        Attributes::new(self.value)
    }
}

/// Iterates over attributes; ends at the first that is cut short.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

impl<'a> Attributes<'a> {
    /// Reads `bytes` as attributes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns the first attribute of this type; does not advance.
    pub fn find_kind(&self, kind: u16) -> Option<Attribute<'a>> {
        let mut attributes = *self;
        attributes.find(|attribute| attribute.kind == kind)
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let header: &[u8; HEADER_LEN] = self.rest.first_chunk()?;
        let len = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]) & TYPE_MASK;
        let value = self.rest.get(HEADER_LEN..len)?;
        self.rest = self.rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(Attribute { kind, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attributes_are_padded_and_nests_count_the_padding() {
        let mut writer = Writer::new();
        writer.nest(2, |nest| {
            nest.attr_str(1, "ab").attr_u8(9, 7);
        });
        #[rustfmt::skip]
        assert_eq!(writer.as_bytes(), [
            20, 0, 2, 0,
            7, 0, 1, 0, b'a', b'b', 0, 0,
            5, 0, 9, 0, 7, 0, 0, 0,
        ].as_slice());
    }

    #[test]
    fn a_nest_is_found_with_the_kernels_flag_bits() {
        let mut writer = Writer::new();
        writer.attr_u32(1, 5).nest(0x8002, |nest| {
            nest.attr_u64(3, u64::MAX);
        });
        let attributes = Attributes::new(writer.as_bytes());
        let nested = attributes.find_kind(2).expect("present").nested();
        assert_eq!(nested.find_kind(3).and_then(|a| a.u64()), Some(u64::MAX));
        assert_eq!(attributes.find_kind(1).and_then(|a| a.u32()), Some(5));
        assert_eq!(attributes.find_kind(1).and_then(|a| a.u64()), None);
    }

    proptest! {
        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for attribute in Attributes::new(&bytes) {
                let _ = (attribute.u8(), attribute.u16(), attribute.u64(), attribute.text(), attribute.ip());
                prop_assert!(attribute.nested().count() <= bytes.len());
            }
        }

        #[test]
        fn what_is_written_is_read(values in proptest::collection::vec((0u16..0x3fff, proptest::collection::vec(any::<u8>(), 0..40)), 0..8)) {
            let mut writer = Writer::new();
            for (kind, value) in &values {
                writer.attr(*kind, value);
            }
            let read: Vec<_> = Attributes::new(writer.as_bytes()).map(|a| (a.kind, a.value.to_vec())).collect();
            prop_assert_eq!(read, values);
        }
    }
}
