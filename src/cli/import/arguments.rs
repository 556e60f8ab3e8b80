//! What `drlab import` and `drlab verify` take, and what their help says.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;

use crate::cli::RunArguments;

/// How configuration is read.
#[derive(Debug, clap::Args)]
pub struct ImportOptions {
    /// What the files are, where their content does not tell
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    pub(super) read_as: Option<ImportFormat>,
    /// keepalived's configuration id (its -i), for lines that begin with @ID; the node's name where not said
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    /// A variable of scripts that only their machine knows, or an argument: RIP=10.0.0.2, 1=start; may be given several times
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub(super) set: Vec<(String, String)>,
    /// The router's address on the real servers' segment, with the prefix length where no file has it
    #[arg(long, value_name = "ADDR[/LEN]", value_parser = parse_router)]
    pub(super) router: Option<(IpAddr, Option<u8>)>,
    /// Whether Directors run keepalived itself, on your own keepalived.conf
    #[arg(long, value_enum, value_name = "HOW", default_value_t = KeepalivedChoice::Auto)]
    pub(super) keepalived: KeepalivedChoice,
}

/// What becomes of a keepalived.conf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeepalivedChoice {
    /// They do, unless it asks for what only your machines have, as tracked scripts or checks of your own pages; then as
    /// `retold`, and the reason is told
    Auto,
    /// They do; Debian's package is fetched where this machine has none
    Real,
    /// They do not: drlab gives them what the file says, with all real servers up and the master settled
    Retold,
}

impl From<KeepalivedChoice> for crate::import::Keepalived {
    fn from(choice: KeepalivedChoice) -> Self {
        match choice {
            KeepalivedChoice::Auto => Self::WhereItCan,
            KeepalivedChoice::Real => Self::Real,
            KeepalivedChoice::Retold => Self::Retold,
        }
    }
}

/// What `drlab import` takes.
#[derive(Debug, clap::Args)]
pub struct ImportArguments {
    #[arg(required = true, value_name = "[NODE=]FILE", help = FILES_HELP)]
    pub(super) files: Vec<String>,
    #[command(flatten)]
    pub(super) how: ImportOptions,
    /// Write the scenario to FILE
    #[arg(long, short, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// What `drlab verify` takes: what `run` does, with files in place of scenarios.
#[derive(Debug, clap::Args)]
pub struct VerifyArguments {
    #[command(flatten)]
    pub(super) how: ImportOptions,
    /// Write the scenario to FILE as well
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(super) scenario: Option<PathBuf>,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

/// What a file is that is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// keepalived.conf
    Keepalived,
    /// Rules of `ipvsadm-save`, or the table of `ipvsadm -Ln`
    Ipvsadm,
    /// sysctl.conf, or a file of sysctl.d
    Sysctl,
    /// Rules of `arptables-save`
    Arptables,
    /// What `ip -j addr`, `ip -j route` or `ip -j neigh` prints
    IpJson,
    /// A shell script
    Script,
}

impl From<ImportFormat> for crate::import::Format {
    fn from(format: ImportFormat) -> Self {
        match format {
            ImportFormat::Keepalived => Self::Keepalived,
            ImportFormat::Ipvsadm => Self::Ipvsadm,
            ImportFormat::Sysctl => Self::Sysctl,
            ImportFormat::Arptables => Self::Arptables,
            ImportFormat::IpJson => Self::IpJson,
            ImportFormat::Script => Self::Script,
        }
    }
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    let legal = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if legal { Ok((name.to_owned(), value.to_owned())) } else { Err(format!("`{name}` is no variable")) }
}

fn parse_router(text: &str) -> Result<(IpAddr, Option<u8>), String> {
    match text.parse::<ipnet::IpNet>() {
        Ok(net) => Ok((net.addr(), Some(net.prefix_len()))),
        Err(_) => text
            .parse()
            .map(|ip| (ip, None))
            .map_err(|_| "expected an address, as 172.16.0.1 or 172.16.0.1/16".to_owned()),
    }
}

pub(in crate::cli) const FILES_HELP: &str = "\
Files, and whose each is. Without NODE: the Director's where it has virtual services or VRRP, else every real \
server's. NODE is a name of the Director, `rs` for every real server, `rs1` or a real server's address for one, \
`router` or `client`. `-` is standard input";

pub(in crate::cli) const IMPORT_HELP: &str = "\
Read are keepalived.conf (with what it includes), rules of ipvsadm-save and arptables-save, the table of
ipvsadm -Ln, sysctl.conf, ip -j addr|route|neigh, and scripts of ip, ifconfig, route, sysctl, echo > /proc/sys,
arptables, iptables and ipvsadm lines. Scripts are followed and not executed; keepalived itself runs on its file, as
far as a lab has what that asks for (--keepalived). What no file says is assumed, and told in comments; what is not
understood is listed with file, line and column. A real server of which a file speaks gets what the file says and no
more, so that what is missing there is missing in the lab.

Examples:
  drlab import keepalived.conf -o my.toml      a scenario to look at, to change and to run
  drlab import keepalived.conf realserver.sh   the script is every real server's
  drlab import director=ipvsadm.rules rs1=web1.sh rs2=web2.sh --router 172.16.0.1/16
  ssh web1 ip -j addr | drlab import keepalived.conf rs1=-";

pub(in crate::cli) const VERIFY_HELP: &str = "\
What `drlab import` reads is read here, and what it tells is told first. Exit codes are those of `run`.

Examples:
  drlab verify keepalived.conf realserver.sh
  drlab verify keepalived.conf rs=99-lvs.conf --format junit > junit.xml
  drlab verify keepalived.conf realserver.sh -o my.toml --out results";
