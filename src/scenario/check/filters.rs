//! Lines for `arptables` and `iptables`: that they can be read.

use super::Context;
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        let path = Path::of(&["nodes", name.as_str()]);
        for (program, lines) in [("arptables", &node.arptables), ("iptables", &node.iptables)] {
            for (at, text) in lines.iter().enumerate() {
                line(cx, &path.at(program).at(at), program, text);
            }
        }
    }
}

fn line(cx: &mut Context<'_>, path: &Path, program: &str, text: &str) {
    let Ok(words) = shell_words::split(text) else {
        let message = format!("the line for `{program}` has a quote without its end");
        cx.add(Complaint::value(path, message).help("write the missing `'` or `\"`, or take the other away"));
        return;
    };
    let Some(first) = words.first() else {
        cx.add(Complaint::value(path, format!("the line for `{program}` is empty")));
        return;
    };
    if first.starts_with('-') {
        return;
    }
    let tables = first.rsplit('/').next().is_some_and(|f| f == "sudo" || f.contains("tables"));
    let complaint = if tables {
        let rest: Vec<&str> = text.split_whitespace().skip_while(|word| !word.starts_with('-')).collect();
        Complaint::value(path, format!("the line begins with a program's name, `{first}`"))
            .label(format!("`{program}` is called by itself"))
            .help(format!("write `\"{}\"`", rest.join(" ")))
    } else {
        Complaint::value(path, format!("the line for `{program}` begins with `{first}`, not with an option"))
            .help(format!("write it as after `{program}`: `-A INPUT -d 172.16.0.66 -j DROP`"))
    };
    cx.add(complaint);
}
