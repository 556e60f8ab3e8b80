//! Bytes as a capture file.
#![no_main]

use drlab::wire::capture::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(reader) = Reader::new(data) {
        for packet in reader.flatten() {
            std::hint::black_box(drlab::wire::decode(&packet.data));
        }
    }
});
