//! Black-box tests of the built program. `cargo build -p hub` first, or set `$HUB_BIN`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on ends here"
)]

mod it {
    mod appointments;
    mod astm;
    mod astm_orders;
    mod audit;
    mod bad_input;
    mod charts;
    mod codes;
    mod columns;
    mod contract;
    mod devices;
    mod encryption;
    mod fhir;
    mod guarantees;
    mod hl7_orders;
    mod identity;
    mod incidents;
    mod key_service;
    mod lab;
    mod lab_corpus;
    mod lab_faults;
    mod lab_specimens;
    mod numbers;
    mod orders;
    mod packs;
    mod poct1a;
    mod portal;
    mod seed;
    mod serial;
    mod shape;
    mod stays;
    mod tenancy;
    mod traces;
    mod verification;
    mod ways;
}
