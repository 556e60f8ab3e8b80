//! All shipped scenarios in one call, as many at once as `drlab run` takes, in real time and by a seed.

use std::fmt::Write as _;

use crate::error::BenchError;
use crate::figure::{Figure, Goal, Part, Samples, shown};
use crate::kernels::Kernels;
use crate::program::sample::Shown;
use crate::program::{Capture, DRLAB, MEMORY_MB, Report, call};

/// What a hundred scenarios may take on two processors, in seconds.
const HUNDRED_S: f64 = 60.0;
/// What a scenario says that has packages fetched; what is fetched is not to be measured.
const FETCHES: &str = "packages";
/// What goes on in real time only: by a seed nothing is heard of its database for minutes.
const IN_REAL_TIME: [&str; 2] = ["apps/wordpress", "apps/wordpress-two-databases"];
const SLOWEST: usize = 10;

/// A call, and what its reports say.
struct Called {
    run: Shown,
    reports: Vec<Report>,
}

fn together(names: &[&str], kernel: &str, further: &[&str]) -> Result<Called, BenchError> {
    let mut words = vec!["run", "--kernel", kernel, "--quiet", "--format", "json"];
    words.extend(further);
    words.extend(names);
    let run = call(DRLAB, &words)?;
    let reports = serde_json::from_str(&run.stdout)
        .map_err(|source| BenchError::Answer { what: format!("all scenarios in one call ({})", run.stderr), source })?;
    Ok(Called { run, reports })
}

/// Measures both.
pub(crate) fn all(kernels: &Kernels, hint: &mut dyn FnMut(&str) -> Result<(), BenchError>) -> Result<Part, BenchError> {
    let Some(kernel) = kernels.quickest() else { return Ok(Part::default()) };
    let shipped = drlab::cli::select::shipped();
    let names: Vec<&str> = shipped.iter().map(|one| one.name.as_str()).collect();
    let fetching: Vec<&str> =
        shipped.iter().filter(|one| one.text.contains(FETCHES)).map(|one| one.name.as_str()).collect();
    if fetching.len() > 1 {
        hint("scenarios with packages, so that they are here")?;
        together(&fetching, &kernel.name, &[])?;
    }
    hint(&format!("{} scenarios in one call", names.len()))?;
    let real = together(&names, &kernel.name, &[])?;
    let timeless: Vec<&str> = names.iter().filter(|name| !IN_REAL_TIME.contains(*name)).copied().collect();
    let seeded = match &kernels.own {
        Some(own) => {
            hint(&format!("{} scenarios in one call, by a seed", timeless.len()))?;
            Some(together(&timeless, &own.name, &["--seed", "1"])?)
        }
        None => None,
    };
    Ok(Part {
        figures: figures(&real, seeded.as_ref()),
        details: details(&real, seeded.as_ref(), &kernel.name),
        ..Part::default()
    })
}

fn per_hundred(called: &Called) -> f64 {
    called.run.wall_ms / 1e3 / called.reports.len() as f64 * 100.0
}

fn met(called: &Called) -> usize {
    called.reports.iter().filter(|report| report.expected.met).count()
}

fn figures(real: &Called, seeded: Option<&Called>) -> Vec<Figure> {
    let one = |what: String, unit, goal, value: f64| Figure::once(what, unit, goal, value);
    let all = real.reports.len();
    let dropped: u64 = real.reports.iter().map(|report| report.capture.dropped).sum();
    let per_hundred_of = |called: Option<&Called>| called.map_or(f64::NAN, per_hundred);
    vec![
        one(
            format!("the suite: {all} shipped scenarios in one call, for each 100"),
            "s",
            Goal::Under(HUNDRED_S),
            per_hundred(real),
        ),
        one(
            "the same by a seed, where time that is waited for costs none".to_owned(),
            "s",
            Goal::Under(HUNDRED_S),
            per_hundred_of(seeded),
        ),
        one(
            "the second of these two over the first".to_owned(),
            "×",
            Goal::Less,
            per_hundred_of(seeded) / per_hundred(real),
        ),
        one(
            format!("of these {all} scenarios those that came out as expected"),
            "",
            Goal::AtLeast(all as f64),
            met(real) as f64,
        ),
        one(format!("frames dropped in all {all}"), "", Goal::AtMost(0.0), dropped as f64),
        one(
            "memory of the suite's largest process, a guest with MariaDB, PHP and Apache among them".to_owned(),
            "MB",
            Goal::Under(MEMORY_MB),
            real.run.peak_mb(),
        ),
    ]
}

fn details(real: &Called, seeded: Option<&Called>, kernel: &str) -> String {
    let frames = |called: &Called| called.reports.iter().map(|report| report.capture.frames).sum::<u64>();
    let mut text = format!(
        "## Every shipped scenario\n\n\
         In one call each under {kernel}, in real time four at once, by a seed two. \
         In real time {} scenarios took {} s; {} came out as expected; {} frames. ",
        real.reports.len(),
        shown(real.run.wall_ms / 1e3),
        met(real),
        frames(real),
    );
    // Writing to a String can't fail, here and below.
    if let Some(seeded) = seeded {
        write!(
            text,
            "By a seed {} (without {}) took {} s; {} came out as expected. ",
            seeded.reports.len(),
            IN_REAL_TIME.join(", "),
            shown(seeded.run.wall_ms / 1e3),
            met(seeded),
        )
        .unwrap_or_default();
    }
    let unexpected = |called: &Called| -> Vec<String> {
        called.reports.iter().filter(|report| !report.expected.met).map(|report| report.scenario.clone()).collect()
    };
    let mut others = unexpected(real);
    others.extend(seeded.map(unexpected).unwrap_or_default().into_iter().map(|name| format!("{name} by a seed")));
    if !others.is_empty() {
        write!(text, "Not as expected: {}. ", others.join(", ")).unwrap_or_default();
    }
    let total = |report: &Report| report.timing_ms.get("total").copied().unwrap_or(0.0);
    let totals = Samples::new(real.reports.iter().map(total).collect());
    write!(
        text,
        "One takes {} ms in the median.\n\nThe slowest ten in real time:\n\n\
         | scenario | verdict | ms | frames | dropped |\n|---|---|--:|--:|--:|\n",
        shown(totals.median()),
    )
    .unwrap_or_default();
    let mut slowest: Vec<&Report> = real.reports.iter().collect();
    slowest.sort_by(|a, b| total(b).total_cmp(&total(a)));
    for report in slowest.iter().take(SLOWEST) {
        let Capture { frames, dropped } = report.capture;
        writeln!(
            text,
            "| {} | {} | {} | {frames} | {dropped} |",
            report.scenario,
            report.verdict,
            shown(total(report))
        )
        .unwrap_or_default();
    }
    text
}
