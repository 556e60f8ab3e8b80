//! Distributions' kernels in virtual machines, and the table of all kernels that are here.

use std::path::Path;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::kernels::Kernels;
use crate::program::{DRLAB, TEXTBOOK, call};

const SAMPLES: usize = 3;
/// The kernel that is taken where it is here; else the newest.
const SERIES: &str = "6.12.";
const TCG_MS: f64 = 12_000.0;
const KERNELS: f64 = 3.0;

/// Measures both.
pub(crate) fn all(kernels: &Kernels, hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    let by = if Path::new("/dev/kvm").exists() { "KVM where it works, else TCG" } else { "TCG" };
    let mut walls = Vec::new();
    let mut of = String::from("none is here");
    let stable = kernels.machines.iter().find(|kernel| kernel.version.starts_with(SERIES));
    if let Some(kernel) = stable.or(kernels.machines.first()) {
        of.clone_from(&kernel.version);
        for nth in 0..SAMPLES {
            hint(&format!("a virtual machine, {} of {SAMPLES}", nth + 1))?;
            let run = call(DRLAB, &["run", TEXTBOOK, "--kernel", &kernel.name, "--quiet"])?;
            if run.code != Some(0) {
                let what = format!("drlab run {TEXTBOOK} --kernel {}", kernel.name);
                let said = format!("{}{}", run.stdout, run.stderr);
                return Err(BenchError::Sample { what, status: format!("exit code {:?}", run.code), said });
            }
            walls.push(run.wall_ms);
        }
    }
    let names: Vec<&str> = kernels.of_each_series().into_iter().map(|kernel| kernel.name.as_str()).collect();
    let mut details = String::new();
    let mut right = Vec::new();
    if names.len() > 1 {
        hint("all kernels")?;
        let run = call(DRLAB, &["matrix", TEXTBOOK, "--kernels", &names.join(","), "--quiet"])?;
        let as_expected: Option<f64> =
            run.stdout.lines().find_map(|line| line.split_once(" runs: ")?.1.split(' ').next()?.parse().ok());
        right.extend(as_expected);
        details = format!(
            "## All kernels that are here\n\n`drlab matrix {TEXTBOOK} --kernels …`, {} s:\n\n```text\n{}\n```\n",
            shown(run.wall_ms / 1e3),
            run.stdout.trim_end(),
        );
    }
    let figures = vec![
        Figure {
            what: format!("`drlab run lvs-dr` in a virtual machine ({by}; {of})"),
            unit: "ms",
            goal: Goal::Under(TCG_MS),
            samples: Samples::new(walls),
        },
        Figure {
            what: "kernels under which lvs-dr came out as expected, in one table".to_owned(),
            unit: "",
            goal: Goal::AtLeast(KERNELS),
            samples: Samples::new(right),
        },
    ];
    Ok(Part { figures, details, ..Part::default() })
}
