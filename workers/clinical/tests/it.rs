//! The clinical worker against a real Postgres.

#![allow(clippy::unwrap_used, clippy::panic)]

mod it {
    mod codes;
    mod controls;
    mod criticals;
    mod encounters;
    mod matching;
    mod orders;
    mod placing;
    mod queries;
    mod results;
    mod runs;
    mod support;
    mod verification;
    mod verifying;
    mod worklist;
}
