//! drlab's pure layers, compiled with what a fuzzer wants to see. The modules are links to drlab's own files, so that
//! neither its kernel side nor its crates are built.

pub mod base;
pub mod facts;
pub mod import;
pub mod judge;
pub mod scenario;
pub mod trace;
pub mod wire;

use std::collections::BTreeMap;

use facts::run::{CaptureStats, Ran};
use judge::infer::{Known, Naming, infer};
use trace::{Gatherer, RawFrame, Vantage};
use wire::capture::Reader;

/// Reads the bytes as a capture, packet by packet, and takes each frame apart.
pub fn read(data: &[u8]) {
    let Ok(reader) = Reader::new(data) else { return };
    for packet in reader.flatten() {
        assert!(packet.data.len() <= data.len() + 14, "a packet is no longer than its file");
        std::hint::black_box(wire::decode(&packet.data));
    }
}

/// A frame with that `EtherType`.
pub fn framed(ether_type: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0xd1, 0, 0, 1, 0, 2, 0xe0, 0, 0, 1, 0];
    frame.extend(ether_type);
    frame.extend(payload);
    frame
}

/// A frame with an IPv4 or IPv6 packet of that protocol.
pub fn packet(v6: bool, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut ip = Vec::new();
    if v6 {
        ip.extend([0x60, 0, 0, 0]);
        ip.extend(length.to_be_bytes());
        ip.extend([protocol, 64]);
        ip.extend([0xfd; 32]);
    } else {
        ip.extend([0x45, 0]);
        ip.extend(length.saturating_add(20).to_be_bytes());
        ip.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 9, 172, 16, 0, 66]);
    }
    ip.extend(payload);
    framed(if v6 { [0x86, 0xdd] } else { [8, 0] }, &ip)
}

/// Takes a frame apart whole and cut, and compares the two.
pub fn take_apart(frame: &[u8]) {
    let decoded = wire::decode(frame);
    let cut = frame.get(..frame.len() / 2).unwrap_or_default();
    std::hint::black_box((&decoded, wire::decode(cut), wire::difference(frame, cut), wire::difference(frame, frame)));
    assert_eq!(decoded, wire::decode(frame), "equal bytes mean the same");
}

/// Judges the bytes as a capture from elsewhere, as `drlab analyze` does.
pub fn judge(data: &[u8]) {
    let Ok(mut reader) = Reader::new(data) else { return };
    let mut gatherer = Gatherer::new(4096);
    let mut vantages = BTreeMap::new();
    while let Some(Ok(packet)) = reader.next() {
        let at = *vantages.entry((packet.interface, packet.device)).or_insert_with(|| {
            let node = format!("point{}", packet.interface % 100).parse().expect("a name");
            gatherer.vantage(Vantage { node, interface: "if0".parse().expect("a name") })
        });
        let decoded = wire::decode(&packet.data);
        let number = u32::try_from(packet.number).unwrap_or(u32::MAX);
        let (direction, at_ns, length, data) = (packet.direction, packet.at_ns, packet.length, packet.data);
        if !gatherer.take(RawFrame { vantage: at, direction, at_ns, length, data }, decoded, number) {
            break;
        }
    }
    let trace = gatherer.finish().trace;
    let known = Known { vips: vec![("172.16.0.66".parse().expect("an address"), None)], parts: Vec::new() };
    let inferred = infer(&trace, &known, &vec![Naming::File; trace.vantages.len()]);
    let ran = Ran { loads: Vec::new(), access_logs: BTreeMap::new(), probes: Vec::new(), ended: Vec::new(), stopped: None };
    let capture = CaptureStats { frames: 0, dropped: BTreeMap::new(), vantages: Vec::new() };
    let input = judge::Input { case: &inferred.case, trace: &trace, before: &[], after: &[], ran: &ran, capture: &capture };
    let checks: Vec<_> = judge::checks::ALL.iter().map(|check| (check.run)(&input)).collect();
    std::hint::black_box((judge::rules::findings(&input, &checks), judge::rules::clues(&input, &checks)));
    std::hint::black_box((judge::ladder(&input), judge::census(&input)));
}

/// Rules that make a lab together with whatever else is said.
const RULES: &str = "-A -t 172.16.0.66:80 -s rr\n-a -t 172.16.0.66:80 -r 172.16.252.137:80 -g\n";

/// Imports the bytes as a text of that format, beside rules that make a lab. What is written is a scenario by syntax and
/// shape, whatever the bytes are.
pub fn imported(format: import::Format, data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let one = |name: &str, text: &str, format| import::Text {
        name: name.to_owned(),
        text: text.to_owned(),
        node: None,
        format: Some(format),
    };
    let texts = vec![one("rules", RULES, import::Format::Ipvsadm), one("fuzzed", text, format)];
    let request = import::Request { texts, ..import::Request::default() };
    match import::import(&request, &mut import::NoLibrary) {
        Ok(made) => {
            if let Err(problems) = scenario::parse("made", &made.scenario) {
                panic!("{}\n{}", problems.render(false), made.scenario);
            }
        }
        Err(error) => {
            std::hint::black_box(error.to_string());
        }
    }
}
