//! Why verdicts were wrong: stated by people who looked into it, by program and by the kind that was seen.

/// The program, the kind that was seen instead of its own, and why.
const CAUSES: &[(&str, &str, &str)] = &[];

/// The cause of a wrong verdict, as far as it is known.
pub(super) fn of(program: &str, seen: &str) -> &'static str {
    let known = CAUSES.iter().find(|(name, kind, _)| *name == program && *kind == seen);
    known.map_or("not looked into yet", |(.., cause)| cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn causes_are_of_programs_that_there_are() {
        for (name, kind, cause) in CAUSES {
            assert!(table::find(name).is_some() && !kind.is_empty() && !cause.is_empty(), "{name}");
        }
        assert_eq!(of("gemv", "io"), "not looked into yet");
    }
}
