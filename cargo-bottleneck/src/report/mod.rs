//! Reports: a [`model::Summary`] and a [`model::Frame`] tree, rendered several ways. Nothing here sees a profile.

pub mod folded;
pub mod json;
pub mod model;
pub mod svg;
pub mod terminal;

#[cfg(test)]
mod any_bytes_tests;
#[cfg(test)]
mod hostile_tests;

// Every name is escaped where it is written.
pub(crate) use crate::escape;
