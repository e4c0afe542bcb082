//! The `shaper` command.

fn main() {}
