//! What the two parts of a mix really were, as the program told it at its end, and how far a report is from that. Pure.

use serde_json::Value;

use crate::table::Program;

/// How far the shares of a report may be from those of a mix, in points.
pub const NEAR: f64 = 15.0;

/// The first part of a mix, and the second one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Achieved {
    /// Shares of the time that the parts took.
    pub parts: [f64; 2],
    /// Shares of the time that surely were of their kinds: less where a part is not all of its kind.
    pub kinds: [f64; 2],
}

impl Achieved {
    /// From the lines of a program, if they tell it.
    pub fn of(lines: &[Value]) -> Option<Self> {
        let told = |what: &str| {
            let numbers = lines.iter().find_map(|line| line.get(what))?;
            Some([numbers["first"].as_f64()?, numbers["second"].as_f64()?])
        };
        let parts = told("parts")?;
        Some(Self { parts, kinds: told("kinds").unwrap_or(parts) })
    }

    /// What was aimed at.
    pub fn aimed(program: &Program) -> Option<Self> {
        let [(_, first), (_, second)] = program.shares else { return None };
        let parts = [*first, *second];
        Some(Self { parts, kinds: parts })
    }

    /// The share that a kind has: from what surely is of it to what may be. What of the first part is not of its kind may be
    /// of the second one's.
    #[must_use]
    pub fn range(&self, part: usize) -> (f64, f64) {
        let sure = self.kinds[part];
        let most = if part == 0 { self.parts[0] } else { 1.0 - self.kinds[0] };
        (sure, most.max(sure))
    }

    /// Whether this part may be the larger one.
    #[must_use]
    pub fn may_be_larger(&self, part: usize) -> bool {
        self.range(part).1 >= self.range(1 - part).0
    }

    /// How far a share is outside of what is true of a part, in points: negative if it is too small.
    #[must_use]
    pub fn delta(&self, part: usize, seen: f64) -> f64 {
        let (least, most) = self.range(part);
        100.0 * (seen - seen.clamp(least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_share_is_compared_with_what_the_program_told() {
        let lines = [
            json!({"program": "m", "parts": {"first": 0.6, "second": 0.4}}),
            json!({"program": "m", "kinds": {"first": 0.5, "second": 0.4}}),
        ];
        let found = Achieved::of(&lines).unwrap();
        assert_eq!((found.range(0), found.range(1)), ((0.5, 0.6), (0.4, 0.5)));
        assert!(found.may_be_larger(0) && found.may_be_larger(1));
        assert!(found.delta(0, 0.55).abs() < 1e-9);
        assert!((found.delta(0, 0.3) + 20.0).abs() < 1e-9);
        assert!((found.delta(1, 0.7) - 20.0).abs() < 1e-9);
        assert_eq!(Achieved::of(&lines[1..]), None);
    }

    #[test]
    fn where_the_parts_are_all_of_their_kinds_one_is_the_larger() {
        let found = Achieved { parts: [0.3, 0.7], kinds: [0.3, 0.7] };
        assert!(!found.may_be_larger(0) && found.may_be_larger(1));
    }
}
