//! The patient index: who a person is, by identifiers; what sources said of them; which records were joined.
//!
//! It never joins two records by name, never moves an identifier, and copies nothing at a merge. Three rules follow:
//! - a report changes the record that its primary (first) identifier was registered on, also after a merge: so reports
//!   and merges may arrive in any order, and an unmerge restores both records exactly, but that who was part of a restricted chart stays restricted;
//! - what readers see is the *standing* record, at the end of the chain of merges, with the merged ones beside it;
//! - an identifier that another record has already is a suggestion of a duplicate, and nothing more.

mod demographics;
mod desk;
mod effect;
mod index;
mod keys;
mod mention;
mod message;
mod privacy;
pub mod queries;
mod record;
mod similarity;
mod store;
mod worker;

pub use keys::match_keys;
pub use worker::PatientWorker;
