//! A capture of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drlab_fuzz::read(data));
