//! Why a text is not a quantity.

use std::fmt;

/// What a text was to be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// A [`super::Delay`].
    Time,
    /// A [`super::Rate`].
    Rate,
    /// A [`super::Size`].
    Size,
    /// A [`super::Queue`].
    Queue,
    /// A [`super::Probability`].
    Probability,
    /// A [`super::Overhead`].
    Overhead,
    /// The probabilities of a [`crate::shape::GilbertElliott`] loss.
    GilbertElliott,
    /// The probabilities of a [`crate::shape::FourState`] loss.
    FourState,
    /// A [`crate::shape::Pattern`] of losses.
    Pattern,
}

impl Quantity {
    /// The texts that can be read, in words and by example.
    #[must_use]
    pub fn forms(self) -> &'static str {
        match self {
            Self::Time => {
                "a number and `ns`, `us`, `ms`, `s`, `min` or `h`, such as `100ms`, `1.5s` or `250us`"
            }
            Self::Rate => {
                "a number and `bit`, `kbit`, `mbit` or `gbit` (bits), `Kibit`, `Mibit` or `Gibit` (1024-based), or `kB/s`, \
                 `MB/s` or `GB/s` (bytes), such as `10mbit`, `1.5gbit` or `1MB/s`"
            }
            Self::Size => "a number and `b`, `kb` or `mb` (1024-based, as in tc), such as `64kb` or `1500b`",
            Self::Queue => {
                "a time (`ms`, `s`: how long a packet may wait), a size (`b`, `kb`, `mb`: how many bytes may wait) or full-size \
                 packets (`p`), such as `100ms`, `64kb` or `100p`"
            }
            Self::Probability => "a number from 0 to 100 and `%`, such as `0.1%` or `25%`",
            Self::Overhead => {
                "bytes per packet, and for a link of cells bytes per cell and bytes that each cell takes beyond those, with `b` \
                 and commas, such as `24b`, `-14b` or `10b,48b,5b`"
            }
            Self::GilbertElliott => {
                "one to four percentages (good to bad, bad to good, loss in bad, loss in good), such as `1%`, `1%,10%` or \
                 `1%,10%,70%,0.1%`"
            }
            Self::FourState => {
                "one to five percentages (P13, P31, P32, P23, P14), such as `1%`, `1%,10%` or `1%,10%,5%,50%,0.1%`"
            }
            Self::Pattern => {
                "1 to 64 digits, `1` for a packet that is lost and `0` for one that is not, such as `0010`"
            }
        }
    }

    /// Units to offer to a number that has none.
    fn usual_units(self) -> &'static [&'static str] {
        match self {
            Self::Time => &["ms", "us"],
            Self::Rate => &["mbit", "kbit"],
            Self::Size => &["kb", "b"],
            Self::Queue => &["ms", "kb"],
            Self::Probability | Self::GilbertElliott | Self::FourState => &["%"],
            Self::Overhead => &["b"],
            Self::Pattern => &[],
        }
    }

    /// `number` with each of the usual units.
    fn with_units(self, number: &str) -> String {
        self.usual_units().iter().map(|unit| format!("`{number}{unit}`")).collect::<Vec<_>>().join(" or ")
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "a time",
            Self::Rate => "a rate",
            Self::Size => "a size",
            Self::Queue => "a queue bound",
            Self::Probability => "a probability",
            Self::Overhead => "an overhead",
            Self::GilbertElliott => "a Gilbert-Elliott loss",
            Self::FourState => "a four-state loss",
            Self::Pattern => "a loss pattern",
        })
    }
}

/// A text that is not the quantity it should be; says which text, and what would be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is empty.
    #[error("{quantity} cannot be empty: write {}", .quantity.forms())]
    Empty {
        /// What it should be.
        quantity: Quantity,
    },
    /// The text does not begin with a decimal number.
    #[error("`{value}` is not {quantity}: write {}", .quantity.forms())]
    NotANumber {
        /// The text, shortened.
        value: String,
        /// What it should be.
        quantity: Quantity,
    },
    /// The number has a minus sign.
    #[error("`{value}` is negative, and {quantity} cannot be: write {}", .quantity.forms())]
    Negative {
        /// The text, shortened.
        value: String,
        /// What it should be.
        quantity: Quantity,
    },
    /// The number stands alone.
    #[error("`{value}` has no unit: write {} ({quantity} is {})", .quantity.with_units(.value), .quantity.forms())]
    NoUnit {
        /// The text, shortened.
        value: String,
        /// What it should be.
        quantity: Quantity,
    },
    /// What follows the number is no unit of this quantity.
    #[error("`{value}` is not {quantity}: `{unit}` is no unit of it; write {}", .quantity.forms())]
    UnknownUnit {
        /// The text, shortened.
        value: String,
        /// What follows the number, shortened.
        unit: String,
        /// What it should be.
        quantity: Quantity,
    },
    /// The unit means different things to different tools.
    #[error("`{value}` is ambiguous: {meanings}; write {instead}")]
    Ambiguous {
        /// The text, shortened.
        value: String,
        /// What the unit can mean.
        meanings: &'static str,
        /// The number with each unit that says what is meant.
        instead: String,
    },
    /// The value is beyond the largest one of the type.
    #[error("`{value}` is too large for {quantity} (at most {max}): write {}", .quantity.forms())]
    TooLarge {
        /// The text, shortened.
        value: String,
        /// What it should be.
        quantity: Quantity,
        /// The largest value of the type.
        max: String,
    },
    /// A part of the value is out of its range.
    #[error("`{value}` is out of range for {what}: give from {least} to {most}")]
    OutOfRange {
        /// The part, shortened.
        value: String,
        /// What the part is.
        what: &'static str,
        /// The least legal value.
        least: String,
        /// The greatest legal value.
        most: String,
    },
    /// The value is not zero and would be rounded to zero.
    #[error("`{value}` is too small: the finest step of {quantity} is {step}")]
    TooSmall {
        /// The text, shortened.
        value: String,
        /// What it should be.
        quantity: Quantity,
        /// The smallest value of the type that is not zero.
        step: &'static str,
    },
}
