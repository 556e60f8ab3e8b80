//! The command line: words in, an exit code out. Only this layer prints.
//!
//! stdout is the result, stderr everything else.

pub mod analyze;
pub mod audit;
pub mod check;
pub mod doctor;
pub mod exit;
pub mod explain;
pub mod hunt;
pub mod import;
pub mod inside;
pub mod interrupt;
pub mod keep;
pub mod kernel;
pub mod matrix;
pub mod mutate;
mod needs;
pub mod progress;
pub mod run;
pub mod select;
pub mod show;
mod twice;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::{Parser, Subcommand, ValueEnum};

use crate::judge::Dialect;
use crate::judge::infer::Who;
use crate::lab::mend::Mending;
pub use exit::Exit;
use import::arguments::{FILES_HELP, IMPORT_HELP, ImportArguments, VERIFY_HELP, VerifyArguments};

/// LVS Direct Routing labs on real kernels, proven frame by frame.
#[derive(Debug, Parser)]
#[command(name = "drlab", version, after_help = after_help(), max_term_width = 110)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios and prove them
    #[command(after_help = "\
Examples:
  drlab run lvs-dr                          a shipped scenario
  drlab run my.toml --out results           a file of yours; everything is kept below results/
  drlab run lvs-dr --seed 7                 the same frames and report, byte for byte, each time
  drlab run my.toml --apply-mend            what is found is mended in the lab, and the load driven again
  drlab run 'arp/*' schedulers --format junit > junit.xml")]
    Run(RunArguments),
    /// Run scenarios under several kernels: one table of verdicts, and what differs
    #[command(after_help = "\
Kernels are named as `drlab kernel list` has them, or by the beginning of that: debian-6.12, or 6.12.
`host` is this machine's own. One that is not there is \"not run\", never passed.

Examples:
  drlab kernel fetch 5.10 6.1 6.12          what there is to compare
  drlab matrix                              all kernels that are here
  drlab matrix lvs-dr 'broken/arp/*' --kernels uml,debian-6.1,debian-6.12")]
    Matrix(MatrixArguments),
    /// Search seeds for one under which a race shows
    #[command(after_help = "\
Every frame is held back at the switch by a time of its own below --jitter, and every piece of a node's
work, all drawn from the seed. A seed that breaks what the scenario expects does so each time.

Example:
  drlab hunt races/first-answer --seeds 1..100", mut_arg("memory", |memory| memory.help(HUNT_MEMORY)))]
    Hunt(HuntArguments),
    /// Judge captures that were made elsewhere, by tcpdump or Wireshark
    #[command(after_help = "\
What a capture can't show is undecided, with the point that is missing. Checks that need a
machine's settings are not made. Who plays which part is told from the frames, unless given.
A cause that frames prove is named; others are told with the rules that come into question.

Examples:
  drlab analyze director.pcap --vip 172.16.0.66
  drlab analyze router.pcap rs1.pcap rs2.pcap --vip 172.16.0.66:80 --out results
  tcpdump -i eth0 -w director.pcap 'host 172.16.0.66 or arp'
                        makes such a file; `-i any` would leave out the MACs sent to")]
    Analyze(AnalyzeArguments),
    /// Break each thing of a correct scenario and see whether it is named
    #[command(after_help = "\
Examples:
  drlab mutate lvs-dr                       every single thing, broken alone
  drlab mutate lvs-dr --list                what would be broken, and what should come of it
  drlab mutate lvs-dr --pairs --sample 100  two at once, a hundred of them, the same each time
  drlab mutate lvs-dr --only 'rs1: address*'")]
    Mutate(MutateArguments),
    /// Judge a scenario's configuration by the rules that need no lab, in milliseconds
    #[command(after_help = "\
The root causes have the same names as those of `drlab run`. What only frames show is not seen here.

Examples:
  drlab check my.toml                     before anything is built
  drlab check broken --format junit       all of a folder
  drlab check --facts rs1.json director.json    machines, as `drlab audit --facts-out` wrote them")]
    Check(CheckArguments),
    /// Make a scenario of keepalived.conf, rules of ipvsadm, scripts and their like
    #[command(after_help = IMPORT_HELP)]
    Import(ImportArguments),
    /// Import configuration, run it and prove it, in one go
    #[command(after_help = VERIFY_HELP, mut_arg("scenarios", |argument| argument.value_name("[NODE=]FILE").help(FILES_HELP)))]
    Verify(VerifyArguments),
    /// Print what a scenario comes to, with all that its roles imply
    #[command(after_help = "Example:\n  drlab plan lvs-dr")]
    Plan {
        /// A shipped scenario's name, or a file
        scenario: String,
        /// How it is printed
        #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
        format: PlanFormat,
    },
    /// List the shipped scenarios
    #[command(after_help = "Example:\n  drlab list")]
    List,
    /// Explain a check or a root cause; without one, list them
    #[command(after_help = "Example:\n  drlab explain mac-rewrite")]
    Explain {
        /// Its id
        id: Option<String>,
    },
    /// Judge this machine's own settings as a part of a Direct Routing setup; nothing is changed
    #[command(after_help = "\
What others do is taken to be right, and said. An ordinary user can't read packet filters and the IPVS
table where there are some: what stays unread is undecided. Kernels load nothing for it.

Examples:
  drlab audit --role rs --vip 172.16.0.66 --service tcp:80
  drlab audit --role rs --vip 172.16.0.66 --director 172.16.251.73 --client 203.0.113.9
  drlab audit --role director --vip 172.16.0.66 --facts-out director.json
  drlab check --facts rs1.json rs2.json director.json router.json")]
    Audit(AuditArguments),
    /// List the root causes that drlab knows, and by what each can be seen
    #[command(after_help = "\
configuration  a kernel's or a plan's settings alone show it: `drlab check`, `drlab audit`
frames         only a capture shows it
both           settings and frames together show it

Example:\n  drlab rules --format json")]
    Rules {
        /// How they are printed
        #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
        format: PlanFormat,
    },
    /// Print the JSON Schema of scenario files, or their reference
    #[command(after_help = "Example:\n  drlab schema > drlab.schema.json")]
    Schema {
        /// The reference in Markdown instead
        #[arg(long)]
        reference: bool,
    },
    /// Tell what this machine can do, what it can't, and what would change that
    #[command(after_help = "Example:\n  drlab doctor")]
    Doctor {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Manage the kernels that hold labs
    Kernel {
        #[command(subcommand)]
        command: KernelCommand,
    },
    /// What runs under the lab's kernel; started by drlab itself
    #[command(hide = true)]
    Inside {
        /// How it was started: `uml`, `qemu` or `host`
        #[arg(long)]
        boot: String,
        /// In a guest: where outside left what is to be known
        #[arg(long)]
        boot_file: Option<PathBuf>,
        /// Under `host`: the channel's descriptor
        #[arg(long)]
        channel: Option<i32>,
        /// What the kernel adds to its first process's arguments
        #[arg(hide = true)]
        from_kernel: Vec<String>,
    },
}

/// What every command takes that runs labs.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct LabOptions {
    /// How many labs run at once; where not said, two for each processor in real time, of which they wait half, and
    /// one by a seed and in virtual machines
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
    /// Memory of a guest, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(64..=65536))]
    memory: u32,
}

impl LabOptions {
    /// How many labs run at once that are busy from start to end.
    fn jobs(self) -> usize {
        self.jobs.map_or_else(|| thread::available_parallelism().map_or(1, Into::into), usize::from)
    }

    /// How many run at once that wait for half of their time.
    fn jobs_in_real_time(self) -> usize {
        self.jobs.map_or_else(|| 2 * self.jobs(), usize::from)
    }
}

/// What `drlab run` takes.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Shipped scenarios by name, folder or pattern; files or folders of yours
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// What holds the lab
    #[arg(long, value_enum, default_value_t = SubstrateChoice::Auto, env = "DRLAB_SUBSTRATE")]
    substrate: SubstrateChoice,
    /// The kernel to run under, as `drlab kernel list` names it; with several, a table of all
    #[arg(long, value_name = "KERNEL", value_delimiter = ',')]
    kernel: Vec<String>,
    /// Keep report.json, junit.xml, report.txt and capture.pcapng in DIR, in a folder for each scenario; with
    /// --apply-mend also mended.pcapng, the frames after the mend
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Run what the findings print as mends in the lab itself, drive the load again and judge it again: for each node the
    /// first way, or where there is one the way in the words of DIALECT. What is to be done by hand is not applied
    #[arg(long, value_enum, value_name = "DIALECT", num_args = 0..=1, require_equals = true, default_missing_value = "first")]
    apply_mend: Option<MendChoice>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// Print the whole report of each scenario also where several run
    #[arg(long)]
    full: bool,
    /// Draw all that is random from N and let time pass only as it is needed: the same frames, times and report each time,
    /// and no waiting. Needs drlab's own kernel (`drlab kernel build`)
    #[arg(long, value_name = "N", conflicts_with = "apply_mend")]
    seed: Option<u64>,
    /// Run it a second time by the same seed, and tell that it came out the same, or where it did not: then something in a
    /// node goes by the machine's clock, its random numbers or its files
    #[arg(long, requires = "seed")]
    twice: bool,
    /// Hold each frame back at the switch by a time below MS, and each piece of a node's work; drawn from the seed
    #[arg(long, value_name = "MS", requires = "seed", value_parser = hunt::parse_jitter)]
    jitter: Option<u32>,
    #[command(flatten)]
    lab: LabOptions,
}

impl RunArguments {
    /// How a lab is run whose report is not printed.
    fn silent(substrate: SubstrateChoice, lab: LabOptions) -> Self {
        Self {
            scenarios: Vec::new(),
            substrate,
            kernel: Vec::new(),
            out: None,
            apply_mend: None,
            format: ReportFormat::Json,
            full: false,
            seed: None,
            twice: false,
            jitter: None,
            lab,
        }
    }
}

/// What `drlab matrix` takes.
#[derive(Debug, clap::Args)]
pub struct MatrixArguments {
    /// Shipped scenarios by name, folder or pattern; files or folders of yours. Where none is named, one that holds and
    /// one that must break
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// The kernels; all that are here where none is named
    #[arg(long, value_name = "KERNEL", value_delimiter = ',')]
    kernels: Vec<String>,
    /// Keep matrix.json in DIR, and what `drlab run` keeps in a folder for each kernel
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    #[command(flatten)]
    lab: LabOptions,
}

/// What `drlab hunt` takes.
#[derive(Debug, clap::Args)]
pub struct HuntArguments {
    /// A shipped scenario's name, or a file
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// The seeds, the last one included
    #[arg(long, value_name = "A..B", default_value = "1..100", value_parser = hunt::parse_seeds)]
    seeds: hunt::Seeds,
    /// By up to how many milliseconds frames and work are held back
    #[arg(long, value_name = "MS", default_value = "2", value_parser = hunt::parse_jitter)]
    jitter: u32,
    #[command(flatten)]
    lab: LabOptions,
}

/// What `drlab analyze` takes.
#[derive(Debug, clap::Args)]
pub struct AnalyzeArguments {
    /// Captures (pcap or pcapng) of one or several points
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A VIP, with the service's port where others are not to be judged; may be given several times
    #[arg(long, required = true, value_name = "ADDR[:PORT]", value_parser = analyze::parse_vip)]
    vip: Vec<(std::net::IpAddr, Option<u16>)>,
    /// The Director; may be given several times, as those below
    #[arg(long, value_name = "MAC|IP", value_parser = analyze::parse_who)]
    director: Vec<Who>,
    /// A real server
    #[arg(long, value_name = "MAC|IP", value_parser = analyze::parse_who)]
    rs: Vec<Who>,
    /// A router on the Director's segment
    #[arg(long, value_name = "MAC|IP", value_parser = analyze::parse_who)]
    router: Vec<Who>,
    /// A client on the Director's segment
    #[arg(long, value_name = "MAC|IP", value_parser = analyze::parse_who)]
    client: Vec<Who>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// Keep report.json, junit.xml and report.txt in DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many frames about the VIPs are held at most, about 850 bytes of memory each; what held on a part is undecided.
    /// Of one file, conversations that went just like one that is held are judged with it and take no memory
    #[arg(long, value_name = "N", default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    frames: u32,
    /// Hold each conversation's own frames, as for several files
    #[arg(long)]
    each: bool,
}

/// What `drlab mutate` takes.
#[derive(Debug, clap::Args)]
pub struct MutateArguments {
    /// A shipped scenario's name, or a file; one whose checks all hold
    #[arg(value_name = "SCENARIO")]
    scenario: String,
    /// Break two things at once, of those that break something alone
    #[arg(long)]
    pairs: bool,
    /// At most N, with --pairs spread over all, the same each time
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Only mutations that have this word in them, or fit this pattern
    #[arg(long, value_name = "PATTERN")]
    only: Option<String>,
    /// Print what would be broken and what should come of it, and run nothing
    #[arg(long)]
    list: bool,
    /// What holds the labs
    #[arg(long, value_enum, default_value_t = SubstrateChoice::Auto, env = "DRLAB_SUBSTRATE")]
    substrate: SubstrateChoice,
    /// Keep mutations.txt, mutations.json and mutations.xml in DIR
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    #[command(flatten)]
    lab: LabOptions,
}

/// What `drlab check` takes.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// Shipped scenarios by name, folder or pattern; files or folders of yours
    #[arg(required_unless_present = "facts", value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// What is printed
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    format: ReportFormat,
    /// Judge machines together by the files that `drlab audit --facts-out` wrote on each
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "scenarios")]
    facts: Vec<PathBuf>,
}

/// What `drlab audit` takes.
#[derive(Debug, clap::Args)]
pub struct AuditArguments {
    /// The part that this machine plays
    #[arg(long, value_enum)]
    role: AuditRole,
    /// A VIP; may be given several times
    #[arg(long, required = true, value_name = "ADDR", value_parser = audit::parse_ip)]
    vip: Vec<std::net::IpAddr>,
    /// What clients ask the VIP for; may be given several times
    #[arg(long, value_name = "tcp:PORT|udp:PORT", value_parser = audit::parse_service)]
    service: Vec<(crate::base::Protocol, u16)>,
    /// The Director's own address
    #[arg(long, value_name = "ADDR", value_parser = audit::parse_ip)]
    director: Option<std::net::IpAddr>,
    /// A client's address; without it clients are beyond the default route
    #[arg(long, value_name = "ADDR", value_parser = audit::parse_ip)]
    client: Option<std::net::IpAddr>,
    /// This machine's address in the Director's table; without it that on the VIP's segment
    #[arg(long, value_name = "ADDR", value_parser = audit::parse_ip)]
    rip: Option<std::net::IpAddr>,
    /// How it is printed
    #[arg(long, value_enum, default_value_t = PlanFormat::Text)]
    format: PlanFormat,
    /// Keep what was read in FILE, for `drlab check --facts`
    #[arg(long, value_name = "FILE")]
    facts_out: Option<PathBuf>,
    /// What this machine is called; its host name without it
    #[arg(long)]
    name: Option<crate::base::NodeName>,
}

/// A part that a live machine plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AuditRole {
    /// A real server
    Rs,
    /// The Director
    Director,
    /// A router in front of the VIP
    Router,
}

impl From<AuditRole> for crate::base::Role {
    fn from(role: AuditRole) -> Self {
        match role {
            AuditRole::Rs => Self::RealServer,
            AuditRole::Director => Self::Director,
            AuditRole::Router => Self::Router,
        }
    }
}

/// What holds the lab.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SubstrateChoice {
    /// `host` for root on a kernel with IPVS, else `uml`
    Auto,
    /// This kernel, in namespaces of its own; needs root, and `ip_vs` where the Director is IPVS
    Host,
    /// User-Mode Linux: a real kernel as an ordinary process; needs nothing
    Uml,
    /// A distribution's kernel in a virtual machine; QEMU and the kernel are fetched where they aren't here
    Qemu,
}

/// Which of a finding's mends are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MendChoice {
    /// The first one of each node
    First,
    /// `ip`
    Ip,
    /// `sysctl -w`
    Sysctl,
    /// Files in /etc/sysctl.d
    SysctlD,
    /// `arptables`
    Arptables,
    /// `iptables`
    Iptables,
    /// `ipvsadm`
    Ipvsadm,
    /// `ifconfig`, `route`, `arp`
    NetTools,
    /// `ethtool`
    Ethtool,
}

impl MendChoice {
    fn mending(self) -> Mending {
        let preferred = match self {
            Self::First => None,
            Self::Ip => Some(Dialect::Ip),
            Self::Sysctl => Some(Dialect::Sysctl),
            Self::SysctlD => Some(Dialect::SysctlD),
            Self::Arptables => Some(Dialect::Arptables),
            Self::Iptables => Some(Dialect::Iptables),
            Self::Ipvsadm => Some(Dialect::Ipvsadm),
            Self::NetTools => Some(Dialect::NetTools),
            Self::Ethtool => Some(Dialect::Ethtool),
        };
        Mending { preferred }
    }
}

/// What `drlab run` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    Text,
    /// One JSON document, or an array where several scenarios run
    Json,
    /// JUnit XML
    Junit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PlanFormat {
    /// For people
    Text,
    /// The plan as JSON
    Json,
}

#[derive(Debug, Subcommand)]
enum KernelCommand {
    /// List the kernels that are there
    #[command(after_help = "Example:\n  drlab kernel list")]
    List,
    /// Fetch kernels from Debian's packages into the cache, without root
    #[command(after_help = "\
Examples:
  drlab kernel fetch                 User-Mode Linux
  drlab kernel fetch 5.10 6.1 6.12   the newest cloud kernel of each series, for `--substrate qemu`
  drlab kernel fetch qemu            QEMU itself, where the machine has none")]
    Fetch {
        /// `uml`, `qemu`, or a kernel series such as 6.12
        #[arg(value_name = "WHAT", default_value = "uml")]
        what: Vec<String>,
    },
    /// Build drlab's own kernel, without root, in some minutes
    #[command(after_help = "\
It is made of Debian's linux-source-6.12, which is fetched, and kept in the cache. From then on it is
taken in place of Debian's kernel. Needs gcc and libc6-dev; what else is missing is unpacked.

Example:\n  drlab kernel build")]
    Build {
        /// Ask the package servers for a newer source also where a kernel is there
        #[arg(long)]
        newest: bool,
    },
    /// Print the path of the kernel that would be used
    #[command(after_help = "Example:\n  drlab kernel path")]
    Path,
    /// Boot a kernel and run a command in it as root
    #[command(after_help = "\
User-Mode Linux has a read-only view of this machine, a virtual machine nothing but the programs
that the command names.

Examples:
  drlab kernel run -- uname -a
  drlab kernel run --kernel debian-6.12 -- sh -c 'cat /proc/version; ls /proc/sys/net/ipv4/vs'")]
    Run {
        /// The kernel, as `drlab kernel list` names it; the first of that list where not said
        #[arg(long, value_name = "KERNEL")]
        kernel: Option<String>,
        /// A folder that the command may write to; the same path inside
        #[arg(long, value_name = "DIR")]
        writable: Option<PathBuf>,
        /// Memory in MiB
        #[arg(long, value_name = "MIB", default_value_t = 512)]
        memory: u32,
        /// The command
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

/// Seeds are for drlab's own kernel.
const HUNT_MEMORY: &str = "Memory of a User-Mode Linux guest, in MiB";

/// What stands below the options in `drlab --help`.
fn after_help() -> String {
    format!("{EXAMPLES}\n\n{}\n\n{ENVIRONMENT}", exit::HELP)
}

const EXAMPLES: &str = "\
Examples:
  drlab run lvs-dr             the textbook case, built, loaded and proven
  drlab analyze FILE.pcap --vip 172.16.0.66
                               captures from elsewhere, judged by the same checks
  drlab verify keepalived.conf realserver.sh
                               your own configuration, as a lab, proven
  drlab explain mac-rewrite    what a check proves, and what would fool it
  drlab doctor                 what this machine can do";

const ENVIRONMENT: &str = "\
Environment:
  DRLAB_CACHE      where fetched kernels and runs are kept; else drlab in XDG_CACHE_HOME, or ~/.cache/drlab
  DRLAB_SHARED_CACHE  another cache, which is only read: one made ready for machines without network
  DRLAB_KERNEL     a User-Mode Linux program to use instead of those that `drlab kernel list` shows
  DRLAB_SUBSTRATE  auto, host, uml or qemu, as --substrate
  NO_COLOR         no colour, whatever the terminal can do";

/// Runs the program with the process's own arguments.
pub fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let wanted = !error.use_stderr();
            // Nothing is left to tell where the terminal is gone.
            drop(error.print());
            return if wanted { Exit::AsExpected } else { Exit::Usage };
        }
    };
    let exit = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Matrix(arguments) => matrix::matrix(&arguments),
        Command::Hunt(arguments) => hunt::hunt(&arguments),
        Command::Analyze(arguments) => analyze::analyze(&arguments),
        Command::Mutate(arguments) => mutate::mutate(&arguments),
        Command::Audit(arguments) => audit::audit(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Import(arguments) => import::import(&arguments),
        Command::Verify(arguments) => import::verify(&arguments),
        Command::Rules { format } => show::rules(format == PlanFormat::Json),
        Command::Plan { scenario, format } => show::plan(&scenario, format == PlanFormat::Json),
        Command::List => show::list(),
        Command::Explain { id } => show::explain(id.as_deref()),
        Command::Schema { reference } => show::schema(reference),
        Command::Doctor { json } => doctor::doctor(json),
        Command::Kernel { command } => match command {
            KernelCommand::List => kernel::list(),
            KernelCommand::Fetch { what } => kernel::fetch(&what),
            KernelCommand::Build { newest } => kernel::build(newest),
            KernelCommand::Path => kernel::path(),
            KernelCommand::Run { kernel, writable, memory, command } => {
                kernel::run(kernel.as_deref(), writable.as_deref(), memory, command)
            }
        },
        Command::Inside { boot, boot_file, channel, .. } => inside::inside(&boot, boot_file, channel),
    };
    if LOST.load(Ordering::Relaxed) { exit.worse(Exit::Lab) } else { exit }
}

/// Whether a result could not be printed.
static LOST: AtomicBool = AtomicBool::new(false);

/// Prints a result. A reader that has gone away is not an error; a full disk is, and shows in the exit code.
pub(crate) fn print(text: &str) {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe && !LOST.swap(true, Ordering::Relaxed) => {
            complain(&format!("drlab: could not print the result: {error}"));
        }
        _ => {}
    }
}

/// Prints a message for people.
pub(crate) fn complain(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// An error and its causes, for people.
pub(crate) fn complain_of(error: &dyn std::error::Error) {
    let chain = crate::base::error_chain(error);
    complain(&format!("drlab: {}", chain.join("\n  caused by: ")));
}
