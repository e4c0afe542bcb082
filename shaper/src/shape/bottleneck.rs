//! The rate of a link, and what goes with it.

use super::{
    BANDWIDTH_MAX, BANDWIDTH_MIN, DELAY_MAX, Error, PACKET, Parts, QUEUE_BYTES_MAX, QUEUE_DEFAULT,
    QUEUE_DEFAULT_LEAST,
};
use crate::units::{Delay, Overhead, Queue, Rate, Size};

/// A rate and the queue in front of it; there is never one without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bottleneck {
    pub(super) bandwidth: Rate,
    pub(super) queue: Queue,
    pub(super) queue_time: Delay,
    pub(super) burst: Option<Size>,
    pub(super) overhead: Option<Overhead>,
    pub(super) ecn: Option<Delay>,
}

impl Bottleneck {
    /// The bottleneck that the parts make; `None` without a bandwidth.
    pub(super) fn of(parts: &Parts) -> Result<Option<Self>, Error> {
        let burst = parts.burst.filter(|burst| burst.bytes() != 0);
        let overhead = parts.overhead.filter(|overhead| *overhead != Overhead::NONE);
        let ecn = parts.ecn.filter(|ecn| !ecn.is_zero());
        let Some(bandwidth) = parts.bandwidth else {
            if let Some(queue) = parts.queue {
                return Err(Error::QueueWithoutBandwidth { queue });
            }
            let without = |what, value: String| Error::WithoutBandwidth { what, value };
            let needless = burst
                .map(|burst| without("burst", burst.to_string()))
                .or(overhead.map(|overhead| without("overhead", overhead.to_string())))
                .or(ecn.map(|ecn| without("ecn", ecn.to_string())));
            return needless.map_or(Ok(None), Err);
        };
        if !(BANDWIDTH_MIN..=BANDWIDTH_MAX).contains(&bandwidth) {
            return Err(Error::BandwidthOutOfRange { bandwidth });
        }
        let (queue, queue_time) = queue(bandwidth, parts.queue)?;
        if let Some(burst) = burst
            && (burst > QUEUE_BYTES_MAX || time_for(bandwidth, burst) > DELAY_MAX)
        {
            return Err(Error::BurstTooLong { burst, bandwidth });
        }
        if let Some(ecn) = ecn
            && ecn >= queue_time
        {
            return Err(Error::EcnBeyondQueue { ecn, queue_time });
        }
        let overhead = overhead.map(Overhead::checked).transpose().map_err(Error::Overhead)?;
        Ok(Some(Self { bandwidth, queue, queue_time, burst, overhead, ecn }))
    }
}

/// The queue asked for or the default one, and the time it takes to send what it holds.
fn queue(bandwidth: Rate, queue: Option<Queue>) -> Result<(Queue, Delay), Error> {
    let queue = queue.unwrap_or(if time_for(bandwidth, QUEUE_DEFAULT_LEAST) > QUEUE_DEFAULT {
        Queue::Bytes(QUEUE_DEFAULT_LEAST)
    } else {
        Queue::Time(QUEUE_DEFAULT)
    });
    let packet_time = time_for(bandwidth, PACKET);
    let (queue_time, least) = match queue {
        Queue::Time(time) => (time, Queue::Time(packet_time)),
        Queue::Bytes(size) => (time_for(bandwidth, size), Queue::Bytes(PACKET)),
        Queue::Packets(packets) => (time_for(bandwidth, full_size(packets)), Queue::Packets(1)),
    };
    let too_long = match queue {
        Queue::Time(time) => time > DELAY_MAX,
        Queue::Bytes(size) => size > QUEUE_BYTES_MAX || queue_time > DELAY_MAX,
        Queue::Packets(packets) => full_size(packets) > QUEUE_BYTES_MAX || queue_time > DELAY_MAX,
    };
    if too_long {
        return Err(Error::QueueTooLong { queue, bandwidth });
    }
    if queue_time < packet_time {
        return Err(Error::QueueTooShort { queue, bandwidth, least });
    }
    Ok((queue, queue_time))
}

fn full_size(packets: u32) -> Size {
    Size::from_bytes(u64::from(packets) * PACKET.bytes())
}

fn time_for(bandwidth: Rate, size: Size) -> Delay {
    bandwidth.time_for(size).unwrap_or(Delay::MAX)
}
