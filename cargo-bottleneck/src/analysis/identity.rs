//! What reports call a path: a stable id, a short name with its type, and the place in the source.

use std::collections::HashSet;

use crate::profile::{Profile, Site, SpanIdx, Thread};

use super::{Analysis, Column};

/// The labels of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Stable from run to run: a hash of the thread's name and of the sites and keys of the path.
    pub id: String,
    /// `Linear::forward`.
    pub name: String,
    /// `src/model.rs:141`; empty where the place is not known.
    pub site: String,
}

/// The labels of all paths. Ids are distinct within the profile.
pub fn label(profile: &Profile) -> Column<SpanIdx, Label> {
    let mut hashes: Column<SpanIdx, u64> = Column::filled(profile.spans.len(), 0);
    let mut taken = HashSet::new();
    let mut res = Column::new();
    for (span, path) in profile.spans.iter() {
        let site = &profile.sites[path.site];
        let around = path.parent.map_or_else(
            || fnv(FNV_START, thread_name(&profile.threads[path.thread]).as_bytes()),
            |parent| hashes[parent],
        );
        let mut hash = fnv(around, &site.id.to_le_bytes());
        hash = fnv(hash, path.key.as_deref().unwrap_or_default().as_bytes());
        // Threads of one name have equal paths: the second one's get other ids, in the stable order of the threads.
        while !taken.insert(hash) {
            hash = fnv(hash, b"+");
        }
        hashes[span] = hash;
        res.push(Label { id: format!("{hash:016x}"), name: site_name(site), site: place(site) });
    }
    res
}

/// The names of a path from the outermost to `span`.
pub fn path_names(
    profile: &Profile,
    labels: &Column<SpanIdx, Label>,
    span: SpanIdx,
) -> Vec<String> {
    let mut res: Vec<String> =
        std::iter::successors(Some(span), |&span| profile.spans[span].parent)
            .map(|span| labels[span].name.clone())
            .collect();
    res.reverse();
    res
}

/// The thread's name without digits, so that the members of a pool have one name.
pub fn thread_name(thread: &Thread) -> String {
    let name: String = thread.name.chars().filter(|c| !c.is_ascii_digit()).collect();
    let name = name.trim_end_matches(['-', '_', ':', '#', ' ', '.']);
    if name.is_empty() { "[unnamed]".to_owned() } else { name.to_owned() }
}

fn site_name(site: &Site) -> String {
    if site.owner.is_empty() {
        site.name.clone()
    } else {
        format!("{}::{}", without_modules(&site.owner), site.name)
    }
}

/// A type's name without module paths: `alloc::vec::Vec<app::Linear>` is `Vec<Linear>`.
pub(super) fn without_modules(owner: &str) -> String {
    let mut res = String::with_capacity(owner.len());
    let mut word_at = 0;
    let mut rest = owner;
    while let Some(c) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("::") {
            // A module goes; what stands behind a bracket, as in `<T as Trait>::Out`, stays.
            if word_at < res.len() {
                res.truncate(word_at);
            } else {
                res.push_str("::");
                word_at = res.len();
            }
            rest = behind;
            continue;
        }
        res.push(c);
        if !(c.is_alphanumeric() || c == '_') {
            word_at = res.len();
        }
        rest = &rest[c.len_utf8()..];
    }
    res
}

fn place(site: &Site) -> String {
    if site.file.is_empty() { String::new() } else { format!("{}:{}", site.file, site.line) }
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

fn fnv(start: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    // The length keeps `ab` + `c` apart from `a` + `bc`.
    (bytes.len() as u64)
        .to_le_bytes()
        .iter()
        .chain(bytes)
        .fold(start, |hash, &byte| step(hash, byte))
}

/// Whether time in flight lies on more than one thread, so that reports name threads.
pub(super) fn has_several_threads(profile: &Profile, analysis: &Analysis) -> bool {
    let mut threads = analysis.ledger.rows.iter().map(|row| profile.spans[row.blamed.span].thread);
    let first = threads.next();
    analysis.in_flight.threads > 1 || threads.any(|thread| Some(thread) != first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::builder::ProfileBuilder;

    #[test]
    fn types_lose_their_modules_and_nothing_else() {
        let cases = [
            ("app::model::Linear", "Linear"),
            ("alloc::vec::Vec<app::Linear<[u8; 8]>>", "Vec<Linear<[u8; 8]>>"),
            ("<app::T as core::Iterator>::Item", "<T as Iterator>::Item"),
            ("dyn app::Layer", "dyn Layer"),
            ("(a::B, c::D)", "(B, D)"),
            ("", ""),
        ];
        for (owner, expected) in cases {
            assert_eq!(without_modules(owner), expected);
        }
    }

    #[test]
    fn equal_paths_of_two_threads_have_two_ids_and_every_run_the_same() {
        let run = || {
            let builder =
                ["pool-1", "pool-2"].into_iter().fold(ProfileBuilder::new(100), |builder, name| {
                    builder.thread(name, |pool| {
                        pool.span("work", 0..50, |_| ());
                    })
                });
            let profile = builder.build();
            label(&profile).values().iter().map(|label| label.id.clone()).collect::<Vec<_>>()
        };
        let ids = run();
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids, run());
    }

    #[test]
    fn members_of_a_pool_share_a_name() {
        let profile =
            ProfileBuilder::new(1).thread("tokio-runtime-12", |_| ()).thread("7", |_| ()).build();
        let names: Vec<String> = profile.threads.values().iter().map(thread_name).collect();
        assert_eq!(names, ["tokio-runtime", "[unnamed]"]);
    }
}
