//! What must be done from time to time: partitions, pruning, sealing the audit trail, comparing ledger and streams.

mod prune;
mod reconcile;
mod seal;

pub use prune::{Pruned, ensure_partitions, prune_inbox, prune_outbox, prune_query_answers};
pub use reconcile::{
    LedgerRecord, Unknown, ledger_gaps, ledger_records, newest_in_ledger, raise_incident,
    resolve_incident, resolve_incidents_except,
};
pub use seal::{Broken, Verification, seal, verify};
