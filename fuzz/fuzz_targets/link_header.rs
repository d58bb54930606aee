//! The `Link` header of a list.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| okta::fuzzing::link_header(data));
