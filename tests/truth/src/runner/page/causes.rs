//! Why verdicts were wrong: stated by people who looked into it, by program and by the kind that was seen.

/// The program, the kind that was seen instead of its own, and why.
const CAUSES: &[(&str, &str, &str)] = &[
    (
        "sweep_8",
        "memory",
        "On the line: its oracle finds 0.19 to 0.25 of stalls, and 0.2 is where both verdicts begin to be right. All of its data \
         come from DRAM, and most of the waits lie under arithmetic: samples behind late loads see more of them than there are.",
    ),
    (
        "balanced",
        "io",
        "Its four parts are as long as each other when they are measured at the start; in this run the disk was slower later on, \
         and files had a third of the time indeed. It does not measure its parts while it runs, as mixes do.",
    ),
    (
        "false_sharing",
        "compute",
        "Two thirds of the timed loads found their line in the core's own cache: the threads took long turns at it in this run \
         instead of taking it from each other at every store. A load that is timed says where the line is, not who waits for it.",
    ),
];

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
