//! A `drlab kernel fetch` whose `apt-get` waits until it is let go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::program::{Place, Said, take_signals_as_usual};

/// How long anything here may take.
const SOON: Duration = Duration::from_secs(10);

pub(crate) struct Fetching {
    child: Child,
    fetcher: Pid,
    go: PathBuf,
}

impl Fetching {
    /// Starts it with signals that it is to ignore, and waits until it fetches.
    pub(crate) fn begin(place: &Place, ignored: &[&str]) -> Self {
        take_signals_as_usual();
        let (number, go) = (place.path("number"), place.path("go"));
        let wait = format!("while [ ! -e {go} ]; do sleep 0.01; done");
        place.script(
            "apt-get",
            &format!("echo $$ > {number}.new; mv {number}.new {number}; {wait}; echo E: planted; exit 1"),
        );
        let drlab = env!("CARGO_BIN_EXE_drlab");
        let ignore =
            if ignored.is_empty() { "trap - INT HUP".to_owned() } else { format!("trap '' {}", ignored.join(" ")) };
        let script = format!("{ignore}; PATH={}:$PATH exec {drlab} kernel fetch", place.path("bin"));
        let child = place.with("sh", &["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let fetcher = until("apt-get is called", || fs::read_to_string(&number).ok()?.trim().parse().ok());
        Self { child, fetcher: Pid::from_raw(fetcher), go: go.into() }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    pub(crate) fn lets_go(&self) {
        fs::write(&self.go, "").unwrap();
    }

    /// Waits for its end and for that of its `apt-get`.
    pub(crate) fn ends(mut self) -> Said {
        until("it ends", || self.child.try_wait().unwrap());
        let stat = format!("/proc/{}/stat", self.fetcher);
        until("its apt-get ends", || match fs::read_to_string(Path::new(&stat)) {
            Ok(text) if !text.contains(") Z ") => None,
            _ => Some(()),
        });
        Said::of(self.child.wait_with_output().unwrap())
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < SOON, "{what}: not within {SOON:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
