//! The worker against a real Postgres: what must hold when two come at once, and tenants that never meet.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; clippy exempts only test functions"
)]

mod it {
    mod house;
    mod keys;
    mod life;
    mod logins;
    mod proofs;
    mod racing;
    mod tenants;
}
