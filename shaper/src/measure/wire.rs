//! Frames as they come out of the link, before anything checks them.

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

/// What the checksums of a UDP frame over IPv4 without options say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Both hold.
    Sound,
    /// That of UDP is still the pseudo-header's: the sender left the rest to hardware, and veth has none.
    Unfinished,
    /// One does not, and the difference is that of one bit.
    OneBit,
    /// More than one bit was changed.
    More,
}

const ETHERNET: usize = 14;
const IPV4: usize = 20;
const ADDRESSES: std::ops::Range<usize> = ETHERNET + 12..ETHERNET + IPV4;
const UDP_CHECKSUM: usize = ETHERNET + IPV4 + 6;
/// Ones' complement arithmetic is arithmetic modulo this.
const MODULUS: u32 = 0xffff;

/// Checks a frame as long as `like`, whose headers are whole and whose addresses it should have.
///
/// A checksum is a sum of 16-bit words, so one flipped bit changes it by a power of two, up or down. Other damage looks like that in
/// one of 2048 cases.
pub fn check(frame: &[u8], like: &[u8]) -> Checked {
    let udp = &frame[ETHERNET + IPV4..];
    // Protocol and length from what they should be: a flipped bit of either counts once.
    let pseudo = (sum(&like[ADDRESSES]) + 17 + udp.len() as u32) % MODULUS;
    let ip = sum(&frame[ETHERNET..ETHERNET + IPV4]);
    let unfinished = u32::from(u16::from_be_bytes([frame[UDP_CHECKSUM], frame[UDP_CHECKSUM + 1]])) == pseudo;
    let udp = if unfinished { 0 } else { (pseudo + sum(udp)) % MODULUS };
    match (ip, udp) {
        (0, 0) if unfinished => Checked::Unfinished,
        (0, 0) => Checked::Sound,
        (0, off) | (off, 0) if is_one_bit(off) => Checked::OneBit,
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

    /// A frame of 53 bytes with both checksums.
    fn frame() -> Vec<u8> {
        let mut frame: Vec<u8> = (0..53_u8).map(|n| n.wrapping_mul(37)).collect();
        frame[ETHERNET] = 0x45;
        let udp_len = frame.len() - ETHERNET - IPV4;
        for at in [ETHERNET + 10, UDP_CHECKSUM] {
            frame[at..at + 2].fill(0);
        }
        let ip = MODULUS - sum(&frame[ETHERNET..ETHERNET + IPV4]);
        frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&(ip as u16).to_be_bytes());
        let covered = sum(&frame[ADDRESSES]) + 17 + udp_len as u32 + sum(&frame[ETHERNET + IPV4..]);
        let udp = MODULUS - covered % MODULUS;
        frame[UDP_CHECKSUM..UDP_CHECKSUM + 2].copy_from_slice(&(udp as u16).to_be_bytes());
        frame
    }

    #[test]
    fn every_single_bit_behind_ethernet_is_seen_as_one() {
        let sound = frame();
        assert_eq!(check(&sound, &sound), Checked::Sound);
        for bit in 8 * ETHERNET..8 * sound.len() {
            let mut frame = sound.clone();
            frame[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(&frame, &sound), Checked::OneBit, "bit {bit}");
        }
    }

    #[test]
    fn two_bits_are_more_than_one() {
        let sound = frame();
        for other in [400, 410, 200] {
            let mut frame = sound.clone();
            for bit in [301, other] {
                frame[bit / 8] ^= 1 << (bit % 8);
            }
            assert_eq!(check(&frame, &sound), Checked::More, "bits 301 and {other}");
        }
    }
}
