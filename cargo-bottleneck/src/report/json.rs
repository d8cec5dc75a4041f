//! `summary.json`: the summary as other programs read it, and the schema that it keeps to.

use crate::escape::harmless_json;
use crate::report::model::Summary;

/// The JSON Schema of `summary.json`, with the meaning of every field.
pub const SCHEMA_TEXT: &str = include_str!("../../schema/summary.schema.json");

/// The file's text: indented JSON with a line feed at its end. A number that is not finite is `null`. Names
/// are true; what a terminal would obey is written as `\uXXXX`.
pub fn render(summary: &Summary) -> String {
    // Plain data with string keys: serialization has nothing to fail on. An empty object would still be valid JSON.
    let text = serde_json::to_string_pretty(summary).unwrap_or_else(|_| "{}".to_owned());
    let mut res = harmless_json(&text);
    res.push('\n');
    res
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::fixture::{MS, context, report, sampled_report, streams, two_phases};
    use crate::kind::Kind;
    use crate::profile::builder::ProfileBuilder;
    use serde_json::Value;

    /// The schema, made to refuse every field that it does not describe.
    fn strict_schema() -> Value {
        fn close(schema: &mut Value) {
            match schema {
                Value::Object(object) => {
                    if object.contains_key("properties") {
                        object.insert("additionalProperties".into(), false.into());
                    }
                    object.values_mut().for_each(close);
                }
                Value::Array(values) => values.iter_mut().for_each(close),
                _ => {}
            }
        }
        let mut res: Value = serde_json::from_str(SCHEMA_TEXT).unwrap();
        close(&mut res);
        res
    }

    #[track_caller]
    fn validate(summary: &Summary) {
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.add_resource("summary.json", strict_schema()).unwrap();
        let schema = compiler.compile("summary.json", &mut schemas).unwrap();
        let value: Value = serde_json::from_str(&render(summary)).unwrap();
        if let Err(error) = schemas.validate(&value, schema) {
            panic!("{error:#}");
        }
    }

    #[test]
    fn summaries_keep_to_the_schema_and_it_describes_every_field() {
        let everything = ProfileBuilder::new(200 * MS)
            .cut()
            .capability("context_switches", Some("refused"))
            .thread("main", |main| {
                main.span("load", 0..50 * MS, |load| {
                    load.asserted(Kind::Io).blocked(40 * MS);
                });
                main.span("gemv", 50 * MS..150 * MS, |gemv| streams(gemv, 100));
                main.open("late", 150 * MS, |late| {
                    late.span("poll", 150 * MS..160 * MS, |poll| {
                        poll.polled(3, 5 * MS);
                    });
                });
            });
        let builders = [
            two_phases(30, 70),
            two_phases(49, 51),
            everything,
            ProfileBuilder::new(1),
            ProfileBuilder::new(0),
        ];
        for builder in builders {
            validate(&report(&builder, &context()).0);
        }
        let samples =
            [("matmul", "app::matvec", 81, false), ("matmul", "rayon::in_a_pool", 7, true)];
        let sampled = sampled_report(&two_phases(30, 70), &samples).0;
        assert_eq!(sampled.findings[0].leaves.len(), 2);
        validate(&sampled);
        let mut blind = context();
        blind.ceilings = Err("not measured".into());
        validate(&report(&two_phases(30, 70), &blind).0);
    }

    #[test]
    fn a_value_outside_the_contract_is_refused() {
        let mut value: Value =
            serde_json::from_str(&render(&report(&two_phases(3, 7), &context()).0)).unwrap();
        value["verdict"]["kind"] = "memory-bound".into();
        let mut schemas = boon::Schemas::new();
        let mut compiler = boon::Compiler::new();
        compiler.add_resource("summary.json", serde_json::from_str(SCHEMA_TEXT).unwrap()).unwrap();
        let schema = compiler.compile("summary.json", &mut schemas).unwrap();
        assert!(schemas.validate(&value, schema).is_err());
    }

    #[test]
    fn the_text_of_a_small_run() {
        insta::assert_snapshot!(render(&report(&two_phases(30, 70), &context()).0));
    }
}
