//! Between the index in memory and Postgres: one statement for each kind of row, whatever the size of the batch.

mod load;
mod save;

pub(crate) use load::{known, load};
pub(crate) use save::{Saved, save};
