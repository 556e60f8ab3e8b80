//! What `drlab run --out DIR` keeps: `DIR/<scenario>/` with report.json, junit.xml, report.txt and capture.pcapng, and
//! mended.pcapng where mends were applied, and below `nodes/` what programs in nodes logged.
//!
//! Owns: these files and their places. Errs towards refusing before anything is started: a run of minutes is not lost
//! for a folder that can't be written.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use crate::lab::{mend, once};
use crate::plan::Plan;
use crate::report::{self, Report};

/// The capture's name.
pub const CAPTURE: &str = "capture.pcapng";

/// All that is kept.
const FILES: [&str; 5] = ["report.txt", "report.json", "junit.xml", CAPTURE, mend::CAPTURE];

/// Why results can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The folder can't be made or written.
    #[error("could not use {} to keep results in, as --out asks", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Two scenarios would be kept in one place.
    #[error(
        "could not keep the results of two scenarios in one folder: both are named `{name}`; run one, or rename a file"
    )]
    SameName {
        /// The name.
        name: String,
    },
    /// A file can't be written.
    #[error("could not write {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// The folder of a scenario's results.
pub fn folder(out: &Path, plan: &Plan) -> PathBuf {
    out.join(&plan.scenario)
}

/// The folder of a report's results.
pub fn folder_of(out: &Path, report: &Report) -> PathBuf {
    out.join(&report.scenario)
}

/// Makes the folders of all scenarios, sees whether they can be written, and removes from them what an earlier run kept.
///
/// # Errors
/// [`KeepError::SameName`] and [`KeepError::Folder`].
pub fn check(out: &Path, plans: &[Plan]) -> Result<(), KeepError> {
    let mut seen = BTreeSet::new();
    if let Some(plan) = plans.iter().find(|plan| !seen.insert(&plan.scenario)) {
        return Err(KeepError::SameName { name: plan.scenario.clone() });
    }
    plans.iter().map(|plan| folder(out, plan)).try_for_each(|path| {
        fs::create_dir_all(&path)
            .and_then(|()| Ok(access(&path, AccessFlags::W_OK | AccessFlags::X_OK)?))
            .and_then(|()| clear(&path))
            .map_err(|source| KeepError::Folder { path, source })
    })
}

/// The same for a folder that takes the results of one analysis, without a folder of its own for each.
///
/// # Errors
/// [`KeepError::Folder`].
pub fn check_folder(folder: &Path) -> Result<(), KeepError> {
    fs::create_dir_all(folder)
        .and_then(|()| Ok(access(folder, AccessFlags::W_OK | AccessFlags::X_OK)?))
        .and_then(|()| clear(folder))
        .map_err(|source| KeepError::Folder { path: folder.to_owned(), source })
}

/// Removes an earlier run's files, so that none of them passes for this run's.
fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder.join(once::LOGS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    FILES.iter().try_for_each(|name| match fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

/// Writes all that is kept of a run but the capture, which whoever judged it wrote.
///
/// `typed` is the scenario as the reader types it.
///
/// # Errors
/// [`KeepError::File`] for the first that can't be written; the others are there.
pub fn write(out: &Path, report: &Report, typed: &str) -> Result<(), KeepError> {
    let folder = folder_of(out, report);
    let style = report::Style {
        out: Some(folder.display().to_string()),
        scenario: Some(typed.to_owned()),
        ..report::Style::default()
    };
    write_all(&folder, report, &style)
}

/// Writes what is kept of an analysis; its captures are the user's own.
///
/// # Errors
/// As [`write()`].
pub fn write_to(folder: &Path, report: &Report) -> Result<(), KeepError> {
    write_all(folder, report, &report::Style::default())
}

fn write_all(folder: &Path, report: &Report, style: &report::Style) -> Result<(), KeepError> {
    let texts = [
        Ok(report::text::render(report, style)),
        report::json::render(report).map_err(io::Error::from),
        report::junit::render(std::slice::from_ref(report)).map_err(io::Error::other),
    ];
    let written = FILES.map(|name| folder.join(name)).into_iter().zip(texts).map(|(path, text)| {
        text.and_then(|text| fs::write(&path, text)).map_err(|source| KeepError::File { path, source })
    });
    written.collect::<Vec<_>>().into_iter().collect()
}
