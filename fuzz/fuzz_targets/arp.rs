//! An ARP packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drlab_fuzz::take_apart(&drlab_fuzz::framed([8, 6], data)));
