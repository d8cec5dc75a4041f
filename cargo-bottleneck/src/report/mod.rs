//! Reports: a [`model::Summary`] and a [`model::Frame`] tree, rendered several ways. Nothing here sees a profile.

pub mod escape;
pub mod folded;
pub mod json;
pub mod model;
pub mod svg;
pub mod terminal;
