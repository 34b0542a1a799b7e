//! Mapping tables that a hospital edits: analyzer codes → LOINC, units → UCUM, assigners → systems.
//! Files under `mappings/` first, then what people mapped over REST.

use schemas::ChannelId;
use schemas::care::Mapped;

/// A loaded, checked, immutable set of tables. Swapped whole when a file changes.
#[derive(Debug, Default)]
pub struct Mappings {}

/// What the tables know of a code and a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    Mapped(Mapped),
    /// The code is known, the unit is not one of its units.
    UnknownUnit,
    Unknown,
}

impl Mappings {
    /// Looks an observation's code up. `system` and `unit` are as sent, empty when absent;
    /// `numeric` says whether the value is a number (only numbers need a unit).
    #[must_use]
    pub fn code(
        &self,
        _channel: &ChannelId,
        _system: &str,
        _code: &str,
        _unit: &str,
        _numeric: bool,
    ) -> Lookup {
        Lookup::Unknown
    }

    /// The identifier system for an assigning authority as sent (PID-3.4), the authority itself when no
    /// table names it, `mrn` when it is empty.
    #[must_use]
    pub fn assigner<'a>(&'a self, _channel: &ChannelId, authority: &'a str) -> &'a str {
        if authority.is_empty() {
            "mrn"
        } else {
            authority
        }
    }
}
