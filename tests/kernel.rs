//! The kernel tier: every shipped scenario under a real kernel, by the command that a user types.
//!
//! A run is right where `expect` is met exactly: every check's verdict, and the root causes by name, none more and none less
//! (`lab/assemble.rs`). Besides, each root cause has to show a fact and a frame, and where everything holds the rules have
//! to find nothing even if they are asked, as they would be if some check broke for another reason.
//!
//! Without a kernel that can hold a lab this fails; it never passes for want of one.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use drlab::base::Verdict;
use drlab::cli::select;
use drlab::facts::run::{CaptureStats, Ran};
use drlab::judge::{CheckResult, Input, checks, rules};
use drlab::plan;
use drlab::report::{Report, RunVerdict};
use drlab::scenario;
use drlab::trace::Trace;
use libtest_mimic::{Arguments, Failed, Trial};

/// What Debian's kernel lacks, and the words in which drlab has to say so: such a scenario is not run, never passed.
const LACKED: &[(&str, &str)] = &[("schedulers/twos", "the kernel does not know the scheduler")];

/// Root causes that no frame can show: the client has no way to send one, or is the real server that answers itself.
const UNSEEN: &[&str] = &["no-route", "rs-local-client"];

fn main() {
    let mut arguments = Arguments::from_args();
    // Each lab is a kernel of its own; more at once than there are processors only makes them slow.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let under_uml = select::shipped()
        .into_iter()
        .map(|scenario| Trial::test(format!("uml::{}", scenario.name), move || run(&scenario.name)));
    let on_host = ["basic/lvs-dr", "basic/ipv6", "broken/arp/rs-arp-default"]
        .map(|scenario| Trial::test(format!("host::{scenario}"), move || run_on_host_in_guest(scenario)));
    let trials = under_uml.chain(on_host).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// The `host` substrate wants root and IPVS; a guest has both, whatever this machine has.
fn run_on_host_in_guest(scenario: &str) -> Result<(), Failed> {
    let writable = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest").join(scenario.replace('/', "-"));
    std::fs::create_dir_all(&writable)?;
    let drlab = env!("CARGO_BIN_EXE_drlab");
    let run = Command::new(drlab)
        .args(["kernel", "run", "--writable"])
        .arg(&writable)
        .args(["--", "env"])
        // What is on the machine belongs to an ordinary user, who is not the guest's root.
        .arg("DRLAB_CACHE=/tmp/cache")
        .args([drlab, "run", scenario, "--substrate", "host"])
        .output()?;
    let said = String::from_utf8_lossy(&run.stdout);
    if run.status.success() && said.contains("substrate host") {
        return Ok(());
    }
    Err(format!("`drlab run {scenario} --substrate host` in a guest ended with {}\n{said}", run.status).into())
}

fn run(scenario: &str) -> Result<(), Failed> {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel");
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["run", scenario, "--substrate", "uml", "--out"])
        .arg(&out)
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
    let shipped = select::shipped().into_iter().find(|s| s.name == scenario).ok_or("it does not ship")?;
    let known: Vec<&str> = checks::ALL.iter().map(|c| c.id).collect();
    let findings: Vec<&str> = rules::ALL.iter().map(|r| r.id).collect();
    let read = scenario::load(scenario, &shipped.text, &known, &findings).map_err(|p| p.render(false))?;
    let plan = plan::compile(scenario, &read)?;
    let trace = Trace::read(std::fs::File::open(out.join("capture.pcapng"))?)?.trace;
    let doubt = CheckResult {
        id: "http".to_owned(),
        verdict: Verdict::Broken,
        summary: String::new(),
        examined: 1,
        evidence: Vec::new(),
    };
    let found = rules::findings(
        &Input {
            case: &plan::case(&plan),
            trace: &trace,
            before: &report.facts.before,
            after: &report.facts.after,
            ran: &Ran { loads: Vec::new(), access_logs: BTreeMap::new(), probes: Vec::new(), stopped: None },
            capture: &CaptureStats { frames: 0, dropped: BTreeMap::new(), vantages: Vec::new() },
        },
        &[doubt],
    );
    match found.first() {
        None => Ok(()),
        Some(finding) => Err(format!("a false alarm: {finding:#?}").into()),
    }
}
