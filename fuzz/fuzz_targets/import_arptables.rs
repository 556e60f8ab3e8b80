//! Rules of arptables-save.
#![no_main]

use drlab_fuzz::import::Format;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drlab_fuzz::imported(Format::Arptables, data));
