//! What evidence the command gets: the kernel's records or not, declared work or not.

use std::fmt;

/// One tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tier {
    /// Whether `perf_event_open` is refused, as in most containers.
    pub is_refused: bool,
    /// Whether the spans declare their work.
    pub is_declared: bool,
}

impl Tier {
    /// All of them, the one that most users have first.
    pub const ALL: [Self; 4] = [
        Self { is_refused: false, is_declared: false },
        Self { is_refused: true, is_declared: false },
        Self { is_refused: false, is_declared: true },
        Self { is_refused: true, is_declared: true },
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match (self.is_refused, self.is_declared) {
            (false, false) => "records",
            (true, false) => "refused",
            (false, true) => "records-declared",
            (true, true) => "refused-declared",
        }
    }

    /// The tier of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records = if self.is_refused { "perf_event_open refused" } else { "records allowed" };
        write!(f, "{records}, {} declared", if self.is_declared { "work" } else { "nothing" })
    }
}
