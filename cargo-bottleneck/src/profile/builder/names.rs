//! Test kit: the numbers by which nodes name sites and keys.

use std::collections::HashMap;

use bottleneck_runtime::format::SiteRecord;

use super::span::{SiteSpec, SpanBuilder};
use crate::profile::image::Image;

/// The numbers of the sites.
#[derive(Default)]
pub(super) struct Names {
    pub(super) sites: HashMap<SiteSpec, u32>,
    keys: Vec<u64>,
}

impl Names {
    pub(super) fn add(&mut self, span: &SpanBuilder, image: &mut Image) {
        if let Some(key) = &span.key
            && !self.keys.contains(&hash(key))
        {
            self.keys.push(hash(key));
            image.key(hash(key), key);
        }
        if self.sites.contains_key(&span.site) {
            return;
        }
        let index = u32::try_from(self.sites.len() + 1).unwrap_or(u32::MAX);
        image.site(&SiteRecord {
            id: hash(&span.site.name),
            index,
            line: index * 10,
            column: 1,
            is_request: span.site.is_request,
            is_async: span.site.is_async,
            asserted: span.site.asserted,
            dtype: 0,
            name: &span.site.name,
            module: "app",
            owner: &span.site.owner,
            file: "src/main.rs",
        });
        self.sites.insert(span.site.clone(), index);
    }
}

pub(super) fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
