//! The kernel tier: every shipped scenario under a real kernel, by the command that a user types.
//!
//! Without a kernel that can hold a lab this fails; it never passes for want of one.

use std::path::Path;
use std::process::Command;

use drlab::cli::select;
use libtest_mimic::{Arguments, Failed, Trial};

/// What Debian's kernel lacks, and the words in which drlab has to say so: such a scenario is not run, never passed.
const LACKED: &[(&str, &str)] = &[("schedulers/twos", "the kernel does not know the scheduler")];

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
