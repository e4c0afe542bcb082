//! What `shaper show --json` says, by meaning: the one place that knows its field names.

use serde_json::Value;

/// The object that `show --json` printed.
#[derive(Clone, Debug)]
pub struct Show(Value);

/// A row of asked against achieved.
#[derive(Clone, Debug)]
pub struct Achieved {
    /// A share, or a quantity as text.
    pub asked: Value,
    /// The same.
    pub achieved: Value,
    /// Packets that it rests on.
    pub packets: u64,
    /// Whether it is as asked, when that is told.
    pub is_chance: Option<bool>,
    /// The share of the time that the bottleneck was busy.
    pub busy: Option<f64>,
}

impl Achieved {
    /// Returns a quantity of the row, `asked` or `achieved`.
    ///
    /// # Panics
    /// When it is none of its kind.
    #[track_caller]
    pub fn quantity<T: std::str::FromStr>(value: &Value) -> T {
        let text = value.as_str().unwrap_or_else(|| panic!("{value} is no text"));
        text.parse().unwrap_or_else(|_| panic!("{text} is no such quantity"))
    }
}

impl Show {
    /// Takes the object.
    pub fn new(value: Value) -> Self {
        Self(value)
    }
}

impl Show {
    /// Returns how many directions of links are shaped.
    pub fn attachments(&self) -> usize {
        self.rows().len()
    }

    /// Returns how many packets the queue of the link shaped in `direction` had no room for.
    ///
    /// # Panics
    /// When that direction is not shaped.
    #[track_caller]
    pub fn queue_drops(&self, direction: &str) -> u64 {
        let row = self.row(direction);
        // The bottleneck of `netem` is its qdisc, that of the others the classifier.
        let counter =
            if row["engine"] == "netem" { &row["holder"]["drops"] } else { &row["counters"]["queue_drops"] };
        counter.as_u64().unwrap_or_else(|| panic!("no counter of drops: {row:#}"))
    }

    /// Returns how many packets were marked congestion experienced.
    ///
    /// # Panics
    /// When that direction is not shaped, or by `netem`.
    #[track_caller]
    pub fn marked(&self, direction: &str) -> u64 {
        let row = self.row(direction);
        row["counters"]["marked"].as_u64().unwrap_or_else(|| panic!("no counter of marks: {row:#}"))
    }

    /// Returns how many packets were shaped, and how many lost of which the classifier knows: none by `netem`.
    ///
    /// # Panics
    /// When that direction is not shaped.
    #[track_caller]
    pub fn shaped_and_lost(&self, direction: &str) -> (u64, u64) {
        let counters = &self.row(direction)["counters"];
        let shaped = counters["shaped_packets"].as_u64();
        (shaped.unwrap_or_else(|| panic!("{counters:#}")), counters["lost"].as_u64().unwrap_or(0))
    }

    /// Returns what became of a part of the shape of the link shaped in `direction`; `None` when that is not told.
    ///
    /// # Panics
    /// When that direction is not shaped, or shows something that is no row of asked against achieved.
    #[track_caller]
    pub fn achieved(&self, direction: &str, what: &str) -> Option<Achieved> {
        let row = self.row(direction)["achieved"].as_array()?.iter().find(|row| row["what"] == what)?;
        Some(Achieved {
            asked: row["asked"].clone(),
            achieved: row["achieved"].clone(),
            packets: row["packets"].as_u64().unwrap_or_else(|| panic!("no number of packets: {row:#}")),
            is_chance: row.get("is_chance").and_then(Value::as_bool),
            busy: row.get("busy").and_then(Value::as_f64),
        })
    }

    /// Says whether nobody holds the packets of the link shaped in `direction`, so that they pass unshaped.
    ///
    /// # Panics
    /// When that direction is not shaped.
    #[track_caller]
    pub fn says_relay_gone(&self, direction: &str) -> bool {
        self.row(direction)["state"]["is"] == "relay-gone"
    }

    /// Returns the rule for `to` of the link shaped in `direction`; `None`: the one for all peers, which is told with the link.
    ///
    /// # Panics
    /// When there is no such rule.
    #[track_caller]
    pub fn rule(&self, direction: &str, to: Option<&str>) -> Rule<'_> {
        let row = self.row(direction);
        let Some(to) = to else { return Rule(row) };
        let found = row["rules"].as_array().into_iter().flatten().find(|rule| rule["to"] == to);
        Rule(found.unwrap_or_else(|| panic!("no rule for {to}: {row:#}")))
    }

    /// Returns a count of the link shaped in `direction`, under all rules and under none; zero where it is not told.
    ///
    /// # Panics
    /// When that direction is not shaped.
    #[track_caller]
    pub fn counted(&self, direction: &str, what: &str) -> u64 {
        self.row(direction)["counters"][what].as_u64().unwrap_or(0)
    }

    #[track_caller]
    fn row(&self, direction: &str) -> &Value {
        let found = self.rows().iter().find(|row| row["direction"] == direction);
        found.unwrap_or_else(|| panic!("{direction} is not shaped: {:#}", self.0))
    }

    #[track_caller]
    fn rows(&self) -> &[Value] {
        self.0["attachments"].as_array().unwrap_or_else(|| panic!("no list of attachments: {:#}", self.0))
    }
}

/// A rule, and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a>(&'a Value);

impl Rule<'_> {
    /// Returns a count of the packets that met the rule; zero where it is not told.
    pub fn counted(&self, what: &str) -> u64 {
        self.0["rule_counters"][what].as_u64().unwrap_or(0)
    }

    /// Returns the packets that a fault was decided for, and the share of them that it happened to; `None` where it is not told.
    pub fn achieved(&self, fault: &str) -> Option<(u64, f64)> {
        let found = self.0["achieved"].as_array()?.iter().find(|achieved| achieved["what"] == fault)?;
        Some((found["packets"].as_u64()?, found["achieved"].as_f64()?))
    }
}
