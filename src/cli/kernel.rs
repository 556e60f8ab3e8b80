//! `drlab kernel`: the kernels that hold labs.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{Exit, complain, complain_of, interrupt, print};
use crate::lab::{Lab, LabError, Silent};
use crate::substrate::cache::RunFolder;
use crate::substrate::own::{self, OwnError};
use crate::substrate::qemu::Qemu;
use crate::substrate::{Cache, CacheError, Kernel, KernelError, StartOptions, Substrate, kernels};

/// Why a command could not be run in a guest.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("could not make a folder for the guest")]
    Cache(#[from] CacheError),
    #[error("found no kernel to start")]
    Kernel(#[from] KernelError),
    #[error(transparent)]
    Lab(#[from] LabError),
}

impl RunError {
    fn exit(&self) -> Exit {
        match self {
            Self::Lab(LabError::TooLong { .. }) => Exit::Usage,
            Self::Lab(error) if !error.is_lack() => Exit::Lab,
            Self::Cache(_) | Self::Kernel(_) | Self::Lab(_) => Exit::Lacking,
        }
    }
}

/// Prints the kernels that are there, the one that would be taken first.
pub fn list() -> Exit {
    told(Cache::locate().map_err(KernelError::from).and_then(|cache| kernels::list(&cache)), |kernels| table(&kernels))
}

/// Fetches kernels, or QEMU, and prints where each is; stops at the first that can't be had.
pub fn fetch(what: &[String]) -> Exit {
    interrupt::watch();
    for one in what {
        let exit = told(fetch_one(one), |path| format!("{}\n", path.display()));
        if exit != Exit::AsExpected {
            return exit;
        }
    }
    Exit::AsExpected
}

fn fetch_one(what: &str) -> Result<PathBuf, KernelError> {
    let cache = Cache::locate()?;
    let mut tell = |line: &str| complain(&format!("drlab: {line}"));
    Ok(match what {
        "uml" => kernels::fetch(&cache, &mut tell)?.image,
        "qemu" => Qemu::find_or_fetch(&cache, &mut tell)?.program,
        series => kernels::fetch_series(&cache, series.trim_start_matches("debian-"), &mut tell)?.image,
    })
}

/// Builds drlab's own kernel and prints where it is.
pub fn build(newest: bool) -> Exit {
    interrupt::watch();
    let built = Cache::locate()
        .map_err(OwnError::from)
        .and_then(|cache| own::build(&cache, newest, &mut |line| complain(&format!("drlab: {line}"))));
    told(built, |built| format!("{}\n", built.image.display()))
}

/// Prints the path of the kernel that would be taken.
pub fn path() -> Exit {
    let chosen = Cache::locate().map_err(KernelError::from).and_then(|cache| kernels::chosen(&cache));
    told(chosen, |kernel| format!("{}\n", kernel.image.display()))
}

/// Boots the kernel, runs a command in it, and passes its output on. A status other than 0 is told, and is exit code 1.
pub fn run(kernel: Option<&str>, writable: Option<&Path>, memory_mib: u32, argv: Vec<String>) -> Exit {
    interrupt::watch();
    match run_in_guest(kernel, writable, memory_mib, argv) {
        _ if interrupt::interrupted() => {
            complain("drlab: interrupted; the guest was ended");
            Exit::Interrupted
        }
        Ok(exit) => exit,
        Err(error) => {
            complain_of(&error);
            error.exit()
        }
    }
}

fn run_in_guest(
    kernel: Option<&str>,
    writable: Option<&Path>,
    memory_mib: u32,
    argv: Vec<String>,
) -> Result<Exit, RunError> {
    let cache = Cache::locate()?;
    let mut tell = |line: &str| complain(&format!("drlab: {line}"));
    let kernel = match kernel {
        Some(name) => kernels::called(&cache, name)?,
        None => kernels::chosen_or_fetched(&cache, &mut tell)?,
    };
    let kind = kernel.substrate();
    if kind == Substrate::Qemu {
        Qemu::find_or_fetch(&cache, &mut tell).map_err(KernelError::from)?;
    }
    // Without a folder to write to the guest gets one that goes away with it.
    let own = writable.is_none().then(|| RunFolder::make(&cache)).transpose()?;
    let output = writable.or(own.as_ref().map(RunFolder::path)).unwrap_or(Path::new("/nonexistent"));
    let on_spawn: fn(&_) = interrupt::started;
    let options = StartOptions {
        memory_mib,
        kernel: Some(kernel),
        on_spawn: Some(on_spawn),
        programs: argv.clone(),
        ..StartOptions::new(output)
    };
    interrupt::labs_begin();
    let mut lab = Lab::start(kind, &options)?;
    let executed = lab.execute(argv)?;
    print(&executed.stdout);
    if !executed.stderr.is_empty() {
        complain(executed.stderr.trim_end());
    }
    if executed.status != 0 {
        complain(&format!("drlab: the command ended with status {}", executed.status));
    }
    lab.tear_down(&mut Silent)?;
    Ok(if executed.status == 0 { Exit::AsExpected } else { Exit::Broken })
}

fn told<T, E: std::error::Error>(result: Result<T, E>, text: impl FnOnce(T) -> String) -> Exit {
    match result {
        Ok(value) => {
            print(&text(value));
            Exit::AsExpected
        }
        Err(error) => {
            complain_of(&error);
            Exit::Lacking
        }
    }
}

/// The list as people read it.
pub fn table(kernels: &[Kernel]) -> String {
    if kernels.is_empty() {
        return "No kernel for labs is here. `drlab kernel fetch` fetches User-Mode Linux, without root; \
                `drlab run` does so by itself. `drlab kernel build` builds a faster one.\n"
            .to_owned();
    }
    let width = kernels.iter().map(|kernel| kernel.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    let mut taken = Vec::new();
    for kernel in kernels {
        let mark = if taken.contains(&kernel.substrate()) { ' ' } else { '*' };
        taken.push(kernel.substrate());
        // Writing to a string can't fail.
        writeln!(text, "{mark} {:width$}  {} ({})", kernel.name, kernel.image.display(), kernel.origin)
            .unwrap_or_default();
        if kernel.modules.is_none() && !kernel.is_own() {
            writeln!(text, "  {:width$}  has no modules beside it, so it must have everything built in", "")
                .unwrap_or_default();
        }
    }
    text.push_str("* is taken unless --kernel or DRLAB_KERNEL names another");
    text.push_str(if taken.contains(&Substrate::Qemu) { "; vmlinuz is for --substrate qemu\n" } else { "\n" });
    text
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::table;
    use crate::substrate::Kernel;
    use crate::substrate::kernels::Origin;

    #[test]
    fn the_list_marks_the_kernel_that_is_taken() {
        let kernel = |version: &str, modules: Option<&str>, origin| Kernel {
            name: format!("uml-{version}"),
            version: version.into(),
            image: format!("/cache/{version}/linux.uml").into(),
            modules: modules.map(Into::into),
            origin,
        };
        let text = table(&[
            kernel("6.12.48", None, Origin::Named),
            Kernel {
                name: "drlab-6.12.117".into(),
                ..kernel("6.12.117-drlab", None, Origin::Built("6.12.117-1".into()))
            },
            kernel("6.1.176", Some("/m"), Origin::Fetched("user-mode-linux_6.1um4_amd64".into())),
        ]);
        assert_snapshot!(text, @r"
        * uml-6.12.48     /cache/6.12.48/linux.uml (named by DRLAB_KERNEL)
                          has no modules beside it, so it must have everything built in
          drlab-6.12.117  /cache/6.12.117-drlab/linux.uml (built here: linux-source-6.12 6.12.117-1)
          uml-6.1.176     /cache/6.1.176/linux.uml (fetched: user-mode-linux_6.1um4_amd64)
        * is taken unless --kernel or DRLAB_KERNEL names another
        ");
    }

    #[test]
    fn of_each_substrate_the_kernel_that_is_taken_is_marked() {
        let kernel = |name: &str, image: &str| Kernel {
            name: name.into(),
            version: name.into(),
            image: image.into(),
            modules: Some("/m".into()),
            origin: Origin::System,
        };
        let text = table(&[
            kernel("uml-6.1.176", "/usr/bin/linux.uml"),
            kernel("debian-6.12.117", "/a/vmlinuz-6.12"),
            kernel("debian-6.1.192", "/b/vmlinuz-6.1"),
        ]);
        assert_snapshot!(text, @r"
        * uml-6.1.176      /usr/bin/linux.uml (installed on this machine)
        * debian-6.12.117  /a/vmlinuz-6.12 (installed on this machine)
          debian-6.1.192   /b/vmlinuz-6.1 (installed on this machine)
        * is taken unless --kernel or DRLAB_KERNEL names another; vmlinuz is for --substrate qemu
        ");
    }

    #[test]
    fn an_empty_list_says_how_to_get_one() {
        assert!(table(&[]).contains("drlab kernel fetch"));
    }
}
