//! What must be done from time to time: partitions, pruning, sealing the audit trail, comparing ledger and streams.

mod prune;
mod reconcile;
mod roots;
mod seal;
mod verify;

pub use prune::{Pruned, ensure_partitions, prune_inbox, prune_outbox, prune_query_answers};
pub use reconcile::{
    LedgerRecord, Unknown, ledger_gaps, ledger_records, newest_in_ledger, raise_incident,
    resolve_incident, resolve_incidents_except,
};
pub use roots::{Root, Signer, current_root, roots, sign_roots};
pub use seal::{seal, seal_newest};
pub use verify::{Broken, RootsFound, Signatures, Span, Verification, Wrong, verify};
