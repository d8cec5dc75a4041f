//! Everything that findings are made of.

use crate::profile::{Profile, SpanIdx};

use super::classify::Classification;
use super::device::DeviceView;
use super::identity::Label;
use super::leaves::Leaves;
use super::ledger::Ledger;
use super::testimony::Witness;
use super::{Column, SelfTime};

/// Everything about the paths that findings are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) profile: &'a Profile,
    pub(super) times: &'a Column<SpanIdx, SelfTime>,
    pub(super) classes: &'a Classification,
    pub(super) labels: &'a Column<SpanIdx, Label>,
    /// Who has seen what limits time on the CPU.
    pub(super) witness: Option<&'a dyn Witness>,
    pub(super) ledger: &'a Ledger,
    /// What devices did, where there were any.
    pub(super) devices: Option<&'a DeviceView>,
    pub(super) leaves: &'a Leaves,
    /// Why declared work cannot be judged, where there are no ceilings.
    pub(super) no_ceilings: Option<&'a str>,
    /// Sites are marked as requests.
    pub(super) has_requests: bool,
}

impl Facts<'_> {
    /// Nothing is missing of what devices did.
    pub(super) fn records_are_whole(&self) -> bool {
        self.devices.is_none_or(|it| it.problems.is_empty())
    }
}
