//! User-Mode Linux as a place for a case: booting it outside, being its init inside.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drlab::inside::modules;
use libtest_mimic::Failed;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

use super::{cases, labs, told};

/// The line by which the guest says that its case held.
const HELD: &str = "drlab-test: held";

/// Boots a kernel with this very program as init, to run one case.
pub(crate) fn boot(kernel: &str, case: &str) -> Result<(), Failed> {
    let scratch = std::env::temp_dir().join(format!("drlab-test-{}-{case}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    let me = std::env::current_exe()?;
    let output = Command::new("timeout")
        .args(["--kill-after=1", "60", kernel])
        .args([
            "mem=256M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "rootflags=/",
            "ro",
            "quiet",
            "con=null",
            "con0=null,fd:1",
        ])
        .args([
            "pty.legacy_count=0",
            "initcall_blacklist=raid6_select_algo,calibrate_xor_blocks,register_xor_blocks,init_btrfs_fs,init_xfs_fs,\
             init_jfs_fs,init_zswap",
        ])
        .arg("umid=lab")
        .arg(format!("uml_dir={}", scratch.display()))
        .arg(format!("init={}", me.display()))
        .arg(format!("DRLAB_TEST_CASE={case}"))
        .arg(format!("DRLAB_TEST_UML={kernel}"))
        // The kernel hands its own arguments of this form to its first process.
        .arg(format!("DRLAB_TEST_TOOLS={}", std::env::var("DRLAB_TEST_TOOLS").unwrap_or_default()))
        .env("HOME", &scratch)
        .env("TMPDIR", "/dev/shm")
        .output()?;
    std::fs::remove_dir_all(&scratch)?;
    let held = String::from_utf8_lossy(&output.stdout).contains(HELD);
    told(held, &output.stdout, &output.stderr)
}

/// Is init: makes the file systems, loads modules, runs the case, and turns the guest off.
pub(crate) fn run() -> ! {
    let held = std::panic::catch_unwind(|| {
        // The kernel may lie below /tmp, which is covered only afterwards.
        cover(&[("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")]);
        let kernel = std::env::var("DRLAB_TEST_UML").unwrap();
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let folder = Path::new(&kernel).parent().unwrap().join("../lib/uml/modules").join(release.trim());
        let mut wanted = modules::needed(&labs::textbook());
        wanted.extend(["dummy", "ipip", "arptable_filter", "arpt_mangle", "iptable_mangle", "xt_mark", "xt_tcpudp"]);
        let schedulers: Vec<String> = drlab::base::SCHEDULERS.iter().map(|name| format!("ip_vs_{name}")).collect();
        wanted.extend(schedulers.iter().map(String::as_str));
        let begun = std::time::Instant::now();
        // A kernel without modules has everything built in.
        let unloaded = if folder.is_dir() { modules::load(&folder, &wanted).unwrap() } else { Vec::new() };
        println!("modules loaded {:?}, not: {unloaded:?}", begun.elapsed());
        cover(&[("tmpfs", "/tmp"), ("tmpfs", "/run")]);
        let case = std::env::var("DRLAB_TEST_CASE").unwrap();
        cases::run(&case);
        println!("{}", std::fs::read_to_string("/proc/uptime").unwrap_or_default());
    });
    if held.is_ok() {
        println!("{HELD}");
    }
    std::thread::sleep(Duration::from_millis(10));
    match reboot(RebootMode::RB_POWER_OFF) {
        Ok(never) => match never {},
        Err(errno) => panic!("{errno}"),
    }
}

fn cover(targets: &[(&str, &str)]) {
    for (kind, target) in targets {
        match mount(Some(*kind), *target, Some(*kind), MsFlags::empty(), None::<&str>) {
            // The kernel mounts devtmpfs by itself.
            Ok(()) | Err(Errno::EBUSY) => {}
            Err(errno) => panic!("{target}: {errno}"),
        }
    }
}
