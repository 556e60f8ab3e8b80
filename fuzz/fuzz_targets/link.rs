//! A packet of every link type.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    for linktype in [1, 12, 14, 101, 113, 228, 229, 276] {
        if let Some(framed) = drlab_fuzz::wire::link::framed(linktype, data.to_vec(), length) {
            drlab_fuzz::take_apart(&framed.data);
        }
    }
});
