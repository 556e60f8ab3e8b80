//! "Did you mean": the word that a writer most likely wanted.

/// What people bring from ipvsadm, keepalived and iproute2, and what it is called here.
const ALIASES: &[(&str, &str)] = &[
    ("algorithm", "scheduler"),
    ("dr", "direct-routing"),
    ("gatewaying", "direct-routing"),
    ("gw", "gateway"),
    ("ip", "address"),
    ("ipip", "tun"),
    ("lladdr", "mac"),
    ("lb_algo", "scheduler"),
    ("lb_kind", "forwarding"),
    ("lvs_sched", "scheduler"),
    ("lvs_method", "forwarding"),
    ("masq", "nat"),
    ("network", "subnet"),
    ("cidr", "subnet"),
    ("rs", "real-server"),
    ("route", "direct-routing"),
];

/// The candidate that is most like `word`, where one is like it enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.is_empty() || word.len() > 64 {
        return None;
    }
    let low = word.to_lowercase();
    let alias = ALIASES.iter().find(|(theirs, _)| *theirs == low).map(|(_, ours)| *ours);
    candidates
        .into_iter()
        .filter(|c| *c != word)
        .filter_map(|candidate| Some((distance(&low, candidate, alias)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean `role`?", or which words there are, where none is like it and the list is short.
pub(crate) fn or_list<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str> + Clone) -> Option<String> {
    if let Some(near) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<&str> = candidates.into_iter().collect();
    match all.len() {
        0 => None,
        n if n > 24 => Some(format!("known here: {} and {} more", listed(&all[..24]), n - 24)),
        _ => Some(format!("known here: {}", listed(&all))),
    }
}

/// `` `a`, `b` and `c` ``.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

fn distance(word: &str, candidate: &str, alias: Option<&str>) -> Option<usize> {
    if alias == Some(candidate) {
        return Some(0);
    }
    let flat = |text: &str| text.to_lowercase().replace(['_', '-', ' '], "");
    let (a, b) = (flat(word), flat(candidate));
    let edits = strsim::damerau_levenshtein(&a, &b);
    let longest = a.chars().count().max(b.chars().count());
    let starts = a.len() >= 3 && b.starts_with(&a);
    if edits <= longest.div_ceil(3).min(4) && edits < longest {
        Some(1 + 2 * edits)
    } else if starts {
        Some(8)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_of_the_finger_is_seen_through() {
        assert_eq!(nearest("rol", ["title", "role", "routes"]), Some("role"));
        assert_eq!(nearest("neighbors", ["neighbours", "interfaces"]), Some("neighbours"));
        assert_eq!(nearest("RealServer", ["client", "real-server"]), Some("real-server"));
        assert_eq!(nearest("rs11", ["rs1", "director"]), Some("rs1"));
    }

    #[test]
    fn a_unit_left_off_is_put_on() {
        assert_eq!(nearest("duration", ["rate_per_s", "duration_ms"]), Some("duration_ms"));
    }

    #[test]
    fn words_of_other_tools_are_translated() {
        assert_eq!(nearest("ip", ["vip", "address"]), Some("address"));
        assert_eq!(nearest("masq", ["direct-routing", "nat"]), Some("nat"));
    }

    #[test]
    fn a_word_like_none_is_left_alone() {
        assert_eq!(nearest("zebra", ["role", "title"]), None);
        assert_eq!(nearest("x", ["y"]), None);
    }
}
