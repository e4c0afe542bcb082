//! A shape as a user would type it.

use super::Parts;

impl Parts {
    /// The flags of `shaper apply` that say these parts, each word by itself.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        fn word<T: ToString>(value: Option<T>) -> Option<String> {
            value.map(|value| value.to_string())
        }
        let valued = [
            ("--latency", word(self.latency)),
            ("--jitter", word(self.jitter)),
            ("--distribution", word(self.distribution)),
            ("--jitter-correlation", word(self.jitter_correlation)),
            ("--reorder", word(self.reorder)),
            ("--reorder-correlation", word(self.reorder_correlation)),
            ("--reorder-gap", word(self.reorder_gap)),
            ("--bandwidth", word(self.bandwidth)),
            ("--queue", word(self.queue)),
            ("--burst", word(self.burst)),
            ("--overhead", word(self.overhead)),
            ("--ecn", word(self.ecn)),
            ("--loss", word(self.loss)),
            ("--loss-correlation", word(self.loss_correlation)),
            ("--loss-gemodel", word(self.loss_gemodel)),
            ("--loss-state", word(self.loss_state)),
            ("--loss-pattern", word(self.loss_pattern)),
            ("--duplicate", word(self.duplicate)),
            ("--duplicate-correlation", word(self.duplicate_correlation)),
            ("--corrupt", word(self.corrupt)),
            ("--corrupt-correlation", word(self.corrupt_correlation)),
            ("--seed", word(self.seed)),
        ];
        let keep_order = self.keep_order.then(|| "--keep-order".to_owned());
        let given = valued.into_iter().filter_map(|(flag, value)| Some([flag.to_owned(), value?])).flatten();
        given.chain(keep_order).collect()
    }
}
