//! What the summary says of devices.

use anstyle::Style;

use super::{Page, kind_style};
use crate::number::{count, percent, time};
use crate::report::model::gpu::{Counters, Device, Elapsed, Gpu, Rule};

/// Rules that are shown.
const MOST_RULES: usize = 3;

impl Page {
    /// A line for each device, and what is wrong with how they are used.
    pub(super) fn gpu(&mut self, gpu: Option<&Gpu>) {
        let Some(gpu) = gpu else { return };
        self.line(|_| ());
        for device in &gpu.devices {
            self.paragraph(2, Style::new(), "GPU ", &of_device(device));
            if let Some(counters) = &device.counters {
                self.paragraph(4, Style::new(), "", &of_counters(counters));
            }
        }
        for span in &gpu.spans {
            self.paragraph(2, Style::new(), "GPU ", &of_span(span));
        }
        if let Some(reason) = &gpu.reason {
            self.paragraph(2, Style::new(), "GPU ", &format!("{}: {reason}", seen(&gpu.level)));
        } else if gpu.devices.is_empty() {
            self.paragraph(2, Style::new(), "GPU ", "not used");
        }
        if let Some(until_ns) = gpu.until_ns {
            let text = format!(
                "what devices did is known until {}, when its log was full: this report is about that time",
                time(until_ns)
            );
            self.paragraph(4, Style::new(), "", &text);
        }
        for problem in &gpu.problems {
            self.paragraph(4, Style::new(), "No verdict rests on this: ", problem);
        }
        for why in &gpu.held_back {
            self.paragraph(4, Style::new(), "", why);
        }
        for rule in gpu.rules.iter().take(MOST_RULES) {
            self.rule(rule);
        }
        if gpu.rules.len() > MOST_RULES {
            let more = format!("and {} more in summary.json", gpu.rules.len() - MOST_RULES);
            self.paragraph(4, Style::new(), "", &more);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let text = format!("{} of its time: {}", percent(rule.share), rule.what);
        self.paragraph(4, kind_style(rule.kind), "", &text);
        self.paragraph(6, Style::new(), "→ ", &rule.next);
    }
}

/// What a level means where there is a reason for not more.
fn seen(level: &str) -> &'static str {
    match level {
        "none" => "nothing was recorded of devices",
        _ => "only spans that name a stream (`cuda_stream = ...`) were timed",
    }
}

/// `its counters: memory 61%, f32 units 20%, multiprocessors with work 97% (24 windows, 2.4 s)`.
fn of_counters(counters: &Counters) -> String {
    let unit = counters.units.first().filter(|unit| unit.share > 0.0);
    let unit = unit.map(|unit| format!("{} {}, ", unit.name, percent(unit.share)));
    let busy = counters.busy.map(|busy| format!("multiprocessors with work {} ", percent(busy)));
    format!(
        "its counters: memory {}, {}{}({} windows, {})",
        percent(counters.memory),
        unit.unwrap_or_default(),
        busy.unwrap_or_default(),
        counters.windows,
        time(counters.ns)
    )
}

/// `forward: 1.2 s of its stream in 600 calls, waiting for the host included`.
fn of_span(span: &Elapsed) -> String {
    let (ns, calls) = (time(span.stream_elapsed_ns), count(span.calls));
    format!("{}: {ns} of its stream in {calls} calls, waiting for the host included", span.name)
}

/// `0 (H100) in use 1.2 s: kernels 62%, copies alone 8%, idle 30% (the host was busy with something else)`.
fn of_device(device: &Device) -> String {
    let share = |ns: u64| percent(ns as f64 / device.in_use_ns.max(1) as f64);
    let name = if device.name.is_empty() { String::new() } else { format!(" ({})", device.name) };
    let why = device.idle.first().map(|it| format!(" ({})", it.cause)).unwrap_or_default();
    format!(
        "{}{name} in use {}: kernels {}, copies alone {}, idle {}{why}",
        device.number,
        time(device.in_use_ns),
        share(device.kernels_ns),
        share(device.exposed_copies_ns),
        share(device.idle_ns)
    )
}
