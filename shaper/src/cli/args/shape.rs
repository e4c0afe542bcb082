//! Which shape.

use clap::Args;

use super::value;
use crate::shape::{self, Distribution, Parts, Shape};
use crate::units::{Delay, Queue, Rate};

/// The flags that make a shape.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Shape")]
pub struct ShapeArgs {
    /// How much later every packet arrives, one way, such as `100ms` or `250us`; at most an hour
    #[arg(long, visible_alias = "delay", value_name = "TIME")]
    latency: Option<Delay>,
    /// How far the latency varies, such as `10ms`; at most the latency
    #[arg(long, value_name = "TIME")]
    jitter: Option<Delay>,
    /// How the jitter spreads: evenly up to the jitter either side (uniform, the default), or with the jitter as its
    /// standard deviation
    #[arg(long, value_name = "NAME", value_parser = value::named::<Distribution>(), ignore_case = true)]
    distribution: Option<Distribution>,
    /// How fast the link is, such as `10mbit` or `1MB/s`; from 8kbit to 100gbit
    #[arg(long, visible_alias = "rate", value_name = "RATE")]
    bandwidth: Option<Rate>,
    /// How long or how many bytes packets may wait for the bandwidth, such as `50ms` or `64kb`; more are dropped.
    /// 100ms, but at least ten packets, unless given
    #[arg(long, value_name = "TIME|SIZE")]
    queue: Option<Queue>,
    /// Seed of the random draws: the same seed gives the same packets the same fate
    #[arg(long, value_name = "N", value_parser = value::seed)]
    seed: Option<u64>,
}

impl ShapeArgs {
    /// What the flags say.
    #[must_use]
    pub fn parts(&self) -> Parts {
        let &Self { latency, jitter, distribution, bandwidth, queue, seed } = self;
        Parts { latency, jitter, distribution, bandwidth, queue, seed }
    }

    /// The shape that the flags make.
    ///
    /// # Errors
    ///
    /// When they do not fit together, or there is none.
    pub fn shape(&self) -> Result<Shape, shape::Error> {
        Shape::new(self.parts())
    }

    /// The shape that the flags make, or one of just `latency` when there is no flag but perhaps a seed.
    ///
    /// # Errors
    ///
    /// When the flags do not fit together.
    pub fn shape_or(&self, latency: Delay) -> Result<Shape, shape::Error> {
        let parts = self.parts();
        if parts == (Parts { seed: parts.seed, ..Parts::default() }) {
            return Shape::new(Parts { latency: Some(latency), ..parts });
        }
        Shape::new(parts)
    }
}
