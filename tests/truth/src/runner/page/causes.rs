//! Why verdicts were wrong: stated by people who looked into it, by program and by the kind that was seen.

/// The program, the kind that was seen instead of its own, and why.
const CAUSES: &[(&str, &str, &str)] = &[
    (
        "sweep_8",
        "memory",
        "On the line: on 2026-11-23 its oracle found 0.19 to 0.27 of stalls, and 0.2 is where both verdicts begin to be \
         right. All of its data come from DRAM, and its samples lay behind late loads more often than such waits took time; \
         probably because part of each wait is hidden under arithmetic. That part was not measured by itself.",
    ),
    (
        "balanced",
        "io",
        "Known is only that on 2026-11-23 files had 34 % of the time, by the report's own account, where its parts are equal \
         when they are measured at the start. It does not measure them again while it runs, as mixes do, so whether the disk \
         became slower or the account is wrong cannot be told afterwards.",
    ),
    (
        "false_sharing",
        "compute",
        "Not known. On 2026-11-23, of the timed loads 25 % came from DRAM, 12 % from a cache beyond the core's own and the \
         others from near. A load that is timed says where the line is at that moment, not who waits for it, and nobody noted \
         how often the line moved in this run.",
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
