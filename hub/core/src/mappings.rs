//! Mapping tables that a hospital edits: analyzer codes → LOINC, units → UCUM, assigners → systems, beds of monitors → beds,
//! and who is certified for which bedside devices.
//!
//! Files under `mappings/site` come first, then the pack that a channel names, then files under `mappings/tables`, then what
//! people mapped over REST (the overlay), then LOINC codes that the sender itself names as such. A set is checked whole when it is loaded, and
//! swapped whole; nothing here may guess: what no row says is [`Lookup::Unknown`] or [`Lookup::UnknownUnit`].

use std::sync::Arc;

use schemas::ChannelId;
use schemas::care::{Location, Mapped};
use schemas::rosters::RosterOperator;

mod beds;
mod file;
mod index;
mod load;
mod loinc;
mod operators;
mod orders;
mod overlay;
mod packs;
mod problem;
mod rows;
mod specimen;
mod store;
#[cfg(test)]
mod tests;

pub use loinc::is_loinc;
pub use packs::{Pack, PackUse, Packs, Proof, Proves, Reach, SampleClass, Samples};
pub use problem::{MappingError, MappingProblem};
pub use rows::{MappingRow, Systems, UnitRule, diff, is_ucum};
pub use specimen::SpecimenType;
pub use store::{MappingStore, Reloaded};

use index::Tables;
use overlay::Overlay;

/// A loaded, checked, immutable set of tables. Swapped whole when a file changes.
///
/// The default has no rows: it knows only LOINC codes that the sender names as such.
#[derive(Debug, Clone, Default)]
pub struct Mappings {
    tables: Arc<Tables>,
    overlay: Arc<Overlay>,
}

/// What the tables know of a code and a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    Mapped(Mapped),
    /// The code is known, the unit is not one of its units.
    UnknownUnit,
    Unknown,
}

impl Mappings {
    /// Looks an observation's code up. `unit` is as sent, empty when absent; so is `system`, with the type of the specimen behind it
    /// where it is not blood ([`SpecimenType::system`]);
    /// `numeric` says whether the value is a number (only numbers need a unit).
    #[must_use]
    pub fn code(
        &self,
        channel: &ChannelId,
        system: &str,
        code: &str,
        unit: &str,
        numeric: bool,
    ) -> Lookup {
        if code.is_empty() {
            return Lookup::Unknown;
        }
        let asked = Asked {
            channel,
            system,
            code,
            unit,
            numeric,
        };
        let from_files = self.tables.code(&asked);
        if let Lookup::Mapped(_) = from_files {
            return from_files;
        }
        let from_people = self.overlay.code(&asked, &self.tables);
        if let Lookup::Mapped(_) = from_people {
            return from_people;
        }
        if let Some(mapped) = self.tables.loinc_itself(&asked) {
            return Lookup::Mapped(mapped);
        }
        if from_files == Lookup::UnknownUnit {
            from_files
        } else {
            from_people
        }
    }

    /// The identifier system for an assigning authority as sent (PID-3.4), the authority itself when no
    /// table names it, `mrn` when it is empty.
    #[must_use]
    pub fn assigner<'a>(&'a self, channel: &ChannelId, authority: &'a str) -> &'a str {
        match self.tables.assigner(channel, authority) {
            Some(system) => system,
            None if authority.is_empty() => "mrn",
            None => authority,
        }
    }

    /// The bed as the hospital system writes it, for a place as a device does; `None` when no table names it.
    #[must_use]
    pub fn bed(&self, channel: &ChannelId, sent: &Location) -> Option<Location> {
        let known = self.tables.bed(channel, &beds::key(sent))?;
        Some(beds::parse(known))
    }

    /// Who is certified for the devices of a channel on a day (ISO 8601 date), by id.
    #[must_use]
    pub fn operators(&self, channel: &ChannelId, on: &str) -> Vec<RosterOperator> {
        operators::on(&self.tables.operators, channel, on)
    }

    /// The UCUM unit for a unit as sent, if the unit table has it.
    #[must_use]
    pub fn unit(&self, channel: &ChannelId, raw: &str) -> Option<&str> {
        self.tables.unit(channel, raw)
    }

    /// What the instrument of a channel calls an ordered test; several when a panel is ordered test by test. Empty: no table
    /// knows a name for it, so it can't be sent. `system` is as ordered, empty when absent.
    #[must_use]
    pub fn instrument_codes(&self, channel: &ChannelId, system: &str, code: &str) -> Vec<String> {
        self.tables.instrument_codes(channel, system, code)
    }

    /// Every ordered code that [`Mappings::instrument_codes`] may know a name for on this channel, whatever its system.
    #[must_use]
    pub fn orderable(&self, channel: &ChannelId) -> Vec<String> {
        self.tables.orderable(channel)
    }

    /// SHA-256 over the names and bytes of the files, lower-case hex; empty when there are none.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.tables.version
    }

    /// Every code row that is in force, in the order of files and lines; site rows come first. The overlay is not listed.
    #[must_use]
    pub fn rows(&self) -> Vec<MappingRow> {
        self.tables.rows.clone()
    }
}

/// One question to the tables.
struct Asked<'q> {
    channel: &'q ChannelId,
    system: &'q str,
    code: &'q str,
    unit: &'q str,
    numeric: bool,
}
