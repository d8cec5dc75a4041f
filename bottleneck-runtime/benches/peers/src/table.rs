//! Medians of the rounds, their table, and the comparison.

use std::fmt;

use crate::measure::{Cell, Measured};
use crate::recorders::{FLOOR, OURS};

/// Cells in which no recorder that lost nothing may be cheaper than ours.
const COMPARED: [Cell; 2] = [Cell::Flat, Cell::Deep];

/// The measurements of one recorder.
pub struct Row {
    pub name: &'static str,
    measured: [Vec<Measured>; 3],
}

impl Row {
    pub fn new(name: &'static str) -> Self {
        Self { name, measured: [const { Vec::new() }; 3] }
    }

    pub fn push(&mut self, cell: Cell, measured: Measured) {
        self.measured[cell as usize].push(measured);
    }

    fn median(&self, cell: Cell, of: impl Fn(&Measured) -> f64) -> f64 {
        let mut values: Vec<f64> = self.measured[cell as usize].iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Cost of a span as a multiple of the floor in the same process.
    fn ratio(&self, cell: Cell) -> f64 {
        self.median(cell, |measured| measured.span_ns / measured.floor_ns)
    }

    /// The largest share of lost spans in any process; `None` where the recorder does not count.
    fn lost(&self, cell: Cell) -> Option<f64> {
        let of_cell = &self.measured[cell as usize];
        of_cell.iter().filter_map(|measured| measured.lost).max_by(f64::total_cmp)
    }
}

/// All rows.
pub struct Table {
    pub rows: Vec<Row>,
    pub rounds: usize,
}

impl Table {
    /// A line for every recorder that lost nothing and is cheaper than ours.
    pub fn cheaper_than_ours(&self) -> Vec<String> {
        let Some(ours) = self.rows.iter().find(|row| row.name == OURS) else { return Vec::new() };
        let mut lines = Vec::new();
        for cell in COMPARED {
            for row in self.rows.iter().filter(|row| row.name != OURS) {
                let (theirs, ours) = (row.ratio(cell), ours.ratio(cell));
                if row.lost(cell).is_some_and(|lost| lost <= 0.0) && theirs < ours {
                    lines.push(format!(
                        "{} is cheaper than {OURS} ({}: {theirs:.2} against {ours:.2} x the floor)",
                        row.name,
                        cell.name(),
                    ));
                }
            }
        }
        lines
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "medians of {} rounds; CPU time of the calling threads per span; \"x\" is the multiple of {FLOOR} in the same \
             process;\n\"rest\" is CPU time of the process besides (ns per span); \"lost\" the largest share of a round\n",
            self.rounds
        )?;
        write!(f, "| {:<24} |", "recorder")?;
        for cell in Cell::ALL {
            write!(f, " {:>11} |     x |   rest |   lost |", cell.name())?;
        }
        write!(f, "\n|{:-<26}|", "")?;
        for _ in Cell::ALL {
            write!(f, "------------:|------:|-------:|-------:|")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            write!(f, "| {:<24} |", row.name)?;
            for cell in Cell::ALL {
                let span_ns = row.median(cell, |measured| measured.span_ns);
                let rest_ns = row.median(cell, |measured| measured.rest_ns);
                let lost = match row.lost(cell) {
                    Some(lost) => format!("{:.1} %", lost * 100.0),
                    None => "-".to_owned(),
                };
                write!(
                    f,
                    " {span_ns:>8.2} ns | {:>5.2} | {rest_ns:>6.1} | {lost:>6} |",
                    row.ratio(cell)
                )?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
