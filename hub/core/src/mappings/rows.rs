//! Code rows as they are in force, for listing and for comparing two versions.

use std::collections::HashSet;
use std::path::PathBuf;

use schemas::ChannelId;

use super::specimen;

/// Which code systems a row is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Systems {
    /// The row names none: senders that give no system, `L`, `LOCAL` or a name that begins with `99` (HL7 table 0396).
    Local,
    /// Exactly these, letter case aside; the empty string is "no system".
    Named(Vec<String>),
}

impl Systems {
    pub(super) fn include(&self, system: &str) -> bool {
        match self {
            Self::Local => {
                system.is_empty()
                    || system.starts_with("99")
                    || system.eq_ignore_ascii_case("L")
                    || system.eq_ignore_ascii_case("LOCAL")
            }
            Self::Named(names) => names.iter().any(|n| n.eq_ignore_ascii_case(system)),
        }
    }

    pub(super) fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Local, Self::Local) => true,
            (Self::Named(one), Self::Named(two)) => one
                .iter()
                .any(|n| two.iter().any(|m| m.eq_ignore_ascii_case(n))),
            _ => false,
        }
    }
}

/// A unit that a row accepts besides its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UnitRule {
    /// As the device writes it.
    pub from: String,
    /// Decimal text: value in the row's unit = value as sent × factor; `None`: 1.
    pub factor: Option<String>,
}

/// One code of one row. A row that lists several spellings is listed once for each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MappingRow {
    /// Stable key of the row.
    pub id: String,
    /// Empty: all channels.
    pub channels: Vec<ChannelId>,
    pub systems: Systems,
    /// Types of specimen that the row is for, `*` for any and empty for blood; none: blood.
    pub specimens: Vec<String>,
    /// As sent.
    pub code: String,
    pub loinc: String,
    pub display: Option<String>,
    /// UCUM unit of the value after conversion; `None`: the unit is not looked at.
    pub ucum: Option<String>,
    pub units: Vec<UnitRule>,
    /// The unit that a device means that sends none.
    pub fixed_unit: Option<String>,
    /// From `site/`, so before all others.
    pub site: bool,
    /// Where the row stands.
    pub file: PathBuf,
}

impl MappingRow {
    /// Whether the row is for this channel.
    #[must_use]
    pub fn applies_to(&self, channel: &ChannelId) -> bool {
        self.channels.is_empty() || self.channels.contains(channel)
    }

    /// Whether the row says what a code of this system is, which may name a type of specimen.
    pub(super) fn answers(&self, system: &str) -> bool {
        let (system, kind) = specimen::split(system);
        self.systems.include(system) && specimen::includes(&self.specimens, kind)
    }

    /// The code systems that can be listed: for a row that names none, no system and `L`. Local names that begin with
    /// `99` can't be listed; ask [`super::Mappings::code`] for a code that waits.
    #[must_use]
    pub fn code_systems(&self) -> Vec<String> {
        match &self.systems {
            Systems::Local => vec![String::new(), "L".to_owned()],
            Systems::Named(names) => names.clone(),
        }
    }

    /// How exact the row is: site rows, then rows for named channels, then rows for named systems.
    pub(super) fn rank(&self) -> (bool, bool, bool) {
        (
            self.site,
            !self.channels.is_empty(),
            matches!(self.systems, Systems::Named(_)),
        )
    }

    /// What the row says, wherever it stands.
    fn meaning(&self) -> impl Eq + std::hash::Hash + '_ {
        (
            &self.channels,
            (&self.systems, &self.specimens),
            &self.code,
            &self.loinc,
            &self.display,
            (&self.ucum, &self.units, &self.fixed_unit),
        )
    }
}

/// Whether text has the form of a UCUM unit: printable ASCII without blanks. Whether there is such a unit is not known here.
#[must_use]
pub fn is_ucum(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// The rows of `new` that say something that no row of `old` said: what may release held results.
#[must_use]
pub fn diff(old: &[MappingRow], new: &[MappingRow]) -> Vec<MappingRow> {
    let known: HashSet<_> = old.iter().map(MappingRow::meaning).collect();
    new.iter()
        .filter(|row| !known.contains(&row.meaning()))
        .cloned()
        .collect()
}
