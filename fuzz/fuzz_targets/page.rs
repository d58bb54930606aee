//! A page of people.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| okta::fuzzing::page(data));
