//! The text of `cargo bottleneck doctor`: the machine, its ceilings and how they were measured, what can be observed.
//!
//! Pure: a [`Machine`] in, text out. Meaning never rests on color; lines keep to the width where words allow it.

use std::fmt::{Display, Write};

use anstyle::{AnsiColor, Style};

use super::{Capability, Ceilings, Interval, Machine, Topology};
use crate::units::Bytes;

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
        page.interval(
            &format!("L{} read, 1 thread", read.level),
            &read.bandwidth,
            &format!("{} of data", read.data),
        );
    }
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
            let table = |line: &str| line.contains("/s  ") || line.contains("FLOP/cycle");
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
