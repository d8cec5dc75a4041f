//! The colors of the kinds, and the names by which the style sheet and the script know the kinds.
//!
//! The five colors were chosen together: they keep a difference of at least 29 (CIE 1976) from each other for normal
//! sight and for each of the three color deficiencies, and dark text on them has a contrast of at least 5.5. Meaning
//! never rests on them alone: labels carry tags, waits a hatch.

use std::fmt;

use inferno::flamegraph::color::{Color, SearchColor};

use super::SvgError;
use crate::kind::Kind;
use crate::report::model::VerdictKind;

/// The boxes of spans whose time is spent in the boxes below them.
pub(super) const CONTAINER: Rgb = Rgb(0xE9, 0xEC, 0xEF);

/// What a search found. Light, so that dark labels stay readable, and like none of the kinds.
pub(super) const FOUND: Rgb = Rgb(0x9D, 0xF2, 0xC0);

/// A color. `Display` gives the form that inferno writes, which the style sheet's attribute selectors rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rgb(pub(super) u8, pub(super) u8, pub(super) u8);

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rgb({},{},{})", self.0, self.1, self.2)
    }
}

impl Rgb {
    /// The same for inferno's search, which takes only text.
    pub(super) fn to_search_color(self) -> Result<SearchColor, SvgError> {
        let hex = format!("#{:02x}{:02x}{:02x}", self.0, self.1, self.2);
        hex.parse().map_err(SvgError::Layout)
    }
}

impl From<Rgb> for Color {
    fn from(rgb: Rgb) -> Self {
        Self { r: rgb.0, g: rgb.1, b: rgb.2 }
    }
}

/// The color of time of this kind.
pub(super) fn color(kind: Kind) -> Rgb {
    match kind {
        Kind::Memory => Rgb(0x5B, 0x8F, 0xF9),
        Kind::Compute => Rgb(0xEE, 0x66, 0x77),
        Kind::Io => Rgb(0xED, 0xC9, 0x48),
        Kind::Scheduling => Rgb(0xC0, 0x6F, 0xA8),
        Kind::Other => Rgb(0xD4, 0xD7, 0xDB),
    }
}

/// The lighter shade of a kind, for the functions inside a span: what is not time of its own, but of the box above.
pub(super) fn shade(kind: Kind) -> Rgb {
    match kind {
        Kind::Memory => Rgb(0xB4, 0xCC, 0xFC),
        Kind::Compute => Rgb(0xF7, 0xBC, 0xC3),
        Kind::Io => Rgb(0xF7, 0xE6, 0xAE),
        Kind::Scheduling => Rgb(0xE1, 0xBF, 0xD6),
        Kind::Other => Rgb(0xDF, 0xE1, 0xE5),
    }
}

/// The name in classes and attributes, which is also the key of `Summary::kinds`.
pub(super) fn id(kind: Kind) -> &'static str {
    match kind {
        Kind::Memory => "memory",
        Kind::Compute => "compute",
        Kind::Io => "io",
        Kind::Scheduling => "scheduling",
        Kind::Other => "other",
    }
}

/// The tag in a label; unclassified time has none.
pub(super) fn tag(kind: Kind) -> &'static str {
    match kind {
        Kind::Memory | Kind::Compute | Kind::Io | Kind::Scheduling => kind.tag(),
        Kind::Other => "",
    }
}

/// The kind that a verdict names, where it names one.
pub(super) fn of_verdict(verdict: VerdictKind) -> Option<Kind> {
    match verdict {
        VerdictKind::Memory => Some(Kind::Memory),
        VerdictKind::Compute => Some(Kind::Compute),
        VerdictKind::Io => Some(Kind::Io),
        VerdictKind::Scheduling => Some(Kind::Scheduling),
        VerdictKind::Mixed | VerdictKind::Inconclusive | VerdictKind::None => None,
    }
}
