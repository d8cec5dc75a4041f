//! Reports: a [`model::Summary`] and a [`model::Frame`] tree, rendered several ways. Nothing here sees a profile.

pub mod folded;
pub mod model;
pub mod svg;
