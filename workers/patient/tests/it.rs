//! The patient index against a real Postgres, as the program's own role.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

#[path = "it/desk.rs"]
mod desk;
#[path = "it/house.rs"]
mod house;
#[path = "it/merging.rs"]
mod merging;
#[path = "it/racing.rs"]
mod racing;
#[path = "it/reading.rs"]
mod reading;
#[path = "it/registering.rs"]
mod registering;
#[path = "it/speed.rs"]
mod speed;
#[path = "it/tenants.rs"]
mod tenants;
