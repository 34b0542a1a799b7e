//! The ways of a message through the whole program.

use std::time::Duration;

mod channels;
mod dead_letters;
mod faults;
mod full_store;
mod ledger;
mod mappings;
mod merges;
mod problems;
mod start_and_stop;
pub(crate) mod tls;

const SOON: Duration = Duration::from_secs(30);
