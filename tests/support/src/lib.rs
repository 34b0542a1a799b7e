//! What the workers' tests stand on: a real Postgres, a database of its own for each test, and envelopes.
//!
//! One server for each test binary, started at the first use and ended with the process. A database is cloned from a
//! template to which all migrations were applied as the owner role; tests connect as the program's own role, so
//! row-level security holds for them as it does for the hub.

mod database;
mod messages;

pub use database::TestDatabase;
pub use messages::{command, envelope, event, tenant};
