//! The kernel tier: every shipped scenario under a real kernel, by the command that a user types.
//!
//! A scenario that must break is mended as well, in each of the ways that its finding prints, and has to be right then.
//!
//! Without a kernel that can hold a lab this fails; it never passes for want of one.

use std::path::Path;
use std::process::Command;

use drlab::cli::select;
use drlab::judge::{Dialect, Mend};
use drlab::report::{Mended, Report, Style, text};
use libtest_mimic::{Arguments, Failed, Trial};

/// What Debian's kernel lacks, and the words in which drlab has to say so: such a scenario is not run, never passed.
const LACKED: &[(&str, &str)] = &[("schedulers/twos", "the kernel does not know the scheduler")];

/// Mends of which a part is left to a hand, and why no command can do it.
const BY_HAND: &[(&str, &str)] = &[
    (
        "broken/app/app-not-listening",
        "how a server is started is known to whoever installed it; till then it gets nothing",
    ),
    ("broken/routing/rs-remote-subnet", "a machine is moved to another segment by hand; till then it gets nothing"),
];

fn main() {
    let mut arguments = Arguments::from_args();
    // Each lab is a kernel of its own; more at once than there are processors only makes them slow.
    arguments.test_threads = arguments.test_threads.or(Some(2));
    let under_uml = select::shipped().into_iter().map(|scenario| {
        let is_broken = scenario.name.starts_with("broken/");
        let run = if is_broken { run_and_mend } else { run };
        Trial::test(format!("uml::{}", scenario.name), move || run(&scenario.name))
    });
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
        _ if run.status.success() => return Ok(()),
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

/// It breaks as it says, and each way in which its mend is said makes it right again: after the first, the others.
fn run_and_mend(scenario: &str) -> Result<(), Failed> {
    let report = mended(scenario, "--apply-mend".to_owned())?;
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
        let is_command = !matches!(dialect, Dialect::ByHand | Dialect::Keepalived);
        if is_command && report.findings.iter().flat_map(|f| &f.mend).any(|m| said(&m)) {
            mended(scenario, format!("--apply-mend={dialect}"))?;
        }
    }
    Ok(())
}

/// The report of a run that broke as it says and was right after the mend.
fn mended(scenario: &str, how: String) -> Result<Report, Failed> {
    let run = Command::new(env!("CARGO_BIN_EXE_drlab"))
        .args(["run", scenario, "--substrate", "uml", "--format", "json", "--quiet", &how])
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
