//! Packages: that their names are ones that a package can have. Whether there is such a package, its archive knows.

use super::Context;
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        let path = Path::of(&["nodes", name.as_str(), "packages"]);
        for (at, package) in node.packages.iter().enumerate() {
            if !is_name(package) {
                let message = format!("`{package}` can't be the name of a package");
                let help =
                    "write it as `apt-get install` takes it, without a version: small letters, digits, `+`, `-`, `.`";
                cx.add(Complaint::value(&path.at(at), message).help(help));
            }
        }
    }
}

/// Debian Policy 5.6.1.
fn is_name(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        // `apt-get install NAME-` removes it, and `NAME+` is the same as the name.
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn what_apt_takes_for_an_option_or_a_removal_is_no_package() {
        assert!(is_name("keepalived") && is_name("g++") && is_name("libapache2-mod-php8.2"));
        for text in ["", "n", "-y", "nginx-", "nginx=1.22", "Nginx", "nginx/stable", "a b", "../x"] {
            assert!(!is_name(text), "{text}");
        }
    }
}
