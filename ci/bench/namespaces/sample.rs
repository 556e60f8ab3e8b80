//! One lab, built and taken down in this process, which has one thread and namespaces of its own.

use std::fmt;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use drlab::channel::BuildOptions;
use drlab::inside::capture::Capture;
use drlab::inside::{build, record};
use drlab::judge::{checks, rules};
use drlab::plan::{self, Plan};
use drlab::{cli, scenario};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::unistd::{getegid, geteuid};
use serde::{Deserialize, Serialize};

use crate::error::BenchError;

/// Which lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lab {
    /// The shipped `lvs-dr`.
    Textbook,
    /// The same with so many real servers.
    Wide(usize),
}

impl fmt::Display for Lab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Textbook => f.write_str("lvs-dr"),
            Self::Wide(count) => write!(f, "{count} real servers"),
        }
    }
}

/// What to measure. Its text is what the sample's process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) lab: Lab,
    pub(crate) capture: bool,
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = match self.lab {
            Lab::Textbook => 0,
            Lab::Wide(count) => count,
        };
        write!(f, "{count}{}", if self.capture { "+capture" } else { "" })
    }
}

impl Spec {
    fn read(text: &str) -> Result<Self, BenchError> {
        let (count, capture) = text.strip_suffix("+capture").map_or((text, false), |count| (count, true));
        match count.parse() {
            Ok(0) => Ok(Self { lab: Lab::Textbook, capture }),
            Ok(count) => Ok(Self { lab: Lab::Wide(count), capture }),
            Err(_) => Err(BenchError::Usage(format!("{text} is no lab"))),
        }
    }
}

/// What a sample shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) nodes: usize,
    /// Whether the Director's IPVS table was part of it.
    pub(crate) ipvs: bool,
    /// By which right.
    pub(crate) user: String,
    pub(crate) create_ms: f64,
    pub(crate) configure_ms: f64,
    pub(crate) down_ms: f64,
    /// Processor time of this process and of the nodes' first processes, in the kernel and outside of it.
    pub(crate) cpu_ms: f64,
}

impl Shown {
    pub(crate) fn total_ms(&self) -> f64 {
        self.create_ms + self.configure_ms + self.down_ms
    }
}

/// Builds the lab, takes it down and says on stdout how long that took.
pub(crate) fn run(spec: &str) -> Result<(), BenchError> {
    let spec = Spec::read(spec)?;
    let plan = plan(spec.lab)?;
    let user = own_namespaces()?;
    // In a user namespace the kernel refuses IPVS even where it has it.
    let ipvs = geteuid().is_root() && user == ROOT && Path::new("/proc/net/ip_vs").exists();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let options = BuildOptions {
        output: folder.display().to_string(),
        tool_roots: Vec::new(),
        trees: Vec::new(),
        skip_ipvs: !ipvs,
        capture: spec.capture,
        jitter_us: 0,
        memory_mib: 0,
    };
    let file = folder.join("bench.raw.pcapng");

    let cpu_before = cpu_ms()?;
    let begun = Instant::now();
    let lab =
        build::Lab::create(&plan, &options, "", &mut |_| {}).map_err(|error| BenchError::lab("make a lab", &error))?;
    let capture = spec.capture.then(|| record::start(&lab, &file)).transpose();
    let capture = capture.map_err(|error| BenchError::lab("begin to capture", &error))?;
    let created = Instant::now();
    lab.configure().map_err(|error| BenchError::lab("configure a lab", &error))?;
    let configured = Instant::now();
    let stopped = capture.map(Capture::stop).transpose().map_err(|error| BenchError::lab("end a capture", &error))?;
    let left = lab.tear_down();
    // Rings take their time to close, and did so while the lab was taken down.
    drop(stopped);
    let down = Instant::now();
    let cpu_ms = cpu_ms()? - cpu_before;

    if !left.is_empty() {
        return Err(BenchError::Lab { what: "take a lab down", why: left.join(", ") });
    }
    if spec.capture {
        fs::remove_file(&file).map_err(BenchError::io(format!("remove {}", file.display())))?;
    }
    let ms = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64() * 1e3;
    let shown = Shown {
        nodes: plan.nodes.len(),
        ipvs,
        user: user.to_owned(),
        create_ms: ms(begun, created),
        configure_ms: ms(created, configured),
        down_ms: ms(configured, down),
        cpu_ms,
    };
    let text = serde_json::to_vec(&shown)
        .map_err(|source| BenchError::Answer { what: "the sample itself".to_owned(), source })?;
    std::io::stdout().write_all(&text).map_err(BenchError::io("write to stdout".to_owned()))
}

fn cpu_ms() -> Result<f64, BenchError> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who).map_err(BenchError::errno("ask for the processor time used"))?;
        sum += usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    }
    Ok(sum as f64 / 1e3)
}

/// The lab of the README, and of the first figure.
const TEXTBOOK: &str = "basic/lvs-dr";

pub(crate) fn plan(lab: Lab) -> Result<Plan, BenchError> {
    let (name, text) = match lab {
        Lab::Textbook => {
            let found = cli::select::shipped().into_iter().find(|one| one.name == TEXTBOOK);
            let lacking = || BenchError::Lab { what: "find the textbook scenario", why: format!("no {TEXTBOOK}") };
            let text = found.ok_or_else(lacking)?.text;
            (TEXTBOOK, text)
        }
        Lab::Wide(count) => ("bench/wide", wide(count)),
    };
    let checks: Vec<&str> = checks::ALL.iter().map(|check| check.id).collect();
    let findings: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    let scenario = scenario::load(name, &text, &checks, &findings)
        .map_err(|problems| BenchError::Lab { what: "read a scenario", why: problems.render(false) })?;
    plan::compile(name, &scenario).map_err(|error| BenchError::lab("compile a scenario", &error))
}

/// The scenario of such a lab.
pub(crate) fn wide(real_servers: usize) -> String {
    let mut text = "\
format = 1
title = \"Direct Routing with many real servers\"
vip = \"172.16.0.66\"

[segments]
outside = { subnet = \"203.0.113.0/24\" }
lan = { subnet = \"172.16.0.0/16\" }

[nodes]
client = { role = \"client\", segment = \"outside\" }
director = { role = \"director\", segment = \"lan\" }
router = { role = \"router\", interfaces.eth0.segment = \"lan\", interfaces.eth1.segment = \"outside\" }
"
    .to_owned();
    text.extend((1..=real_servers).map(|n| format!("rs{n} = {{ role = \"real-server\", segment = \"lan\" }}\n")));
    text
}

const ROOT: &str = "root";

/// Leaves the machine's own interfaces, mounts and sysctls behind, and says by which right.
pub(crate) fn own_namespaces() -> Result<&'static str, BenchError> {
    let own = CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS;
    let user = if geteuid().is_root() {
        unshare(own).map_err(BenchError::errno("make namespaces as root"))?;
        ROOT
    } else {
        let (user, group) = (geteuid(), getegid());
        unshare(own | CloneFlags::CLONE_NEWUSER).map_err(BenchError::errno("make a user namespace"))?;
        for (file, map) in [("setgroups", "deny".to_owned()), ("uid_map", map(user)), ("gid_map", map(group))] {
            let path = format!("/proc/self/{file}");
            fs::write(&path, map).map_err(BenchError::io(format!("write {path}")))?;
        }
        "an ordinary user in a user namespace"
    };
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).map_err(BenchError::errno("make mounts private"))?;
    Ok(user)
}

fn map(id: impl fmt::Display) -> String {
    format!("0 {id} 1")
}
