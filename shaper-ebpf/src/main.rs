//! eBPF classifiers of shaper.

fn main() {}
