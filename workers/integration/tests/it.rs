//! The integration worker against a real Postgres, as the program's own role.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

#[path = "it/asking.rs"]
mod asking;
#[path = "it/deciding.rs"]
mod deciding;
#[path = "it/failing.rs"]
mod failing;
#[path = "it/house.rs"]
mod house;
#[path = "it/ledger.rs"]
mod ledger;
#[path = "it/maintaining.rs"]
mod maintaining;
#[path = "it/sealing.rs"]
mod sealing;
#[path = "it/speed.rs"]
mod speed;
