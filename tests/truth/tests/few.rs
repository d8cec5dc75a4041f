//! A few programs of the truth suite, one run each: the whole suite is `cargo run -p bottleneck-truth --bin truth`.
//!
//! A wrong kind fails, an abstention does not: whether it abstains too often is for the suite to say. Runs whose label
//! does not hold here now, and runs beside busy programs of others, do not count.

use bottleneck_truth::runner::judge::Judgement;
use bottleneck_truth::runner::run::{Outcome, Plan};
use bottleneck_truth::runner::tier::Tier;
use bottleneck_truth::table::find;

#[test]
fn no_verdict_names_a_wrong_kind() {
    let mut wrong = Vec::new();
    for (name, tier) in [("gemv", 0), ("gemm", 0), ("gemv", 3), ("gemm", 3)] {
        let program = find(name).expect("it is in the table");
        let tier = Tier::ALL[tier];
        let plan = Plan {
            program,
            tier,
            seed: 1,
            seconds: 1.0,
            oracle: true,
            is_after: false,
            measure: None,
        };
        let row = plan.run_undisturbed();
        println!("{}", row.line());
        let is_wrong = matches!(row.outcome, Outcome::Judged(Judgement::Wrong, _));
        if is_wrong || matches!(row.outcome, Outcome::Failed(_)) {
            wrong.push(row.line());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
