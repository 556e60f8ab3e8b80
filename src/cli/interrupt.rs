//! Ctrl-C: the first ends every guest, so that whoever waits for one hears of it and cleans up; the second leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

use crate::substrate::{Guest, Killer};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends every guest that was started.
static KILLERS: Mutex<Vec<Killer>> = Mutex::new(Vec::new());

/// Remembers a guest, so that Ctrl-C ends it.
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

/// Begins to watch for SIGINT and SIGTERM; to be called before any other thread starts.
pub fn watch() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGHUP);
    if signals.thread_block().is_err() {
        // Then a signal ends the process at once, and the guests with it.
        return;
    }
    let spawned = thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while signals.wait().is_ok() {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                super::complain("drlab: left at once; `drlab run` sweeps what remains in the cache folder next time");
                std::process::exit(i32::from(super::Exit::Interrupted.code()));
            }
            end_all();
        }
    });
    if spawned.is_err() && signals.thread_unblock().is_err() {
        super::complain("drlab: Ctrl-C can't be watched for; use kill");
    }
}
