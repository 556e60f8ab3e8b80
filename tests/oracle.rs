//! tshark, which nobody here wrote, reads a run's capture on its own; what it sees must agree with drlab's verdicts.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says by a panic what is wrong")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const VIP: &str = "172.16.0.66";

/// One frame as tshark tells it, field by field.
struct Seen(BTreeMap<&'static str, String>);

impl Seen {
    fn get(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    fn number(&self, field: &str) -> u64 {
        let text = self.get(field);
        text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16)).unwrap_or_else(|_| {
            panic!("tshark gives `{text}` for {field} of frame {}", self.get("frame.number"));
        })
    }

    fn at(&self, vantage: &str, direction: &str) -> bool {
        self.get("frame.interface_name") == vantage && self.get("frame.packet_flags_direction").ends_with(direction)
    }

    /// What stays the same on a packet's way.
    fn packet(&self) -> Vec<String> {
        [
            "ip.id",
            "ip.src",
            "ip.dst",
            "tcp.srcport",
            "tcp.dstport",
            "tcp.seq_raw",
            "tcp.ack_raw",
            "tcp.flags",
            "tcp.checksum",
            "tcp.len",
        ]
        .iter()
        .map(|f| self.get(f).to_owned())
        .collect()
    }
}

const FIELDS: &[&str] = &[
    "frame.number",
    "frame.interface_name",
    "frame.packet_flags_direction",
    "eth.src",
    "eth.dst",
    "ip.src",
    "ip.dst",
    "ip.id",
    "ip.ttl",
    "ip.checksum.status",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.flags",
    "tcp.checksum",
    "tcp.len",
    "arp.opcode",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
];

const IN: &str = "1";
const OUT: &str = "2";

struct Run {
    report: Value,
    frames: Vec<Seen>,
    capture: PathBuf,
}

fn tshark(arguments: &[&str], capture: &Path) -> (String, String) {
    let run = Command::new("tshark")
        .arg("-r")
        .arg(capture)
        .args(arguments)
        .output()
        .expect("tshark is not installed; ci/test.sh sees to it, or: apt-get install tshark");
    let stderr = String::from_utf8_lossy(&run.stderr).into_owned();
    assert!(run.status.success(), "tshark: {stderr}");
    (String::from_utf8_lossy(&run.stdout).into_owned(), stderr)
}

fn textbook_run(folder: &str) -> Run {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["run", "lvs-dr", "--substrate", "uml", "--quiet", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let folder = out.join("basic/lvs-dr");
    let report = serde_json::from_slice(&std::fs::read(folder.join("report.json")).unwrap()).unwrap();
    let capture = folder.join("capture.pcapng");
    let mut arguments = vec!["-o", "ip.check_checksum:TRUE", "-T", "fields", "-E", "separator=|"];
    for field in FIELDS {
        arguments.extend(["-e", field]);
    }
    let (text, _) = tshark(&arguments, &capture);
    let frames = text
        .lines()
        .map(|line| Seen(FIELDS.iter().copied().zip(line.split('|').map(str::to_owned)).collect()))
        .collect();
    Run { report, frames, capture }
}

fn macs(report: &Value, role: &str) -> BTreeSet<String> {
    let segments = report["topology"]["segments"].as_array().unwrap();
    segments
        .iter()
        .flat_map(|s| s["members"].as_array().unwrap())
        .filter(|m| m["role"] == role)
        .map(|m| m["mac"].as_str().unwrap().to_owned())
        .collect()
}

fn check<'a>(report: &'a Value, id: &str) -> &'a Value {
    report["checks"].as_array().unwrap().iter().find(|c| c["id"] == id).unwrap_or_else(|| panic!("no check {id}"))
}

fn mac_rewrite_agrees(run: &Run) {
    let director = macs(&run.report, "director");
    let servers = macs(&run.report, "real-server");
    let requests = |s: &&Seen| s.get("ip.dst") == VIP && s.get("tcp.dstport") == "80";
    let entered: Vec<&Seen> = run.frames.iter().filter(|s| s.at("director:eth0", IN)).filter(requests).collect();
    let left: Vec<&Seen> = run.frames.iter().filter(|s| s.at("director:eth0", OUT)).filter(requests).collect();
    assert!(!entered.is_empty());
    assert_eq!(entered.len(), left.len(), "every request frame that enters the Director leaves it once");
    for frame in &entered {
        let again: Vec<_> = left.iter().filter(|l| l.packet() == frame.packet()).collect();
        assert_eq!(again.len(), 1, "frame {} leaves the Director once", frame.get("frame.number"));
        assert_eq!(again[0].number("ip.ttl") + 1, frame.number("ip.ttl"));
        assert_eq!(again[0].get("ip.checksum.status"), "1", "the header checksum follows");
        assert!(director.contains(again[0].get("eth.src")));
        assert!(servers.contains(again[0].get("eth.dst")));
    }
    let ours = check(&run.report, "mac-rewrite");
    assert_eq!(ours["verdict"], "held");
    assert_eq!(ours["examined"].as_u64().unwrap(), entered.len() as u64);
}

fn direct_return_agrees(run: &Run) {
    let routers = macs(&run.report, "router");
    let replies: Vec<&Seen> =
        run.frames.iter().filter(|s| s.get("ip.src") == VIP && s.get("tcp.srcport") == "80").collect();
    assert!(!replies.is_empty());
    assert!(
        replies.iter().all(|s| !s.get("frame.interface_name").starts_with("director:")),
        "no reply meets the Director"
    );
    let left: Vec<_> = replies
        .iter()
        .filter(|s| {
            s.get("frame.interface_name").starts_with("rs") && s.get("frame.packet_flags_direction").ends_with(OUT)
        })
        .collect();
    assert!(left.iter().all(|s| routers.contains(s.get("eth.dst"))), "each reply goes to the router's MAC");
    let ours = check(&run.report, "direct-return");
    assert_eq!(ours["verdict"], "held");
    assert_eq!(ours["examined"].as_u64().unwrap(), left.len() as u64);
}

fn arp_census_agrees(run: &Run) {
    let director = macs(&run.report, "director");
    let speaking: BTreeSet<&str> =
        run.frames.iter().filter(|s| s.get("arp.src.proto_ipv4") == VIP).map(|s| s.get("arp.src.hw_mac")).collect();
    assert_eq!(
        speaking.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(),
        director,
        "only the Director says it has the VIP"
    );
    let asked = run.frames.iter().filter(|s| s.get("arp.opcode") == "1" && s.get("arp.dst.proto_ipv4") == VIP).count();
    assert!(asked > 0, "somebody asked");
    assert_eq!(check(&run.report, "arp-census")["verdict"], "held");
}

#[test]
fn tshark_agrees_with_drlab_on_the_textbook_lab() {
    let run = textbook_run("oracle");
    mac_rewrite_agrees(&run);
    direct_return_agrees(&run);
    arp_census_agrees(&run);
}

#[test]
fn the_capture_opens_without_a_warning_and_names_its_vantages() {
    let run = textbook_run("oracle-format");
    let (comments, stderr) = tshark(&["-T", "fields", "-e", "frame.comment", "-Y", "frame.comment"], &run.capture);
    let noise = |line: &&str| !line.starts_with("Running as user \"root\"");
    assert_eq!(stderr.lines().filter(noise).collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(
        comments.lines().any(|l| l.contains("mac-rewrite")),
        "frames that are evidence carry a comment: {comments}"
    );
    let names: BTreeSet<_> = run.frames.iter().map(|s| s.get("frame.interface_name")).collect();
    assert!(names.contains("director:eth0") && names.contains("rs1:eth0"), "{names:?}");
    assert_eq!(run.frames.len() as u64, run.report["capture"]["frames"].as_u64().unwrap());
    assert_eq!(run.report["capture"]["dropped"], 0);
}

#[test]
fn tshark_pairs_the_frames_of_a_capture_from_elsewhere_as_drlab_does() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/captures/director.pcap");
    let filter = format!("ip.dst == {VIP} && tcp.dstport == 80");
    let fields = ["-e", "eth.src", "-e", "eth.dst", "-e", "ip.id", "-e", "tcp.seq_raw"];
    let (text, _) = tshark(&[&["-Y", &filter, "-T", "fields", "-E", "separator=|"], &fields[..]].concat(), &file);
    let frames: Vec<Vec<&str>> = text.lines().map(|l| l.split('|').collect()).collect();
    let director = "02:d1:00:00:01:00";
    let packets = |end: usize| {
        let mut all: Vec<&[&str]> = frames.iter().filter(|f| f[end] == director).map(|f| &f[2..]).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(packets(1), packets(0), "each packet enters the Director once and leaves it once");
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .arg("analyze")
        .arg(&file)
        .args(["--vip", VIP, "--format", "json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&run.stdout).unwrap();
    let ours = check(&report, "mac-rewrite");
    assert_eq!(ours["verdict"], "held");
    assert_eq!(ours["examined"].as_u64().unwrap(), packets(1).len() as u64);
    let servers: BTreeSet<&str> = frames.iter().filter(|f| f[0] == director).map(|f| f[1]).collect();
    let parts = report["read"]["parts"].as_array().unwrap();
    let named = parts.iter().filter(|p| p["role"] == "real-server").flat_map(|p| p["macs"].as_array().unwrap());
    assert_eq!(servers, named.map(|m| m.as_str().unwrap()).collect());
}
