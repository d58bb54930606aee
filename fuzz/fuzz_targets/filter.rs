//! A filter (CEL), a zero byte, and a profile (JSON).
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| engine::fuzzing::filter(data));
