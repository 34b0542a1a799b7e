#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::hl7v2::orders(bytes));
