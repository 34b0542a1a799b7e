//! The other way round: what an instrument calls a test that somebody ordered.
//!
//! Order rows say it. Without one, a LOINC order finds the code row of that term that is limited to the channel, and only
//! when there is just one: an instrument that is sent a guess measures the wrong thing.

use std::collections::HashMap;

use schemas::ChannelId;

use super::index::limited_to;
use super::loinc::{LOINC, is_loinc_system};
use super::rows::{MappingRow, Systems};

/// One ordered code of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OrderRow {
    pub(super) id: String,
    /// Empty: all channels.
    pub(super) channels: Vec<ChannelId>,
    pub(super) systems: Systems,
    /// As ordered.
    pub(super) code: String,
    /// What the instrument calls it, in the order of the row.
    pub(super) instrument: Vec<String>,
    pub(super) site: bool,
}

impl OrderRow {
    /// Site rows, then rows for named channels, then rows for named systems.
    pub(super) fn rank(&self) -> (bool, bool, bool) {
        (
            self.site,
            !self.channels.is_empty(),
            matches!(self.systems, Systems::Named(_)),
        )
    }
}

/// Order rows in force, the more exact one first.
#[derive(Debug, Default)]
pub(super) struct OrderRows {
    pub(super) rows: Vec<OrderRow>,
    by_code: HashMap<Box<str>, Vec<usize>>,
}

impl OrderRows {
    pub(super) fn new(mut rows: Vec<OrderRow>) -> Self {
        rows.sort_by_key(|row| std::cmp::Reverse(row.rank()));
        let mut by_code: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            by_code
                .entry(row.code.as_str().into())
                .or_default()
                .push(place);
        }
        Self { rows, by_code }
    }

    pub(super) fn find(&self, channel: &ChannelId, system: &str, code: &str) -> Option<&OrderRow> {
        let system = canonical(system);
        self.by_code
            .get(code)?
            .iter()
            .filter_map(|&place| self.rows.get(place))
            .find(|row| row.systems.include(system) && limited_to(&row.channels, channel))
    }
}

/// LOINC has several names; rows know it by one.
pub(super) fn canonical(system: &str) -> &str {
    if is_loinc_system(system) {
        LOINC
    } else {
        system
    }
}

/// The one code that the rows of a term have for a channel; the first spelling of a row that has several.
pub(super) fn reversed<'r>(
    rows: impl Iterator<Item = &'r MappingRow>,
    channel: &ChannelId,
) -> Option<&'r str> {
    let mut only: Option<&MappingRow> = None;
    for row in rows.filter(|row| row.channels.contains(channel)) {
        match only {
            None => only = Some(row),
            Some(first) if first.id == row.id => {}
            Some(_) => return None,
        }
    }
    only.map(|row| row.code.as_str())
}
