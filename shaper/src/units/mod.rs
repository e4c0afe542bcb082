//! Quantities with units, exact: integers inside, decimal text outside.
//!
//! Every type parses the spellings of tc(8) that can mean one thing only, prints so that parsing gives the same value
//! back, and is a string in JSON. A number without a unit is refused everywhere. Digits finer than a type holds are
//! rounded to the nearest value it does hold (half up), but a quantity that is not zero never becomes zero.

mod decimal;
mod delay;
mod error;
mod overhead;
mod probability;
mod queue;
mod rate;
mod size;
mod text;

pub use delay::Delay;
pub use error::{Error, Quantity};
pub use overhead::Overhead;
pub use probability::Probability;
pub use queue::Queue;
pub use rate::Rate;
pub use size::Size;

pub(crate) use decimal::quote;
pub(crate) use text::serde_as_text;
