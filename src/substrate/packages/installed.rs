//! What an installation would leave behind in a tree of unpacked packages, for those whose scripts do more than start them.
//!
//! Owns: accounts, the links by which Apache, nginx and PHP have modules and sites enabled, the files that packages copy
//! into `/etc`, default pages. Refuses: running a package's scripts, which act on the machine. A package that is not
//! known here has what it was packed with and no more.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::{PackageError, io_on};

/// Puts into a tree what an installation of its packages would.
pub(super) fn complete(tree: &Path) -> Result<(), PackageError> {
    accounts(tree)?;
    php(tree)?;
    apache(tree)?;
    nginx(tree)?;
    mysql(tree)
}

/// Accounts that packages make for themselves: a program whose presence tells, the account, and its home.
const ACCOUNTS: [(&str, &str, &str); 1] = [("usr/sbin/mariadbd", "mysql", "/nonexistent")];

/// The first number tried for an account; those below are Debian's own.
const FIRST_NUMBER: u32 = 900;

fn accounts(tree: &Path) -> Result<(), PackageError> {
    let wanted: Vec<_> = ACCOUNTS.iter().filter(|(program, ..)| tree.join(program).exists()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let (mut users, mut groups) = (read(Path::new("/etc/passwd"))?, read(Path::new("/etc/group"))?);
    for (_, name, home) in wanted {
        let number = free_number(&users, &groups);
        if !has(&groups, name) {
            let group = format!("{name}:x:{number}:\n");
            groups += &group;
        }
        if !has(&users, name) {
            let user = format!("{name}:x:{number}:{number}::{home}:/bin/false\n");
            users += &user;
        }
    }
    write(&tree.join("etc/passwd"), &users)?;
    write(&tree.join("etc/group"), &groups)
}

/// Whether a text like that of `/etc/passwd` has an entry of this name.
fn has(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.split(':').next() == Some(name))
}

fn free_number(users: &str, groups: &str) -> u32 {
    let taken = |number: u32| {
        let number = number.to_string();
        users.lines().chain(groups.lines()).any(|line| line.split(':').nth(2) == Some(&number))
    };
    (FIRST_NUMBER..=u32::from(u16::MAX)).find(|number| !taken(*number)).unwrap_or(FIRST_NUMBER)
}

/// PHP's settings for each of its programs, its extensions, and the plain name of its program.
fn php(tree: &Path) -> Result<(), PackageError> {
    for version in names(&tree.join("etc/php")) {
        let own = tree.join("etc/php").join(&version);
        let available = own.join("mods-available");
        for package in names(&tree.join("usr/share")).iter().filter(|name| name.starts_with(&format!("php{version}-")))
        {
            for part in folders(&tree.join("usr/share").join(package)) {
                for file in names(&part).iter().filter(|name| {
                    std::path::Path::new(name).extension().is_some_and(|ext| ext.eq_ignore_ascii_case("ini"))
                }) {
                    copy(&part.join(file), &available.join(file))?;
                }
            }
        }
        let programs = names(&own).into_iter().filter(|name| own.join(name).join("conf.d").is_dir());
        for program in programs.map(|name| own.join(name)) {
            let settings = tree.join("usr/lib/php").join(&version);
            let cli = settings.join("php.ini-production.cli");
            let is_cli = program.ends_with("cli") && cli.is_file();
            let settings = if is_cli { cli } else { settings.join("php.ini-production") };
            if settings.is_file() {
                copy(&settings, &program.join("php.ini"))?;
            }
            for file in names(&available) {
                let Some(extension) = file.strip_suffix(".ini") else { continue };
                let text = read(&available.join(&file))?;
                let link = program.join("conf.d").join(format!("{}-{extension}.ini", priority(&text)));
                linked(&format!("/etc/php/{version}/mods-available/{file}"), &link)?;
            }
        }
        if tree.join("usr/bin").join(format!("php{version}")).is_file() {
            linked(&format!("php{version}"), &tree.join("usr/bin/php"))?;
        }
    }
    Ok(())
}

/// The number that orders an extension among the others: `; priority=10`.
fn priority(text: &str) -> &str {
    text.lines().find_map(|line| line.strip_prefix("; priority=")).map_or("20", str::trim)
}

/// The modules that Debian's Apache comes up with, and what they depend on.
const APACHE_MODULES: [&str; 16] = [
    "authn_core",
    "authz_core",
    "authz_host",
    "auth_basic",
    "access_compat",
    "authn_file",
    "authz_user",
    "alias",
    "dir",
    "autoindex",
    "env",
    "mime",
    "negotiation",
    "setenvif",
    "filter",
    "deflate",
];

/// Those that are enabled after them.
const APACHE_MORE: [&str; 2] = ["status", "reqtimeout"];

const APACHE_SETTINGS: [&str; 5] =
    ["charset", "localized-error-pages", "other-vhosts-access-log", "security", "serve-cgi-bin"];

fn apache(tree: &Path) -> Result<(), PackageError> {
    let own = tree.join("etc/apache2");
    if !own.join("mods-available").is_dir() {
        return Ok(());
    }
    let php = names(&own.join("mods-available")).into_iter().find_map(|name| {
        let module = name.strip_suffix(".load")?;
        module.starts_with("php").then(|| module.to_owned())
    });
    // PHP is not made for threads, so its package changes Apache's way of working.
    let processes = if php.is_some() { "mpm_prefork" } else { "mpm_event" };
    let modules = APACHE_MODULES.into_iter().chain(APACHE_MORE).chain([processes]).chain(php.as_deref());
    for module in modules {
        for file in [format!("{module}.load"), format!("{module}.conf")] {
            enabled(&own, "mods", &file)?;
        }
    }
    for settings in APACHE_SETTINGS {
        enabled(&own, "conf", &format!("{settings}.conf"))?;
    }
    enabled(&own, "sites", "000-default.conf")?;
    page(tree, "usr/share/apache2/default-site/index.html", "index.html")
}

/// `a2enmod` and its like: a link from what is enabled to what is available.
fn enabled(own: &Path, kind: &str, file: &str) -> Result<(), PackageError> {
    if !own.join(format!("{kind}-available")).join(file).is_file() {
        return Ok(());
    }
    linked(&format!("../{kind}-available/{file}"), &own.join(format!("{kind}-enabled")).join(file))
}

fn nginx(tree: &Path) -> Result<(), PackageError> {
    if !tree.join("etc/nginx/sites-available/default").is_file() {
        return Ok(());
    }
    linked("/etc/nginx/sites-available/default", &tree.join("etc/nginx/sites-enabled/default"))?;
    page(tree, "usr/share/nginx/html/index.html", "index.nginx-debian.html")
}

/// A default page, where both the tree and the machine have none of that name.
fn page(tree: &Path, from: &str, name: &str) -> Result<(), PackageError> {
    let place = Path::new("var/www/html").join(name);
    if !tree.join(from).is_file() || Path::new("/").join(&place).exists() {
        return Ok(());
    }
    copy(&tree.join(from), &tree.join(place))
}

fn mysql(tree: &Path) -> Result<(), PackageError> {
    if !tree.join("etc/mysql/mariadb.cnf").is_file() {
        return Ok(());
    }
    linked("mariadb.cnf", &tree.join("etc/mysql/my.cnf"))
}

/// The names of what a folder holds, in their order; none where there is no such folder.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    names(folder).iter().map(|name| folder.join(name)).filter(|path| path.is_dir()).collect()
}

fn read(path: &Path) -> Result<String, PackageError> {
    fs::read_to_string(path).map_err(io_on("read", path))
}

fn parent(path: &Path) -> Result<(), PackageError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(io_on("make the folder", folder))
}

fn write(path: &Path, text: &str) -> Result<(), PackageError> {
    parent(path)?;
    fs::write(path, text).map_err(io_on("write", path))
}

fn copy(from: &Path, to: &Path) -> Result<(), PackageError> {
    parent(to)?;
    fs::copy(from, to).map(drop).map_err(io_on("write", to))
}

/// Makes a link unless something has that name already.
fn linked(goal: &str, link: &Path) -> Result<(), PackageError> {
    parent(link)?;
    match symlink(goal, link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(io_on("make the link", link)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{free_number, has, priority};

    #[test]
    fn an_accounts_number_is_nobody_elses() {
        let users = "root:x:0:0::/root:/bin/sh\none:x:900:900::/:/bin/false\n";
        assert_eq!(free_number(users, "two:x:901:\n"), 902);
        assert!(has(users, "one") && !has(users, "on"));
    }

    #[test]
    fn an_extension_says_its_own_priority() {
        assert_eq!(priority("; configuration\n; priority=10\nextension=pdo.so\n"), "10");
        assert_eq!(priority("extension=x.so\n"), "20");
    }
}
