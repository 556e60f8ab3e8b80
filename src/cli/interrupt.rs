//! Ctrl-C: the first ends every guest, so that whoever waits for one hears of it and cleans up; the second leaves, and
//! so does the first where no guest was started yet.
//!
//! A signal that whoever started us had ignored stays ignored, as `nohup` and shells' background jobs want it.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::substrate::{Cache, Guest, Killer, cache};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether there may be something to take down.
static STANDING: AtomicBool = AtomicBool::new(false);

/// Ends every guest that was started.
static KILLERS: Mutex<Vec<Killer>> = Mutex::new(Vec::new());

/// Remembers a guest from its first moment on, so that Ctrl-C ends it.
pub fn started(guest: &Guest) {
    let mut killers = KILLERS.lock().unwrap_or_else(PoisonError::into_inner);
    killers.push(guest.killer());
    if interrupted() {
        guest.kill();
    }
}

fn end_all() {
    for killer in KILLERS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        killer.kill();
    }
}

/// Whether the user wants to stop.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

/// From here on there may be something to take down: the first Ctrl-C ends the guests and lets the main thread leave.
pub fn labs_begin() {
    STANDING.store(true, Ordering::SeqCst);
}

/// Begins to watch for SIGINT, SIGTERM and SIGHUP; to be called before any other thread starts.
pub fn watch() {
    let mut signals = SigSet::empty();
    let ignored = ignored();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        if ignored & (1 << (signal as i32 - 1)) == 0 {
            signals.add(signal);
        }
    }
    if signals.thread_block().is_err() {
        // Then a signal ends the process at once, and the guests with it.
        return;
    }
    let spawned = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while signals.wait().is_ok() {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                end_all();
                leave(&left_at_once());
            }
            if !STANDING.load(Ordering::SeqCst) {
                leave("drlab: interrupted; no lab was begun");
            }
            end_all();
        }
    });
    if spawned.is_err() && signals.thread_unblock().is_err() {
        super::complain("drlab: Ctrl-C can't be watched for; use kill");
    }
}

/// What a second signal leaves behind: the guests are killed, the folders of their runs may be there.
fn left_at_once() -> String {
    let remains = Cache::locate().map(|cache| cache::remains(&cache)).unwrap_or_default();
    if remains.is_empty() {
        return "drlab: left at once; nothing remains".to_owned();
    }
    let folders: Vec<String> = remains.iter().map(|path| format!("\n  {}", path.display())).collect();
    format!("drlab: left at once; this remains, and the next `drlab run` removes it:{}", folders.concat())
}

/// Ends the process here and now; all that it started ends with it.
fn leave(why: &str) -> ! {
    super::complain(why);
    std::process::exit(i32::from(super::Exit::Interrupted.code()))
}

/// The signals that this process ignores from its start on, as the kernel writes them; none where it can't be read.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).map(str::trim);
    mask.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or_default()
}
