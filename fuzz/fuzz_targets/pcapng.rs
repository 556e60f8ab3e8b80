//! What follows a pcapng section header.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    const SECTION: &[u8] = b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0";
    drlab_fuzz::read(&[SECTION, data].concat());
    drlab_fuzz::read(data);
});
