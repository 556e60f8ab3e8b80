//! Reports made by hand, for the renderers' tests: the textbook lab, the same without an ARP cure, and odd ones.

use std::collections::BTreeMap;

use super::{
    CaptureSummary, CensusEntry, Expected, Facts, LadderRung, Latency, LoadSummary, Mended, MendedCommand, Report,
    RunVerdict, SCHEMA, TimingMs, Topology, TopologyMember, TopologySegment,
};
use crate::base::{DirectorKind, Mac, Role, Verdict};
use crate::facts::run::Acted;
use crate::judge::checks::Check;
use crate::judge::{CheckResult, Confidence, Dialect, Evidence, Finding, FrameRef, Mend};

/// The texts of one check, so that snapshots don't hang on the registry's wording.
pub(crate) fn explained(id: &str) -> Option<&'static Check> {
    const CENSUS: Check = Check {
        id: "arp-census",
        title: "only the Director says that it has the VIP",
        proves: "On each segment the Director, and no one else, answers who-has VIP, and no real server asks with the VIP \
                 as sender.",
        fooled_by: "A neighbour entry that hides the question; so it is asked on purpose after the load.",
        usual_cause: "A real server carries the VIP and nothing keeps it from answering: arp_ignore is 0 on the interface \
                      that hears the question.",
        source: "net/ipv4/arp.c, arp_process()",
        run: |_| check("arp-census", Verdict::Held, 0, "", &[]),
    };
    (id == CENSUS.id).then_some(&CENSUS)
}

/// The broken lab, mended in its first dialects.
pub(crate) fn mended() -> Report {
    let mut report = broken();
    let command = |node: &str, dialect, command: &str| MendedCommand {
        finding: "rs-arp-default".to_owned(),
        node: node.parse().unwrap(),
        dialect,
        command: command.to_owned(),
        status: Some(0),
        output: String::new(),
    };
    let sysctl = "sysctl -w net.ipv4.conf.all.arp_ignore=1";
    report.mended = Some(Mended {
        commands: vec![
            command("rs1", Dialect::Sysctl, sysctl),
            command("rs2", Dialect::Sysctl, sysctl),
            command("router", Dialect::Ip, "ip neighbour flush to 172.16.0.66 dev eth1"),
        ],
        verdict: RunVerdict::Held,
        failure: Vec::new(),
        load: held().load,
        checks: held().checks,
        left_out: vec!["read-back: the lab is no longer what the plan says, on purpose".to_owned()],
        findings: Vec::new(),
        ms: 412.0,
    });
    report
}

/// The same where a command failed, one is left to a hand, and a check still breaks.
pub(crate) fn not_mended() -> Report {
    let mut report = mended();
    let broken = broken();
    if let Some(mended) = &mut report.mended {
        mended.verdict = RunVerdict::Broken;
        mended.checks = broken.checks;
        mended.findings = broken.findings;
        mended.commands[1].status = Some(255);
        mended.commands[1].output = "sysctl: cannot stat /proc/sys/net/ipv4/conf/all/arp_ignore".to_owned();
        mended.commands[2].status = None;
        mended.commands[2].dialect = Dialect::ByHand;
        mended.commands[2].command = "restart the router".to_owned();
    }
    report
}

/// `basic/lvs-dr`, held.
pub(crate) fn held() -> Report {
    Report {
        schema: SCHEMA.to_owned(),
        scenario: "basic/lvs-dr".to_owned(),
        title: "Direct Routing, the textbook case".to_owned(),
        verdict: RunVerdict::Held,
        expected: Expected { met: true, broken: false, differences: Vec::new() },
        failure: Vec::new(),
        logs: Vec::new(),
        substrate: "uml".to_owned(),
        kernel: "6.1.0-18-um".to_owned(),
        seed: None,
        same_twice: false,
        jitter_us: 0,
        timing_ms: TimingMs { boot: 412.0, build: 61.4, load: 288.9, judge: 35.2, teardown: 22.5, total: 1204.7 },
        load: LoadSummary {
            requests: 20,
            ok: 20,
            failed: 0,
            per_server: counts(&[("rs1", 10), ("rs2", 10)]),
            errors: BTreeMap::new(),
            latency: Latency { min_us: 812, p50_us: 1_240, p90_us: 1_730, p99_us: 4_410, max_us: 4_410 },
        },
        read: None,
        capture: CaptureSummary {
            frames: 874,
            dropped: 0,
            vantages: ["client:eth0", "router:eth0", "router:eth1", "director:eth0", "rs1:eth0", "rs2:eth0"]
                .map(str::to_owned)
                .to_vec(),
        },
        topology: textbook(),
        commands: Vec::new(),
        by_programs: Vec::new(),
        stopped: None,
        timeline: vec![Acted {
            label: "20 requests by client".to_owned(),
            at_ns: 1,
            ms: 288.9,
            outcome: "20 of 20 answered".to_owned(),
            table: None,
        }],
        journey: journey(),
        failover: None,
        drains: Vec::new(),
        census: vec![CensusEntry {
            vip: "172.16.0.66".to_owned(),
            segment: "lan".to_owned(),
            asked: counts(&[("router", 2)]),
            answered: counts(&[("director (02:d1:00:00:03:00)", 2)]),
            gratuitous: BTreeMap::new(),
            leaked: BTreeMap::new(),
        }],
        checks: vec![
            check(
                "mac-rewrite",
                Verdict::Held,
                100,
                "100 request frames into the Director left it once, with new MACs, TTL−1 and header checksum, and nothing \
                 else changed",
                &[evidence("the frame that left", "director:eth0", 12)],
            ),
            check(
                "direct-return",
                Verdict::Held,
                80,
                "80 reply frames left the real servers towards the router, none crossed the Director",
                &[evidence("a reply", "rs1:eth0", 16)],
            ),
            check("arp-census", Verdict::Held, 2, "2 questions, 2 answers, all by director", &[]),
            check("distribution", Verdict::Held, 20, "rr gave rs1 10 and rs2 10, exactly as it must", &[]),
        ],
        findings: Vec::new(),
        ruled_out: Vec::new(),
        mended: None,
        facts: Facts::default(),
    }
}

/// The same lab without an ARP cure: it must break, and does.
pub(crate) fn broken() -> Report {
    let mut report = held();
    report.scenario = "broken/no-arp-cure".to_owned();
    report.title = "Real servers that answer for the VIP".to_owned();
    report.verdict = RunVerdict::Broken;
    report.expected.broken = true;
    report.load.ok = 18;
    report.load.failed = 2;
    report.load.per_server = counts(&[("rs1", 0), ("rs2", 18)]);
    report.load.errors = counts(&[("timeout", 2)]);
    report.timeline.push(Acted {
        label: "flush the router's neighbours".to_owned(),
        at_ns: 2,
        ms: 0.2,
        outcome: String::new(),
        table: None,
    });
    report.census[0].answered =
        counts(&[("director (02:d1:00:00:03:00)", 1), ("rs1 (02:d1:00:00:04:00)", 1), ("rs2 (02:d1:00:00:05:00)", 2)]);
    report.census[0].leaked = counts(&[("rs2 (02:d1:00:00:05:00)", 1)]);
    report.journey = shortcut();
    report.checks = vec![
        check("mac-rewrite", Verdict::Held, 4, "4 request frames into the Director left it once", &[]),
        check("direct-return", Verdict::Held, 72, "72 reply frames left the real servers towards the router", &[]),
        check(
            "via-director",
            Verdict::Broken,
            90,
            "86 of 90 request frames reached a real server without the Director",
            &[evidence("a request from router to rs2, with rs2's MAC", "rs2:eth0", 31)],
        ),
        check(
            "arp-census",
            Verdict::Broken,
            4,
            "3 of 4 answers came from real servers",
            &[
                evidence("rs2 says that it has 172.16.0.66", "rs2:eth0", 22),
                evidence("rs1 says that it has 172.16.0.66", "rs1:eth0", 23),
                Evidence {
                    what: "rs2 asks for its gateway with the VIP as sender".to_owned(),
                    frame: Some(FrameRef { vantage: "rs2:eth0".to_owned(), frame: 40 }),
                    fact: Some("rs2: net.ipv4.conf.all.arp_announce = 0".to_owned()),
                    alike: 0,
                },
            ],
        ),
    ];
    report.findings = ["rs1", "rs2"].map(finding).to_vec();
    report
}

/// The same where nothing was said of a break.
pub(crate) fn broken_unexpectedly() -> Report {
    let mut report = broken();
    report.scenario = "mine/shop".to_owned();
    report.expected = Expected {
        met: false,
        broken: false,
        differences: vec![
            "check via-director is broken, expected held".to_owned(),
            "check arp-census is broken, expected held".to_owned(),
            "finding rs-arp-default is not expected".to_owned(),
        ],
    };
    report
}

/// A run that lost frames.
pub(crate) fn undecided() -> Report {
    let mut report = held();
    report.scenario = "schedulers/wlc".to_owned();
    report.verdict = RunVerdict::Undecided;
    report.capture.dropped = 17;
    report.expected.met = false;
    report.expected.differences = vec!["check mac-rewrite is undecided, expected held".to_owned()];
    report.checks[0].verdict = Verdict::Undecided;
    report.checks[0].summary = "17 frames were lost at director".to_owned();
    report
}

/// A machine that lacks a kernel.
pub(crate) fn not_run() -> Report {
    let mut report = held();
    report.verdict = RunVerdict::NotRun;
    report.expected = Expected { met: false, broken: false, differences: vec!["the lab did not run".to_owned()] };
    report.kernel = String::new();
    report.failure = [
        "could not start a kernel for the lab",
        "no User-Mode Linux kernel is in /home/student/.cache/drlab/kernels",
        "could not fetch the package user-mode-linux: apt-get is not installed",
    ]
    .map(str::to_owned)
    .to_vec();
    report.load = LoadSummary::default();
    report.capture = CaptureSummary::default();
    report.timing_ms = TimingMs { total: 3.1, ..TimingMs::default() };
    report.timeline.clear();
    report.journey.clear();
    report.census.clear();
    report.checks.clear();
    report
}

/// A report all of whose texts were written by someone with bad intentions.
pub(crate) fn hostile() -> Report {
    const EVIL: &str = "a\u{1b}]0;owned\u{7}\u{9b}31m\r\n\u{0}<script>&\"'\u{202e}]]>\u{ffff}é";
    let mut report = broken_unexpectedly();
    report.title = EVIL.to_owned();
    report.kernel = EVIL.to_owned();
    report.scenario = EVIL.to_owned();
    report.failure = vec![EVIL.to_owned()];
    report.expected.differences = vec![EVIL.to_owned()];
    report.load.errors = counts(&[(EVIL, 1)]);
    report.load.per_server = counts(&[(EVIL, 1)]);
    report.census[0].answered = counts(&[(EVIL, 1)]);
    report.census[0].leaked = counts(&[(EVIL, 1)]);
    report.topology.segments[0].name = EVIL.to_owned();
    report.topology.segments[0].members[0].addresses = vec![EVIL.to_owned()];
    report.topology.services = vec![EVIL.to_owned()];
    report.timeline[0].label = EVIL.to_owned();
    report.timeline[0].outcome = EVIL.to_owned();
    report.journey[0].packet = EVIL.to_owned();
    report.journey[0].macs.0 = EVIL.to_owned();
    report.journey[1].frame.vantage = EVIL.to_owned();
    report.journey[2].changed = vec![EVIL.to_owned()];
    report.checks[2].id = EVIL.to_owned();
    report.checks[2].summary = EVIL.to_owned();
    report.checks[2].evidence[0].what = EVIL.to_owned();
    report.findings[0].mend[0].command = EVIL.to_owned();
    report.findings[0].what = EVIL.to_owned();
    report
}

/// The textbook lab with many real servers.
pub(crate) fn crowd(servers: u8) -> Topology {
    let mut topology = textbook();
    let lan = &mut topology.segments[1].members;
    lan.truncate(2);
    for n in 1..=servers {
        lan.push(member(&format!("rs{n}"), Role::RealServer, "eth0", n + 3, &format!("172.16.1.{n}"), &["lo:0"]));
    }
    let names: Vec<String> = (1..=servers).map(|n| format!("rs{n}")).collect();
    topology.services = vec![format!("TCP 172.16.0.66:80 rr -> {}", names.join(", "))];
    topology
}

fn textbook() -> Topology {
    let segment = |name: &str, subnet: &str, members| TopologySegment {
        name: name.to_owned(),
        subnets: vec![subnet.to_owned()],
        members,
    };
    let mut front = member("router", Role::Router, "eth1", 2, "172.16.0.1", &[]);
    front.mac.0[5] = 1;
    Topology {
        vips: vec!["172.16.0.66".to_owned()],
        segments: vec![
            segment(
                "outside",
                "203.0.113.0/24",
                vec![
                    member("client", Role::Client, "eth0", 1, "203.0.113.2", &[]),
                    member("router", Role::Router, "eth0", 2, "203.0.113.1", &[]),
                ],
            ),
            segment(
                "lan",
                "172.16.0.0/16",
                vec![
                    front,
                    member("director", Role::Director, "eth0", 3, "172.16.251.73", &["eth0:0"]),
                    member("rs1", Role::RealServer, "eth0", 4, "172.16.252.137", &["lo:0"]),
                    member("rs2", Role::RealServer, "eth0", 5, "172.16.253.202", &["lo:0"]),
                ],
            ),
        ],
        services: vec!["TCP 172.16.0.66:80 rr -> rs1, rs2".to_owned()],
    }
}

fn member(node: &str, role: Role, interface: &str, number: u8, address: &str, vip_on: &[&str]) -> TopologyMember {
    TopologyMember {
        node: node.parse().unwrap(),
        role,
        kind: (role == Role::Director).then_some(DirectorKind::Ipvs),
        interface: interface.to_owned(),
        mac: Mac([0x02, 0xd1, 0, 0, number, 0]),
        addresses: vec![address.to_owned()],
        vip_on: vip_on.iter().map(|on| (*on).to_owned()).collect(),
    }
}

const CLIENT: &str = "02:d1:00:00:01:00 (client:eth0)";
const OUTER: &str = "02:d1:00:00:02:00 (router:eth0)";
const INNER: &str = "02:d1:00:00:02:01 (router:eth1)";
const DIRECTOR: &str = "02:d1:00:00:03:00 (director:eth0)";
const RS1: &str = "02:d1:00:00:04:00 (rs1:eth0)";
const RS2: &str = "02:d1:00:00:05:00 (rs2:eth0)";
const REWRITTEN: [&str; 4] =
    ["destination MAC (bytes 0–5)", "source MAC (bytes 6–11)", "TTL 63→62 (byte 22)", "header checksum (bytes 24–25)"];
const ROUTED: [&str; 4] =
    ["destination MAC (bytes 0–5)", "source MAC (bytes 6–11)", "TTL 64→63 (byte 22)", "header checksum (bytes 24–25)"];

/// Both sightings of one hop.
fn hop(from: &str, to: &str, packet: &str, ttl: u8, first: (u32, u64), changed: &[&str]) -> [LadderRung; 2] {
    let place = |mac: &str| mac.split_once('(').unwrap().1.trim_end_matches(')').to_owned();
    let rung = |direction: &str, vantage, frame, at_us, changed: &[&str]| LadderRung {
        frame: FrameRef { vantage, frame },
        at_us,
        direction: direction.to_owned(),
        macs: (from.to_owned(), to.to_owned()),
        packet: packet.to_owned(),
        ttl,
        changed: changed.iter().map(|c| (*c).to_owned()).collect(),
    };
    [rung("out", place(from), first.0, first.1, changed), rung("in", place(to), first.0 + 1, first.1 + 9, &[])]
}

fn journey() -> Vec<LadderRung> {
    let request = "SYN 203.0.113.2:40000 > 172.16.0.66:80";
    let reply = "SYN-ACK 172.16.0.66:80 > 203.0.113.2:40000";
    [
        hop(CLIENT, OUTER, request, 64, (8, 0), &[]),
        hop(INNER, DIRECTOR, request, 63, (10, 25), &ROUTED),
        hop(DIRECTOR, RS1, request, 62, (12, 61), &REWRITTEN),
        hop(RS1, INNER, reply, 64, (14, 112), &[]),
        hop(OUTER, CLIENT, reply, 63, (16, 140), &ROUTED),
    ]
    .concat()
}

fn shortcut() -> Vec<LadderRung> {
    let request = "SYN 203.0.113.2:40001 > 172.16.0.66:80";
    let reply = "SYN-ACK 172.16.0.66:80 > 203.0.113.2:40001";
    [
        hop(CLIENT, OUTER, request, 64, (28, 0), &[]),
        hop(INNER, RS2, request, 63, (30, 25), &ROUTED),
        hop(RS2, INNER, reply, 64, (32, 112), &[]),
        hop(OUTER, CLIENT, reply, 63, (34, 140), &ROUTED),
    ]
    .concat()
}

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
}

fn check(id: &str, verdict: Verdict, examined: u64, summary: &str, evidence: &[Evidence]) -> CheckResult {
    CheckResult { id: id.to_owned(), verdict, summary: summary.to_owned(), examined, evidence: evidence.to_vec() }
}

fn evidence(what: &str, vantage: &str, frame: u32) -> Evidence {
    Evidence {
        what: what.to_owned(),
        frame: Some(FrameRef { vantage: vantage.to_owned(), frame }),
        fact: None,
        alike: 0,
    }
}

fn finding(node: &str) -> Finding {
    Finding {
        id: "rs-arp-default".to_owned(),
        node: node.parse().unwrap(),
        also: Vec::new(),
        interface: Some("eth0".parse().unwrap()),
        what: "the VIP is on lo:0 and arp_ignore is 0 for eth0, so the kernel answers who-has VIP there".to_owned(),
        causes: "whoever asks may learn this server's MAC for the VIP and send it everything, past the Director"
            .to_owned(),
        evidence: vec![Evidence {
            what: "the larger of all and eth0 counts".to_owned(),
            frame: None,
            fact: Some("net.ipv4.conf.all.arp_ignore = 0, net.ipv4.conf.eth0.arp_ignore = 0".to_owned()),
            alike: 0,
        }],
        effects: Vec::new(),
        mend: ["arp_ignore=1", "arp_announce=2"]
            .map(|value| Mend {
                node: node.parse().unwrap(),
                dialect: Dialect::Sysctl,
                command: format!("sysctl -w net.ipv4.conf.all.{value}"),
            })
            .to_vec(),
        source: "Documentation/networking/ip-sysctl.rst, arp_ignore; net/ipv4/arp.c, arp_ignore()".to_owned(),
        links: vec!["https://docs.kernel.org/networking/ip-sysctl.html".to_owned()],
        confidence: Confidence::Likely,
    }
}
