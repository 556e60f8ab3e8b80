//! The kernel tier: every shipped scenario under a real kernel, by the command that a user types.
//!
//! A run is right where `expect` is met exactly: every check's verdict, and the root causes by name, none more and none less
//! (`lab/assemble.rs`). Besides, each root cause has to show a fact and a frame, and where everything holds the rules have
//! to find nothing even if they are asked, as they would be if some check broke for another reason.
//! A scenario that must break is mended as well, in each of the ways that its finding prints, and has to be right then.
//!
//! Without a kernel that can hold a lab this fails; it never passes for want of one.

#[path = "imported/cases.rs"]
mod cases;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use drlab::base::Verdict;
use drlab::cli::select;
use drlab::facts::run::{CaptureStats, Ran};
use drlab::judge::{CheckResult, Dialect, Input, Mend, checks, rules};
use drlab::mutate;
use drlab::plan::{self, Plan};
use drlab::report::matrix::Matrix;
use drlab::report::{Mended, Report, RunVerdict, Style, text};
use drlab::scenario;
use drlab::substrate::cache::Cache;
use drlab::trace::Trace;
use libtest_mimic::{Arguments, Failed, Trial};

/// What Debian's kernel lacks, and the words in which drlab has to say so: such a scenario is not run, never passed.
const LACKED: &[(&str, &str)] = &[
    ("schedulers/twos", "the kernel does not know the scheduler"),
    ("apps/director-nftables", "Could not process rule: No such file or directory | table netdev lvs"),
];

/// Correct scenarios of which each single thing is broken.
const MUTATED: [&str; 3] = ["basic/lvs-dr", "arp/static-binding", "arp/arptables"];

/// Correct scenarios whose mutations make the very labs that those of another make, so that one of the two is run.
const ALIKE: [(&str, &str); 1] = [("arp/sysctl", "basic/lvs-dr")];

/// Scenarios that run in real time only: under a seed nothing is heard of their MariaDB for minutes.
const IN_REAL_TIME: [&str; 2] = ["apps/wordpress", "apps/wordpress-two-databases"];

/// Scenarios that are run twice by one seed and have to leave the same bytes; ignored where drlab's own kernel is not
/// there and `DRLAB_TEST_OWN_KERNEL` does not say that it must be.
const SEEDED: [&str; 6] = [
    "basic/lvs-dr",
    "basic/dual-stack",
    "basic/tun",
    "schedulers/twos",
    "broken/ha/ha-no-garp",
    "races/last-announcement",
];

/// Folders of scenarios whose packets are kept as snapshots, hop by hop; as [`SEEDED`].
const LADDERS: [&str; 2] = ["basic/", "races/"];

/// Of a hundred mutations alone, how many have to be named rightly or have no effect.
const ALL_RIGHT: u64 = 100;

/// Of a hundred pairs, how many have to be named with both causes or the one that hides the other.
const PAIRS_RIGHT: u64 = 95;

/// Mends of which a part is left to a hand, and why no command can do it.
const BY_HAND: &[(&str, &str)] = &[
    (
        "broken/app/app-not-listening",
        "how a server is started is known to whoever installed it; till then it gets nothing",
    ),
    (
        "broken/app/app-content-differs",
        "where an application keeps what it is given is in its own configuration; till then the one that lacks it gets nothing",
    ),
    ("broken/ha/ha-check-on-rip", "what a check asks is in keepalived.conf; the VIP that it missed is put back"),
    ("broken/cloud/cloud-src-dst-check", "the lab's switch takes a command; a provider's network takes its own"),
    ("broken/switch/switch-wrong-vlan", "the lab's switch takes a command; another maker's takes its own"),
    ("broken/virtual/virt-arp-guard", "the lab's switch takes a command; a cloud's port takes its own"),
    ("broken/virtual/virt-port-security", "the lab's switch takes a command; a cloud's port takes its own"),
    ("broken/virtual/virt-pvlan", "the lab's switch takes a command; another maker's takes its own"),
    ("broken/virtual/virt-vmac-filter", "the lab's switch takes a command; a hypervisor's port group takes its own"),
    ("broken/switch/switch-mac-moved", "the lab's switch takes a command; another maker's takes its own"),
    (
        "broken/arp/host-sysctl-not-in-container",
        "a container keeps its sysctls only if it is made anew with them, by whoever runs its engine",
    ),
    ("broken/ha/ha-no-garp", "what moves the VIP has to announce it: that is in a script or in keepalived"),
    ("broken/routing/rs-remote-subnet", "a machine is moved to another segment by hand; till then it gets nothing"),
];

/// Root causes that no frame can show: the client has no way to send one, or is the real server that answers itself.
const UNSEEN: &[&str] = &["no-route", "rs-local-client"];

fn main() {
    let mut arguments = Arguments::from_args();
    // Each lab is a kernel of its own that waits for half of its time.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    let under_uml = select::shipped()
        .into_iter()
        .map(|scenario| Trial::test(format!("uml::{}", scenario.name), move || run(&scenario.name)));
    let mends = select::shipped()
        .into_iter()
        .filter(|scenario| scenario.name.starts_with("broken/"))
        .filter(|scenario| UNMENDED.iter().all(|(name, _)| *name != scenario.name))
        .map(|scenario| Trial::test(format!("mend::{}", scenario.name), move || mend(&scenario.name)));
    let on_host =
        ["basic/lvs-dr", "basic/ipv6", "broken/arp/rs-arp-default", "apps/director-tc", "broken/virtual/virt-tx-csum"]
            .map(|scenario| Trial::test(format!("host::{scenario}"), move || run_on_host_in_guest(scenario, "uml")));
    let in_machines = [
        Trial::test("host::basic/lvs-dr under a distribution's kernel", || {
            run_on_host_in_guest("basic/lvs-dr", "debian")
        }),
        Trial::test("matrix::basic/lvs-dr", compares_kernels),
    ];
    let as_planned =
        ["basic/lvs-dr", "basic/dual-stack", "basic/tun", "arp/arptables", "broken/routing/rs-vip-prefix-on-lo"]
            .map(|scenario| Trial::test(format!("planned::{scenario}"), move || says_what_is_planned(scenario)));
    let broken = MUTATED
        .map(|scenario| Trial::test(format!("mutate::{scenario}"), move || mutate(scenario, &[], ALL_RIGHT)))
        .into_iter()
        .chain([Trial::test("mutate::basic/lvs-dr two at once", || {
            mutate("basic/lvs-dr", &["--pairs", "--sample", "40"], PAIRS_RIGHT)
        })])
        .chain(ALIKE.map(|(one, other)| {
            Trial::test(format!("mutate::{one} makes the labs of {other}"), move || mutated_alike(one, other))
        }));
    let imported = cases::CASES.iter().map(|case| Trial::test(format!("verify::{}", case.name), move || verify(case)));
    let own = has_own_kernel();
    let seeded = SEEDED.map(|scenario| {
        Trial::test(format!("seeded::{scenario} is the same twice"), move || same_twice(scenario))
            .with_ignored_flag(!own && std::env::var_os("DRLAB_TEST_OWN_KERNEL").is_none())
    });
    let ladders = select::shipped()
        .into_iter()
        .filter(|scenario| LADDERS.iter().any(|folder| scenario.name.starts_with(folder)))
        .map(|scenario| {
            Trial::test(format!("ladder::{}", scenario.name), move || ladder(&scenario.name))
                .with_ignored_flag(!own && std::env::var_os("DRLAB_TEST_OWN_KERNEL").is_none())
        });
    let under_uml = under_uml.chain(imported).chain(seeded).chain(ladders);
    let trials = under_uml.chain(mends).chain(on_host).chain(in_machines).chain(as_planned).chain(broken).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// Whether drlab's own kernel is there: then the shipped scenarios run by a seed, and are the same each time.
fn has_own_kernel() -> bool {
    let listed = Command::new(env!("CARGO_BIN_EXE_drlab")).args(["kernel", "list"]).output();
    listed.is_ok_and(|listed| String::from_utf8_lossy(&listed.stdout).contains("drlab-"))
}

/// Runs a scenario by a seed and holds one request's and its answer's way against the snapshot. What another version of
/// the kernel may draw otherwise is left out of it: the client's port, identifications and checksums, times.
fn ladder(scenario: &str) -> Result<(), Failed> {
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["run", scenario, "--substrate", "uml", "--seed", "1", "--format", "json"])
        .output()?;
    let report: Report = serde_json::from_slice(&run.stdout)
        .map_err(|error| format!("{error}\n{}", String::from_utf8_lossy(&run.stderr)))?;
    let rungs = report.journey.iter().map(|rung| {
        let changed: Vec<&str> = rung
            .changed
            .iter()
            .map(String::as_str)
            .filter(|what| DRAWN.iter().all(|word| !what.contains(*word)))
            .collect();
        let (from, to) = &rung.macs;
        let packet = without_drawn_ports(&rung.packet);
        let changed = if changed.is_empty() { String::new() } else { format!("  changed: {}", changed.join(", ")) };
        format!("{} {} ttl {}  {from} > {to}  {packet}{changed}\n", rung.frame.vantage, rung.direction, rung.ttl)
    });
    let text: String = rungs.collect();
    insta::with_settings!({ snapshot_path => "snapshots/ladders", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(scenario.replace('/', "-"), text);
    });
    Ok(())
}

/// Words of what is drawn, or made of what is drawn, in what a hop changed.
const DRAWN: [&str; 9] = ["checksum", "IP id", " port", " number", "flags", "window", "pointer", "options", "payload"];

fn without_drawn_ports(packet: &str) -> String {
    let drawn = |port: &str| port.parse::<u16>().is_ok_and(|port| port >= 32_768);
    let word = |word: &str| match word.rsplit_once(':') {
        Some((address, port)) if drawn(port) => format!("{address}:PORT"),
        _ => word.to_owned(),
    };
    packet.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Runs a scenario twice by one seed, with jitter, and wants the same bytes.
fn same_twice(scenario: &str) -> Result<(), Failed> {
    let left = ["once", "again"].map(|run| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("seeded").join(run);
        let ran = Command::new(env!("CARGO_BIN_EXE_drlab"))
            .args(["run", scenario, "--substrate", "uml", "--seed", "7", "--jitter", "0.2", "--out"])
            .arg(&out)
            .output()?;
        let read = |file: &str| {
            let said = String::from_utf8_lossy(&ran.stderr).into_owned();
            std::fs::read(out.join(scenario).join(file)).map_err(|error| format!("{file}: {error}\n{said}"))
        };
        Ok::<_, Failed>((read("capture.pcapng")?, read("report.json")?))
    });
    let [once, again] = left;
    let ((frames, report), (frames_again, report_again)) = (once?, again?);
    if frames != frames_again {
        let at = frames.iter().zip(&frames_again).position(|(one, other)| one != other);
        return Err(format!("the captures differ, first at byte {at:?}").into());
    }
    if report != report_again {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (said, said_again) = (text(&report), text(&report_again));
        let differs = said.lines().zip(said_again.lines()).find(|(line, its_like)| line != its_like);
        return Err(format!("the reports differ: {differs:?}").into());
    }
    Ok(())
}

/// The `host` substrate wants root and IPVS; a guest has both, whatever this machine has.
fn run_on_host_in_guest(scenario: &str, kernel: &str) -> Result<(), Failed> {
    let writable = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest").join(kernel).join(scenario.replace('/', "-"));
    std::fs::create_dir_all(&writable)?;
    let drlab = env!("CARGO_BIN_EXE_drlab");
    // A guest has no way to fetch the tools that a machine lacks; a run out here does.
    let fetched = Command::new(drlab).args(["run", scenario, "--substrate", "uml", "--quiet"]).output()?;
    if !fetched.status.success() {
        let (said, err) = (String::from_utf8_lossy(&fetched.stdout), String::from_utf8_lossy(&fetched.stderr));
        return Err(format!("`drlab run {scenario} --substrate uml` ended with {}\n{said}{err}", fetched.status).into());
    }
    let cache = Cache::locate()?;
    let run = Command::new(drlab)
        .args(["kernel", "run", "--kernel", kernel, "--writable"])
        .arg(&writable)
        .args(["--", "env"])
        // What is on the machine belongs to an ordinary user, who is not the guest's root.
        .arg("DRLAB_CACHE=/tmp/cache")
        .arg(format!("DRLAB_SHARED_CACHE={}", cache.root().display()))
        .args([drlab, "run", scenario, "--substrate", "host"])
        .output()?;
    let said = String::from_utf8_lossy(&run.stdout);
    if run.status.success() && said.contains("substrate host") {
        return Ok(());
    }
    let err = String::from_utf8_lossy(&run.stderr);
    Err(format!("`drlab run {scenario} --substrate host` in a guest ended with {}\n{said}{err}", run.status).into())
}

/// Under a distribution's kernel it holds as under User-Mode Linux, and under one that is not there it is not run.
fn compares_kernels() -> Result<(), Failed> {
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["matrix", "basic/lvs-dr", "--kernels", "uml,debian,0.0", "--format", "json", "--quiet"])
        .output()?;
    let said = || format!("\n{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let matrix: Matrix = serde_json::from_slice(&run.stdout).map_err(|error| format!("{error}{}", said()))?;
    let cells: Vec<(RunVerdict, bool)> =
        matrix.rows.iter().flat_map(|row| &row.cells).map(|cell| (cell.verdict, cell.as_expected)).collect();
    let wanted = [(RunVerdict::Held, true), (RunVerdict::Held, true), (RunVerdict::NotRun, false)];
    let ttl = matrix.differences.first().map(|one| one.values.clone());
    let lowered = [Some("yes".to_owned()), Some("yes".to_owned()), None];
    let surveyed: Vec<bool> = matrix.kernels.iter().map(|kernel| kernel.survey.is_some()).collect();
    if cells == wanted
        && ttl.as_deref() == Some(&lowered)
        && surveyed == [true, true, false]
        && run.status.code() == Some(4)
    {
        return Ok(());
    }
    Err(format!("`drlab matrix` ended with {}{}", run.status, said()).into())
}

/// Labs that wait for what never comes need no processor, so that more of them run at once than there are.
const MUTATED_AT_ONCE: &str = "4";

/// Breaks one thing of the scenario after the other, and wants that share of them to be right.
fn mutate(scenario: &str, how: &[&str], right: u64) -> Result<(), Failed> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutate").join(scenario.replace('/', "-"));
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["mutate", scenario, "--substrate", "uml", "--jobs", MUTATED_AT_ONCE, "--quiet", "--format", "json"])
        .args(how)
        .arg("--out")
        .arg(out.join(how.join("")))
        .output()?;
    let told = || format!("\n{}\n{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    let said: serde_json::Value = serde_json::from_slice(&run.stdout).map_err(|error| format!("{error}{}", told()))?;
    let count = |of: &str| said["totals"][of].as_u64().unwrap_or(0);
    let (all, well) = (count("all"), count("killed") + count("without"));
    if all > 0 && well * 100 >= all * right && matches!(run.status.code(), Some(0 | 1)) {
        return Ok(());
    }
    let wrong = said["mutations"].as_array().into_iter().flatten();
    let wrong = wrong.filter(|m| !matches!(m["outcome"].as_str(), Some("killed" | "without")));
    let wrong: Vec<String> =
        wrong.map(|m| format!("{}: {}: {} {}", m["what"], m["outcome"], m["named"], m["failure"])).collect();
    Err(format!("`drlab mutate {scenario}`: {well} of {all} are right\n{}", wrong.join("\n")).into())
}

/// Every lab that mutations of the one make is made for the other, with the same verdict due.
fn mutated_alike(one: &str, other: &str) -> Result<(), Failed> {
    if !MUTATED.contains(&other) {
        return Err(format!("{other} is not run, so that {one} has to be").into());
    }
    let (mine, theirs) = (mutants(one)?, mutants(other)?);
    let differs = mine.iter().zip(&theirs).find(|(mine, theirs)| mine != theirs);
    match differs {
        None if !mine.is_empty() && mine.len() == theirs.len() => Ok(()),
        None => Err(format!("{one} has {} mutations, {other} {}: run both", mine.len(), theirs.len()).into()),
        Some(((mine, _), (theirs, _))) => {
            Err(format!("`{}` of {one} and `{}` of {other} differ: run both", mine.what, theirs.what).into())
        }
    }
}

/// What is due of each mutation and the plan that its lab is built from, under the same name whichever scenario it is of.
fn mutants(scenario: &str) -> Result<Vec<(mutate::Trial, Plan)>, Failed> {
    let plan = Plan { scenario: String::new(), title: String::new(), ..plan_of(scenario)? };
    let trials = mutate::singles(&mutate::derive(&plan)).into_iter();
    let made = trials.map(|trial| {
        let lab = mutate::to_run(&plan, &trial).ok_or_else(|| format!("`{}` changes nothing", trial.what))?;
        Ok((trial, lab))
    });
    made.collect()
}

/// A configuration below `fixtures/import` is imported, run and judged as an expert judges it.
fn verify(case: &cases::Case) -> Result<(), Failed> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import").join(case.name);
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .current_dir(folder)
        .arg("verify")
        .args(case.files.split_whitespace())
        .args(["--substrate", "uml", "--quiet", "--format", "json"])
        .output()?;
    let notes = String::from_utf8_lossy(&run.stderr);
    let report: Report = serde_json::from_slice(&run.stdout).map_err(|error| {
        format!("`drlab verify {}` ended with {} and no report: {error}\n{notes}", case.files, run.status)
    })?;
    let mut found: Vec<&str> = report.findings.iter().map(|f| f.id.as_str()).collect();
    found.sort_unstable();
    found.dedup();
    let mut wanted = case.by_daemon.unwrap_or(case.findings).to_vec();
    wanted.sort_unstable();
    let verdict = if wanted.is_empty() { RunVerdict::Held } else { RunVerdict::Broken };
    let told = case.not_understood.iter().all(|place| notes.contains(place));
    let code = i32::from(!wanted.is_empty());
    if found == wanted && report.verdict == verdict && run.status.code() == Some(code) && told {
        return Ok(());
    }
    let text = text::render(&report, &Style::default());
    Err(format!("an expert says {wanted:?}; `drlab verify {}` ended with {}\n{notes}\n{text}", case.files, run.status)
        .into())
}

fn plan_of(scenario: &str) -> Result<Plan, Failed> {
    let checks: Vec<&str> = checks::ALL.iter().map(|c| c.id).collect();
    let rules: Vec<&str> = rules::ALL.iter().map(|r| r.id).collect();
    let one = select::shipped().into_iter().find(|one| one.name == scenario).ok_or("it does not ship")?;
    let loaded = scenario::load(&one.origin, &one.text, &checks, &rules).map_err(|p| p.render(false))?;
    Ok(plan::compile(scenario, &loaded)?)
}

fn run(scenario: &str) -> Result<(), Failed> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel");
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["run", scenario, "--substrate", "uml", "--out"])
        .arg(&out)
        .args(if has_own_kernel() && !IN_REAL_TIME.contains(&scenario) { &["--seed", "1"][..] } else { &[] })
        .output()?;
    let lack = LACKED.iter().find(|(name, _)| *name == scenario);
    let told = |words: &str| {
        String::from_utf8_lossy(&run.stdout).split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
    };
    match lack {
        // A kernel that has after all what Debian's lacks may run it.
        _ if run.status.success() => return examined(scenario, &out.join(scenario)),
        Some((_, words)) if run.status.code() == Some(4) && told(words) => return Ok(()),
        _ => {}
    }
    Err(format!(
        "`drlab run {scenario} --substrate uml` ended with {}\n{}\n{}",
        run.status,
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    )
    .into())
}

/// A kernel says of a lab what `drlab check` takes for granted before there is one.
fn says_what_is_planned(scenario: &str) -> Result<(), Failed> {
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["run", scenario, "--substrate", "uml", "--format", "json"])
        .output()?;
    let report: drlab::report::Report = serde_json::from_slice(&run.stdout)?;
    let (planned, _) = plan::facts::facts(&plan_of(scenario)?);
    let mut differences = Vec::new();
    for planned in &planned {
        let said = report.facts.before.iter().find(|said| said.node == planned.node);
        let said = said.ok_or_else(|| format!("nothing was read of {}", planned.node))?;
        let (planned_lines, said_lines) = (lines(planned), lines(said));
        let missing = planned_lines.iter().filter(|line| !said_lines.contains(line));
        differences.extend(missing.map(|line| format!("{}: planned, not said: {line}", planned.node)));
        // The kernel says more of sysctls, and of devices that came with a module.
        let more = said_lines.iter().filter(|line| !line.starts_with("sysctl") && !planned_lines.contains(line));
        differences.extend(more.map(|line| format!("{}: said, not planned: {line}", planned.node)));
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.join("\n").into()) }
}

/// Facts that a plan settles, as lines.
fn lines(facts: &drlab::facts::NodeFacts) -> Vec<String> {
    let known = |interface: &drlab::base::IfName| {
        facts.links.iter().any(|l| l.name == *interface && (l.up || l.kind.is_none()))
    };
    let mut all = Vec::new();
    all.extend(
        facts
            .links
            .iter()
            .filter(|l| known(&l.name))
            .map(|l| format!("link {} {} {} {}", l.name, l.mtu, l.noarp, l.carrier)),
    );
    all.extend(facts.addresses.iter().map(|a| {
        let flags: Vec<&String> = a.flags.iter().filter(|f| *f == "secondary" || *f == "tentative").collect();
        format!("address {} {} {} {flags:?}", a.interface, a.address, a.scope)
    }));
    let routes = facts.routes.iter().filter(|r| matches!(r.kind.as_str(), "unicast" | "local"));
    all.extend(routes.map(|r| {
        format!(
            "route {} {} {} {:?} {:?} {} {:?} {}",
            r.table, r.kind, r.destination, r.gateway, r.interface, r.metric, r.source, r.scope
        )
    }));
    all.extend(facts.sysctls.iter().map(|(key, value)| format!("sysctl {key} = {value}")));
    all.extend(facts.sockets.iter().flatten().map(|s| format!("socket {} {}", s.protocol, s.at)));
    all
}

/// What a run left behind, looked at beyond its own verdict.
fn examined(scenario: &str, out: &Path) -> Result<(), Failed> {
    let report: Report = serde_json::from_str(&std::fs::read_to_string(out.join("report.json"))?)?;
    for finding in &report.findings {
        if !finding.evidence.iter().any(|e| e.fact.is_some()) {
            return Err(format!("{} shows no fact", finding.id).into());
        }
        if !finding.evidence.iter().any(|e| e.frame.is_some()) && !UNSEEN.contains(&finding.id.as_str()) {
            return Err(format!("{} shows no frame", finding.id).into());
        }
    }
    if report.verdict == RunVerdict::Held {
        silent(scenario, out, &report)?;
    }
    Ok(())
}

/// Applies the rules to a run in which everything held.
fn silent(scenario: &str, out: &Path, report: &Report) -> Result<(), Failed> {
    let plan = plan_of(scenario)?;
    let trace = Trace::read(std::fs::File::open(out.join("capture.pcapng"))?)?.trace;
    let doubt = CheckResult {
        id: "http".to_owned(),
        verdict: Verdict::Broken,
        summary: String::new(),
        examined: 1,
        evidence: Vec::new(),
    };
    let case = plan::case(&plan).as_read_on(&report.facts.before, &plan.with_programs());
    let found = rules::findings(
        &Input {
            case: &case,
            trace: &trace,
            before: &report.facts.before,
            after: &report.facts.after,
            ran: &Ran {
                loads: Vec::new(),
                access_logs: BTreeMap::new(),
                probes: Vec::new(),
                stopped: None,
                ended: Vec::new(),
            },
            capture: &CaptureStats { frames: 0, dropped: BTreeMap::new(), vantages: Vec::new() },
        },
        &[doubt],
    );
    match found.first() {
        None => Ok(()),
        Some(finding) => Err(format!("a false alarm: {finding:#?}").into()),
    }
}

/// Scenarios that no command mends, and why.
const UNMENDED: &[(&str, &str)] = &[
    ("broken/cloud/cloud-l3-only", "no real server is on a segment of the Director: they are moved by hand"),
    (
        "broken/app/app-wrong-host",
        "which sites a server has is in its own configuration, and which one is asked for in the client",
    ),
    (
        "broken/ipvs/dir-local-client",
        "nothing is wrong with the lab: the load itself asks from where it can't be served",
    ),
    ("broken/ipvs/rs-local-client", "nothing is wrong with the lab: the load itself asks from where it serves itself"),
    ("broken/virtual/virt-ipvlan", "a container's interface is made anew on its host, with the ID of its process"),
    ("broken/unexplained/unexplained-drop", "no root cause is known, so nothing is known to mend it"),
    ("broken/unexplained/unexplained-refusal", "no root cause is known, so nothing is known to mend it"),
];

/// It breaks as it says, and each way in which its mend is said makes it right again: after the first, the others.
fn mend(scenario: &str) -> Result<(), Failed> {
    let report = mended(scenario, "--apply-mend")?;
    let reason = BY_HAND.iter().find(|(name, _)| *name == scenario).map(|(_, why)| *why);
    let by_hand = report.mended.iter().flat_map(Mended::by_hand).next();
    match (by_hand, reason) {
        (Some(step), None) => return Err(format!("no command does `{}` on {}", step.command, step.node).into()),
        (None, Some(why)) => return Err(format!("commands do all of it, though {why}").into()),
        _ => {}
    }
    let first: Vec<_> = report.mended.iter().flat_map(|m| &m.commands).map(|c| (&c.node, c.dialect)).collect();
    for dialect in Dialect::ALL {
        let said = |m: &&Mend| m.dialect == dialect && !first.contains(&(&m.node, dialect));
        // Debian's kernel for labs has no nftables for IP, keepalived does not run in this one, and a hand is no command.
        let is_command = !matches!(dialect, Dialect::ByHand | Dialect::Keepalived | Dialect::Nft);
        if is_command && report.findings.iter().flat_map(|f| &f.mend).any(|m| said(&m)) {
            mended(scenario, &format!("--apply-mend={dialect}"))?;
        }
    }
    Ok(())
}

/// The report of a run that broke as it says and was right after the mend.
fn mended(scenario: &str, how: &str) -> Result<Report, Failed> {
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["run", scenario, "--substrate", "uml", "--format", "json", "--quiet", how])
        .output()?;
    let report = serde_json::from_slice::<Report>(&run.stdout);
    match report {
        Ok(report) if run.status.success() && report.mended.as_ref().is_some_and(Mended::is_green) => Ok(report),
        Ok(report) => {
            let text = text::render(&report, &Style::default());
            Err(format!("`drlab run {scenario} {how}` ended with {}\n{text}", run.status).into())
        }
        Err(error) => {
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            Err(format!("`drlab run {scenario} {how}` ended with {} and no report: {error}\n{said}", run.status).into())
        }
    }
}
