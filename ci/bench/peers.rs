//! drlab beside others that build labs out of namespaces, in one run: Mininet, munet, `ip -batch`, and the bare messages.

mod bare;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::namespaces;
use crate::namespaces::sample::{Lab, Spec, own_namespaces};

const SIZES: [usize; 4] = [5, 100, 500, 1000];
/// The size with goals of its own.
const LARGE: usize = 100;
/// Longer than this none of the others is waited for, in seconds.
const PATIENCE_S: &str = "60";

/// What the bare messages leave out, and what it would take to come nearer to them.
const LIMIT: &str = "
What drlab does beyond the bare messages: for each node a process with mounts, processes and a host name of its own, which is a fork \
and its mounts (see `create` in the table above), a thread that lives in the node, its sysctls, and links that come up and are waited \
for. Nodes in which no program of a scenario ever runs could do with a network namespace alone; that would bring most of it, at \
the price of two kinds of nodes.
";

/// How often drlab's lab of that size is built, and that of the bare messages, in turn.
const fn rounds(size: usize) -> usize {
    if size <= LARGE { 15 } else { 3 }
}

/// Where `ci/bench.sh` puts what the others need.
fn folder() -> Option<PathBuf> {
    std::env::var_os("DRLAB_BENCH_PEERS").map(PathBuf::from)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    Bare,
    IpBatch,
    Mininet,
    Munet,
}

impl Peer {
    const ALL: [Self; 4] = [Self::Bare, Self::IpBatch, Self::Mininet, Self::Munet];

    const fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare messages",
            Self::IpBatch => "`ip -batch`",
            Self::Mininet => "Mininet",
            Self::Munet => "munet",
        }
    }

    /// How often a lab of that size is built: the slow ones once.
    const fn samples(self, size: usize) -> usize {
        match self {
            Self::Bare => rounds(size),
            Self::IpBatch if size <= LARGE => 3,
            _ => 1,
        }
    }

    fn command(self, size: usize) -> Option<Command> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/bench/peers");
        let peers = folder();
        let mut command = Command::new("unshare");
        command.args(["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "timeout", PATIENCE_S]);
        match self {
            Self::Bare => {
                let mut command = Command::new(std::env::current_exe().ok()?);
                command.args(["one-bare", &size.to_string()]);
                return Some(command);
            }
            Self::IpBatch => command.arg(scripts.join("ip-batch.sh")),
            Self::Mininet => {
                let root = peers?.join("root");
                command.env("PATH", unpacked(&root)?).env("PYTHONPATH", root.join("usr/lib/python3/dist-packages"));
                command.args(["python3", "-P"]).arg(scripts.join("mininet.py"))
            }
            Self::Munet => {
                let (peers, arch) = (peers?, std::env::consts::ARCH);
                let root = peers.join("root");
                // pgrep and its library, where the machine has none; before it ours, which waits.
                let path = unpacked(&root)?;
                let waiting = std::iter::once(scripts.join("bin")).chain(std::env::split_paths(&path));
                command.env("PATH", std::env::join_paths(waiting).ok()?);
                command.env("LD_LIBRARY_PATH", root.join(format!("usr/lib/{arch}-linux-gnu")));
                command.arg(peers.join("venv/bin/python")).arg("-P").arg(scripts.join("munet.py"))
            }
        };
        command.arg(size.to_string());
        Some(command)
    }

    /// Builds a lab and takes it down: both times in ms, or what it says in place of them.
    fn one(self, size: usize) -> Result<f64, String> {
        let mut command = self.command(size).ok_or("not there")?;
        let begun = Instant::now();
        let answer = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&answer.stdout);
        let last = text.lines().last().unwrap_or("").trim_matches(['[', ']']);
        let times: Vec<f64> = last.split([' ', ',']).filter_map(|n| n.parse().ok()).collect();
        match (answer.status.code(), times.as_slice()) {
            (Some(0), [built, down]) => Ok(built + down),
            (Some(124), _) => Err(format!("over {PATIENCE_S} s")),
            _ => {
                let said = String::from_utf8_lossy(&answer.stderr);
                let last = said.lines().last().unwrap_or("nothing").to_owned();
                Err(format!("failed after {:.0} s: {last}", begun.elapsed().as_secs_f64()))
            }
        }
    }
}

/// The search path with what was unpacked before the machine's own.
fn unpacked(root: &Path) -> Option<std::ffi::OsString> {
    let own = ["usr/bin", "usr/sbin", "bin", "sbin"].map(|folder| root.join(folder));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(own.into_iter().chain(std::env::split_paths(&path))).ok()
}

/// One sample of the bare messages, in a process of its own.
pub(crate) fn bare(size: &str) -> Result<(), BenchError> {
    let size = size.parse().map_err(|_| BenchError::Usage(format!("{size} is no number")))?;
    own_namespaces()?;
    let (built, down) = bare::build(size)?;
    crate::say(&format!("[{built}, {down}]\n"))
}

/// What one way came to at one size.
struct Cell {
    samples: Samples,
    why_not: String,
}

/// Measures all of them in turn.
pub(crate) fn all(hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    let mut rows = Vec::new();
    let mut lost = Vec::new();
    for size in SIZES {
        hint(&format!("{size} real servers beside others"))?;
        let spec = Spec { lab: Lab::Wide(size), capture: false };
        let mut own = Vec::new();
        let mut others = Peer::ALL.map(|peer| (peer, Vec::new(), String::new()));
        for nth in 0..rounds(size) {
            own.push(namespaces::one(spec)?.total_ms());
            namespaces::settled();
            for (peer, times, why_not) in &mut others {
                if nth >= peer.samples(size) || !why_not.is_empty() {
                    continue;
                }
                match peer.one(size) {
                    Ok(ms) => times.push(ms),
                    Err(why) => *why_not = why,
                }
                namespaces::settled();
            }
        }
        let mut cells = vec![Cell { samples: Samples::new(own), why_not: String::new() }];
        for (peer, times, why_not) in others {
            if !why_not.is_empty() && times.is_empty() {
                lost.push(format!("{} with {size} real servers: {why_not}", peer.name()));
            }
            cells.push(Cell { samples: Samples::new(times), why_not });
        }
        rows.push((size, cells));
    }
    Ok(Part { figures: figures(&rows), details: details(&rows, &lost), ..Part::default() })
}

fn ratio(rows: &[(usize, Vec<Cell>)], size: usize, over: impl Fn(&[Cell]) -> f64) -> Samples {
    let found = rows.iter().find(|(s, _)| *s == size).map(|(_, cells)| over(cells)).filter(|r| r.is_finite());
    Samples::new(found.into_iter().collect())
}

fn figures(rows: &[(usize, Vec<Cell>)]) -> Vec<Figure> {
    let median = |cells: &[Cell], at: usize| cells.get(at).map_or(f64::NAN, |cell| cell.samples.median());
    let mut figures = vec![Figure {
        what: format!("Mininet's time over drlab's, {LARGE} real servers"),
        unit: "×",
        goal: Goal::AtLeast(10.0),
        samples: ratio(rows, LARGE, |cells| median(cells, 3) / median(cells, 0)),
    }];
    figures.extend(SIZES.map(|size| Figure {
        what: format!("drlab's time over that of the bare messages, {size} real servers"),
        unit: "×",
        goal: Goal::AtMost(2.0),
        samples: ratio(rows, size, |cells| median(cells, 0) / median(cells, 1)),
    }));
    figures
}

fn details(rows: &[(usize, Vec<Cell>)], lost: &[String]) -> String {
    let mut text = "\
## Labs beside others\n\n\
Built and taken down in namespaces of this machine, in turn, in ms: medians of 15 (drlab, bare), 3 (`ip -batch`) or one sample; \
where there are more than 100 real servers of 3 or one. The others do less: drlab's nodes have mounts, a host name and processes of their own \
besides the network, the VIP and its sysctls, and drlab waits until every port of its bridges forwards. *Bare messages* is the lower \
bound: one thread that makes a network namespace for each node and sends the netlink messages for links, addresses and routes \
one by one, with nothing around them.\n\n\
| real servers | drlab | bare messages | `ip -batch` | Mininet 2.3 | munet |\n|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for (size, cells) in rows {
        let told = cells.iter().map(|cell| match cell.samples.count() {
            0 if cell.why_not.starts_with("failed") => "failed".to_owned(),
            0 => cell.why_not.clone(),
            _ => shown(cell.samples.median()),
        });
        // Writing to a String can't fail.
        writeln!(text, "| {size} | {} |", told.collect::<Vec<_>>().join(" | ")).unwrap_or_default();
    }
    text.push_str(LIMIT);
    if !lost.is_empty() {
        text.push_str("\nWithout a figure: ");
        text.push_str(&lost.join("; "));
        text.push_str(".\n");
    }
    text
}
