//! Tables of readings: a row per metric, a column per place and subject, a table per group.

use super::report::{Place, Reading};

/// Cells in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Grid {
    tables: Vec<Table>,
}

#[derive(Debug)]
struct Table {
    group: String,
    columns: Vec<(Place, String)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    metric: String,
    unit: String,
    /// By column; shorter than the columns when the last ones are empty.
    cells: Vec<String>,
}

impl Grid {
    /// Puts the text for a reading where it belongs.
    pub(super) fn put(&mut self, place: Place, reading: &Reading, text: String) {
        let table = position(
            &mut self.tables,
            |table| table.group == reading.group,
            || Table { group: reading.group.clone(), columns: Vec::new(), rows: Vec::new() },
        );
        let table = &mut self.tables[table];
        let wanted = (place, reading.subject.clone());
        let column = position(&mut table.columns, |column| *column == wanted, || wanted.clone());
        let cells = &mut table.row(reading).cells;
        cells.resize(cells.len().max(column + 1), String::new());
        cells[column] = text;
    }

    /// The tables, with empty lines between them.
    pub(super) fn render(&self) -> String {
        self.tables.iter().map(Table::render).collect()
    }
}

impl Table {
    /// The row of a metric; a new one comes behind those that begin with the same word.
    fn row(&mut self, reading: &Reading) -> &mut Row {
        let Reading { metric, unit, .. } = reading;
        let index = self.rows.iter().position(|row| row.metric == *metric).unwrap_or_else(|| {
            let related = self.rows.iter().rposition(|row| first_word(&row.metric) == first_word(metric));
            let index = related.map_or(self.rows.len(), |last| last + 1);
            self.rows.insert(index, Row { metric: metric.clone(), unit: unit.clone(), cells: Vec::new() });
            index
        });
        &mut self.rows[index]
    }

    fn render(&self) -> String {
        // Two lines of headings: the place once, where its columns begin, and the subject.
        let mut places = vec![self.group.clone(), String::new()];
        let mut subjects = vec![String::new(), String::new()];
        let mut place_before = None;
        for (place, subject) in &self.columns {
            let is_new = place_before.replace(*place) != Some(*place);
            places.push(if is_new { place.to_string() } else { String::new() });
            subjects.push(subject.clone());
        }
        let width = subjects.len();
        let mut lines = vec![places, subjects];
        for row in &self.rows {
            let mut line = vec![row.metric.clone(), row.unit.clone()];
            line.extend(row.cells.iter().cloned());
            line.resize(width, String::new());
            lines.push(line);
        }
        let widths: Vec<usize> = (0..width)
            .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default())
            .collect();
        let mut text = String::from("\n");
        for line in &lines {
            let mut out = String::new();
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Words to the left, numbers to the right.
                out.push_str(&match column {
                    0 | 1 => format!("{cell:<width$}  "),
                    _ => format!("{cell:>width$}  "),
                });
            }
            text.push_str(out.trim_end());
            text.push('\n');
        }
        text
    }
}

fn first_word(metric: &str) -> &str {
    metric.split([' ', ',']).next().unwrap_or_default()
}

/// Where the first item that fits is, or the new one that is put at the end.
fn position<T>(items: &mut Vec<T>, fits: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> usize {
    items.iter().position(fits).unwrap_or_else(|| {
        items.push(new());
        items.len() - 1
    })
}

#[cfg(test)]
mod tests {
    use super::super::report::Better;
    use super::*;

    fn reading(group: &str, subject: &str, metric: &str) -> Reading {
        Reading {
            group: group.into(),
            subject: subject.into(),
            metric: metric.into(),
            unit: "us".into(),
            better: Better::Less,
            value: None,
            problem: None,
        }
    }

    #[test]
    fn places_stand_side_by_side_and_holes_stay_empty() {
        let mut grid = Grid::default();
        grid.put(Place::Native, &reading("traffic", "unshaped", "rtt"), "20".into());
        grid.put(Place::Native, &reading("traffic", "unshaped", "udp"), "500".into());
        grid.put(Place::Native, &reading("traffic", "relay", "rtt off"), "5.00".into());
        grid.put(Place::Uml, &reading("traffic", "relay", "rtt off"), "120".into());
        grid.put(Place::Uml, &reading("classifier", "steer", "rate"), "110".into());
        let expected = "
traffic        native           uml
             unshaped  relay  relay
rtt      us        20
rtt off  us             5.00    120
udp      us       500

classifier        uml
                steer
rate        us    110
";
        assert_eq!(grid.render(), expected);
    }
}
