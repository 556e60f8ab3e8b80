//! `drlab analyze` on captures of single points of real runs, and on the same in every other format.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what is wrong")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const VIP: &str = "172.16.0.66";

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures").join(name)
}

/// A file that the test makes.
fn made(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("analyze");
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

fn drlab(files: &[PathBuf], more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_drlab"))
        .arg("analyze")
        .args(files)
        .args(["--vip", VIP])
        .args(more)
        .output()
        .unwrap()
}

struct Judged {
    exit: i32,
    report: Value,
}

impl Judged {
    fn verdicts(&self) -> BTreeMap<&str, &str> {
        let all = self.report["checks"].as_array().unwrap();
        all.iter().map(|c| (c["id"].as_str().unwrap(), c["verdict"].as_str().unwrap())).collect()
    }

    fn held(&self) -> Vec<&str> {
        self.verdicts().into_iter().filter(|(_, v)| *v == "held").map(|(id, _)| id).collect()
    }

    fn broken(&self) -> Vec<&str> {
        self.verdicts().into_iter().filter(|(_, v)| *v == "broken").map(|(id, _)| id).collect()
    }

    fn summary(&self, id: &str) -> &str {
        let all = self.report["checks"].as_array().unwrap();
        all.iter().find(|c| c["id"] == id).unwrap()["summary"].as_str().unwrap()
    }

    fn roles(&self) -> BTreeMap<&str, &str> {
        let parts = self.report["read"]["parts"].as_array().unwrap();
        parts.iter().map(|p| (p["node"].as_str().unwrap(), p["role"].as_str().unwrap())).collect()
    }
}

fn judge_with(files: &[PathBuf], more: &[&str]) -> Judged {
    let run = drlab(files, &[more, &["--format", "json"]].concat());
    let report = serde_json::from_slice(&run.stdout).unwrap_or_else(|e| {
        panic!("{e}: {}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr))
    });
    Judged { exit: run.status.code().unwrap(), report }
}

fn judge(names: &[&str]) -> Judged {
    judge_with(&names.iter().map(|n| fixture(n)).collect::<Vec<_>>(), &[])
}

/// What is said on stderr where nothing could be judged.
fn refused(path: &Path) -> String {
    let run = drlab(&[path.to_owned()], &[]);
    assert_eq!(run.status.code(), Some(2), "{}", String::from_utf8_lossy(&run.stdout));
    String::from_utf8(run.stderr).unwrap()
}

/// One record of a fixture.
#[derive(Clone)]
struct Record {
    s: u32,
    us: u32,
    length: u32,
    data: Vec<u8>,
}

fn records(name: &str) -> Vec<Record> {
    let bytes = std::fs::read(fixture(name)).unwrap();
    let mut rest = &bytes[24..];
    let mut all = Vec::new();
    while let Some((head, tail)) = rest.split_first_chunk::<16>() {
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
        let (data, next) = tail.split_at(usize::try_from(word(8)).unwrap());
        all.push(Record { s: word(0), us: word(4), length: word(12), data: data.to_vec() });
        rest = next;
    }
    all
}

/// How a pcap is written.
#[derive(Clone, Copy)]
struct Kind {
    big: bool,
    nanoseconds: bool,
    linktype: u32,
}

const PLAIN: Kind = Kind { big: false, nanoseconds: false, linktype: 1 };

fn pcap(kind: Kind, records: &[Record]) -> Vec<u8> {
    let words = |all: &[u32]| -> Vec<u8> {
        all.iter().flat_map(|w| if kind.big { w.to_be_bytes() } else { w.to_le_bytes() }).collect()
    };
    let magic = if kind.nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 };
    let version = if kind.big { 0x0002_0004 } else { 0x0004_0002 };
    let mut bytes = words(&[magic, version, 0, 0, 262_144, kind.linktype]);
    for r in records {
        let stored = u32::try_from(r.data.len()).unwrap();
        bytes.extend(words(&[r.s, if kind.nanoseconds { r.us * 1000 } else { r.us }, stored, r.length]));
        bytes.extend(&r.data);
    }
    bytes
}

/// As `tcpdump -i any` on the machine with that MAC would have captured it.
fn cooked(own: &[u8], second: bool, record: &Record) -> Record {
    let (to, from, protocol, payload) =
        (&record.data[..6], &record.data[6..12], &record.data[12..14], &record.data[14..]);
    let kind = if from == own { 4 } else { u8::from(to == [0xff; 6]) };
    let mut data = if second {
        let mut head = protocol.to_vec();
        head.extend([0, 0, 0, 0, 0, 2, 0, 1, kind, 6]);
        head
    } else {
        vec![0, kind, 0, 1, 0, 6]
    };
    data.extend(from);
    data.extend([0, 0]);
    if !second {
        data.extend(protocol);
    }
    let header = u32::try_from(data.len()).unwrap();
    data.extend(payload);
    Record { length: record.length - 14 + header, data, ..*record }
}

const DIRECTOR: [u8; 6] = [2, 0xd1, 0, 0, 1, 0];

#[test]
fn each_point_decides_what_it_shows_and_names_the_point_that_is_missing() {
    let director = judge(&["director.pcap"]);
    assert_eq!((director.held(), director.exit), (vec!["mac-rewrite", "port-kept"], 3));
    assert!(director.summary("direct-return").contains("captures at rs1, rs2"));
    assert!(director.summary("via-director").contains("rs1 itself was not captured"));
    let router = judge(&["router.pcap"]);
    assert_eq!(router.held(), ["arp-census", "direct-return"]);
    assert!(router.summary("mac-rewrite").contains("a capture at the Director"));
    assert!(judge(&["rs1.pcap"]).held().is_empty(), "there may be other real servers");
    let servers = [fixture("rs1.pcap"), fixture("rs2.pcap")];
    let given = ["--rs", "02:5e:00:00:01:00", "--rs", "02:5e:00:00:02:00"];
    assert_eq!(judge_with(&servers, &given).held(), ["direct-return", "via-director"]);
    let client = judge(&["client.pcap"]);
    assert!(client.verdicts().values().all(|v| *v == "undecided"));
    for one in [director, router, client] {
        assert!(one.broken().is_empty());
        assert!(!one.report["read"]["points"].as_array().unwrap().is_empty());
    }
}

#[test]
fn several_points_together_decide_all() {
    let all = judge(&["router.pcap", "director.pcap", "rs1.pcap", "rs2.pcap", "client.pcap"]);
    assert_eq!(all.held().len(), 5, "{:?}", all.verdicts());
    assert_eq!(all.exit, 0);
    let roles = all.roles();
    assert_eq!((roles["director"], roles["rs1"], roles["rs2"]), ("director", "real-server", "real-server"));
    let without = judge(&["router.pcap", "rs1.pcap", "rs2.pcap"]);
    assert_eq!(without.held().len(), 5, "what the Director did is seen before and after it: {:?}", without.verdicts());
}

#[test]
fn what_is_broken_is_seen_from_one_point() {
    let arp = judge(&["arp-problem-router.pcap"]);
    assert_eq!((arp.broken(), arp.exit), (vec!["arp-census"], 1));
    assert_eq!(judge(&["gateway-director.pcap"]).broken(), ["direct-return"]);
    assert_eq!(judge(&["tun-director.pcap"]).broken(), ["mac-rewrite"]);
    assert!(judge(&["nat-director.pcap"]).held().iter().all(|id| *id != "mac-rewrite" && *id != "direct-return"));
}

#[test]
fn a_given_director_decides_what_frames_leave_open() {
    let file = [fixture("arp-problem-router.pcap")];
    let open = judge_with(&file, &[]);
    assert!(open.report["read"]["open"].to_string().contains("--director"));
    let given = judge_with(&file, &["--director", "02:d1:00:00:01:00"]);
    assert!(given.summary("arp-census").contains("answers who-has"), "{}", given.summary("arp-census"));
}

#[test]
fn every_kind_of_pcap_gives_the_same_verdicts() {
    let plain = judge(&["director.pcap"]);
    for (big, nanoseconds) in [(false, true), (true, false), (true, true)] {
        let bytes = pcap(Kind { big, nanoseconds, ..PLAIN }, &records("director.pcap"));
        let path = made(&format!("kind-{big}-{nanoseconds}.pcap"), &bytes);
        assert_eq!(judge_with(&[path], &[]).verdicts(), plain.verdicts());
    }
}

#[test]
fn vlan_tags_padding_and_a_clock_that_is_off_change_no_verdict() {
    let mut tagged = records("director.pcap");
    for r in &mut tagged {
        r.data.splice(12..12, [0x81, 0x00, 0x00, 0x0a]);
        r.length += 4;
    }
    let path = made("tagged.pcap", &pcap(PLAIN, &tagged));
    assert_eq!(judge_with(&[path], &[]).verdicts(), judge(&["director.pcap"]).verdicts());

    let mut padded = records("director.pcap");
    for r in padded.iter_mut().filter(|r| r.data[..6] == DIRECTOR) {
        r.data.extend([0; 4]);
        r.length += 4;
    }
    let path = made("padded.pcap", &pcap(PLAIN, &padded));
    assert_eq!(judge_with(&[path], &[]).held(), ["mac-rewrite", "port-kept"]);

    let mut late = records("rs1.pcap");
    for r in &mut late {
        r.s += 3600;
    }
    let files = [fixture("router.pcap"), made("rs1.pcap", &pcap(PLAIN, &late)), fixture("rs2.pcap")];
    let judged = judge_with(&files, &[]);
    assert_eq!(judged.held().len(), 5, "{:?}", judged.verdicts());
    let off = judged.report["read"]["points"][1]["clock_us"].as_i64().unwrap();
    assert!((off - 3_600_000_000).abs() < 10_000, "{off}");
}

/// How one section of a pcapng is written.
struct Section<'a> {
    big: bool,
    /// `if_tsresol`: a power of ten, or of two with the highest bit.
    resolution: u8,
    /// Interfaces, each with its frames; they take turns.
    interfaces: Vec<(&'a str, &'a [Record])>,
}

fn pcapng(sections: &[Section<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for Section { big, resolution, interfaces } in sections {
        let u32s = |n: u32| if *big { n.to_be_bytes() } else { n.to_le_bytes() };
        let u16s = |n: usize| {
            let n = u16::try_from(n).unwrap();
            if *big { n.to_be_bytes() } else { n.to_le_bytes() }
        };
        let padded = |data: &[u8]| [data, &vec![0; data.len().next_multiple_of(4) - data.len()]].concat();
        let mut block = |kind: u32, body: &[u8]| {
            let length = u32s(u32::try_from(body.len() + 12).unwrap());
            bytes.extend([&u32s(kind)[..], &length, body, &length].concat());
        };
        block(0x0a0d_0d0a, &[&u32s(0x1a2b_3c4d)[..], &u16s(1), &u16s(0), &[0xff; 8]].concat());
        for (name, _) in interfaces {
            let name = [&u16s(2)[..], &u16s(name.len()), &padded(name.as_bytes())].concat();
            let resolution = [&u16s(9)[..], &u16s(1), &padded(&[*resolution])].concat();
            block(1, &[&u16s(1)[..], &u16s(0), &u32s(0), &name, &resolution, &[0; 4]].concat());
        }
        let mut all: Vec<(usize, &Record)> =
            interfaces.iter().enumerate().flat_map(|(at, (_, frames))| frames.iter().map(move |r| (at, r))).collect();
        all.sort_by_key(|(_, r)| (r.s, r.us));
        for (at, r) in all {
            let ns = u128::from(r.s) * 1_000_000_000 + u128::from(r.us) * 1000;
            let per_second =
                if resolution & 0x80 == 0 { 10_u128.pow((*resolution).into()) } else { 1 << (resolution & 0x7f) };
            let ticks = u64::try_from(ns * per_second / 1_000_000_000).unwrap();
            let (high, low) = (u32::try_from(ticks >> 32).unwrap(), ticks.to_le_bytes());
            let low = u32::from_le_bytes(*low.first_chunk::<4>().unwrap());
            let stored = u32::try_from(r.data.len()).unwrap();
            let head = [u32::try_from(at).unwrap(), high, low, stored, r.length].map(u32s).concat();
            block(6, &[head, padded(&r.data)].concat());
        }
    }
    bytes
}

#[test]
fn a_pcapng_with_several_sections_interfaces_byte_orders_and_resolutions_is_read_as_a_whole() {
    let parts = ["router.pcap", "director.pcap", "rs1.pcap", "rs2.pcap"].map(records);
    // Microseconds, nanoseconds, and ticks of 2^-20 s; ten to the minus three would lose the order.
    for (first, second) in [(6, 9), (9, 0x94)] {
        let sections = [
            Section { big: false, resolution: first, interfaces: vec![("router", &parts[0]), ("lvs", &parts[1])] },
            Section { big: true, resolution: second, interfaces: vec![("a", &parts[2]), ("b", &parts[3])] },
        ];
        let path = made(&format!("sections-{second}.pcapng"), &pcapng(&sections));
        let judged = judge_with(&[path], &[]);
        assert_eq!(judged.report["read"]["points"].as_array().unwrap().len(), 4);
        assert_eq!(judged.held().len(), 5, "{second}: {:?}", judged.verdicts());
    }
}

#[test]
fn frames_with_two_vlan_tags_are_judged_as_those_without() {
    for outer in [[0x81, 0x00], [0x88, 0xa8]] {
        let mut tagged = records("director.pcap");
        for r in &mut tagged {
            r.data.splice(12..12, [outer[0], outer[1], 0x00, 0x64, 0x81, 0x00, 0x00, 0x0a]);
            r.length += 8;
        }
        let path = made(&format!("qinq-{:02x}.pcap", outer[0]), &pcap(PLAIN, &tagged));
        assert_eq!(judge_with(&[path], &[]).verdicts(), judge(&["director.pcap"]).verdicts());
    }
}

#[test]
fn a_capture_with_any_bytes_changed_is_judged_or_refused_and_never_a_crash() {
    let whole = std::fs::read(fixture("gateway-director.pcap")).unwrap();
    for round in 0..24_usize {
        let mut bytes = whole.clone();
        for step in 0..=round {
            let at = (round * 7919 + step * 104_729) % bytes.len();
            bytes[at] ^= u8::try_from(1 << (step % 8)).unwrap();
        }
        let run = drlab(&[made(&format!("changed-{round}.pcap"), &bytes)], &[]);
        let code = run.status.code();
        assert!(matches!(code, Some(0..=3)), "round {round}: {code:?}: {}", String::from_utf8_lossy(&run.stderr));
    }
}

#[test]
fn what_frames_prove_is_a_finding_and_what_they_hint_at_names_the_rules() {
    let gateway = judge(&["gateway-director.pcap"]);
    let ids: Vec<&str> =
        gateway.report["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["rs-gw-director"]);
    let tunnel = judge(&["tun-director.pcap"]);
    assert_eq!(tunnel.report["findings"].as_array().unwrap().len(), 0);
    assert_eq!(tunnel.report["read"]["clues"][0]["rules"][0], "ipvs-method-tun");
    let text = String::from_utf8(drlab(&[fixture("tun-director.pcap")], &[]).stdout).unwrap();
    assert!(text.contains("What the frames hint at") && text.contains("ipvsadm -Ln"), "{text}");
}

#[test]
fn a_cooked_capture_is_read_and_what_it_lacks_is_said() {
    for (linktype, second) in [(113, false), (276, true)] {
        let all: Vec<Record> = records("director.pcap").iter().map(|r| cooked(&DIRECTOR, second, r)).collect();
        let path = made(&format!("cooked-{linktype}.pcap"), &pcap(Kind { linktype, ..PLAIN }, &all));
        let judged = judge_with(std::slice::from_ref(&path), &["--director", "02:d1:00:00:01:00"]);
        assert!(judged.broken().is_empty() && !judged.held().contains(&"mac-rewrite"), "{:?}", judged.verdicts());
        assert!(judged.summary("mac-rewrite").contains("not at `any`"), "{}", judged.summary("mac-rewrite"));
        // With a point on either side of it, what the Director sends has both its MACs.
        let both = judge_with(&[path, fixture("router.pcap"), fixture("rs1.pcap"), fixture("rs2.pcap")], &[]);
        assert_eq!(both.verdicts()["mac-rewrite"], "held", "{}", both.summary("mac-rewrite"));
    }
}

#[test]
fn raw_ip_tells_no_part_and_so_no_verdict() {
    let mut all = records("director.pcap");
    all.retain(|r| r.data[12..14] == [8, 0]);
    for r in &mut all {
        r.data.drain(..14);
        r.length -= 14;
    }
    let path = made("raw.pcap", &pcap(Kind { linktype: 101, ..PLAIN }, &all));
    let judged = judge_with(&[path], &[]);
    assert!(judged.verdicts().values().all(|v| *v == "undecided"), "{:?}", judged.verdicts());
    assert!(!judged.report["read"]["open"].as_array().unwrap().is_empty());
}

#[test]
fn frames_cut_by_a_snaplen_are_undecided() {
    let mut all = records("director.pcap");
    for r in &mut all {
        r.data.truncate(96);
    }
    let judged = judge_with(&[made("cut.pcap", &pcap(PLAIN, &all))], &[]);
    assert_eq!(judged.verdicts()["mac-rewrite"], "undecided");
    assert!(judged.summary("mac-rewrite").contains("not captured whole"));
    for r in &mut all {
        r.data.truncate(30);
    }
    assert!(judge_with(&[made("tiny.pcap", &pcap(PLAIN, &all))], &[]).held().is_empty());
}

#[test]
fn a_file_cut_short_is_judged_up_to_there() {
    let bytes = std::fs::read(fixture("router.pcap")).unwrap();
    let judged = judge_with(&[made("short.pcap", &bytes[..bytes.len() / 2])], &[]);
    assert!(judged.broken().is_empty());
    assert!(judged.report["read"]["files"][0]["ended"].as_str().unwrap().contains("ends inside"));
}

#[test]
fn what_held_on_a_part_of_the_frames_is_undecided() {
    let judged = judge_with(&[fixture("director.pcap")], &["--frames", "100", "--each"]);
    assert!(judged.held().is_empty());
    assert!(judged.report["read"]["files"][0]["ended"].as_str().unwrap().contains("--frames"));
    let counted = judge_with(&[fixture("director.pcap")], &["--frames", "100"]);
    assert_eq!(counted.verdicts(), judge(&["director.pcap"]).verdicts(), "frames that are counted take no room");
}

#[test]
fn conversations_that_are_counted_are_judged_as_if_each_were_held() {
    let mut counted = 0;
    for name in [
        "arp-problem-router",
        "client",
        "director",
        "gateway-director",
        "nat-director",
        "router",
        "rs1",
        "tun-director",
    ] {
        let file = [fixture(&format!("{name}.pcap"))];
        let (one, each) = (judge_with(&file, &[]), judge_with(&file, &["--each"]));
        let told = |judged: &Judged| {
            let checks = judged.report["checks"].as_array().unwrap().iter();
            let checks: Vec<String> =
                checks.map(|c| format!("{} {} {}", c["id"], c["verdict"], c["summary"])).collect();
            let read = &judged.report["read"];
            let rest = ["parts", "handed_on", "open", "points"].map(|key| read[key].to_string());
            let ids = judged.report["findings"].as_array().unwrap().iter().map(|f| f["id"].to_string());
            (checks, rest, ids.collect::<Vec<_>>(), read["clues"].as_array().unwrap().len(), judged.exit)
        };
        assert_eq!(told(&one), told(&each), "{name}");
        counted += one.report["read"]["alike"].as_u64().unwrap_or(0);
    }
    assert!(counted > 200, "{counted}");
}

#[test]
fn bad_input_is_named() {
    assert!(refused(Path::new("/nonexistent/a.pcap")).contains("could not open /nonexistent/a.pcap"));
    assert!(refused(&made("empty.pcap", b"")).contains("the file is empty"));
    assert!(
        refused(&made("text.pcap", b"tcpdump: listening on eth0\n")).contains("looks like text (`tcpdump: listening")
    );
    assert!(refused(&made("packed.pcap", b"\x1f\x8b\x08\x00....")).contains("gunzip"));
    let usb = pcap(Kind { linktype: 189, ..PLAIN }, &records("rs1.pcap"));
    assert!(refused(&made("usb.pcap", &usb)).contains("link type 189"));
    let wrong = Command::new(env!("CARGO_BIN_EXE_drlab")).args(["analyze", "x", "--vip", "lvs"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("172.16.0.66:80"));
}

#[test]
fn another_vip_leaves_nothing_to_judge_and_that_is_said() {
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .arg("analyze")
        .arg(fixture("director.pcap"))
        .args(["--vip", "10.1.2.3"])
        .output()
        .unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    assert_eq!(run.status.code(), Some(3), "{text}");
    assert!(text.contains("is it the right address?"), "{text}");
}

#[test]
fn the_reports_are_kept_where_out_says() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("analyze-out");
    let run = drlab(&[fixture("director.pcap")], &["--out", out.to_str().unwrap()]);
    assert_eq!(run.status.code(), Some(3));
    let text = String::from_utf8(run.stdout).unwrap();
    for part in ["What was read", "Who is who", "because it", "Checks", "UNDECIDED"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for lab_only in ["Sharing", "substrate", "kernel  ", "Topology", "drlab run"] {
        assert!(!text.contains(lab_only), "{lab_only} in {text}");
    }
    for file in ["report.json", "report.txt", "junit.xml"] {
        assert!(out.join(file).is_file(), "{file}");
    }
}
