//! The kernels that are here, as `drlab --kernel` names them.

use drlab::substrate::{Cache, Kernel, Substrate, kernels};

use crate::error::BenchError;

/// What there is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kernels {
    /// drlab's own.
    pub(crate) own: Option<Kernel>,
    /// Debian's User-Mode Linux.
    pub(crate) packaged: Option<Kernel>,
    /// Those of distributions, for virtual machines.
    pub(crate) machines: Vec<Kernel>,
}

/// Looks for them.
pub(crate) fn look() -> Result<Kernels, BenchError> {
    let doing = |error: &dyn std::error::Error| BenchError::lab("list the kernels that are here", error);
    let cache = Cache::locate().map_err(|error| doing(&error))?;
    let all = kernels::list(&cache).map_err(|error| doing(&error))?;
    let mut found = Kernels::default();
    for kernel in all {
        match kernel.substrate() {
            Substrate::Uml if kernel.is_own() => found.own = found.own.or(Some(kernel)),
            Substrate::Uml => found.packaged = found.packaged.or(Some(kernel)),
            _ => found.machines.push(kernel),
        }
    }
    Ok(found)
}

impl Kernels {
    /// drlab's own where it is here, else Debian's.
    pub(crate) fn quickest(&self) -> Option<&Kernel> {
        self.own.as_ref().or(self.packaged.as_ref())
    }

    /// One for each series that is here, for a table of them all.
    pub(crate) fn of_each_series(&self) -> Vec<&Kernel> {
        let mut chosen: Vec<&Kernel> = Vec::new();
        for kernel in self.own.iter().chain(&self.packaged).chain(&self.machines) {
            let alike = |one: &&Kernel| one.substrate() == kernel.substrate() && series(one) == series(kernel);
            if !chosen.iter().any(alike) {
                chosen.push(kernel);
            }
        }
        chosen
    }
}

/// `6.12` of `6.12.117-drlab`.
fn series(kernel: &Kernel) -> String {
    kernel.version.split(['.', '-', '+']).take(2).collect::<Vec<_>>().join(".")
}
