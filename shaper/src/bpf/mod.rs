//! The kernel programs: their object, their maps, and the system call behind both.

pub mod maps;
pub mod object;
pub mod ring;
pub mod shared;
pub mod sys;

pub use maps::Maps;
pub use object::Object;
pub use shared::SharedWords;
