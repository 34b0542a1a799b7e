//! What the hub's stores hold after the run, as plain data: collected by [`super::collect`], judged by
//! [`super::judge`].

use std::collections::HashMap;

use uuid::Uuid;

/// Microseconds since 1970.
pub(crate) type Micros = i64;

/// A place in RAW: record and message.
pub(crate) type Place = (u64, u16);

/// Everything that was counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// Every message of RAW with its control id; without one where the body is in the object store.
    pub(crate) raw: HashMap<Place, Option<String>>,
    /// Sequence of RAW's newest record.
    pub(crate) raw_last: u64,
    /// Sequence up to which the translator's newest checkpoint says that all is translated.
    pub(crate) checkpoint: u64,
    /// Rows of the ledger.
    pub(crate) ledger: Vec<LedgerRow>,
    /// Events in EVENTS that a worker consumes.
    pub(crate) events: HashMap<Uuid, &'static str>,
    /// Inbox rows: worker and event, and when it was applied.
    pub(crate) inbox: HashMap<(String, Uuid), Micros>,
    /// Inbox keys that the table holds more than once.
    pub(crate) inbox_repeats: u64,
    /// Patient records by MRN.
    pub(crate) patients: HashMap<String, Vec<PatientRow>>,
    /// Encounters by visit number.
    pub(crate) visits: HashMap<String, Vec<VisitRow>>,
    /// Reports by filler number, in the order they were filed.
    pub(crate) reports: HashMap<String, Vec<ReportRow>>,
    /// Events that the patient worker's audit entries name as causes, in the order of the entries.
    pub(crate) audited: Vec<Uuid>,
    /// Open dead letters, messages in DEAD, open held items, open incidents, unpublished outbox rows.
    pub(crate) left_over: Vec<(&'static str, u64)>,
    /// Places of the audit chain that are missing, and entries that are not in it or in it twice.
    pub(crate) chain_faults: u64,
    /// What the REST API shows, by MRN.
    pub(crate) shown: HashMap<String, Shown>,
}

/// One arrival.
#[derive(Debug, Clone)]
pub(crate) struct LedgerRow {
    pub(crate) place: Place,
    pub(crate) raw_id: Uuid,
    pub(crate) control_id: String,
    pub(crate) outcome: String,
    /// When the edge had the last byte.
    pub(crate) received_at: Micros,
}

#[derive(Debug, Clone)]
pub(crate) struct PatientRow {
    pub(crate) version: u32,
    /// First line of the address.
    pub(crate) address: String,
}

#[derive(Debug, Clone)]
pub(crate) struct VisitRow {
    pub(crate) version: u32,
    /// Bed of the encounter.
    pub(crate) bed: u32,
    /// Beds of all its places in the order they were written, with their states.
    pub(crate) beds: Vec<(u32, String)>,
}

#[derive(Debug, Clone)]
pub(crate) struct ReportRow {
    /// Rises with the order of filing (UUIDv7).
    pub(crate) id: Uuid,
    pub(crate) version: u32,
    /// Results that are current.
    pub(crate) current: u32,
    /// Places in the report.
    pub(crate) items: u32,
    /// Values of the tracked result by version, and whether each is current.
    pub(crate) values: Vec<(u32, bool)>,
}

/// A patient as the REST API shows him.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown {
    pub(crate) addresses: Vec<String>,
    pub(crate) beds: Vec<u32>,
    /// Filler number and current tracked value.
    pub(crate) values: Vec<(String, u32)>,
}
