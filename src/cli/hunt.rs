//! `drlab hunt`: seeds in, those under which a scenario's expectations break out.
//!
//! Every run is one by a seed, so that what is found is found again by `drlab run --seed`. Errs towards telling less: a
//! seed under which the lab could not run ends the hunt.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::exit::Exit;
use super::progress::Progress;
use super::run::{self, Ground, Line, lock};
use super::{HuntArguments, RunArguments, SubstrateChoice, complain, complain_of, interrupt, print};
use crate::plan::Plan;
use crate::report::{Report, RunVerdict};
use crate::substrate::Substrate;

/// Seeds from a first to a last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    first: u64,
    last: u64,
}

/// The most seeds of one hunt.
const MOST_SEEDS: u64 = 1_000_000;

/// Reads `1..100`, or a single seed.
pub fn parse_seeds(text: &str) -> Result<Seeds, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let number = |text: &str| text.trim_start_matches('=').parse::<u64>().map_err(|error| format!("`{text}`: {error}"));
    let (first, last) = (number(first)?, number(last)?);
    if last < first {
        return Err("the last seed comes before the first".to_owned());
    }
    if last - first >= MOST_SEEDS {
        return Err(format!("at most {MOST_SEEDS} seeds"));
    }
    Ok(Seeds { first, last })
}

/// Reads milliseconds; gives microseconds.
pub fn parse_jitter(text: &str) -> Result<u32, String> {
    let ms: f64 = text.parse().map_err(|_| "milliseconds are wanted, as 2 or 0.25".to_owned())?;
    if !(0.0..=1000.0).contains(&ms) {
        return Err("0 to 1000 milliseconds".to_owned());
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded just above")]
    Ok((ms * 1e3).round() as u32)
}

/// What a hunt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hunted {
    seeds: Seeds,
    jitter_us: u32,
    /// What was not as expected, by seed.
    broken: BTreeMap<u64, Vec<String>>,
    /// The smallest jitter, in microseconds, that was found to break the first of them.
    smallest_us: Option<u32>,
}

/// A seed's run that came to nothing, with how the program ends for it.
struct Failed(Exit);

/// Runs what the arguments say.
pub fn hunt(arguments: &HuntArguments) -> Exit {
    let typed = match run::typed_plans(std::slice::from_ref(&arguments.scenario)) {
        Ok(typed) => typed,
        Err(exit) => return exit,
    };
    let [(plan, typed)] = typed.as_slice() else {
        complain(&format!("drlab: `{}` is {} scenarios; hunt takes one", arguments.scenario, typed.len()));
        return Exit::Usage;
    };
    interrupt::watch();
    let progress = Mutex::new(Progress::new(arguments.lab.quiet));
    let ground = run::prepare(Substrate::Uml, std::slice::from_ref(plan), None, &progress)
        .and_then(|ground| ground.seeded(Some(arguments.seeds.first)));
    let ground = match ground {
        Ok(ground) => ground,
        Err(error) => {
            lock(&progress).clear();
            complain_of(&*error);
            return Exit::Lacking;
        }
    };
    interrupt::labs_begin();
    let lab = Trial { arguments, plan, typed, ground: &ground, progress: &progress };
    let hunted = lab.all();
    lock(&progress).clear();
    match hunted {
        _ if interrupt::interrupted() => Exit::Interrupted,
        Err(Failed(exit)) => exit,
        Ok(hunted) => {
            print(&render(&hunted, typed));
            if hunted.broken.is_empty() { Exit::AsExpected } else { Exit::Broken }
        }
    }
}

/// How a seed is tried.
struct Trial<'a> {
    arguments: &'a HuntArguments,
    plan: &'a Plan,
    typed: &'a str,
    ground: &'a Ground,
    progress: &'a Mutex<Progress>,
}

impl Trial<'_> {
    fn all(&self) -> Result<Hunted, Failed> {
        let HuntArguments { seeds, jitter, lab, .. } = *self.arguments;
        let jobs = lab.jobs();
        let (next, done) = (AtomicU64::new(seeds.first), AtomicUsize::new(0));
        let broken = Mutex::new(BTreeMap::new());
        let failed = Mutex::new(None);
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed > seeds.last || lock_of(&failed).is_some() || interrupt::interrupted() {
                    break;
                }
                match self.differences(seed, jitter) {
                    Ok(differences) if differences.is_empty() => {}
                    Ok(differences) => drop(lock_of(&broken).insert(seed, differences)),
                    Err(why) => drop(lock_of(&failed).replace(why)),
                }
                let (done, found) = (done.fetch_add(1, Ordering::Relaxed) + 1, lock_of(&broken).len());
                lock(self.progress).step(&format!("{done} of {} seeds, {found} break", seeds.count()));
            }
        };
        thread::scope(|scope| {
            for _ in 0..jobs {
                scope.spawn(work);
            }
        });
        if let Some(failed) = failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            return Err(failed);
        }
        let broken = broken.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let first = broken.keys().next().copied().filter(|_| !interrupt::interrupted());
        let smallest_us = first.map(|seed| self.shrink(seed, jitter)).transpose()?;
        Ok(Hunted { seeds, jitter_us: jitter, broken, smallest_us })
    }

    /// Halves the jitter's range until it is a microsecond wide. Between the ends it may hold and break in turn; what is
    /// found breaks, and a microsecond less does not.
    fn shrink(&self, seed: u64, breaks_us: u32) -> Result<u32, Failed> {
        if !self.differences(seed, 0)?.is_empty() {
            return Ok(0);
        }
        let (mut holds, mut breaks) = (0, breaks_us);
        while breaks - holds > 1 && !interrupt::interrupted() {
            let middle = holds + (breaks - holds) / 2;
            lock(self.progress).step(&format!("shrinking seed {seed}: {middle} µs"));
            if self.differences(seed, middle)?.is_empty() {
                holds = middle;
            } else {
                breaks = middle;
            }
        }
        Ok(breaks)
    }

    /// What is not as expected under a seed.
    fn differences(&self, seed: u64, jitter_us: u32) -> Result<Vec<String>, Failed> {
        let arguments = RunArguments {
            seed: Some(seed),
            jitter: Some(jitter_us),
            ..RunArguments::silent(SubstrateChoice::Uml, self.arguments.lab)
        };
        let silent = Mutex::new(Progress::new(true));
        let mut watcher = Line::new(&silent, String::new());
        let (report, exit): (Report, Exit) = run::run_one(&arguments, self.plan, self.typed, self.ground, &mut watcher);
        if report.verdict == RunVerdict::NotRun {
            if !interrupt::interrupted() {
                complain(&format!("drlab: seed {seed}: {}", report.failure.join("\n  caused by: ")));
            }
            return Err(Failed(exit));
        }
        Ok(if report.expected.met { Vec::new() } else { report.expected.differences })
    }
}

fn lock_of<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Seeds {
    fn count(self) -> u64 {
        self.last - self.first + 1
    }
}

/// How many seeds are named.
const NAMED_SEEDS: usize = 20;

/// The hunt as people read it.
fn render(hunted: &Hunted, typed: &str) -> String {
    let Hunted { seeds, jitter_us, broken, smallest_us } = hunted;
    let mut text = String::new();
    let (count, found) = (seeds.count(), broken.len());
    // Writing to a string can't fail.
    let mut line = |line: String| writeln!(text, "{line}").unwrap_or_default();
    line(format!("{typed}: seeds {} to {}, jitter up to {}", seeds.first, seeds.last, ms(*jitter_us)));
    let Some(first) = broken.keys().next() else {
        line(format!("all {count} seeds are as expected"));
        return text;
    };
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    let share = 100.0 * found as f64 / count as f64;
    line(format!("{found} of {count} seeds break what is expected ({share:.0} %)"));
    let named: Vec<String> = broken.keys().take(NAMED_SEEDS).map(u64::to_string).collect();
    let more = if found > NAMED_SEEDS { format!(" and {} more", found - NAMED_SEEDS) } else { String::new() };
    line(format!("  seeds   {}{more}", named.join(" ")));
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for difference in broken.values().flatten() {
        *kinds.entry(difference).or_default() += 1;
    }
    let mut kinds: Vec<(&str, usize)> = kinds.into_iter().collect();
    kinds.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    for (kind, times) in kinds {
        line(format!("  {times:>5} × {kind}"));
    }
    let jitter = smallest_us.unwrap_or(*jitter_us);
    if let Some(smallest) = smallest_us {
        line(match smallest {
            0 => format!("  seed {first} breaks without any jitter"),
            us => format!("  seed {first} breaks with jitter up to {}, and not with {}", ms(*us), ms(us - 1)),
        });
    }
    let jitter = if jitter == 0 { String::new() } else { format!(" --jitter {}", f64::from(jitter) / 1e3) };
    line(format!("next    drlab run {typed} --seed {first}{jitter}   # the same each time"));
    text
}

fn ms(us: u32) -> String {
    format!("{} ms", f64::from(us) / 1e3)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::{Hunted, Seeds, parse_jitter, parse_seeds, render};

    #[test]
    fn seeds_are_a_range_with_its_end_or_a_single_one() {
        assert_eq!(parse_seeds("1..100"), Ok(Seeds { first: 1, last: 100 }));
        assert_eq!(parse_seeds("7"), Ok(Seeds { first: 7, last: 7 }));
        assert!(parse_seeds("9..3").is_err() && parse_seeds("a..b").is_err() && parse_seeds("").is_err());
    }

    #[test]
    fn jitter_is_in_milliseconds_and_kept_to_the_microsecond() {
        assert_eq!(parse_jitter("2"), Ok(2000));
        assert_eq!(parse_jitter("0.213"), Ok(213));
        assert!(parse_jitter("-1").is_err() && parse_jitter("nan").is_err() && parse_jitter("2000").is_err());
    }

    #[test]
    fn what_is_found_comes_with_its_share_and_with_how_to_see_it_again() {
        let broken = [(3, vec!["via-director".to_owned(), "http".to_owned()]), (9, vec!["via-director".to_owned()])];
        let hunted = Hunted {
            seeds: Seeds { first: 1, last: 10 },
            jitter_us: 2000,
            broken: broken.into(),
            smallest_us: Some(213),
        };
        assert_snapshot!(render(&hunted, "races/first-answer"), @r"
        races/first-answer: seeds 1 to 10, jitter up to 2 ms
        2 of 10 seeds break what is expected (20 %)
          seeds   3 9
              2 × via-director
              1 × http
          seed 3 breaks with jitter up to 0.213 ms, and not with 0.212 ms
        next    drlab run races/first-answer --seed 3 --jitter 0.213   # the same each time
        ");
        let none = Hunted { broken: [].into(), smallest_us: None, ..hunted };
        assert!(render(&none, "x").ends_with("all 10 seeds are as expected\n"));
    }
}
