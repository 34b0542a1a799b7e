//! Who is certified for which devices, and when.

use schemas::ChannelId;
use schemas::rosters::RosterOperator;

use super::index::limited_to;

/// One row: an operator for some channels and a time.
#[derive(Debug)]
pub(super) struct Certified {
    pub(super) operator: RosterOperator,
    /// Empty: all channels.
    pub(super) channels: Vec<ChannelId>,
    /// First day, ISO 8601 date.
    pub(super) from: Option<String>,
}

impl Certified {
    /// ISO dates compare as texts.
    fn holds(&self, on: &str) -> bool {
        self.from.as_deref().is_none_or(|from| from <= on)
            && self
                .operator
                .until
                .as_deref()
                .is_none_or(|until| on <= until)
    }

    /// Whether both may be in force on one day.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let before = |end: &Option<String>, start: &Option<String>| matches!((end, start), (Some(end), Some(start)) if end < start);
        !before(&self.operator.until, &other.from) && !before(&other.operator.until, &self.from)
    }
}

pub(super) fn on(rows: &[Certified], channel: &ChannelId, on: &str) -> Vec<RosterOperator> {
    let mut operators: Vec<RosterOperator> = rows
        .iter()
        .filter(|row| limited_to(&row.channels, channel) && row.holds(on))
        .map(|row| row.operator.clone())
        .collect();
    operators.sort_by(|one, two| one.id.cmp(&two.id));
    operators
}
