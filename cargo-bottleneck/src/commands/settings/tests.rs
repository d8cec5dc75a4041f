//! Places of settings, and what is said of those that make no sense.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Inherited {
    let variables: BTreeMap<_, _> =
        pairs.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Inherited::from_variables(variables, None)
}

fn table<'a>(owner: &'static str, metadata: &'a Value) -> Table<'a> {
    Table { owner, metadata, manifest: "/w/p/Cargo.toml".into() }
}

fn of_manifest(value: &Value) -> Result<Settings, Error> {
    let metadata = json!({"bottleneck": value});
    layered(
        &Settings::default(),
        &environment(&[]),
        &[table("package", &metadata)],
        Status::default(),
    )
}

#[test]
fn the_nearer_place_wins_key_by_key() {
    let flags = Settings { duration: Some(Duration::from_secs(1)), ..Settings::default() };
    let variables = environment(&[("BOTTLENECK_DURATION", "2s"), ("BOTTLENECK_OPEN", "false")]);
    let package = json!({"bottleneck": {"duration": 3, "open": true, "format": "folded"}});
    let workspace =
        json!({"bottleneck": {"format": ["svg"], "profile": "release", "duration": 4.5}});
    let tables = [table("package", &package), table("workspace", &workspace)];
    let settings = layered(&flags, &variables, &tables, Status::default()).unwrap();
    let expected = Settings {
        duration: Some(Duration::from_secs(1)),
        open: Some(false),
        formats: Some(vec![Format::Folded]),
        profile: Some(Profile::Release),
        ..Settings::default()
    };
    assert_eq!(settings, expected);
}

#[test]
fn every_key_can_be_set_in_a_manifest_and_in_the_environment() {
    let expected = Settings {
        formats: Some(vec![Format::Svg, Format::Folded]),
        output: Some("/w/p/out".into()),
        open: Some(true),
        message_format: Some(MessageFormat::Short),
        duration: Some(Duration::from_millis(500)),
        profile: Some(Profile::Named("fast".to_owned())),
        // A matter of one run: only its flag says so.
        gpu: None,
    };
    let manifest = json!({
        "format": ["svg", "folded"], "output": "out", "open": true, "message-format": "short", "duration": "500ms",
        "profile": "fast",
    });
    assert_eq!(of_manifest(&manifest).unwrap(), expected);
    let variables = environment(&[
        ("BOTTLENECK_FORMAT", "svg,folded"),
        ("BOTTLENECK_OUTPUT", "out"),
        ("BOTTLENECK_OPEN", "1"),
        ("BOTTLENECK_MESSAGE_FORMAT", "short"),
        ("BOTTLENECK_DURATION", "0.5"),
        ("BOTTLENECK_PROFILE", "fast"),
    ]);
    let settings = layered(&Settings::default(), &variables, &[], Status::default()).unwrap();
    // A variable is relative to where the user is, as a flag.
    assert_eq!(settings, Settings { output: Some("out".into()), ..expected });
}

#[test]
fn an_empty_variable_takes_nothing_from_the_manifest() {
    let package = json!({"bottleneck": {"duration": 3}});
    let variables = environment(&[("BOTTLENECK_DURATION", "")]);
    let settings =
        layered(&Settings::default(), &variables, &[table("package", &package)], Status::default());
    assert_eq!(settings.unwrap().duration, Some(Duration::from_secs(3)));
}

#[test]
fn a_wrong_type_is_an_error_with_its_place_and_the_way_out() {
    insta::assert_snapshot!(of_manifest(&json!({"duration": [1]})).unwrap_err(), @r"
    cannot use `package.metadata.bottleneck.duration` in `/w/p/Cargo.toml`
      why: `[1]` is no value for it
      fix: write 500ms, 30s, 2m, 1h, or a number of seconds
    ");
    for value in [
        json!({"open": "yes"}),
        json!({"open": "true"}),
        json!({"format": ["html"]}),
        json!({"format": [1]}),
        json!({"format": {}}),
        json!({"output": 3}),
        json!({"message-format": "xml"}),
        json!({"duration": -1}),
        json!({"duration": 0}),
        json!({"profile": ""}),
    ] {
        let text = of_manifest(&value).unwrap_err().to_string();
        assert!(text.contains("\n  why: ") && text.contains("\n  fix: write "), "{value}: {text}");
    }
    let variables = environment(&[("BOTTLENECK_OPEN", "maybe")]);
    let error = layered(&Settings::default(), &variables, &[], Status::default()).unwrap_err();
    let text = "cannot use `BOTTLENECK_OPEN` in the environment\n  why: `maybe` is no value for it\n  fix: write true or false";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_slip_is_recognized() {
    let names: Vec<String> = Key::ALL.into_iter().map(|key| key.name().to_owned()).collect();
    assert_eq!(nearest("durations", &names), Some("duration"));
    assert_eq!(nearest("formt", &names), Some("format"));
    assert_eq!(nearest("message_format", &names), Some("message-format"));
    assert_eq!(nearest("colour", &names), None);
    let variables: Vec<String> = Key::ALL.into_iter().map(Key::variable).collect();
    assert_eq!(nearest("BOTTLENECK_DURATON", &variables), Some("BOTTLENECK_DURATION"));
    assert_eq!(nearest("BOTTLENECK_HOME", &variables), None);
}

#[test]
fn a_table_that_is_not_there_says_nothing() {
    assert_eq!(
        layered(
            &Settings::default(),
            &environment(&[]),
            &[table("package", &Value::Null)],
            Status::default()
        )
        .unwrap(),
        Settings::default()
    );
}

#[test]
fn a_file_that_is_named_is_written_whatever_the_list_says() {
    let settings = Settings {
        output: Some("out/flame.svg".into()),
        formats: Some(vec![Format::Json]),
        ..Settings::default()
    };
    assert_eq!(settings.destination(), Destination::File("out/flame.svg".into(), Format::Svg));
    assert_eq!(settings.report().formats, [Format::Svg, Format::Json]);
    assert_eq!(Settings::default().report().formats, [Format::Svg, Format::Json]);
}
