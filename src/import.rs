//! Configuration that people really run, read into a scenario: keepalived.conf, rules of `ipvsadm-save` and
//! `arptables-save`, sysctl.conf, what `ip -j` says, scripts.
//!
//! Owns: the parsers, what each line means for a host, and the scenario that stands that setup up, with every
//! assumption as a comment. Refuses: files (texts come in, and a [`Library`] for what they include), and judging. Errs
//! towards telling: what is not understood is listed with its line and column, and what files say wrongly is imported
//! as wrong as it is.

mod arptables;
mod assemble;
mod format;
mod heard;
mod ip_json;
mod ipvsadm;
mod keepalived;
mod parts;
mod shell;
mod source;
mod sysctl;
mod values;
mod write;

use std::net::IpAddr;

pub use format::Format;
use heard::Heard;
pub use source::{Place, Sources};

use crate::scenario::Problems;

/// The largest text that is read, in bytes.
pub const LARGEST: usize = 1 << 20;

/// What is to be imported.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The texts, in order.
    pub texts: Vec<Text>,
    /// keepalived's configuration id (`-i`), which decides on lines that begin with `@`.
    pub id: Option<String>,
    /// Variables that scripts get, `1` for their first argument.
    pub variables: Vec<(String, String)>,
    /// The router's address on the real servers' segment, with the segment's prefix length where it is known.
    pub router: Option<(IpAddr, Option<u8>)>,
    /// Whether keepalived itself runs on its configuration.
    pub keepalived: Keepalived,
}

/// What becomes of a keepalived.conf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Keepalived {
    /// The lab has what it says, with all real servers up and the master settled; the daemon does not run.
    #[default]
    Retold,
    /// The daemon runs on the user's own file, unless that asks for what only the user's own machines have: then it is
    /// retold, and the reason told.
    WhereItCan,
    /// The daemon runs on the user's own file.
    Real,
}

/// One text.
#[derive(Debug, Clone)]
pub struct Text {
    /// What it is called in messages: its path.
    pub name: String,
    /// Itself.
    pub text: String,
    /// Whose it is: a node's name, `rs` for every real server, or a real server's address.
    pub node: Option<String>,
    /// What it is, where its content does not tell.
    pub format: Option<Format>,
}

/// What was made of the texts.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The scenario's text.
    pub scenario: String,
    /// What was assumed, as no text says it.
    pub assumed: Vec<String>,
    /// What was understood and is not in the scenario: place, and why.
    pub left_out: Vec<Told>,
    /// What was not understood.
    pub not_understood: Vec<Told>,
    /// What was not understood of what keepalived itself reads in the lab.
    pub left_to_daemon: Vec<Told>,
}

/// Something that is told of a place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// `name:line:column`.
    pub at: String,
    /// What.
    pub what: String,
}

/// Where the texts are that others include.
pub trait Library {
    /// What a pattern means in the text of that name: each text's own name and the text.
    ///
    /// # Errors
    /// Why there is none, as a lower-case fragment.
    fn included(&mut self, by: &str, pattern: &str) -> Result<Vec<(String, String)>, String>;

    /// The path by which the scenario is to name the file that a text is from; where there is none, the text is put into
    /// the scenario itself.
    fn path(&self, _name: &str) -> Option<String> {
        None
    }
}

/// A library without books.
#[derive(Debug, Clone, Copy)]
pub struct NoLibrary;

impl Library for NoLibrary {
    fn included(&mut self, _: &str, _: &str) -> Result<Vec<(String, String)>, String> {
        Err("no such file".to_owned())
    }
}

/// Why nothing was made of the texts.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Texts that are wrong in themselves, each with all of its problems.
    #[error("{}", texts(.0))]
    Wrong(Vec<Problems>),
    /// A text that no parser knows.
    #[error("can't tell what {name} is; say it, as `--as {}`", Format::Script.word())]
    Unknown {
        /// Its name.
        name: String,
    },
    /// A text that is more than a configuration ever is.
    #[error("{name} has {bytes} bytes; of a configuration at most {LARGEST} are read")]
    Large {
        /// Its name.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// No virtual service in any of them.
    #[error("no file has a virtual service; add the Director's keepalived.conf, or its rules by `ipvsadm-save -n`")]
    NoService,
    /// A service by mark, and no address that it could be asked at.
    #[error(
        "the service of firewall mark {mark} has no VIP: no rule marks packets for one, and no file has another VIP"
    )]
    NoVip {
        /// The mark.
        mark: u32,
    },
    /// A virtual service and no real server.
    #[error("no virtual service has a real server")]
    NoRealServer,
    /// More than a lab holds.
    #[error("the files have {count} {what}, and a lab holds at most {most}")]
    TooMany {
        /// How many.
        count: usize,
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// A text that belongs to nobody who is known.
    #[error("can't tell whose {name} is; {help}")]
    Nobody {
        /// Its name.
        name: String,
        /// What to type.
        help: String,
    },
    /// A daemon that is to run and can't.
    #[error("keepalived itself can't run on {node}: {why}")]
    CantRun {
        /// The node.
        node: String,
        /// Why not.
        why: String,
    },
    /// An address that two hosts have by the files.
    #[error("two hosts have the address {address}: {one} and {other}")]
    Twice {
        /// The address.
        address: IpAddr,
        /// The one.
        one: String,
        /// The other.
        other: String,
    },
}

fn texts(wrong: &[Problems]) -> String {
    wrong.iter().map(|problems| problems.render(false)).collect::<Vec<_>>().join("\n")
}

/// Reads the texts into a scenario.
///
/// # Errors
/// What is wrong with the texts, all of it; or why they make no lab.
pub fn import(request: &Request, library: &mut dyn Library) -> Result<Imported, ImportError> {
    let mut sources = Sources::default();
    let mut heard = Vec::new();
    for text in &request.texts {
        heard.push(read(&mut sources, request, text, library)?);
    }
    let wrong = sources.wrong();
    if !wrong.is_empty() {
        return Err(ImportError::Wrong(wrong));
    }
    let paths: Vec<Option<String>> = (0..sources.count()).map(|file| library.path(sources.name(file))).collect();
    let mut scene = assemble::assemble(&sources, &paths, request, &heard)?;
    scene.settle();
    Ok(write::write(&sources, request, &scene))
}

/// What one text says, and of whom.
struct OfText {
    /// The number of the text in the request.
    name: String,
    node: Option<String>,
    format: Format,
    heard: Heard,
}

fn read(
    sources: &mut Sources,
    request: &Request,
    text: &Text,
    library: &mut dyn Library,
) -> Result<OfText, ImportError> {
    if text.text.len() > LARGEST {
        return Err(ImportError::Large { name: text.name.clone(), bytes: text.text.len() });
    }
    let known = text.format.or_else(|| format::tell(&text.text));
    let format = known.ok_or_else(|| ImportError::Unknown { name: text.name.clone() })?;
    let file = sources.add(&text.name, &text.text);
    let heard = match format {
        Format::Keepalived => {
            let id = request.id.clone().or_else(|| text.node.clone());
            keepalived::read(sources, file, id.as_deref(), library)
        }
        Format::Ipvsadm => ipvsadm::read(sources, file),
        Format::Sysctl => sysctl::read(sources, file),
        Format::Arptables => arptables::read(sources, file),
        Format::IpJson => ip_json::read(sources, file),
        Format::Script => shell::read(sources, file, &request.variables),
    };
    Ok(OfText { name: text.name.clone(), node: text.node.clone(), format, heard })
}
