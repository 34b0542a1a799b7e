//! Every resource that the hub can write, from plain structs: what is written is in `golden/`, and fhir-sdk takes it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests; clippy exempts only test functions"
)]

mod it {
    mod awkward;
    mod golden;
    mod orders;
    mod registered;
    mod samples;
    mod written;
}
