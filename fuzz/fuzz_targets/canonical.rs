//! Signed requests, for libFuzzer.

#![no_main]

#[path = "../src/canonical.rs"]
mod canonical;

libfuzzer_sys::fuzz_target!(|data: &[u8]| canonical::check(data));
