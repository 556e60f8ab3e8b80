//! What a kernel module says of itself, and the list that `depmod` would make of it: packages of kernels come without.
//!
//! Owns: reading `.modinfo`, and the order of modules. Refuses: files; bytes come in. What is no module says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// A module: where it is below the folder of modules, and the names of those that it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Module {
    /// Its file.
    pub(super) path: String,
    /// What it needs, directly.
    pub(super) needs: Vec<String>,
}

/// A module's name from its file: without folder and endings, `-` written `_`.
pub(super) fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split('.').next().unwrap_or(file).replace('-', "_")
}

/// The names of the modules that a module needs, from its bytes.
pub(super) fn needs(elf: &[u8]) -> Vec<String> {
    let info = section(elf, ".modinfo").unwrap_or_default();
    let depends = info.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"depends="));
    let depends = String::from_utf8_lossy(depends.unwrap_or_default()).into_owned();
    depends.split(',').filter(|one| !one.is_empty()).map(name).collect()
}

/// The bytes of a section of a 64-bit little-endian ELF file.
fn section<'a>(elf: &'a [u8], wanted: &str) -> Option<&'a [u8]> {
    let number = |at: usize, bytes: usize| {
        let field = elf.get(at..at.checked_add(bytes)?)?;
        let value = field.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        usize::try_from(value).ok()
    };
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (table, size, count, names) = (number(0x28, 8)?, number(0x3a, 2)?, number(0x3c, 2)?, number(0x3e, 2)?);
    let header = |index: usize| table.checked_add(index.checked_mul(size)?);
    let content = |index: usize| {
        let header = header(index)?;
        let (offset, length) = (number(header.checked_add(0x18)?, 8)?, number(header.checked_add(0x20)?, 8)?);
        elf.get(offset..offset.checked_add(length)?)
    };
    let names = content(names)?;
    (0..count).find_map(|index| {
        let named = names.get(number(header(index)?, 4)?..)?.split(|byte| *byte == 0).next()?;
        (named == wanted.as_bytes()).then(|| content(index)).flatten()
    })
}

/// The text of `modules.dep`: of each module its file and all that it needs, what is to be loaded first farthest behind.
pub(super) fn modules_dep(modules: &BTreeMap<String, Module>) -> String {
    let mut text = String::new();
    for (name, module) in modules {
        let mut order = Vec::new();
        let mut seen = BTreeSet::from([name.clone()]);
        for needed in &module.needs {
            follow(modules, needed, &mut seen, &mut order);
        }
        // Writing to a string can't fail.
        write!(text, "{}:", module.path).unwrap_or_default();
        for path in order.iter().rev() {
            write!(text, " {path}").unwrap_or_default();
        }
        text.push('\n');
    }
    text
}

/// Puts what a module needs, and then itself, into the order in which they are loaded. One that is not there is built in.
fn follow<'a>(
    modules: &'a BTreeMap<String, Module>,
    name: &str,
    seen: &mut BTreeSet<String>,
    order: &mut Vec<&'a str>,
) {
    let Some(module) = modules.get(name) else { return };
    if !seen.insert(name.to_owned()) {
        return;
    }
    for needed in &module.needs {
        follow(modules, needed, seen, order);
    }
    order.push(&module.path);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Module, modules_dep, name, needs};

    /// An ELF file with a section of names and a `.modinfo`.
    fn module(info: &[u8]) -> Vec<u8> {
        let names = b"\0.names\0.modinfo\0";
        let (names_at, info_at) = (64, 64 + names.len());
        let table = info_at + info.len();
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[0x28..0x30].copy_from_slice(&(table as u64).to_le_bytes());
        elf[0x3a..0x40].copy_from_slice(&[64, 0, 2, 0, 0, 0]);
        elf.extend_from_slice(names);
        elf.extend_from_slice(info);
        for (named, at, length) in [(1_u32, names_at, names.len()), (8, info_at, info.len())] {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&named.to_le_bytes());
            header[0x18..0x20].copy_from_slice(&(at as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(length as u64).to_le_bytes());
            elf.extend_from_slice(&header);
        }
        elf
    }

    #[test]
    fn a_module_says_what_it_needs() {
        let elf = module(b"license=GPL\0depends=nf_conntrack,nf-defrag-ipv6\0name=ip_vs\0");
        assert_eq!(needs(&elf), ["nf_conntrack", "nf_defrag_ipv6"]);
        assert!(needs(&module(b"depends=\0")).is_empty());
    }

    #[test]
    fn whatever_is_cut_off_says_nothing_and_does_not_panic() {
        let elf = module(b"depends=a\0");
        for length in 0..elf.len() {
            assert!(needs(&elf[..length]).len() <= 1, "{length}");
        }
        assert!(needs(b"no module").is_empty());
        assert!(needs(&[0xff; 64].map(|_| 0xff)).is_empty());
    }

    #[test]
    fn what_is_loaded_first_stands_farthest_behind() {
        let modules = [("a", "b,c"), ("b", "c"), ("c", "d"), ("d", ""), ("e", "missing")].map(|(one, needs)| {
            let needs = needs.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect();
            (one.to_owned(), Module { path: format!("kernel/{one}.ko"), needs })
        });
        let text = modules_dep(&BTreeMap::from(modules));
        let wanted = [
            "kernel/a.ko: kernel/b.ko kernel/c.ko kernel/d.ko",
            "kernel/b.ko: kernel/c.ko kernel/d.ko",
            "kernel/c.ko: kernel/d.ko",
            "kernel/d.ko:",
            "kernel/e.ko:",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn modules_that_need_each_other_come_to_an_end() {
        let module = |path: &str, needs: &str| Module { path: path.into(), needs: vec![needs.into()] };
        let text = modules_dep(&BTreeMap::from([("a".into(), module("a.ko", "b")), ("b".into(), module("b.ko", "a"))]));
        assert_eq!(text, "a.ko: b.ko\nb.ko: a.ko\n");
    }

    #[test]
    fn a_compressed_file_has_the_modules_name() {
        assert_eq!(name("kernel/net/nf-log.ko.zst"), "nf_log");
    }
}
