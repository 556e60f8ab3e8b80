//! Addresses of what rules name as their source: the kernel's documents and files, and RFCs.
//!
//! A rule names its source as it is called (`net/ipv4/arp.c: arp_process`, `RFC 4861 section 7.2.4`); where that lies in the
//! web is known here alone. Manual pages and books have no address that stays.

/// The kernel whose files are meant; the code that rules speak of is the same in all that drlab starts.
const KERNEL: &str = "v6.12";

/// The folders of the kernel that rules name files of.
const FOLDERS: [&str; 4] = ["net/", "include/", "drivers/", "kernel/"];

/// The addresses of what the text names, each once, in its order.
pub(super) fn of(source: &str) -> Vec<String> {
    let words: Vec<&str> = source.split_whitespace().map(|w| w.trim_end_matches([':', ';', ',', ')', '.'])).collect();
    let mut links: Vec<String> = Vec::new();
    let mut folder = None;
    for (at, word) in words.iter().enumerate() {
        let link = if let Some(document) = word.strip_prefix("Documentation/").and_then(|d| d.strip_suffix(".rst")) {
            Some(format!("https://docs.kernel.org/{document}.html"))
        } else if is_code(word) && FOLDERS.iter().any(|f| word.starts_with(f)) {
            folder = word.rsplit_once('/').map(|(folder, _)| folder);
            Some(file(word))
        } else if is_code(word) && !word.contains('/') {
            // A file named alone lies beside the one named before it.
            folder.map(|folder| file(&format!("{folder}/{word}")))
        } else if *word == "RFC" {
            rfc(words.get(at + 1..).unwrap_or_default())
        } else {
            None
        };
        links.extend(link.filter(|l| !links.contains(l)));
    }
    links
}

fn is_code(word: &str) -> bool {
    is_file(word, &["c", "h"])
}

fn is_file(word: &str, kinds: &[&str]) -> bool {
    word.rsplit_once('.').is_some_and(|(_, kind)| kinds.contains(&kind))
}

fn file(path: &str) -> String {
    format!("https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/{path}?h={KERNEL}")
}

/// `1122 section 2.3.2.1`.
fn rfc(words: &[&str]) -> Option<String> {
    let number: u32 = words.first()?.parse().ok()?;
    let section = match words {
        [_, "section", section, ..] => format!("#section-{section}"),
        _ => String::new(),
    };
    Some(format!("https://www.rfc-editor.org/rfc/rfc{number}.html{section}"))
}

#[cfg(test)]
mod tests {
    use super::of;
    use crate::judge::rules::ALL;

    #[test]
    fn documents_files_and_rfcs_get_their_addresses() {
        let source = "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_nat_xmit; ip_vs_core.c: handle_response; ipvsadm(8); \
                      Documentation/networking/ip-sysctl.rst: rp_filter; RFC 4861 section 7.2.4";
        assert_eq!(
            of(source),
            [
                "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/net/netfilter/ipvs/ip_vs_xmit.c?h=v6.12",
                "https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/net/netfilter/ipvs/ip_vs_core.c?h=v6.12",
                "https://docs.kernel.org/networking/ip-sysctl.html",
                "https://www.rfc-editor.org/rfc/rfc4861.html#section-7.2.4",
            ]
        );
        assert!(of("arptables(8); LVS-HOWTO: the most common mistake").is_empty());
    }

    #[test]
    fn every_file_that_a_rule_names_is_linked() {
        for rule in ALL {
            let named = rule.source.split_whitespace().map(|w| w.trim_end_matches([':', ';', ',', ')']));
            let named = named.filter(|w| super::is_file(w, &["c", "h", "rst"]));
            for word in named {
                let base = word.rsplit('/').next().unwrap().trim_end_matches(".rst");
                assert!(of(rule.source).iter().any(|l| l.contains(base)), "{} names {word}", rule.id);
            }
        }
    }
}
