//! The worker against a real Postgres: what must hold when many come at once, and what the clock brings.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; clippy exempts only test functions"
)]

mod it {
    mod booking;
    mod house;
    mod queues;
    mod reminders;
    mod slots;
    mod tenants;
    mod waitlist;
}
