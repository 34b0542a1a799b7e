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
    mod guarantees;
    mod identity;
    mod orders;
    mod serial;
    mod ways;
}
