//! Scripts and daemons that go wrong, in labs of the real program: each is told of, ended within its bound, and kept in the
//! folder of results; the machine is as it was, and nothing goes on running.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use crate::running::{Ended, Running, drlab, is_gone, place, run_folders};
use crate::trial;

/// How long such a lab may take altogether: what it does within a second, on a machine that has others to do.
const AT_MOST: Duration = Duration::from_secs(50);

/// A lab whose real server has something of its own.
const LAB: &str = r#"format = 1
title = "a real server with programs of its own"
vip = "172.16.0.66"

[segments]
outside = { subnet = "203.0.113.0/24" }
lan = { subnet = "172.16.0.0/16" }

[nodes]
client = { role = "client", segment = "outside" }
router = { role = "router", interfaces = { eth0 = { segment = "lan" }, eth1 = { segment = "outside" } } }
director = { role = "director", segment = "lan", address = "172.16.251.73" }

[nodes.rs1]
role = "real-server"
segment = "lan"
address = "172.16.252.137"
"#;

/// What a real server has, and what is said of it.
struct Case {
    name: &'static str,
    /// Further keys of the node.
    keys: &'static str,
    /// A file beside the scenario.
    script: &'static str,
    /// What the report says.
    told: &'static [&'static str],
    /// The log that is kept, and what it holds.
    log: (&'static str, &'static str),
}

const CASES: [Case; 7] = [
    Case {
        name: "a_script_that_never_ends_is_killed_at_its_deadline",
        keys: "script = { file = \"script.sh\", deadline_ms = 800 }",
        script: "#!/bin/sh\necho begun\nsleep 4321 &\nwhile :; do :; done\n",
        told: &["`script script.sh` on rs1 did not end within 800 ms and was killed with what it had started", "begun"],
        log: ("commands.log", "$ script script.sh\nbegun\n(killed)\n"),
    },
    Case {
        name: "a_script_that_only_forks_is_killed_at_its_bound",
        keys: "script = { file = \"script.sh\", deadline_ms = 30000 }",
        script: "#!/bin/sh\necho begun\nbomb() { bomb | bomb & }\nbomb\nsleep 60\n",
        told: &["`script script.sh` on rs1: the node's programs asked for more than 512 processes and were all killed"],
        log: ("commands.log", "begun\n"),
    },
    Case {
        name: "a_script_that_takes_all_memory_is_killed_at_its_bound",
        keys: "script = { file = \"script.sh\", deadline_ms = 30000 }",
        script: "#!/bin/sh\necho begun\nx=0123456789abcdef\nwhile :; do x=$x$x; done\n",
        told: &["the node's programs asked for more than", "MiB of memory and were all killed"],
        log: ("commands.log", "begun\n"),
    },
    Case {
        name: "a_script_that_writes_to_the_machine_or_remounts_it_fails_with_its_own_words",
        keys: "script = \"script.sh\"",
        script: "#!/bin/sh\nset -e\necho planted > /etc/drlab-robust-planted\nrm -f /etc/passwd\nmount -o remount,rw /\n",
        told: &["`script script.sh` failed on rs1 (status ", "mount: "],
        log: ("commands.log", "mount: "),
    },
    Case {
        name: "a_command_that_fails_is_quoted_and_its_whole_output_kept",
        keys: "run = [\"echo first\", \"for n in $(seq 40); do echo line $n; done; exit 7\"]",
        script: "",
        told: &["failed on rs1 (status 7)", "line 40"],
        log: ("commands.log", "$ echo first\nfirst\n(status 0)\n"),
    },
    Case {
        name: "a_daemon_that_dies_at_once_says_why",
        keys: "daemons = [{ name = \"httpd\", command = \"echo 'line 3: unknown directive' >&2; exit 4\" }]",
        script: "",
        told: &[
            "could not start the daemon httpd on rs1: it ended (status 4) before it was ready",
            "line 3: unknown directive",
        ],
        log: ("httpd.log", "line 3: unknown directive\n"),
    },
    Case {
        name: "a_daemon_that_is_never_ready_is_told_with_what_was_waited_for",
        keys: "daemons = [{ name = \"httpd\", command = \"echo warming up; exec sleep 300\", ready.port = 81, deadline_ms = 700 }]",
        script: "",
        told: &["it was not ready within 700 ms, for nothing listened on TCP port 81", "warming up"],
        log: ("httpd.log", "warming up\n"),
    },
];

pub(crate) fn trials() -> Vec<Trial> {
    CASES.into_iter().map(|case| trial(case.name, move || goes_wrong(&case))).collect()
}

fn goes_wrong(case: &Case) {
    let place = place(&case.name.split('_').map(|word| &word[..1]).collect::<String>());
    if !case.script.is_empty() {
        place.file("script.sh", case.script.as_bytes());
    }
    let scenario = place.file("lab.toml", format!("{LAB}{}\n", case.keys).as_bytes());
    let out = place.path("out");
    let passwd = fs::read("/etc/passwd").unwrap();
    let begun = Instant::now();
    let run = Running::start(drlab(&place, &["run", &scenario, "--substrate", "uml", "--out", &out]));
    let guest = run.guest();
    let Ended { out: report, .. } = run.ends_within(AT_MOST).with(5);
    assert!(begun.elapsed() < AT_MOST);
    let said = report.split_whitespace().collect::<Vec<_>>().join(" ").replace("| ", "");
    for told in case.told {
        assert!(said.contains(told), "{told}\n{report}");
    }
    // The report names the log, and the log is there.
    let (name, held) = case.log;
    let log = Path::new(&out).join("lab/nodes/rs1").join(name);
    assert!(said.contains(&format!("log: {}", log.display())), "{report}");
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.contains(held), "{text}");
    assert_eq!(fs::read("/etc/passwd").unwrap(), passwd);
    assert!(!Path::new("/etc/drlab-robust-planted").exists());
    is_gone(&guest);
    assert!(run_folders(&place).is_empty());
}
