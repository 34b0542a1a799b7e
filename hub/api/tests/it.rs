//! The API from outside: requests in, responses out, a real Postgres below, and a backbone in memory that hands
//! commands to the real workers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; clippy exempts only test functions"
)]

mod it {
    mod appointments;
    mod authenticator;
    mod backbone;
    mod calls;
    mod care;
    mod charts;
    mod clients;
    mod codes;
    mod contract;
    mod controls;
    mod criticals;
    mod decisions;
    mod devices;
    mod feed;
    mod fhir;
    mod glass;
    mod house;
    mod idempotency;
    mod limits;
    mod links;
    mod looks;
    mod messages;
    mod operations;
    mod orders;
    mod passkeys;
    mod portal;
    mod privacy;
    mod problems;
    mod proofs;
    mod provider;
    mod quiet;
    mod registration;
    mod restricted;
    mod roles;
    mod samples;
    mod second_factor;
    mod security;
    mod serving;
    mod shape;
    mod sign_in;
    mod specimens;
    mod sso;
    mod stays;
    mod unmatched;
    mod users;
    mod verification;
    mod world;
}
