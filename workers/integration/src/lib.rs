//! What the hub knows of its own work: the ledger of messages, channels, held items, dead letters, incidents, audit.
//!
//! It holds no body and no clinical meaning. `maintain` keeps the tables in shape and the audit trail sealed; `queries`
//! is what the REST API and the command line read.

mod asked;
mod audit;
mod channels;
mod dead;
mod held;
mod incidents;
mod ledger;
pub mod maintain;
pub mod queries;
pub mod reads;
mod worker;

pub use ledger::DUPLICATE_WINDOW;
pub use worker::IntegrationWorker;
