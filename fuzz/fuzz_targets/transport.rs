//! What IP carries: TCP, UDP, ICMP, neighbour discovery, IP in IP.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for (v6, protocol) in [(false, 6), (false, 17), (false, 1), (false, 4), (false, 41), (true, 6), (true, 17), (true, 58)] {
        drlab_fuzz::take_apart(&drlab_fuzz::packet(v6, protocol, data));
    }
});
