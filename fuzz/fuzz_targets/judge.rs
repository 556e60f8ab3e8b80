//! A capture from elsewhere, judged.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drlab_fuzz::judge(data));
