//! Expectations: checks and findings that exist, shares that can be.

use super::lab::role;
use super::{Context, Known};
use crate::base::Role;
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::Share;
use crate::scenario::suggest;

pub(super) fn check(cx: &mut Context<'_>, known: Known<'_>) {
    let expect = &cx.scenario.expect;
    let path = Path::of(&["expect"]);
    for id in expect.checks.keys() {
        let here = path.at("checks").at(id);
        if !known.checks.contains(&id.as_str()) {
            let complaint = Complaint::key(&here, format!("there is no check `{id}`"));
            cx.add(complaint.maybe_help(suggest::or_list(id, known.checks.iter().copied())));
        }
    }
    for (at, id) in expect.skip.iter().enumerate() {
        let here = path.at("skip").at(at);
        if !known.checks.contains(&id.as_str()) {
            let complaint = Complaint::value(&here, format!("there is no check `{id}`"));
            cx.add(complaint.maybe_help(suggest::or_list(id, known.checks.iter().copied())));
        } else if expect.checks.contains_key(id) {
            let complaint = Complaint::value(&here, format!("check `{id}` is skipped and expected at once"));
            cx.add(complaint.also(&path.at("checks").at(id), "expected here").help("keep one of the two"));
        }
    }
    for (at, id) in expect.findings.iter().enumerate() {
        if !known.findings.contains(&id.as_str()) {
            let complaint = Complaint::value(&path.at("findings").at(at), format!("there is no finding `{id}`"));
            cx.add(complaint.maybe_help(suggest::or_list(id, known.findings.iter().copied())));
        }
    }
    shares(cx, &path.at("share"));
}

fn shares(cx: &mut Context<'_>, path: &Path) {
    let scenario = cx.scenario;
    for (name, share) in &scenario.expect.share {
        let here = path.at(name);
        match scenario.nodes.get(name) {
            None => {
                let complaint = Complaint::key(&here, format!("`{name}` is no node of this scenario"));
                let help = suggest::or_list(name.as_str(), cx.node_names());
                cx.add(complaint.maybe_help(help).relies_on_name(&Path::of(&["nodes"]), name.as_str()));
            }
            Some(node) if matches!(node.role, Role::Client | Role::Router) && node.serve.is_none() => {
                cx.add(
                    Complaint::key(&here, format!("`{name}` is a {}, which answers nothing", node.role))
                        .relies_on(&role(name.as_str()))
                        .relies_on(&Path::of(&["nodes", name.as_str(), "serve"])),
                );
            }
            Some(_) => {}
        }
        if let Share::Between(low, high) = share
            && low > high
        {
            let message = format!("a share from {low} to {high} has nothing in it");
            cx.add(Complaint::value(&here, message).help(format!("write `[{high}, {low}]`")));
        }
    }
}
