//! The rows in force, indexed for lookups that allocate nothing but the answer.

use std::collections::HashMap;

use schemas::ChannelId;
use schemas::care::Mapped;

use super::loinc::{is_loinc, is_loinc_system};
use super::operators::Certified;
use super::orders::{self, OrderRows};
use super::rows::MappingRow;
use super::{Asked, Lookup};

/// One entry of the unit or the assigner table.
#[derive(Debug)]
pub(super) struct Limited {
    pub(super) to: Box<str>,
    /// Empty: all channels.
    pub(super) channels: Vec<ChannelId>,
    pub(super) site: bool,
}

/// What the files say.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) version: String,
    /// The more exact row first.
    pub(super) rows: Vec<MappingRow>,
    /// Places in `rows`, in their order.
    pub(super) by_code: HashMap<Box<str>, Vec<usize>>,
    pub(super) by_loinc: HashMap<Box<str>, Vec<usize>>,
    pub(super) orders: OrderRows,
    /// The more exact entry first.
    pub(super) units: HashMap<Box<str>, Vec<Limited>>,
    pub(super) assigners: HashMap<Box<str>, Vec<Limited>>,
    /// By the place that a device names.
    pub(super) beds: HashMap<Box<str>, Vec<Limited>>,
    pub(super) operators: Vec<Certified>,
    pub(super) loinc_identity: bool,
    pub(super) no_loinc_identity: Vec<ChannelId>,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            version: String::new(),
            rows: Vec::new(),
            by_code: HashMap::new(),
            by_loinc: HashMap::new(),
            orders: OrderRows::default(),
            units: HashMap::new(),
            assigners: HashMap::new(),
            beds: HashMap::new(),
            operators: Vec::new(),
            loinc_identity: true,
            no_loinc_identity: Vec::new(),
        }
    }
}

impl Tables {
    /// Site rows, then table rows; a row that does not know the unit lets the next one speak.
    pub(super) fn code(&self, asked: &Asked<'_>) -> Lookup {
        let mut answer = Lookup::Unknown;
        for row in self.candidates(&self.by_code, asked.code) {
            if !row.answers(asked.system) || !limited_to(&row.channels, asked.channel) {
                continue;
            }
            match self.unit_of(row, asked) {
                Some(mapped) => return Lookup::Mapped(mapped),
                None => answer = Lookup::UnknownUnit,
            }
        }
        answer
    }

    /// A code that the sender itself calls LOINC. A row for that term may still convert the unit; without one the
    /// value keeps the unit it came with.
    pub(super) fn loinc_itself(&self, asked: &Asked<'_>) -> Option<Mapped> {
        if !self.loinc_identity
            || !is_loinc_system(asked.system)
            || !is_loinc(asked.code)
            || self.no_loinc_identity.contains(asked.channel)
        {
            return None;
        }
        let known = self
            .candidates(&self.by_loinc, asked.code)
            .filter(|row| limited_to(&row.channels, asked.channel))
            .find_map(|row| self.unit_of(row, asked));
        Some(known.unwrap_or_else(|| {
            Mapped {
                loinc: asked.code.to_owned(),
                display: None,
                ucum: asked
                    .numeric
                    .then(|| self.unit(asked.channel, asked.unit))
                    .flatten()
                    .map(str::to_owned),
                factor: None,
            }
        }))
    }

    /// What the instrument of a channel calls an ordered test.
    pub(super) fn instrument_codes(
        &self,
        channel: &ChannelId,
        system: &str,
        code: &str,
    ) -> Vec<String> {
        if let Some(row) = self.orders.find(channel, system, code) {
            return row.instrument.clone();
        }
        if !is_loinc_system(system) {
            return Vec::new();
        }
        orders::reversed(self.candidates(&self.by_loinc, code), channel)
            .map(str::to_owned)
            .into_iter()
            .collect()
    }

    /// Every ordered code for which [`Tables::instrument_codes`] may have an answer.
    pub(super) fn orderable(&self, channel: &ChannelId) -> Vec<String> {
        let ordered = self
            .orders
            .rows
            .iter()
            .filter(|row| limited_to(&row.channels, channel))
            .map(|row| row.code.as_str());
        let own = self
            .rows
            .iter()
            .filter(|row| row.channels.contains(channel))
            .map(|row| row.loinc.as_str());
        let mut codes: Vec<String> = ordered.chain(own).map(str::to_owned).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    pub(super) fn unit(&self, channel: &ChannelId, raw: &str) -> Option<&str> {
        named(&self.units, channel, raw)
    }

    pub(super) fn assigner(&self, channel: &ChannelId, authority: &str) -> Option<&str> {
        named(&self.assigners, channel, authority)
    }

    pub(super) fn bed(&self, channel: &ChannelId, sent: &str) -> Option<&str> {
        named(&self.beds, channel, sent)
    }

    fn candidates<'t>(
        &'t self,
        index: &'t HashMap<Box<str>, Vec<usize>>,
        key: &str,
    ) -> impl Iterator<Item = &'t MappingRow> {
        index
            .get(key)
            .into_iter()
            .flatten()
            .filter_map(|&n| self.rows.get(n))
    }

    /// What `row` makes of the unit; `None` when it does not know it.
    fn unit_of(&self, row: &MappingRow, asked: &Asked<'_>) -> Option<Mapped> {
        let mapped = |ucum: Option<&str>, factor: Option<&str>| Mapped {
            loinc: row.loinc.clone(),
            display: row.display.clone(),
            ucum: ucum.map(str::to_owned),
            factor: factor.map(str::to_owned),
        };
        if !asked.numeric {
            return Some(mapped(None, None));
        }
        let Some(ucum) = row.ucum.as_deref() else {
            return Some(mapped(self.unit(asked.channel, asked.unit), None));
        };
        let sent = match (asked.unit, row.fixed_unit.as_deref()) {
            ("", None) => return None,
            ("", Some(fixed)) => fixed,
            (unit, _) => unit,
        };
        // A rule that quotes the device word for word comes first: some devices write one unit and mean another.
        if let Some(rule) = row.units.iter().find(|rule| rule.from == sent) {
            return Some(mapped(Some(ucum), rule.factor.as_deref()));
        }
        let canonical = self.unit(asked.channel, sent).unwrap_or(sent);
        if canonical == ucum {
            return Some(mapped(Some(ucum), None));
        }
        row.units
            .iter()
            .find(|rule| self.unit(asked.channel, &rule.from) == Some(canonical))
            .map(|rule| mapped(Some(ucum), rule.factor.as_deref()))
    }
}

/// Whether something limited to `channels` (empty: to none) is for `channel`.
pub(super) fn limited_to(channels: &[ChannelId], channel: &ChannelId) -> bool {
    channels.is_empty() || channels.contains(channel)
}

fn named<'t>(
    table: &'t HashMap<Box<str>, Vec<Limited>>,
    channel: &ChannelId,
    key: &str,
) -> Option<&'t str> {
    table
        .get(key)?
        .iter()
        .find(|entry| limited_to(&entry.channels, channel))
        .map(|entry| &*entry.to)
}
