//! The text of `cargo bottleneck doctor`: the machine, its ceilings and how they were measured, what can be observed.
//!
//! Pure: a [`Machine`] in, text out. Meaning never rests on color; lines keep to the width where words allow it.

use std::fmt::{Display, Write};

use anstyle::{AnsiColor, Style};

use super::gpu::Gpus;
use super::{CacheRead, Capability, Ceilings, Interval, LoadTimes, Machine, Threshold, Topology};
use crate::units::{Bytes, Nanos};

/// Below this no table fits.
const LEAST_WIDTH: usize = 60;
/// The column at which values start.
const INDENT: usize = 24;

/// Renders the machine for a terminal of `width` columns.
pub fn render(machine: &Machine, color: bool, width: usize) -> String {
    let mut page = Page { text: String::new(), color, width: width.max(LEAST_WIDTH) };
    page.heading("Machine");
    topology(&mut page, &machine.topology);
    page.heading("Ceilings");
    ceilings(&mut page, &machine.ceilings);
    if let Some(gpus) = &machine.gpu {
        page.heading("GPUs");
        devices(&mut page, gpus);
    }
    page.heading("What can be observed here");
    for capability in &machine.capabilities {
        observed(&mut page, capability);
    }
    page.text
}

fn topology(page: &mut Page, topology: &Topology) {
    let below = if topology.virtual_machine { ", in a virtual machine" } else { "" };
    page.line("processor", &format!("{} ({}){below}", topology.cpu_model, topology.architecture));
    let quota = match topology.quota {
        Some(quota) => format!("a quota of {quota:.2} CPUs by the control group"),
        None => "no quota".to_owned(),
    };
    page.line("CPUs", &format!("{} may be used, {quota}", topology.cpus.len()));
    let caches: Vec<String> = topology.caches.iter().map(cache).collect();
    let caches =
        if caches.is_empty() { "not told by the system".to_owned() } else { caches.join(", ") };
    page.line("caches", &caches);
    page.line(
        "memory",
        &match (topology.memory, topology.memory_available) {
            (Some(all), Some(free)) => format!("{all}, of which {free} are free"),
            (Some(all), None) => all.to_string(),
            (None, _) => "not told by the system".to_owned(),
        },
    );
    page.line("kernel", topology.kernel.as_deref().unwrap_or("not told by the system"));
}

fn cache(cache: &super::Cache) -> String {
    let shared = if cache.shared_by > 1 {
        format!(" (shared by {} CPUs)", cache.shared_by)
    } else {
        String::new()
    };
    format!("L{} {}{shared}", cache.level, Bytes(cache.size.get()))
}

fn ceilings(page: &mut Page, ceilings: &Ceilings) {
    page.row("", &["least", "median", "most"], "");
    for read in &ceilings.dram_read {
        page.interval(&format!("memory read, {}", threads(read.threads)), &read.bandwidth, "");
    }
    for read in &ceilings.cache_read {
        page.interval(&format!("L{} read, 1 thread", read.level), &read.bandwidth, &of_data(read));
    }
    loads(page, ceilings);
    for peak in &ceilings.fma_f32 {
        let name = format!("f32 {}, {}", peak.width.name(), threads(peak.threads));
        let fused = if peak.fused { "FLOP/cycle" } else { "FLOP/cycle, mul + add" };
        page.interval(&name, &peak.peak, &format!("{:.1} {fused}", peak.per_cycle));
    }
    if let Some(clock) = &ceilings.clock {
        page.interval("clock at work", clock, "");
    }
    for count in ceilings.dram_read.iter().map(|read| read.threads) {
        if let Some(ridge) = ceilings.ridge(count) {
            page.line(
                &format!("ridge, {}", threads(count)),
                &format!(
                    "{} ({:.1} to {:.1}): memory limits what does less, arithmetic what does more",
                    ridge.median,
                    ridge.min.get(),
                    ridge.max.get()
                ),
            );
        }
    }
    if let Some(times) = &ceilings.load_times {
        timed_loads(page, times);
    }
    for missing in &ceilings.unavailable {
        page.line(&missing.what, &format!("not measured: {}", missing.reason));
    }
    page.blank();
    for read in &ceilings.dram_read {
        let how = &read.measurement;
        let windows = format!("{} windows in {}", read.bandwidth.windows, how.took);
        page.note(&format!("memory read, {}: {}; {windows}", threads(read.threads), how.method));
        for limit in &read.limits {
            page.note(&format!("memory read, {}: {limit}", threads(read.threads)));
        }
    }
    if ceilings.fma_f32.iter().any(|peak| !peak.fused) {
        page.note("mul + add: without fused instructions, as in a program built for every processor of its kind");
    }
    if let Some(how) = &ceilings.compute {
        let when = if how.cached { "kept from an earlier run, checked" } else { "measured now" };
        page.note(&format!("caches, f32, clock: {}; {when} in {}", how.method, how.took));
    }
    if let Some(how) = &ceilings.memory {
        let when = if how.cached { "kept from an earlier run, checked" } else { "measured now" };
        page.note(&format!("loads, pages, files: {}; {when} in {}", how.method, how.took));
    }
    if let Some(how) = ceilings.load_times.as_ref().map(|times| &times.measurement) {
        page.note(&format!("timed loads: {}; measured now in {}", how.method, how.took));
    }
}

fn devices(page: &mut Page, gpus: &Gpus) {
    for device in &gpus.devices {
        page.line(&format!("device {}", device.number), &device.name);
        page.row("", &["least", "median", "most"], "");
        for (name, rate) in [
            ("own memory, read + write", &device.memory),
            ("from pinned memory", &device.h2d_pinned),
            ("from pageable memory", &device.h2d_pageable),
            ("to pinned memory", &device.d2h_pinned),
            ("to pageable memory", &device.d2h_pageable),
        ] {
            page.interval(name, rate, "");
        }
        if let Some(launch) = &device.launch {
            page.interval("launch", launch, "of the host's time");
        }
    }
    if let Some(problem) = &gpus.problem {
        page.line("devices", &format!("not known: {problem}"));
    }
    let cupti = match (&gpus.cupti, &gpus.cupti_problem) {
        (Some(version), _) => format!("CUPTI (version {version}) tells what devices do"),
        (None, problem) => {
            format!("not told: {}", problem.as_deref().unwrap_or("no reason is given"))
        }
    };
    page.line("their work", &cupti);
    let counters = match &gpus.counters_problem {
        None if gpus.has_counters => "counters (NVML's GPM) tell which are in use".to_owned(),
        problem => {
            format!("not counted: {}", problem.as_deref().unwrap_or("no reason is given"))
        }
    };
    page.line("their parts", &counters);
}

fn of_data(read: &CacheRead) -> String {
    let more = if read.may_hold_more { "at least " } else { "" };
    let holds = read.holds.map(|holds| format!(", holds {more}{holds}")).unwrap_or_default();
    format!("{} of data{holds}", read.data)
}

/// What single loads, first touches and copies of files cost.
fn loads(page: &mut Page, ceilings: &Ceilings) {
    for load in &ceilings.latency {
        let note = format!("{} in pages of {}", load.data, whole(load.page));
        page.interval(&format!("{} load", level(load.level)), &load.latency_ns.map(InNanos), &note);
    }
    for touch in &ceilings.first_touch {
        let name = format!("first touch of {}", whole(touch.page));
        page.interval(&name, &touch.cost_ns.map(InNanos), "");
    }
    if let Some(read) = &ceilings.page_cache_read {
        page.interval("read of cached file", read, "1 thread");
    }
}

fn timed_loads(page: &mut Page, times: &LoadTimes) {
    let levels: Vec<String> = times
        .levels
        .iter()
        .map(|l| format!("{} {} ({} to {})", level(l.level), l.median, l.p10, l.p90))
        .collect();
    page.line("timed loads", &format!("{} ticks of {}", levels.join(", "), times.tick_rate));
    let mistaken = |line: &Threshold| {
        format!(
            "{:.1}% and {:.1}%",
            line.inner_mistaken.get() * 100.0,
            line.outer_mistaken.get() * 100.0
        )
    };
    page.line(
        "",
        &format!(
            "near below {} ticks ({} on the wrong side), memory from {} on ({})",
            times.near.ticks,
            mistaken(&times.near),
            times.far.ticks,
            mistaken(&times.far)
        ),
    );
    if let Some(skid) = times.skid {
        page.line(
            "",
            &format!(
                "a waiting thread is seen {} behind its load in {:.1}% of {} samples",
                instructions(skid.instructions),
                skid.share.get() * 100.0,
                skid.samples
            ),
        );
    }
    if let Some(why) = &times.off {
        page.line("", &format!("not used as evidence: {why}"));
    }
}

fn instructions(count: u32) -> String {
    if count == 1 { "1 instruction".to_owned() } else { format!("{count} instructions") }
}

fn level(level: Option<u8>) -> String {
    level.map_or_else(|| "memory".to_owned(), |level| format!("L{level}"))
}

/// The size of a page, which is whole.
fn whole(page: Bytes) -> String {
    page.to_string().replace(".00", "").replace(".0", "")
}

#[derive(Clone, Copy)]
/// A time of less than a nanosecond's precision.
struct InNanos(f64);

impl Display for InNanos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(ns) = *self;
        if ns >= 1000.0 {
            return Nanos::from(std::time::Duration::from_secs_f64(ns / 1e9)).fmt(f);
        }
        let places = usize::from(ns < 99.95) + usize::from(ns < 9.995);
        f.pad(&format!("{ns:.places$} ns"))
    }
}

fn observed(page: &mut Page, capability: &Capability) {
    let name = capability.name.replace('_', " ");
    let matters = &capability.matters;
    if capability.available {
        let detail =
            capability.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
        page.marked("yes", AnsiColor::Green, &name, &format!("{matters}{detail}"));
        return;
    }
    page.marked("no", AnsiColor::Yellow, &name, matters);
    page.line("", &format!("why: {}", capability.reason.as_deref().unwrap_or("unknown")));
    if let Some(fix) = &capability.fix {
        page.line("", &format!("fix: {fix}"));
    }
}

fn threads(count: u32) -> String {
    if count == 1 { "1 thread".to_owned() } else { format!("{count} threads") }
}

/// A page that is being written.
struct Page {
    text: String,
    color: bool,
    width: usize,
}

impl Page {
    fn heading(&mut self, words: &str) {
        if !self.text.is_empty() {
            self.blank();
        }
        let words = self.painted(words, Style::new().bold());
        self.push(&words);
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    /// `  name      text`, the text wrapped below itself.
    fn line(&mut self, name: &str, text: &str) {
        self.wrapped(&format!("  {name}"), text);
    }

    fn marked(&mut self, mark: &str, color: AnsiColor, name: &str, text: &str) {
        let plain = format!("  {mark:<3} {name}");
        let start = self.text.len();
        self.wrapped(&plain, text);
        if self.color {
            let painted = self.painted(mark, color.on_default().bold());
            self.text.replace_range(start + 2..start + 2 + mark.len(), &painted);
        }
    }

    fn note(&mut self, text: &str) {
        for line in wrap(text, self.width - 2) {
            self.push(&format!("  {line}"));
        }
    }

    fn interval<T: Display>(&mut self, name: &str, interval: &Interval<T>, note: &str) {
        let values = [&interval.min, &interval.median, &interval.max].map(ToString::to_string);
        self.row(name, &values.each_ref().map(String::as_str), note);
    }

    fn row(&mut self, name: &str, values: &[&str; 3], note: &str) {
        let [least, median, most] = values;
        self.push(&format!("  {name:<INDENT$} {least:>12} {median:>12} {most:>12}  {note}"));
    }

    fn wrapped(&mut self, name: &str, text: &str) {
        let indent = INDENT + 3;
        let mut lines = wrap(text, self.width - indent).into_iter();
        let mut first = lines.next().unwrap_or_default();
        let mut name = name.to_owned();
        if name.chars().count() >= indent {
            // A name that fills its column stands alone.
            self.push(&std::mem::take(&mut name));
        }
        self.push(&format!("{name:<indent$}{first}"));
        for line in lines {
            first = line;
            self.push(&format!("{:indent$}{first}", ""));
        }
    }

    fn painted(&self, words: &str, style: Style) -> String {
        if self.color { format!("{style}{words}{style:#}") } else { words.to_owned() }
    }

    fn push(&mut self, line: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{}", line.trim_end());
    }
}

/// Breaks at spaces; a word longer than the width stays whole, because a command that is cut cannot be copied.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::super::tests::constructed;
    use super::*;

    #[test]
    fn the_page_as_it_is_seen() {
        insta::assert_snapshot!(render(&constructed(), false, 80));
    }

    #[test]
    fn lines_keep_to_the_width() {
        for width in [60, 80, 120] {
            let page = render(&constructed(), false, width);
            // The table has a fixed width, which is shown whole.
            let table = |line: &str| {
                ["/s  ", "FLOP/cycle", "in pages of"].iter().any(|part| line.contains(part))
            };
            for line in page.lines().filter(|line| !table(line)) {
                assert!(line.chars().count() <= width.max(66), "{width}: {line}");
            }
        }
    }

    #[test]
    fn color_adds_nothing_but_color() {
        let colored = render(&constructed(), true, 80);
        assert!(colored.contains("\u{1b}["));
        let plain = anstream::adapter::strip_str(&colored).to_string();
        assert_eq!(plain, render(&constructed(), false, 80));
    }

    #[test]
    fn an_empty_machine_says_what_is_not_known() {
        let mut machine = constructed();
        machine.ceilings = Ceilings::default();
        machine.capabilities.clear();
        machine.topology.caches.clear();
        machine.topology.memory = None;
        machine.topology.kernel = None;
        let page = render(&machine, false, 80);
        assert_eq!(page.matches("not told by the system").count(), 3, "{page}");
    }
}
