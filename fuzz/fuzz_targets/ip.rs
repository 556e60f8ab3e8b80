//! An IPv4 and an IPv6 packet.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drlab_fuzz::take_apart(&drlab_fuzz::framed([8, 0], data));
    drlab_fuzz::take_apart(&drlab_fuzz::framed([0x86, 0xdd], data));
});
