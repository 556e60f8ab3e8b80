//! Programs in nodes: what they see, what they can't reach, and how those end that go too far.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drlab::base::Content;
use drlab::inside::build::Lab;
use drlab::inside::programs::Daemons;
use drlab::plan::{Command, Daemon, Node, PlacedFile, Plan, Ready};

use super::cases::{built, chain, down, name};
use super::labs;

/// The textbook's lab where `rs1` has programs.
fn standing(edit: impl FnOnce(&mut Node)) -> (Plan, Lab, Daemons, PathBuf) {
    let mut plan = labs::textbook();
    let rs1 = plan.nodes.iter_mut().find(|node| node.name == "rs1").unwrap();
    rs1.files.push(PlacedFile {
        path: "/etc/keepalived/keepalived.conf".to_owned(),
        content: Some(Content::Text("vrrp_instance VI_1 {\n}\n".to_owned())),
        copy_of: None,
        executable: false,
    });
    edit(rs1);
    let output = Path::new("/tmp").join(format!("drlab-programs-{}", std::process::id()));
    let lab = built(&plan, true);
    let daemons = lab.furnish(&output).unwrap_or_else(|error| panic!("{}", chain(&error)));
    (plan, lab, daemons, output)
}

fn end(lab: Lab, daemons: Daemons, output: &Path) {
    drop(daemons);
    down(lab);
    std::fs::remove_dir_all(output).unwrap();
    let groups = Path::new("/sys/fs/cgroup").read_dir().into_iter().flatten();
    let more = Path::new("/sys/fs/cgroup/pids").read_dir().into_iter().flatten();
    let ours = format!("drlab-{}", std::process::id());
    let left = groups.chain(more).flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&ours));
    assert_eq!(left.count(), 0);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn command(text: &str, deadline_ms: u64) -> Command {
    Command { shown: text.to_owned(), text: text.to_owned(), may_fail: false, deadline_ms }
}

fn daemon(command: &str, ready: Option<Ready>) -> Daemon {
    Daemon {
        name: "it".to_owned(),
        command: command.to_owned(),
        ready,
        deadline_ms: 20_000,
        environment: [("MOOD".to_owned(), "calm".to_owned())].into(),
        at_start: true,
    }
}

/// What a command wrote that has to succeed.
fn said(daemons: &Daemons, text: &str) -> String {
    let (result, outcome) = runtime().block_on(daemons.command(&name("rs1"), &command(text, 30_000)));
    outcome.unwrap_or_else(|error| panic!("{}", chain(&error)));
    result.unwrap().output
}

/// Why a command is an error.
fn refused(daemons: &Daemons, text: &str, deadline_ms: u64) -> String {
    let (_, outcome) = runtime().block_on(daemons.command(&name("rs1"), &command(text, deadline_ms)));
    chain(&outcome.unwrap_err())
}

/// The cases of this file, which need control groups.
pub(super) const CASES: [&str; 8] = [
    "a_placed_file_is_the_nodes_alone",
    "a_program_can_change_nothing_of_the_machines",
    "a_command_without_end_is_killed_with_what_it_started",
    "a_program_that_only_forks_meets_its_bound",
    "a_program_that_takes_all_memory_meets_its_bound",
    "a_daemon_is_ready_once_its_condition_holds_and_is_ended_or_killed",
    "a_daemon_that_dies_says_why",
    "what_is_sent_to_the_systems_log_is_kept",
];

pub(super) fn a_placed_file_is_the_nodes_alone() {
    let (_, lab, daemons, output) = standing(|_| {});
    assert_eq!(said(&daemons, "cat /etc/keepalived/keepalived.conf"), "vrrp_instance VI_1 {\n}");
    assert!(!Path::new("/etc/keepalived/keepalived.conf").exists());
    end(lab, daemons, &output);
}

pub(super) fn a_program_can_change_nothing_of_the_machines() {
    let (_, lab, daemons, output) = standing(|_| {});
    let mark = format!("drlab-was-here-{}", std::process::id());
    // These succeed, in the node's own layers.
    for folder in ["/etc", "/var", "/tmp", "/run", "/root"] {
        said(&daemons, &format!("touch {folder}/{mark}"));
        assert!(!Path::new(folder).join(&mark).exists(), "{folder}");
    }
    said(&daemons, "rm -rf /etc/passwd && echo gone > /etc/hostname");
    assert!(Path::new("/etc/passwd").exists());
    // The network of the node is its own to set.
    said(&daemons, "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore");
    let hostname = nix::unistd::gethostname().unwrap();
    for text in [
        &format!("touch /usr/{mark}"),
        "mount -o remount,rw /",
        "mount -o remount,bind,rw /",
        "mount --bind /tmp /etc",
        "umount /etc",
        "unshare --mount true",
        "echo 1 > /proc/sys/kernel/panic",
        "echo h > /proc/sysrq-trigger",
        "mknod /tmp/disk b 254 0",
        "hostname somebody-else",
        "cat /dev/vda",
        "date --set 2001-01-01",
    ] {
        let why = refused(&daemons, text, 30_000);
        assert!(why.contains("failed on rs1 (status "), "{text}: {why}");
    }
    // A new user namespace gives rights over what is made in it, and the mounts in it stay locked.
    let why = refused(
        &daemons,
        &format!("unshare --map-root-user --mount sh -c 'mount -o remount,rw / && touch /usr/{mark}'"),
        30_000,
    );
    assert!(why.contains("failed on rs1"), "{why}");
    assert!(!Path::new("/usr").join(&mark).exists());
    assert_eq!(nix::unistd::gethostname().unwrap(), hostname);
    end(lab, daemons, &output);
}

pub(super) fn a_command_without_end_is_killed_with_what_it_started() {
    let (_, lab, daemons, output) = standing(|_| {});
    let why = refused(&daemons, "echo begun; sleep 987 & while :; do :; done", 700);
    assert!(why.contains("did not end within 700 ms") && why.contains("\n    begun"), "{why}");
    assert_eq!(said(&daemons, "ps -eo args | grep -c '[s]leep 987'; true"), "0");
    end(lab, daemons, &output);
}

pub(super) fn a_program_that_only_forks_meets_its_bound() {
    let (_, lab, daemons, output) = standing(|_| {});
    let begun = Instant::now();
    let why = refused(&daemons, "bomb() { bomb | bomb & }; bomb; sleep 60", 60_000);
    assert!(why.contains("asked for more than 512 processes and were all killed"), "{why}");
    assert!(begun.elapsed() < Duration::from_secs(55), "{:?}", begun.elapsed());
    let kept_to_it = runtime().block_on(daemons.within_bounds());
    assert!(kept_to_it.is_err());
    end(lab, daemons, &output);
}

pub(super) fn a_program_that_takes_all_memory_meets_its_bound() {
    let (_, lab, daemons, output) = standing(|_| {});
    let why = refused(&daemons, "x=0123456789abcdef; while :; do x=$x$x; done", 60_000);
    let bounded = why.contains("MiB of memory and were all killed");
    // Where the kernel counts no memory by groups, it is refused to each process and the shell says so itself.
    assert!(bounded || why.contains("failed on rs1 (status 2)"), "{why}");
    assert_eq!(bounded, runtime().block_on(daemons.within_bounds()).is_err());
    end(lab, daemons, &output);
}

pub(super) fn a_daemon_is_ready_once_its_condition_holds_and_is_ended_or_killed() {
    let script =
        "#!/bin/sh\ntrap 'echo told to end; exit 0' TERM\necho \"mood $MOOD\"\ntouch /run/it\nsleep 300 &\nwait\n";
    for ready in [Some(Ready::Log("mood calm".to_owned())), Some(Ready::File("/run/it".to_owned())), None] {
        let (plan, lab, daemons, output) = standing(|rs1| {
            rs1.files.push(PlacedFile {
                path: "/usr/local/bin/it".to_owned(),
                content: Some(Content::Text(script.to_owned())),
                copy_of: None,
                executable: true,
            });
            rs1.daemons.push(daemon("it", ready));
        });
        let runtime = runtime();
        runtime
            .block_on(daemons.start_all(&plan.nodes, &lab, |_| ()))
            .unwrap_or_else(|error| panic!("{}", chain(&error)));
        let (rs1, log) = (name("rs1"), output.join("nodes/rs1/it.log"));
        runtime.block_on(daemons.stop(&rs1, "it")).unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "mood calm\ntold to end\n");
        runtime.block_on(daemons.start(&lab, &rs1, "it")).unwrap();
        runtime.block_on(daemons.kill(&rs1, "it")).unwrap();
        assert_eq!(std::fs::read_to_string(&log).unwrap(), "mood calm\ntold to end\nmood calm\n");
        assert_eq!(said(&daemons, "ps -eo args | grep -c '[s]leep 300'; true"), "0");
        assert!(runtime.block_on(daemons.ended()).is_empty());
        end(lab, daemons, &output);
    }
}

pub(super) fn a_daemon_that_dies_says_why() {
    let (plan, lab, daemons, output) =
        standing(|rs1| rs1.daemons.push(daemon("echo 'line 3: unknown directive' >&2; exit 4", None)));
    let why = runtime().block_on(daemons.start_all(&plan.nodes, &lab, |_| ())).unwrap_err();
    let why = chain(&why);
    assert!(why.contains("it ended (status 4) before it was ready"), "{why}");
    assert!(why.contains("\n    line 3: unknown directive"), "{why}");
    end(lab, daemons, &output);
    let (plan, lab, daemons, output) = standing(|rs1| rs1.daemons.push(daemon("sleep 0.6; echo out of luck", None)));
    let runtime = runtime();
    runtime.block_on(daemons.start_all(&plan.nodes, &lab, |_| ())).unwrap();
    let begun = Instant::now();
    let ended = loop {
        let ended = runtime.block_on(daemons.ended());
        if !ended.is_empty() || begun.elapsed() > Duration::from_secs(20) {
            break ended;
        }
        std::thread::yield_now();
    };
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].how.as_str(), ended[0].last_lines.as_slice()),
        ("status 0", ["out of luck".to_owned()].as_slice())
    );
    end(lab, daemons, &output);
}

pub(super) fn what_is_sent_to_the_systems_log_is_kept() {
    let (plan, lab, daemons, output) = standing(|rs1| {
        let ready = Ready::Log("Entering MASTER STATE".to_owned());
        rs1.daemons.push(daemon("logger -t keepalived 'Entering MASTER STATE'; sleep 300", Some(ready)));
    });
    let runtime = runtime();
    runtime.block_on(daemons.start_all(&plan.nodes, &lab, |_| ())).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let kept = std::fs::read_to_string(output.join("nodes/rs1/syslog.log")).unwrap();
    assert!(kept.contains("keepalived: Entering MASTER STATE\n"), "{kept}");
    runtime.block_on(daemons.stop_all());
    end(lab, daemons, &output);
}
