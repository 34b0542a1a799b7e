//! The API from outside: requests in, responses out, a real Postgres below, and a backbone in memory that hands
//! commands to the real workers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; clippy exempts only test functions"
)]

mod it {
    mod backbone;
    mod care;
    mod charts;
    mod clients;
    mod contract;
    mod controls;
    mod criticals;
    mod decisions;
    mod devices;
    mod glass;
    mod house;
    mod messages;
    mod orders;
    mod problems;
    mod quiet;
    mod roles;
    mod samples;
    mod second_factor;
    mod security;
    mod serving;
    mod sign_in;
    mod unmatched;
    mod users;
    mod verification;
}
