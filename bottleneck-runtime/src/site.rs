//! Annotated places: one `static` each, entered into the profile at its first use.

use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use crate::format::SiteRecord;
use crate::work::Dtype;

/// Names the type of a method, where the attribute cannot: called at the site's first use.
pub(crate) type Owner = Option<fn() -> &'static str>;

/// What the attribute says of a function besides its place.
#[derive(Clone, Copy, Debug)]
pub struct SiteOptions {
    /// Marks what a user waits for.
    pub request: bool,
    /// The kind that the author asserts.
    pub asserted: Asserted,
    /// Type of the declared operations.
    pub dtype: Dtype,
    /// The function is asynchronous.
    pub asynchronous: bool,
}

impl SiteOptions {
    /// An ordinary function without assertion; operations in `f32`.
    pub const DEFAULT: Self =
        Self { request: false, asserted: Asserted::None, dtype: Dtype::F32, asynchronous: false };
    /// What a user waits for.
    pub const REQUEST: Self = Self { request: true, ..Self::DEFAULT };
}

/// The author's own word on what a function waits for; shown as asserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Asserted {
    /// Nothing was asserted.
    None = 0,
    /// `kind = "memory"`
    Memory = 1,
    /// `kind = "compute"`
    Compute = 2,
    /// `kind = "io"`
    Io = 3,
    /// `kind = "scheduling"`
    Scheduling = 4,
}

/// One annotated place of the source. The attribute makes a `static` of it.
#[derive(Debug)]
pub struct Site {
    /// What nodes name the site by; 0 until it is registered. Written once.
    index: AtomicU32,
    /// The site registered before this one.
    next: AtomicPtr<Site>,
    /// Type of the `impl` block as found at run time, where the attribute could not know it: a leaked string, or null.
    owner_found: AtomicPtr<&'static str>,
    /// The name for a tool that speaks C: a leaked C string, or null.
    #[cfg(feature = "cuda")]
    c_name: AtomicPtr<core::ffi::c_char>,
    name: &'static str,
    module: &'static str,
    owner: &'static str,
    file: &'static str,
    line: u32,
    column: u32,
    options: SiteOptions,
}

/// The newest registered site; the others follow by `next`.
static NEWEST: AtomicPtr<Site> = AtomicPtr::new(ptr::null_mut());
/// Indices handed out so far.
static COUNT: AtomicU32 = AtomicU32::new(0);

impl Site {
    /// A place in the source. `owner` is the type of the `impl` block, or empty.
    pub const fn new(
        name: &'static str,
        module: &'static str,
        owner: &'static str,
        file: &'static str,
        line: u32,
        column: u32,
        options: SiteOptions,
    ) -> Self {
        Self {
            index: AtomicU32::new(0),
            next: AtomicPtr::new(ptr::null_mut()),
            owner_found: AtomicPtr::new(ptr::null_mut()),
            #[cfg(feature = "cuda")]
            c_name: AtomicPtr::new(ptr::null_mut()),
            name,
            module,
            owner,
            file,
            line,
            column,
            options,
        }
    }

    /// What nodes name the site by; 0 before [`Site::register`].
    #[inline(always)]
    pub(crate) fn index(&self) -> u32 {
        // Relaxed: a thread that sees 0 registers again, which finds the index taken; the strings are `'static`.
        self.index.load(Ordering::Relaxed)
    }

    /// Where the name for a tool that speaks C is.
    #[cfg(feature = "cuda")]
    pub(crate) fn c_name(&self) -> &AtomicPtr<core::ffi::c_char> {
        &self.c_name
    }

    /// Whether a user waits for its calls.
    pub(crate) fn is_request(&self) -> bool {
        self.options.request
    }

    /// Gives the site an index, once, and returns whether this call did it.
    pub(crate) fn register(&'static self, owner: Owner) -> bool {
        if self.index() != 0 {
            return false;
        }
        if let Some(owner) = owner {
            let found: &'static &'static str = Box::leak(Box::new(owner()));
            // Release: pairs with the Acquire in `record`; publishes the leaked string. A second thread that comes here
            // at the same time leaks a few bytes, once.
            self.owner_found.store(ptr::from_ref(found).cast_mut(), Ordering::Release);
        }
        let index = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
        // Relaxed: see `index`. A lost race leaves a hole in the indices, which nothing minds.
        if self.index.compare_exchange(0, index, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return false;
        }
        let mut newest = NEWEST.load(Ordering::Relaxed);
        loop {
            self.next.store(newest, Ordering::Relaxed);
            // Release: pairs with the Acquire in `for_each_registered`; publishes `next` and `index`.
            let swapped = NEWEST.compare_exchange_weak(
                newest,
                ptr::from_ref(self).cast_mut(),
                Ordering::Release,
                Ordering::Relaxed,
            );
            match swapped {
                Ok(_) => return true,
                Err(now) => newest = now,
            }
        }
    }

    /// Calls `each` with every registered site: a process that was forked writes them into its own file.
    pub(crate) fn for_each_registered(mut each: impl FnMut(&'static Site)) {
        // Acquire: pairs with the Release in `register`.
        let mut at = NEWEST.load(Ordering::Acquire);
        // SAFETY: the list holds only `&'static Site`s that `register` put there, and is never shortened.
        while let Some(site) = unsafe { at.as_ref() } {
            each(site);
            at = site.next.load(Ordering::Relaxed);
        }
    }

    /// What the profile says of the site.
    pub(crate) fn record(&self) -> SiteRecord<'static> {
        // Acquire: pairs with the Release in `register`.
        // SAFETY: `owner_found` is null or a leaked string that `register` stored.
        let found = unsafe { self.owner_found.load(Ordering::Acquire).as_ref() };
        let owner = match found {
            Some(full) if self.owner.is_empty() => short_type(full),
            Some(_) | None => self.owner,
        };
        let mut record = SiteRecord {
            id: 0,
            index: self.index(),
            line: self.line,
            column: self.column,
            is_request: self.options.request,
            is_async: self.options.asynchronous,
            asserted: self.options.asserted as u8,
            dtype: self.options.dtype as u8,
            name: self.name,
            module: self.module,
            owner,
            file: self.file,
        };
        record.id = stable_id(&record);
        record
    }
}

/// `alloc::vec::Vec<u8>` -> `Vec`: a site stands for all instances of a generic type.
fn short_type(full: &'static str) -> &'static str {
    let end = full.find('<').unwrap_or(full.len());
    let path = &full[..end];
    let name = path.rsplit("::").next().unwrap_or(path).trim_start_matches("dyn ");
    // `<[T]>`, `&T` and tuples have no name of their own: say what the compiler says.
    if name.is_empty() { full } else { name }
}

/// FNV-1a over what identifies a site in the source. The line is a part: two types' `run` in one module differ by it.
fn stable_id(record: &SiteRecord<'_>) -> u64 {
    let mut hash = crate::key::FNV_BASIS;
    for text in [record.module, record.owner, record.name, record.file] {
        hash = crate::key::fnv(hash, text.as_bytes());
        hash = crate::key::fnv(hash, &[0xFF]);
    }
    crate::key::fnv(hash, &record.line.to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_named_without_its_path_and_parameters() {
        assert_eq!(short_type("alloc::vec::Vec<u8>"), "Vec");
        assert_eq!(short_type("model::Linear"), "Linear");
        assert_eq!(short_type("dyn model::Layer"), "Layer");
        assert_eq!(short_type("u8"), "u8");
    }

    #[test]
    fn the_same_name_on_two_lines_is_two_sites() {
        let one = Site::new("run", "m", "", "m.rs", 1, 1, SiteOptions::DEFAULT);
        let two = Site::new("run", "m", "", "m.rs", 9, 1, SiteOptions::DEFAULT);
        assert_ne!(one.record().id, two.record().id);
    }
}
