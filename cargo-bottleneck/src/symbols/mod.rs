//! Sampled addresses as functions and lines, read from the binaries on disk.
//!
//! Each binary is opened once, and only where it is the one that ran: a name from another build would be a wrong one. What
//! has no name stays without one. The only I/O of what a report is made of; nothing here judges or shortens a name.

mod binary;
mod freshness;
mod paths;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::profile::Profile;
use crate::profile::sampling::Mapping;

use binary::{Binary, Missing};
use freshness::Freshness;

/// Ending of the path of a mapping whose file has been removed or replaced.
const DELETED: &str = " (deleted)";

/// The functions of sampled addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Symbols {
    places: HashMap<u64, Place>,
    notes: Vec<String>,
}

/// Where an address is in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function with this code in it: demangled, with its modules, without a hash.
    pub function: String,
    /// Source file of the innermost line; `None` without line tables. Relative where it is of the program or of a package.
    pub file: Option<String>,
    /// Line in it, from 1.
    pub line: Option<u32>,
    /// The functions that are inlined there, the innermost first; `function` is around the last one.
    pub inlined: Vec<Frame>,
    /// Path of the binary.
    pub object: String,
}

/// An inlined function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Demangled, with its modules, without a hash.
    pub function: String,
    /// Source file of its line.
    pub file: Option<String>,
    /// The line in it that was sampled, or from which the next function was called.
    pub line: Option<u32>,
}

impl Symbols {
    /// Looks up every sampled address of the profile. Some 100 ms for a binary of 50 MB.
    ///
    /// Nothing fails: what cannot be named has no place, and [`Self::notes`] says why.
    pub fn of(profile: &Profile) -> Self {
        let mut res = Self::default();
        let Some(sampling) = &profile.sampling else { return res };
        let mut by_file: BTreeMap<&str, Vec<(u64, &Mapping)>> = BTreeMap::new();
        for counted in &sampling.counted {
            let mapping = sampling.code.mapping(counted.sampled.saturating_sub(1));
            if let Some(mapping) = mapping.filter(|mapping| is_file(&mapping.path)) {
                by_file.entry(&mapping.path).or_default().push((counted.sampled, mapping));
            }
        }
        let first = sampling.code.maps.iter().find(|mapping| is_file(&mapping.path));
        let program = freshness::program(profile, first.map(|mapping| mapping.path.as_str()));
        for (path, addresses) in &by_file {
            let freshness = Freshness::of(path, profile, &program);
            res.add_file(path, addresses, freshness, program.is(path));
        }
        res
    }

    /// The place of an instruction, by the sampled address: that of the instruction behind it.
    pub fn at(&self, sampled: u64) -> Option<&Place> {
        self.places.get(&sampled)
    }

    /// What could not be looked up, each with the way out.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Places that are known from elsewhere, by sampled address.
    pub fn of_places(places: impl IntoIterator<Item = (u64, Place)>) -> Self {
        Self { places: places.into_iter().collect(), notes: Vec::new() }
    }

    fn add_file(
        &mut self,
        path: &str,
        addresses: &[(u64, &Mapping)],
        freshness: Freshness,
        is_program: bool,
    ) {
        if path.ends_with(DELETED) || freshness == Freshness::Changed {
            let shown = path.trim_end_matches(DELETED);
            self.notes.push(format!(
                "`{shown}` has changed since the run: its functions are shown by their addresses\n  fix: run it again"
            ));
            return;
        }
        if freshness == Freshness::OtherMachine {
            return;
        }
        let by_offset =
            addresses.iter().map(|&(sampled, map)| (sampled, sampled - map.start + map.offset));
        match Binary::places(Path::new(path), by_offset) {
            Ok(found) => self.places.extend(found),
            // Of a library only its exported functions are missed, and nothing can be done about it.
            Err(_) if !is_program => {}
            Err(Missing::Symbols) => self.notes.push(format!(
                "`{path}` has no symbols: its functions are shown by their addresses\n  fix: build it without `strip`, or drop \
                 --release: the profile that this command makes has line tables"
            )),
            Err(Missing::File(why)) => self.notes.push(format!(
                "cannot read `{path}` ({why}): its functions are shown by their addresses"
            )),
        }
    }
}

/// Whether a mapping is of a file: memory may have a name that looks like one.
fn is_file(path: &str) -> bool {
    path.starts_with('/') && !["/memfd:", "/dev/", "/SYSV"].iter().any(|it| path.starts_with(it))
}
