//! What a rule set asks of an engine and of a link, taken together.

use crate::shape::Shape;

/// The shapes of a rule set, and what else matters to whoever has to carry it out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// The shapes, one for each rule that has one.
    pub shapes: Vec<Shape>,
    /// Rules, with a shape or without.
    pub rules: usize,
    /// Whether ARP and neighbour discovery are to be shaped, too.
    pub shape_neighbours: bool,
}

impl Needs {
    /// These needs and others.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.shapes.extend(other.shapes);
        self.rules = self.rules.max(other.rules);
        self.shape_neighbours |= other.shape_neighbours;
        self
    }

    /// Whether some shape does what `asks` tells.
    pub fn any(&self, asks: impl FnMut(&Shape) -> bool) -> bool {
        self.shapes.iter().any(asks)
    }
}

impl From<Shape> for Needs {
    fn from(shape: Shape) -> Self {
        Self { shapes: vec![shape], rules: 1, shape_neighbours: false }
    }
}
