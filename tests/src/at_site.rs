//! What was recorded at one place in the source, over all paths and threads.

use bottleneck_runtime::format::SiteRecord;

use crate::Recorded;

/// A site, with a text of its own.
#[derive(Clone, Debug)]
pub(crate) struct OwnedSite {
    name: String,
    owner: String,
    file: String,
    line: u32,
    is_request: bool,
    is_async: bool,
    asserted: u8,
    dtype: u8,
}

impl From<SiteRecord<'_>> for OwnedSite {
    fn from(site: SiteRecord<'_>) -> Self {
        Self {
            name: site.name.to_owned(),
            owner: site.owner.to_owned(),
            file: site.file.to_owned(),
            line: site.line,
            is_request: site.is_request,
            is_async: site.is_async,
            asserted: site.asserted,
            dtype: site.dtype,
        }
    }
}

impl OwnedSite {
    /// The name with its type, as in paths.
    pub(crate) fn path_name(&self) -> String {
        if self.owner.is_empty() {
            self.name.clone()
        } else {
            format!("{}::{}", self.owner, self.name)
        }
    }
}

/// What was recorded at one site with one key. Times are in ns.
#[derive(Clone, Debug, Default)]
pub struct AtSite {
    /// The span's name.
    pub name: String,
    /// Its `key`, or empty.
    pub key: String,
    /// Type of its method, or empty.
    pub owner: String,
    /// Source file.
    pub file: String,
    /// Line in it.
    pub line: u32,
    /// Marked as a request.
    pub is_request: bool,
    /// Marked as asynchronous.
    pub is_async: bool,
    /// The asserted kind, as in the format.
    pub asserted: u8,
    /// Type of the operations, as in the format.
    pub dtype: u8,
    /// Calls that ended.
    pub count: u64,
    /// Time inside; for a future, inside its polls.
    pub busy: f64,
    /// Time between polls.
    pub waiting: f64,
    /// Longest call.
    pub longest: f64,
    /// Polls of a future.
    pub polls: u64,
    /// Futures dropped before they were ready.
    pub cancelled: u64,
    /// Calls that panicked.
    pub panicked: u64,
    /// Declared operations.
    pub flops: f64,
    /// Declared bytes.
    pub bytes: f64,
}

impl Recorded {
    /// Every site and key, in no order.
    pub fn at_sites(&self) -> Vec<AtSite> {
        let with_site = |(&(site, key), sum)| self.sites.get(&site).map(|site| (site, key, sum));
        let found = self.sums.iter().filter_map(with_site);
        found
            .map(|(site, key, sum)| AtSite {
                name: site.name.clone(),
                key: self.keys.get(&key).cloned().unwrap_or_default(),
                owner: site.owner.clone(),
                file: site.file.clone(),
                line: site.line,
                is_request: site.is_request,
                is_async: site.is_async,
                asserted: site.asserted,
                dtype: site.dtype,
                count: sum.count,
                busy: self.ns(sum.total),
                waiting: self.ns(sum.waiting),
                longest: self.ns(sum.max),
                polls: sum.polls,
                cancelled: sum.cancelled,
                panicked: sum.panicked,
                flops: sum.declared_flops(),
                bytes: sum.declared_bytes(),
            })
            .collect()
    }

    /// The only site of a name, without a key.
    ///
    /// # Panics
    /// If there is none or another one; says which there are.
    #[track_caller]
    pub fn at_site(&self, name: &str) -> AtSite {
        self.at_site_with_key(name, "")
    }

    /// The only site of a name, with this key.
    ///
    /// # Panics
    /// If there is none or another one; says which there are.
    #[track_caller]
    pub fn at_site_with_key(&self, name: &str, key: &str) -> AtSite {
        let all = self.at_sites();
        let mut found = all.iter().filter(|it| it.name == name && it.key == key);
        let only =
            found.next().unwrap_or_else(|| panic!("no span `{name}` with key `{key}`: {all:#?}"));
        assert!(found.next().is_none(), "two sites are named `{name}`");
        only.clone()
    }
}
