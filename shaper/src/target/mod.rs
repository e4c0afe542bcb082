//! From what the user named to a namespace and a link.

pub mod netns;
