//! Frames as they come out of the link, before anything checks them.

use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket, sockopt};

use super::Error;
use super::sys::set_buffer;

/// Room for the frames of a train, which are read after it.
const BUFFER: usize = 64 << 20;
const FRAME_MAX: usize = 2048;

const SOCKET: &str = "packet";

/// A packet socket that sees what reaches a namespace, and what leaves it.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

impl Tap {
    /// Opens one in the calling thread's network namespace.
    ///
    /// # Errors
    /// [`Error::Open`] without `CAP_NET_RAW`.
    pub fn open() -> Result<Self, Error> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Packet, SockType::Raw, flags, SockProtocol::EthAll)
            .map_err(|source| Error::Open { socket: SOCKET, source })?;
        set_buffer(&socket, sockopt::RcvBufForce, sockopt::RcvBuf, "SO_RCVBUF", BUFFER)?;
        Ok(Self { socket })
    }

    /// Takes the frames of `len` bytes that came since.
    ///
    /// # Errors
    /// [`Error::Receive`] when the socket fails.
    pub fn frames(&self, len: usize) -> Result<Vec<Vec<u8>>, Error> {
        let mut frames = Vec::new();
        let mut buffer = [0; FRAME_MAX];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(received) if received == len => frames.push(buffer[..len].to_vec()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(frames),
                Err(source) => return Err(Error::Receive { socket: SOCKET, source }),
            }
        }
    }
}

/// What the checksums of a UDP frame over IP without options or extensions say; of IPv6's header, which has none, the whole one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// All is as it was sent.
    Sound,
    /// The checksum of UDP is still the pseudo-header's: the sender left the rest to hardware, and veth has none.
    Unfinished,
    /// Something is not, and the difference is that of one bit.
    OneBit,
    /// More than one bit was changed.
    More,
}

const ETHERNET: usize = 14;
const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
/// Ones' complement arithmetic is arithmetic modulo this.
const MODULUS: u32 = 0xffff;

/// Where things are in a UDP frame of one family.
struct Layout {
    is_ipv6: bool,
    /// Source and destination.
    addresses: Range<usize>,
    udp: usize,
}

impl Layout {
    fn of(frame: &[u8]) -> Self {
        if frame[12..ETHERNET] == ETHERTYPE_IPV6 {
            Self { is_ipv6: true, addresses: ETHERNET + 8..ETHERNET + 40, udp: ETHERNET + 40 }
        } else {
            Self { is_ipv6: false, addresses: ETHERNET + 12..ETHERNET + 20, udp: ETHERNET + 20 }
        }
    }

    /// What all packets of a train have in common: IPv4 numbers its packets.
    fn common<'a>(&self, frame: &'a [u8]) -> [&'a [u8]; 2] {
        let header = if self.is_ipv6 { &frame[ETHERNET..self.udp] } else { &frame[self.addresses.clone()] };
        [&frame[12..ETHERNET], header]
    }
}

/// Returns a frame whose headers are whole, of a train of which most frames have whole ones; `None` without any.
pub fn whole(frames: &[Vec<u8>]) -> Option<&[u8]> {
    // By what they have in common, so those that are whole are more than half in a row, and the middle one is among them.
    let mut sorted: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    sorted.sort_unstable_by_key(|frame| Layout::of(frame).common(frame));
    sorted.get(sorted.len() / 2).copied()
}

/// Checks a frame as long as `like`, whose headers are whole and whose family, addresses and flow it should have.
///
/// A checksum is a sum of 16-bit words, so one flipped bit changes it by a power of two, up or down. Other damage looks like that in
/// one of 2048 cases.
pub fn check(frame: &[u8], like: &[u8]) -> Checked {
    let layout = Layout::of(like);
    let (header, udp) = (&frame[ETHERNET..layout.udp], &frame[layout.udp..]);
    // Addresses, protocol and length from what they should be: a flipped bit of each counts once.
    let pseudo = (sum(&like[layout.addresses.clone()]) + 17 + udp.len() as u32) % MODULUS;
    let (is_header_whole, is_header_one_bit) = if layout.is_ipv6 {
        let flipped: u32 =
            header.iter().zip(&like[ETHERNET..]).map(|(one, other)| (one ^ other).count_ones()).sum();
        (flipped == 0, flipped == 1)
    } else {
        (sum(header) == 0, is_one_bit(sum(header)))
    };
    let unfinished = u32::from(u16::from_be_bytes([udp[6], udp[7]])) == pseudo;
    let off = if unfinished { 0 } else { (pseudo + sum(udp)) % MODULUS };
    match (is_header_whole, off) {
        (true, 0) if unfinished => Checked::Unfinished,
        (true, 0) => Checked::Sound,
        (true, off) if is_one_bit(off) => Checked::OneBit,
        (false, 0) if is_header_one_bit => Checked::OneBit,
        _ => Checked::More,
    }
}

fn is_one_bit(off: u32) -> bool {
    off.is_power_of_two() || (MODULUS - off).is_power_of_two()
}

/// The sum of big-endian words, the last one filled up with zeros.
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2).map(|word| u32::from(word[0]) << 8 | u32::from(*word.get(1).unwrap_or(&0)));
    words.fold(0, |sum, word| (sum + word) % MODULUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 53 and of 73 bytes with all their checksums, over IPv4 and over IPv6.
    fn frames() -> [Vec<u8>; 2] {
        [(53, 0x45, [0x08, 0x00]), (73, 0x60, ETHERTYPE_IPV6)].map(|(len, version, ethertype)| {
            let mut frame: Vec<u8> = (0..len).map(|n: u8| n.wrapping_mul(37)).collect();
            frame[12..ETHERNET].copy_from_slice(&ethertype);
            frame[ETHERNET] = version;
            let Layout { is_ipv6, addresses, udp } = Layout::of(&frame);
            if !is_ipv6 {
                finish(&mut frame, ETHERNET + 10, |frame| sum(&frame[ETHERNET..udp]));
            }
            finish(&mut frame, udp + 6, |frame| {
                sum(&frame[addresses]) + 17 + (frame.len() - udp) as u32 + sum(&frame[udp..])
            });
            frame
        })
    }

    fn finish(frame: &mut [u8], at: usize, covered: impl FnOnce(&[u8]) -> u32) {
        frame[at..at + 2].fill(0);
        let checksum = MODULUS - covered(frame) % MODULUS;
        frame[at..at + 2].copy_from_slice(&(checksum as u16).to_be_bytes());
    }

    fn flipped(frame: &[u8], bits: &[usize]) -> Vec<u8> {
        let mut frame = frame.to_vec();
        bits.iter().for_each(|bit| frame[bit / 8] ^= 1 << (bit % 8));
        frame
    }

    #[test]
    fn every_single_bit_behind_ethernet_is_seen_as_one() {
        for sound in frames() {
            assert_eq!(check(&sound, &sound), Checked::Sound);
            for bit in 8 * ETHERNET..8 * sound.len() {
                assert_eq!(check(&flipped(&sound, &[bit]), &sound), Checked::OneBit, "bit {bit}");
            }
        }
    }

    #[test]
    fn two_bits_are_more_than_one() {
        let [v4, v6] = frames();
        for (sound, one, others) in [(v4, 301, [400, 410, 200]), (v6, 470, [560, 570, 130])] {
            for other in others {
                let frame = flipped(&sound, &[one, other]);
                assert_eq!(check(&frame, &sound), Checked::More, "bits {one} and {other}");
            }
        }
    }

    #[test]
    fn a_checksum_that_covers_its_pseudo_header_alone_is_unfinished() {
        for mut frame in frames() {
            let Layout { addresses, udp, .. } = Layout::of(&frame);
            let pseudo = (sum(&frame[addresses]) + 17 + (frame.len() - udp) as u32) % MODULUS;
            frame[udp + 6..udp + 8].copy_from_slice(&(pseudo as u16).to_be_bytes());
            assert_eq!(check(&frame, &frame), Checked::Unfinished);
        }
    }

    #[test]
    fn the_whole_one_is_found_among_damaged_ones() {
        for sound in frames() {
            let headers = 8 * 12..8 * Layout::of(&sound).udp;
            let damaged: Vec<Vec<u8>> = headers.map(|bit| flipped(&sound, &[bit])).collect();
            let frames = [damaged.clone(), vec![sound.clone(); damaged.len() + 1]].concat();
            let found = whole(&frames).unwrap();
            let layout = Layout::of(&sound);
            assert_eq!(layout.common(found), layout.common(&sound));
        }
        assert_eq!(whole(&[]), None);
    }
}
