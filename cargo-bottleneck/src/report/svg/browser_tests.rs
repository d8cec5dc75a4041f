//! The picture in a real browser: what its script does, and pictures of it to look at.
//!
//! Needs chromium; without it the tests say so and pass. `BOTTLENECK_PICTURES=<existing directory> cargo test -p
//! cargo-bottleneck --lib pictures` writes pictures of every state in light and dark.

use std::path::Path;
use std::process::Command;

use super::fixture;
use super::render;
use crate::kind::Kind;
use crate::report::hostile_tests;
use crate::report::model::Frame;

const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A name that would be heard of if it were ever markup.
const EVIL: &str =
    "evil</title></g><script>window.pwned=1</script><g \" onfocus=\"window.pwned=1\" x=\"";

/// States to take a picture of: a name, and the script that brings the picture there.
const STATES: [(&str, &str); 6] = [
    ("plain", ""),
    (
        "tooltip",
        "at('Linear', 1).querySelector('rect').dispatchEvent(new MouseEvent('mousemove', \
      {bubbles: true, clientX: 700, clientY: 270}))",
    ),
    ("zoomed", "press('decode')"),
    (
        "filtered",
        "document.querySelector('[data-kind=io]').dispatchEvent(new MouseEvent('click', {bubbles: true}))",
    ),
    ("found", "search('forward|attention')"),
    ("focused", "at('copy_h2d', 0).focus()"),
];

/// The browser that this machine has, or the reason why there is no test.
fn browser() -> Result<&'static str, String> {
    BROWSERS
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
        .ok_or_else(|| format!("none of {} is installed", BROWSERS.join(", ")))
}

/// Opens the file and returns what the browser printed.
fn open(browser: &str, file: &Path, more: &[String]) -> Result<String, String> {
    let profile = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = Command::new("timeout")
        .args(["60", browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
        .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
        .args(["--disable-sync", "--hide-scrollbars", "--window-size=1280,600"])
        .args(["--virtual-time-budget=3000", "--force-prefers-reduced-motion"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(more)
        .arg(format!("file://{}", file.display()))
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{browser} ended with {}", output.status))
    }
}

/// The picture of these frames with a script that runs in it.
fn with_script(roots: &[Frame], script: &str) -> String {
    let svg = String::from_utf8(render(&fixture::summary(roots), roots).unwrap()).unwrap();
    let body = svg.strip_suffix("</svg>").unwrap();
    format!("{body}<text id=\"results\"/><script><![CDATA[{script}]]></script></svg>")
}

#[test]
fn the_picture_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("flame.svg");
    let mut roots = fixture::server();
    let mut evil = fixture::frame(EVIL, Kind::Other, 1, vec![]);
    evil.notes = vec![EVIL.to_owned()];
    roots.push(evil);
    std::fs::write(&file, with_script(&roots, include_str!("browser_tests.js"))).unwrap();
    let dom = match browser().and_then(|browser| open(browser, &file, &["--dump-dom".to_owned()])) {
        Ok(dom) => dom,
        Err(reason) => return println!("SKIP browser: {reason}"),
    };
    let Some((_, results)) = dom.split_once("RESULTS ") else {
        return println!("SKIP browser: it did not run the script of the picture");
    };
    let results = results.split('<').next().unwrap_or_default();
    assert!(results.ends_with("failed: []"), "{results}");
}

/// What a browser makes of every hostile name, in one picture of its own; it would have run what it takes for script.
#[test]
fn a_browser_runs_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("flame.svg");
    let names = hostile_tests::names();
    let roots: Vec<Frame> = names
        .iter()
        .map(|(_, name)| {
            let mut root = fixture::frame(name, Kind::Memory, 1_000, vec![]);
            root.notes = vec![name.clone()];
            root
        })
        .collect();
    let script = "window.addEventListener('load', function () { setTimeout(function () { \
        var boxes = document.querySelectorAll('#frames > g'); \
        boxes.forEach(function (g) { g.focus(); g.querySelector('rect').dispatchEvent(\
            new MouseEvent('mousemove', {bubbles: true, clientX: 300, clientY: 200})); }); \
        search('.'); \
        var handlers = Array.from(document.querySelectorAll('*')).filter(function (it) { \
            return Array.from(it.attributes).some(function (at) { return /^on|href/i.test(at.name); }); }); \
        document.getElementById('results').textContent = 'RESULTS boxes ' + boxes.length + ' scripts ' + \
            document.querySelectorAll('script').length + ' handlers ' + handlers.length + ' pwned ' + window.pwned; \
        }, 50); });";
    std::fs::write(&file, with_script(&roots, script)).unwrap();
    let dom = match browser().and_then(|browser| open(browser, &file, &["--dump-dom".to_owned()])) {
        Ok(dom) => dom,
        Err(reason) => return println!("SKIP browser: {reason}"),
    };
    // The script itself, which is in the document too, ends differently.
    let results = dom
        .split("RESULTS ")
        .find(|part| part.starts_with("boxes 4") || part.starts_with("boxes 5"));
    let Some(results) = results.and_then(|part| part.split('<').next()) else {
        return println!("SKIP browser: it did not run the script of the picture");
    };
    let expected = format!("boxes {} scripts 3 handlers 1 pwned undefined", names.len() + 1);
    assert_eq!(results, expected);
}

#[test]
fn pictures() {
    let Some(dir) = std::env::var_os("BOTTLENECK_PICTURES") else {
        return println!("SKIP pictures: BOTTLENECK_PICTURES names no directory");
    };
    let dir = std::path::absolute(dir).unwrap();
    for (state, script) in STATES {
        let file = dir.join(format!("{state}.svg"));
        let helpers = "function at(name, i) { return Array.from(document.querySelectorAll('#frames > g')).filter(\
                       function (g) { return g.getAttribute('aria-label').startsWith(name); })[i]; } \
                       function press(name) { at(name, 0).querySelector('rect').dispatchEvent(\
                       new MouseEvent('click', {bubbles: true})); }";
        let script = format!(
            "{helpers} window.addEventListener('load', function () {{ setTimeout(function () {{ {script} }}, 50); }});"
        );
        std::fs::write(&file, with_script(&fixture::server(), &script)).unwrap();
        for (mode, setting) in [("light", 1), ("dark", 0)] {
            let more = [
                format!("--blink-settings=preferredColorScheme={setting}"),
                format!("--screenshot={}", dir.join(format!("{state}-{mode}.png")).display()),
            ];
            if let Err(reason) = browser().and_then(|browser| open(browser, &file, &more)) {
                return println!("SKIP pictures: {reason}");
            }
        }
    }
}
