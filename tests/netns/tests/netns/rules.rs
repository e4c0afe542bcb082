//! Rules for destinations: each peer its own shape, found by the longest prefix, then port and protocol.

#[path = "rules/answers.rs"]
mod answers;
#[path = "rules/cost.rs"]
mod cost;
#[path = "rules/counters.rs"]
mod counters;
#[path = "rules/delays.rs"]
mod delays;
#[path = "rules/down.rs"]
mod down;
#[path = "rules/files.rs"]
mod files;
#[path = "rules/filters.rs"]
mod filters;
#[path = "rules/many.rs"]
mod many;
#[path = "rules/ports.rs"]
mod ports;
#[path = "rules/swaps.rs"]
mod swaps;

use shaper_netns_tests::case::Case;

pub(crate) fn cases() -> Vec<Case> {
    [
        delays::cases(),
        ports::cases(),
        counters::cases(),
        filters::cases(),
        answers::cases(),
        swaps::cases(),
        many::cases(),
        cost::cases(),
        files::cases(),
        down::cases(),
    ]
    .concat()
}
