//! `drlab analyze`: captures that others made, judged by the same checks.
//!
//! Errs towards reading: a file that is cut short or damaged is judged by what stands before that place, and the report
//! says so. Memory is bounded by `--frames`, whatever the capture's length; a check that held on a part of the frames is
//! undecided.

mod assemble;

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::exit::Exit;
use super::{AnalyzeArguments, ReportFormat, complain, complain_of, keep, print};
use crate::base::{Mac, NodeName, Role, error_chain};
use crate::judge::infer::{Known, Naming, Who};
use crate::report::{self, ReadFile, Report};
use crate::trace::alike::{Alike, InHand};
use crate::trace::{Gatherer, Vantage};
use crate::wire::capture::{CaptureError, PacketRef, Reader};
use crate::wire::glance::glance;
use crate::wire::{decode, link};

/// Why nothing was judged.
#[derive(Debug, thiserror::Error)]
enum AnalyzeError {
    #[error("could not open {}", .path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("could not read {} as a capture", .path.display())]
    Begin { path: PathBuf, source: CaptureError },
    #[error("could not read a link type of {}: {links} (known are Ethernet, Linux cooked v1 and v2, raw IP)", .path.display())]
    Links { path: PathBuf, links: String },
}

/// Judges what the arguments name.
pub(super) fn analyze(arguments: &AnalyzeArguments) -> Exit {
    let known = known(arguments);
    if let Some(out) = &arguments.out
        && let Err(error) = keep::check_folder(out)
    {
        complain_of(&error);
        return Exit::Usage;
    }
    let began = Instant::now();
    let gathering = match Gathering::of(arguments, &known) {
        Ok(gathering) => gathering,
        Err(error) => {
            complain_of(&error);
            return Exit::Usage;
        }
    };
    let read_ms = ms(began);
    let mut report = assemble::report(gathering.into_gathered(), &known);
    report.timing_ms.load = read_ms;
    report.timing_ms.total = ms(began);
    report.timing_ms.judge = report.timing_ms.total - read_ms;
    let exit = Exit::of(&report);
    let kept = arguments.out.as_ref().map(|out| keep::write_to(out, &report));
    show(arguments, &report);
    match kept {
        Some(Err(error)) => {
            complain_of(&error);
            exit.worse(Exit::Lab)
        }
        Some(Ok(())) | None => exit,
    }
}

fn ms(since: Instant) -> f64 {
    (since.elapsed().as_secs_f64() * 1e6).round() / 1e3
}

fn show(arguments: &AnalyzeArguments, report: &Report) {
    let text = match arguments.format {
        ReportFormat::Text => Ok(report::text::render(report, &super::show::style())),
        ReportFormat::Json => report::json::render(report).map_err(|e| error_chain(&e)),
        ReportFormat::Junit => report::junit::render(std::slice::from_ref(report)).map_err(|e| error_chain(&e)),
    };
    match text {
        Ok(text) => print(&text),
        Err(chain) => complain(&format!("drlab: {}", chain.join("\n  caused by: "))),
    }
}

fn known(arguments: &AnalyzeArguments) -> Known {
    let of = |role: Role, all: &[Who]| all.iter().map(|who| (role, *who)).collect::<Vec<_>>();
    Known {
        vips: arguments.vip.clone(),
        parts: [
            of(Role::Director, &arguments.director),
            of(Role::RealServer, &arguments.rs),
            of(Role::Router, &arguments.router),
            of(Role::Client, &arguments.client),
        ]
        .concat(),
    }
}

/// `ADDR`, `ADDR:PORT`, `[ADDR]` or `[ADDR]:PORT`.
pub(super) fn parse_vip(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Ok((address, None));
    }
    match text.parse::<SocketAddr>() {
        Ok(at) if at.port() > 0 => Ok((at.ip(), Some(at.port()))),
        _ => Err("an address is wanted, as 172.16.0.66, 172.16.0.66:80 or [2001:db8::66]:80".to_owned()),
    }
}

/// A MAC or an address.
pub(super) fn parse_who(text: &str) -> Result<Who, String> {
    if let Ok(mac) = text.parse::<Mac>() {
        return Ok(Who::Mac(mac));
    }
    text.parse::<IpAddr>()
        .map(Who::Address)
        .map_err(|_| "a MAC or an address is wanted, as 02:d1:00:00:01:00 or 172.16.251.73".to_owned())
}

/// What is read so far.
struct Gathering {
    gatherer: Gatherer,
    files: Vec<ReadFile>,
    /// For each vantage its file, and what its name is worth.
    points: Vec<(String, Naming)>,
    alike: Alike,
    several: bool,
}

impl Gathering {
    fn of(arguments: &AnalyzeArguments, known: &Known) -> Result<Self, AnalyzeError> {
        let one = arguments.files.len() == 1 && !arguments.each;
        let gathered = Self::gathered(arguments, known, one)?;
        // What is not in the order of time can't be compared as it comes.
        if gathered.alike.is_unordered() { Self::gathered(arguments, known, false) } else { Ok(gathered) }
    }

    fn gathered(arguments: &AnalyzeArguments, known: &Known, counting: bool) -> Result<Self, AnalyzeError> {
        let mut gathering = Self {
            gatherer: Gatherer::new(usize::try_from(arguments.frames).unwrap_or(usize::MAX)),
            files: Vec::new(),
            points: Vec::new(),
            alike: Alike::new(known.vips.iter().map(|(vip, _)| *vip), counting),
            several: arguments.files.len() > 1,
        };
        for path in &arguments.files {
            gathering.read(path)?;
        }
        Ok(gathering)
    }

    fn read(&mut self, path: &Path) -> Result<(), AnalyzeError> {
        let file = File::open(path).map_err(|source| AnalyzeError::Open { path: path.to_owned(), source })?;
        // It reads in large pieces by itself.
        let reader = Reader::new(file);
        let mut reader = reader.map_err(|source| AnalyzeError::Begin { path: path.to_owned(), source })?;
        let mut points = Points { path, seen: Vec::new() };
        let mut kept = 0;
        let mut ended = None;
        let mut told: Vec<Option<String>> = Vec::new();
        while !self.alike.is_full() && !self.alike.is_unordered() {
            if told.len() < reader.interfaces().len() {
                told = reader.interfaces().iter().map(|i| i.name.clone()).collect();
            }
            let packet = match reader.step() {
                None => break,
                Some(Ok(Some(packet))) => packet,
                Some(Ok(None)) => continue,
                Some(Err(error)) => {
                    ended = Some(format!("{}; what stands before that was judged", error_chain(&error).join(": ")));
                    break;
                }
            };
            let glance = glance(&packet.data);
            let (met, decoded) = match &glance {
                Some(glance) => (self.alike.concerns(glance), None),
                None => (None, Some(decode(&packet.data))),
            };
            let matters = match &decoded {
                Some(decoded) => self.alike.concerns_other(decoded, &mut self.gatherer),
                None => met.is_some(),
            };
            if !matters {
                continue;
            }
            let name = told.get(packet.interface).and_then(Option::as_deref);
            let hand = InHand {
                vantage: points.of(self, &packet, name),
                direction: packet.direction,
                at_ns: packet.at_ns,
                length: packet.length,
                origin: u32::try_from(packet.number).unwrap_or(u32::MAX),
                data: &packet.data,
            };
            match (glance, met, decoded) {
                (Some(glance), Some(met), _) => self.alike.take(&glance, met, &hand, &mut self.gatherer),
                (_, _, Some(decoded)) => self.alike.take_other(decoded, &hand, &mut self.gatherer),
                _ => {}
            }
            kept += 1;
        }
        if self.alike.is_full() {
            ended = Some("as many frames as --frames allows were read; the rest was not looked at".to_owned());
        }
        let links: Vec<u32> = reader.interfaces().iter().map(|i| i.linktype).collect();
        if !links.is_empty() && !links.iter().any(|l| link::is_known(*l)) {
            return Err(AnalyzeError::Links { path: path.to_owned(), links: names(&links).join(", ") });
        }
        if reader.skipped() > 0 && ended.is_none() {
            ended =
                Some(format!("{} packets went over loopback or have another link type: left out", reader.skipped()));
        }
        self.files.push(ReadFile {
            path: path.display().to_string(),
            format: reader.format().to_owned(),
            links: names(&links),
            packets: reader.met(),
            kept,
            ended,
        });
        Ok(())
    }

    fn into_gathered(mut self) -> assemble::Gathering {
        self.alike.finish(&mut self.gatherer);
        assemble::Gathering {
            gathered: self.gatherer.finish(),
            files: self.files,
            points: self.points,
            full: self.alike.is_full(),
            counted: self.alike.counted(),
        }
    }
}

fn names(links: &[u32]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in links.iter().map(|l| link::name(*l)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The vantages of one file.
struct Points<'a> {
    path: &'a Path,
    seen: Vec<((usize, Option<u32>), usize)>,
}

impl Points<'_> {
    /// The vantage that a packet belongs to; a new one where none is known.
    fn of(&mut self, gathering: &mut Gathering, packet: &PacketRef<'_>, name: Option<&str>) -> usize {
        let key = (packet.interface, packet.device);
        if let Some((_, vantage)) = self.seen.iter().find(|(known, _)| *known == key) {
            return *vantage;
        }
        let Some((node, interface, naming)) = self.named(packet, name) else { return usize::MAX };
        let by_file = naming == Naming::Anonymous && gathering.several;
        let naming = if by_file { Naming::File } else { naming };
        let taken = |n: &NodeName, i: &str| {
            gathering.gatherer.vantages().iter().any(|v| v.node == *n && v.interface.as_str() == i)
        };
        let mut node = node;
        for nth in 2..1000 {
            if !taken(&node, &interface) {
                break;
            }
            let short: String = node.as_str().trim_end_matches(|c: char| c.is_ascii_digit()).chars().take(28).collect();
            node = format!("{short}{nth}").parse().unwrap_or(node);
        }
        let Ok(interface) = interface.parse() else { return usize::MAX };
        let vantage = gathering.gatherer.vantage(Vantage { node, interface });
        gathering.points.push((self.path.display().to_string(), naming));
        self.seen.push((key, vantage));
        vantage
    }

    /// `node:interface` of a capture of drlab's; else the file's name and the interface's.
    fn named(&self, packet: &PacketRef<'_>, name: Option<&str>) -> Option<(NodeName, String, Naming)> {
        if let Some((node, interface)) = name.and_then(|n| n.split_once(':'))
            && let (Ok(node), false) = (node.parse(), interface.parse::<crate::base::IfName>().is_err())
        {
            return Some((node, interface.to_owned(), Naming::Machine));
        }
        let stem = self.path.file_stem().map(|s| s.to_string_lossy().to_lowercase()).unwrap_or_default();
        let legal = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
        let stem: String =
            stem.trim_start_matches(|c: char| !c.is_ascii_lowercase()).chars().map(legal).take(32).collect();
        let node = stem.trim_end_matches('-').parse().or_else(|_| "point".parse()).ok()?;
        let interface = match (name, packet.device) {
            (Some(name), None) if name.parse::<crate::base::IfName>().is_ok() => name.to_owned(),
            (_, Some(device)) => format!("if{device}"),
            _ => format!("if{}", packet.interface),
        };
        Some((node, interface, Naming::Anonymous))
    }
}
