//! Black-box tests of the built program. `cargo build -p hub` first, or set `$HUB_BIN`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on ends here"
)]

mod it {
    mod astm;
    mod bad_input;
    mod contract;
    mod devices;
    mod guarantees;
    mod lab_corpus;
    mod lab_faults;
    mod hl7_orders;
    mod orders;
    mod packs;
    mod serial;
    mod traces;
    mod ways;
}
