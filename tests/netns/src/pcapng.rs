//! A reader of `pcapng` that takes nothing but what draft-ietf-opsawg-pcapng allows: one little-endian section of Ethernet
//! frames. It shares nothing with the writer.

/// Everything that a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capture {
    /// The machine that wrote it.
    pub hardware: String,
    /// Its operating system.
    pub os: String,
    /// The program.
    pub application: String,
    /// In the order of their descriptions.
    pub interfaces: Vec<Interface>,
    /// In the order of the file.
    pub packets: Vec<Packet>,
}

/// An interface description, with what its statistics say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What is said of it.
    pub description: String,
    /// Most bytes of a packet that are in the file.
    pub snaplen: u32,
    /// When its statistics were taken, and how many packets are missing.
    pub dropped: Option<(u64, u64)>,
}

/// An enhanced packet block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Its place in [`Capture::interfaces`].
    pub interface: usize,
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
    /// Bytes that it had.
    pub original_len: u32,
    /// Those that are in the file.
    pub bytes: Vec<u8>,
    /// 1: inbound; 2: outbound.
    pub direction: u32,
    /// What is said of it.
    pub comment: String,
}

impl Capture {
    /// Reads a whole file.
    ///
    /// # Errors
    /// What is not as the specification has it.
    pub fn read(file: &[u8]) -> Result<Self, String> {
        let mut capture = Self::default();
        let mut rest = Bytes(file);
        let mut is_first = true;
        while !rest.0.is_empty() {
            let (kind, body) = rest.block()?;
            match (is_first, kind) {
                (true, 0x0a0d_0d0a) => capture.section(body)?,
                (false, 1) => capture.interface(body)?,
                (false, 5) => capture.statistics(body)?,
                (false, 6) => capture.packet(body)?,
                _ => return Err(format!("block {kind:#x} is not to be here")),
            }
            is_first = false;
        }
        if is_first { Err("no section".to_owned()) } else { Ok(capture) }
    }

    fn section(&mut self, mut body: Bytes<'_>) -> Result<(), String> {
        body.expect([0x4d, 0x3c, 0x2b, 0x1a], "byte order")?;
        body.expect([1, 0, 0, 0], "version")?;
        // -1: not known.
        body.expect([0xff; 8], "length of the section")?;
        for (code, value) in body.options()? {
            match code {
                2 => self.hardware = text(value)?,
                3 => self.os = text(value)?,
                4 => self.application = text(value)?,
                _ => return Err(format!("option {code} of a section")),
            }
        }
        Ok(())
    }

    fn interface(&mut self, mut body: Bytes<'_>) -> Result<(), String> {
        body.expect([1, 0, 0, 0], "link type and reserved")?;
        let mut interface = Interface { snaplen: body.u32()?, ..Interface::default() };
        let mut resolution: Vec<u8> = Vec::new();
        for (code, value) in body.options()? {
            match code {
                2 => interface.name = text(value)?,
                3 => interface.description = text(value)?,
                9 => resolution.extend(value),
                _ => return Err(format!("option {code} of an interface")),
            }
        }
        if resolution != [9] {
            return Err(format!("times are not in nanoseconds: {resolution:?}"));
        }
        self.interfaces.push(interface);
        Ok(())
    }

    fn statistics(&mut self, mut body: Bytes<'_>) -> Result<(), String> {
        let (interface, unix_ns) = (self.described(body.u32()?)?, body.time()?);
        for (code, value) in body.options()? {
            let (5, Ok(value)) = (code, value.try_into()) else {
                return Err(format!("option {code} of statistics"));
            };
            if self.interfaces[interface].dropped.replace((unix_ns, u64::from_le_bytes(value))).is_some() {
                return Err("statistics twice".to_owned());
            }
        }
        Ok(())
    }

    fn packet(&mut self, mut body: Bytes<'_>) -> Result<(), String> {
        let (interface, unix_ns) = (self.described(body.u32()?)?, body.time()?);
        let (captured_len, original_len) = (body.u32()?, body.u32()?);
        let bytes = body.padded(captured_len as usize)?.to_vec();
        if captured_len > original_len.min(self.interfaces[interface].snaplen) {
            return Err(format!("{captured_len} bytes of {original_len} captured"));
        }
        let mut packet =
            Packet { interface, unix_ns, original_len, bytes, direction: 0, comment: String::new() };
        for (code, value) in body.options()? {
            match (code, value.try_into()) {
                (1, _) => packet.comment = text(value)?,
                (2, Ok(value)) => packet.direction = u32::from_le_bytes(value),
                _ => return Err(format!("option {code} of a packet")),
            }
        }
        self.packets.push(packet);
        Ok(())
    }

    fn described(&self, interface: u32) -> Result<usize, String> {
        let interface = interface as usize;
        if interface < self.interfaces.len() {
            Ok(interface)
        } else {
            Err(format!("interface {interface} is not described"))
        }
    }
}

fn text(value: &[u8]) -> Result<String, String> {
    String::from_utf8(value.to_vec()).map_err(|error| error.to_string())
}

/// What is still to be read.
#[derive(Clone, Copy)]
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// The type and the body of the next block.
    fn block(&mut self) -> Result<(u32, Self), String> {
        let (kind, len) = (self.u32()?, self.u32()?);
        if len < 12 || len % 4 != 0 {
            return Err(format!("a block of {len} bytes"));
        }
        let body = Self(self.take(len as usize - 12)?);
        let again = self.u32()?;
        if again == len { Ok((kind, body)) } else { Err(format!("a block of {len} bytes, or of {again}")) }
    }

    /// The options, which are all that is left of a block; none are repeated here.
    fn options(mut self) -> Result<Vec<(u16, &'a [u8])>, String> {
        let mut options: Vec<(u16, &[u8])> = Vec::new();
        while !self.0.is_empty() {
            let (code, len) = (self.u16()?, self.u16()?);
            let value = self.padded(len.into())?;
            match code {
                0 if len == 0 && self.0.is_empty() => return Ok(options),
                0 => return Err("something behind the end of options".to_owned()),
                _ if options.iter().any(|(seen, _)| *seen == code) => {
                    return Err(format!("option {code} twice"));
                }
                _ => options.push((code, value)),
            }
        }
        if options.is_empty() { Ok(options) } else { Err("options without an end".to_owned()) }
    }

    /// Bytes that are followed by zeros up to a multiple of four.
    fn padded(&mut self, len: usize) -> Result<&'a [u8], String> {
        let value = self.take(len)?;
        let padding = self.take(len.wrapping_neg() % 4)?;
        if padding.iter().all(|byte| *byte == 0) { Ok(value) } else { Err(format!("padding {padding:?}")) }
    }

    fn expect<const N: usize>(&mut self, expected: [u8; N], what: &str) -> Result<(), String> {
        let found = self.take(N)?;
        if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}")) }
    }

    fn time(&mut self) -> Result<u64, String> {
        let (high, low) = (self.u32()?, self.u32()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    fn u16(&mut self) -> Result<u16, String> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32, String> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or("the end is too early")?;
        self.0 = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use shaper::trace::pcapng::{self, Captured, Origin};
    use shaper_common::abi::Direction;

    const SNAPLEN: u32 = 96;

    fn interface() -> impl Strategy<Value = Interface> {
        (".{0,20}", ".{0,20}", any::<(u64, u64)>()).prop_map(|(name, description, dropped)| Interface {
            name,
            description,
            snaplen: SNAPLEN,
            dropped: Some(dropped),
        })
    }

    fn packet(interfaces: usize) -> impl Strategy<Value = Packet> {
        let bytes = vec(any::<u8>(), 0..=SNAPLEN as usize);
        (0..interfaces, any::<u64>(), any::<u32>(), bytes, 1..=2u32, ".{0,40}").prop_map(
            |(interface, unix_ns, more, bytes, direction, comment)| Packet {
                interface,
                unix_ns,
                original_len: more.max(bytes.len() as u32),
                bytes,
                direction,
                comment,
            },
        )
    }

    fn capture() -> impl Strategy<Value = Capture> {
        vec(interface(), 1..4).prop_flat_map(|interfaces| {
            let packets = vec(packet(interfaces.len()), 0..20);
            (Just(interfaces), packets, "[a-z ]{0,9}", "[a-z ]{0,9}", "[a-z ]{0,9}").prop_map(
                |(interfaces, packets, hardware, os, application)| Capture {
                    hardware,
                    os,
                    application,
                    interfaces,
                    packets,
                },
            )
        })
    }

    /// What the writer makes of it.
    fn written(capture: &Capture) -> Vec<Vec<u8>> {
        let Capture { hardware, os, application, .. } = capture;
        let mut blocks = vec![pcapng::section(Origin { hardware, os, application })];
        for Interface { name, description, snaplen, .. } in &capture.interfaces {
            blocks.push(pcapng::interface(name, description, *snaplen));
        }
        for packet in &capture.packets {
            blocks.push(pcapng::packet(&Captured {
                interface: packet.interface as u32,
                unix_ns: packet.unix_ns,
                direction: if packet.direction == 1 { Direction::Ingress } else { Direction::Egress },
                wire_bytes: packet.original_len,
                bytes: &packet.bytes,
                comment: &packet.comment,
            }));
        }
        for (interface, described) in (0..).zip(&capture.interfaces) {
            let (unix_ns, dropped) = described.dropped.expect("each has");
            blocks.push(pcapng::statistics(interface, unix_ns, dropped));
        }
        blocks
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(capture in capture()) {
            let blocks = written(&capture);
            for block in &blocks {
                let len = u32::try_from(block.len()).unwrap();
                prop_assert_eq!(len % 4, 0);
                prop_assert_eq!(&block[4..8], &len.to_le_bytes());
                prop_assert_eq!(&block[block.len() - 4..], &len.to_le_bytes());
            }
            prop_assert_eq!(Capture::read(&blocks.concat()), Ok(capture));
        }
    }

    /// By hand, from the specification.
    #[test]
    fn a_packet_is_these_bytes() {
        let captured = Captured {
            interface: 1,
            unix_ns: 0x0102_0304_0506_0708,
            direction: Direction::Egress,
            wire_bytes: 1514,
            bytes: &[0xaa; 5],
            comment: "lost",
        };
        let bytes = [
            [6, 0, 0, 0], // enhanced packet block
            [60, 0, 0, 0],
            [1, 0, 0, 0],
            [4, 3, 2, 1], // the time's high half
            [8, 7, 6, 5],
            [5, 0, 0, 0],
            [0xea, 5, 0, 0],
            [0xaa; 4],
            [0xaa, 0, 0, 0],
            [2, 0, 4, 0], // epb_flags: outbound
            [2, 0, 0, 0],
            [1, 0, 4, 0], // opt_comment
            *b"lost",
            [0; 4], // opt_endofopt
            [60, 0, 0, 0],
        ];
        assert_eq!(pcapng::packet(&captured), bytes.concat());
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        let name = "é".repeat(40_000);
        let file = [
            pcapng::section(Origin { hardware: "", os: "", application: "" }),
            pcapng::interface(&name, "", SNAPLEN),
        ];
        let capture = Capture::read(&file.concat()).unwrap();
        assert_eq!(capture.interfaces[0].name, "é".repeat(32_767));
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        let block = |kind: u32, body: &[u8]| {
            let len = (body.len() as u32 + 12).to_le_bytes();
            [kind.to_le_bytes().as_slice(), &len, body, &len].concat()
        };
        let section = [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255];
        let section = block(0x0a0d_0d0a, &section);
        let interface = block(1, &[1, 0, 0, 0, 96, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]);
        let good = [section.as_slice(), &interface].concat();
        assert_eq!(Capture::read(&good).map(|capture| capture.interfaces.len()), Ok(1));
        for end in (0..good.len()).filter(|end| *end != section.len()) {
            Capture::read(&good[..end]).unwrap_err();
        }
        // Everything but the snaplen, which may be any.
        for at in (0..good.len()).filter(|at| !(section.len() + 12..section.len() + 16).contains(at)) {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            Capture::read(&bad).expect_err(&format!("byte {at}"));
        }
        for bad in [
            [section.as_slice(), &section].concat(),
            [section.as_slice(), &block(6, &[0; 20])].concat(),
            [good.as_slice(), &block(5, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0])]
                .concat(),
            [
                good.as_slice(),
                &block(6, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 4]),
            ]
            .concat(),
            interface,
        ] {
            Capture::read(&bad).unwrap_err();
        }
    }
}
