//! Whether this machine's processor runs guests itself (KVM), or every instruction is translated (TCG).
//!
//! Owns: the answer, which only a guest can give: `/dev/kvm` may be there and refuse what an ordinary kernel does, or let it
//! hang without a word. So a real one is started once, and what came of it is kept until the machine boots anew. Errs
//! towards TCG, which works everywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{StartError, StartOptions, spawn};
use crate::substrate::cache::{Cache, RunFolder};
use crate::substrate::kernels::Kernel;

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// This machine's processor.
    Kvm,
    /// Translation.
    Tcg,
}

const DEVICE: &str = "/dev/kvm";

/// How long a guest under KVM may take until hello; one that works takes a second or two.
const PROBE_WITHIN: Duration = Duration::from_secs(8);

impl Accelerator {
    pub(super) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            // The guest's clock counts its own instructions, 4 ns each, so that it stands while others have the processor:
            // on a busy machine a request would otherwise time out for no fault of the lab's.
            Self::Tcg => {
                &["-accel", "tcg,thread=single", "-cpu", "max", "-icount", "shift=2,sleep=on", "-rtc", "clock=vm"]
            }
        }
    }

    /// What of this machine it has to write to.
    pub(super) fn device(self) -> Option<PathBuf> {
        (self == Self::Kvm).then(|| DEVICE.into())
    }

    fn word(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        }
    }
}

impl std::fmt::Display for Accelerator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
        })
    }
}

/// What runs guests here, found out by starting one where it is not known yet.
///
/// # Errors
/// [`StartError`] where a guest can't even be tried.
pub fn accelerator(kernel: &Kernel, cache: &Cache) -> Result<Accelerator, StartError> {
    if let Some(known) = known_accelerator(kernel, cache) {
        return Ok(known);
    }
    let folder = RunFolder::make(cache)?;
    let options = StartOptions::new(folder.path());
    let mut guest = spawn(kernel, Accelerator::Kvm, &options, cache)?;
    let found = if guest.greet(PROBE_WITHIN).is_ok() { Accelerator::Kvm } else { Accelerator::Tcg };
    drop(guest);
    keep(kernel, cache, found)?;
    Ok(found)
}

/// The same where it is known: without the device nothing has to be tried.
pub fn known_accelerator(kernel: &Kernel, cache: &Cache) -> Option<Accelerator> {
    if fs::OpenOptions::new().read(true).write(true).open(DEVICE).is_err() {
        return Some(Accelerator::Tcg);
    }
    let text = fs::read_to_string(cache.root().join("accelerators")).ok()?;
    answer(&text, &boot_id(), &kernel.name)
}

fn answer(text: &str, boot: &str, kernel: &str) -> Option<Accelerator> {
    let mut lines = text.lines();
    if lines.next()? != boot {
        return None;
    }
    let word = lines.filter_map(|line| line.split_once(' ')).find(|(_, of)| *of == kernel)?.0;
    [Accelerator::Kvm, Accelerator::Tcg].into_iter().find(|one| one.word() == word)
}

fn keep(kernel: &Kernel, cache: &Cache, found: Accelerator) -> Result<(), StartError> {
    let path = cache.root().join("accelerators");
    let boot = boot_id();
    let earlier = fs::read_to_string(&path).unwrap_or_default();
    let kept = if earlier.lines().next() == Some(boot.as_str()) { earlier } else { format!("{boot}\n") };
    fs::write(&path, format!("{kept}{} {}\n", found.word(), kernel.name))
        .map_err(|source| StartError::Io { what: "note what runs guests here", source })
}

/// A number that the machine has until it boots anew.
fn boot_id() -> String {
    let text = fs::read_to_string(Path::new("/proc/sys/kernel/random/boot_id")).unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::{Accelerator, answer};

    #[test]
    fn what_was_found_holds_until_the_machine_boots_anew() {
        let text = "boot-1\nkvm debian-6.1.1\ntcg debian-5.10.2\n";
        assert_eq!(answer(text, "boot-1", "debian-6.1.1"), Some(Accelerator::Kvm));
        assert_eq!(answer(text, "boot-1", "debian-5.10.2"), Some(Accelerator::Tcg));
        assert_eq!(answer(text, "boot-1", "debian-6.12.1"), None);
        assert_eq!(answer(text, "boot-2", "debian-6.1.1"), None);
        assert_eq!(answer("", "boot-1", "debian-6.1.1"), None);
    }
}
