//! An answer of the System Log.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| okta::fuzzing::log_events(data));
