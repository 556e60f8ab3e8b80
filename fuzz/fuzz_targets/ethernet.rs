//! A frame, from its first byte.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drlab_fuzz::take_apart(data));
