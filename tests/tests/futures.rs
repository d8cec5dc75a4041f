//! Busy and waiting time of a future sum to its life, from its first poll to its end, whatever is done to it.

use std::process::Command;

use bottleneck_tests::Recorded;

/// The clock of the spans against that of the program.
const DRIFT: f64 = 0.001;
/// Polls of each future that comes to its end.
const POLLS: u64 = 20;

#[test]
fn busy_and_waiting_are_the_life_of_a_future() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let output = Command::new(env!("CARGO_BIN_EXE_futures"))
        .env("BOTTLENECK_RUN_DIR", folder.path())
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    let recorded = Recorded::of_run(folder.path());
    let lives = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(lives.lines().count(), 6, "{lives}");
    for line in lives.lines() {
        let mut words = line.split(' ');
        let name = words.next().expect("a line begins with a name");
        let mut ns = || words.next().and_then(|it| it.parse::<f64>().ok()).expect("a length");
        let (inside, outside) = (ns(), ns());
        let span = recorded.at_site(name);
        let life = span.busy + span.waiting;
        assert!(
            inside * (1.0 - DRIFT) <= life && life <= outside * (1.0 + DRIFT),
            "{name} lived {inside} to {outside} ns: {span:?}"
        );
        // The program's own account is as exact as the machine lets it be; ours is not to be less so.
        assert!((life - span.longest).abs() <= DRIFT * life, "{name}: {span:?}");
        // Both halves are real: every poll has half a millisecond of work, and so has the time between.
        let half = (POLLS - 1) as f64 * 0.5e6;
        assert!(span.busy >= half && span.waiting >= half, "{name}: {span:?}");
        let is_cancelled = u64::from(name.starts_with("cancelled"));
        let is_panicked = u64::from(name.starts_with("panics"));
        assert_eq!(
            (span.count, span.polls, span.cancelled, span.panicked),
            (1, POLLS, is_cancelled, is_panicked),
            "{span:?}"
        );
    }
    let both = recorded.at_site("both");
    let inner = ["joined_first", "joined_second"].map(|name| recorded.at_site(name).busy);
    assert!(both.busy >= inner.iter().sum::<f64>() * (1.0 - DRIFT), "{both:?} {inner:?}");
    assert!(
        recorded.trees.len() >= 3,
        "main, and two threads that one future went to and fro between"
    );
    assert!(!recorded.nodes.keys().any(|path| path.contains("never_polled")), "it never lived");
}
