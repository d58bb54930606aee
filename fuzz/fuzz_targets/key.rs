//! A private key, as a Secret holds it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| okta::fuzzing::key(data));
