//! Which shape.

use clap::Args;

use super::value;
use crate::cli::distribution::Spread;
use crate::shape::{self, FourState, GilbertElliott, Parts, Pattern, Shape};
use crate::units::{Delay, Overhead, Probability, Queue, Rate, Size};

/// Headings of the help.
const DELAY: &str = "Delay";
const BOTTLENECK: &str = "Bottleneck";
const FAULTS: &str = "Loss, duplication and corruption";

/// The flags that make a shape.
#[derive(Args, Clone, Debug, Default)]
pub struct ShapeArgs {
    /// How much later every packet arrives, one way, such as `100ms` or `250us`; at most an hour
    #[arg(long, visible_alias = "delay", value_name = "TIME", help_heading = DELAY)]
    latency: Option<Delay>,
    /// How far the latency varies, such as `10ms`; at most the latency
    #[arg(long, value_name = "TIME", help_heading = DELAY)]
    jitter: Option<Delay>,
    /// How the jitter spreads: evenly up to the jitter either side (uniform, the default), with the jitter as its standard
    /// deviation (normal, pareto, paretonormal), or as a file says, whose name has a `/` or a `.`
    ///
    /// A file has netem's table (whole numbers, in 8192ths of the jitter), or delays that were measured, one on each line with
    /// its unit (`12.3ms`) or all in the unit of a first line `# unit: ms`. Such delays say latency and jitter, too: neither
    /// is given beside them.
    #[arg(
        long, value_name = "NAME|FILE", help_heading = DELAY,
        value_parser = crate::cli::distribution::spread
    )]
    distribution: Option<Spread>,
    /// How often a packet's jitter is that of the packet before it, such as `25%`; at most 99%
    #[arg(long, value_name = "PERCENT", help_heading = DELAY)]
    jitter_correlation: Option<Probability>,
    /// No packet overtakes another for its jitter: it waits for the one before it
    #[arg(long, help_heading = DELAY)]
    keep_order: bool,
    /// How often a packet goes without latency and jitter, and so overtakes those before it, such as `25%`
    #[arg(long, value_name = "PERCENT", help_heading = DELAY)]
    reorder: Option<Probability>,
    /// How often a packet is reordered, or not, as the packet before it was; at most 99%
    #[arg(long, value_name = "PERCENT", help_heading = DELAY)]
    reorder_correlation: Option<Probability>,
    /// Only every Nth packet since the last reordered one may be reordered; from 2 to 255
    #[arg(long, value_name = "N", help_heading = DELAY, value_parser = value::gap)]
    reorder_gap: Option<u32>,
    /// How fast the link is, such as `10mbit` or `1MB/s`; from 8kbit to 100gbit
    #[arg(long, visible_alias = "rate", value_name = "RATE", help_heading = BOTTLENECK)]
    bandwidth: Option<Rate>,
    /// How long, how many bytes or how many full-size packets may wait for the bandwidth, such as `50ms`, `64kb` or `100p`; more are dropped.
    /// 100ms, but at least ten packets, unless given
    #[arg(long, value_name = "TIME|SIZE", help_heading = BOTTLENECK)]
    queue: Option<Queue>,
    /// How much the link sends at once after it was idle, such as `32kb`
    #[arg(long, value_name = "SIZE", help_heading = BOTTLENECK)]
    burst: Option<Size>,
    /// Bytes that each packet takes beyond its own, such as `24b` or `-14b`; for a link of cells, also bytes per cell and
    /// bytes that each cell takes beyond those
    ///
    /// `24b` counts Ethernet's preamble, checksum and gap, `-14b` leaves its header out, and `10b,48b,5b` is ATM with 10
    /// bytes of encapsulation: the last cell of a packet is filled up to 48 bytes, and each cell has 5 bytes of header.
    #[arg(long, value_name = "PACKET[,CELL[,PER_CELL]]", help_heading = BOTTLENECK)]
    overhead: Option<Overhead>,
    /// Mark packets that wait longer than this for the bandwidth as having met congestion (ECN), such as `5ms`; less than
    /// the queue
    #[arg(long, value_name = "TIME", help_heading = BOTTLENECK)]
    ecn: Option<Delay>,
    /// How often a packet is lost, such as `1%`; at most one model of loss can be given
    #[arg(long, value_name = "PERCENT", help_heading = FAULTS)]
    loss: Option<Probability>,
    /// How often a packet is lost, or not, as the packet before it was, such as `25%`; at most 99%
    ///
    /// Here and with the other correlations: with this probability a packet has the outcome of the packet before it, else
    /// its own is drawn. The mean stays what was asked for; netem's correlation changes it.
    #[arg(long, value_name = "PERCENT", help_heading = FAULTS)]
    loss_correlation: Option<Probability>,
    /// Loss in bursts by two states (Gilbert-Elliott), such as `1%,10%`
    ///
    /// P is how often good turns bad, R how often bad turns good, 1-H the loss while bad and 1-K the loss while good. What
    /// is not given is 100% - P, 100% and 0%. The mean length of a bad time is 1/R packets.
    #[arg(long, value_name = "P[,R[,1-H[,1-K]]]", help_heading = FAULTS)]
    loss_gemodel: Option<GilbertElliott>,
    /// Loss by four states, such as `1%,10%,5%,50%,0.1%`
    ///
    /// The states are 1, received in a gap; 2, received in a burst; 3, lost in a burst; 4, lost on its own in a gap. P13 is
    /// how often 1 turns into 3, and so on. What is not given is 100% - P13, 0%, 100% and 0%.
    #[arg(long, value_name = "P13[,P31[,P32[,P23[,P14]]]]", help_heading = FAULTS)]
    loss_state: Option<FourState>,
    /// Loss by number, again and again, for tests: `0010` loses the third of every four packets
    #[arg(long, value_name = "DIGITS", help_heading = FAULTS)]
    loss_pattern: Option<Pattern>,
    /// How often a packet is sent twice, such as `1%`
    #[arg(long, value_name = "PERCENT", help_heading = FAULTS)]
    duplicate: Option<Probability>,
    /// How often a packet is sent twice, or not, as the packet before it was; at most 99%
    #[arg(long, value_name = "PERCENT", help_heading = FAULTS)]
    duplicate_correlation: Option<Probability>,
    /// How often one bit of a packet is flipped, such as `0.1%`
    #[arg(long, value_name = "PERCENT", help_heading = FAULTS)]
    corrupt: Option<Probability>,
    /// How often a packet is corrupted, or not, as the packet before it was; at most 99%
    #[arg(long, value_name = "PERCENT", help_heading = FAULTS)]
    corrupt_correlation: Option<Probability>,
    /// Seed of the random draws: the same seed gives the same packets the same fate
    #[arg(long, value_name = "N", help_heading = "How", value_parser = value::seed)]
    seed: Option<u64>,
}

impl ShapeArgs {
    /// What the flags say, and the file that one of them names.
    ///
    /// # Errors
    ///
    /// When a latency or a jitter is given beside delays from a file.
    pub fn parts(&self) -> Result<Parts, shape::Error> {
        let parts = Parts {
            latency: self.latency,
            jitter: self.jitter,
            distribution: None,
            jitter_correlation: self.jitter_correlation,
            keep_order: self.keep_order,
            reorder: self.reorder,
            reorder_correlation: self.reorder_correlation,
            reorder_gap: self.reorder_gap,
            bandwidth: self.bandwidth,
            queue: self.queue,
            burst: self.burst,
            overhead: self.overhead,
            ecn: self.ecn,
            loss: self.loss,
            loss_correlation: self.loss_correlation,
            loss_gemodel: self.loss_gemodel,
            loss_state: self.loss_state,
            loss_pattern: self.loss_pattern,
            duplicate: self.duplicate,
            duplicate_correlation: self.duplicate_correlation,
            corrupt: self.corrupt,
            corrupt_correlation: self.corrupt_correlation,
            seed: self.seed,
        };
        match self.distribution {
            None => Ok(parts),
            Some(Spread::Said(distribution)) => Ok(Parts { distribution: Some(distribution), ..parts }),
            Some(Spread::Read(measured)) => measured.fill(parts),
        }
    }

    /// The shape that the flags make.
    ///
    /// # Errors
    ///
    /// When they do not fit together, or there is none.
    pub fn shape(&self) -> Result<Shape, shape::Error> {
        Shape::new(self.parts()?)
    }

    /// The shape that the flags make, or one of just `latency` when there is no flag but perhaps a seed.
    ///
    /// # Errors
    ///
    /// When the flags do not fit together.
    pub fn shape_or(&self, latency: Delay) -> Result<Shape, shape::Error> {
        let parts = self.parts()?;
        if parts == (Parts { seed: parts.seed, ..Parts::default() }) {
            return Shape::new(Parts { latency: Some(latency), ..parts });
        }
        Shape::new(parts)
    }
}
