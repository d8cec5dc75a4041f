//! Reports: a [`model::Summary`] and a [`model::Frame`] tree, rendered several ways. Nothing here sees a profile.

pub mod model;
