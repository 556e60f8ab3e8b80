//! What scenarios call and have: the programs of their nodes, and the packages that these are in.
//!
//! Owns: what is lacking before anything starts. Refuses: fetching it.

use std::collections::BTreeMap;

use super::{run, select};
use crate::plan::{Node, Plan, words};
use crate::substrate::packages::tools::{self, Standing};

/// Programs that scenarios call are not there, and can't be fetched without setting them up.
#[derive(Debug, thiserror::Error)]
#[error("this machine lacks programs that the scenarios call:\n  {}", .0.join("\n  "))]
pub(super) struct Uncallable(Vec<String>);

/// The packages of the programs that the plans' nodes call.
pub(super) fn needed(plans: &[Plan]) -> Result<Vec<&'static str>, Uncallable> {
    let nodes = || plans.iter().flat_map(|plan| &plan.nodes);
    let (mut tools, mut lacking) = called(plans);
    lacking.sort();
    lacking.dedup();
    if !lacking.is_empty() {
        return Err(Uncallable(lacking));
    }
    if nodes().any(|node| !node.arptables.is_empty()) {
        tools.push("arptables");
    }
    if nodes().any(|node| !node.iptables.is_empty()) {
        tools.push("iptables");
    }
    tools.sort_unstable();
    tools.dedup();
    Ok(tools)
}

/// The packages of programs that commands, scripts and daemons call, where they are fetched; and a line for each program
/// that is not to be had.
fn called(plans: &[Plan]) -> (Vec<&'static str>, Vec<String>) {
    let (mut tools, mut lacking) = (Vec::new(), Vec::new());
    for (plan, node) in plans.iter().flat_map(|plan| plan.nodes.iter().map(move |node| (plan, node))) {
        let placed = |name: &str| node.files.iter().any(|file| file.path.rsplit('/').next() == name.rsplit('/').next());
        // A file may be anything, and of a script only what is well known is told apart from what it makes itself.
        let own: Vec<&str> = node.files.iter().filter_map(|file| file.content.as_ref()?.text()).collect();
        for text in plan.texts_of(node) {
            let is_file = own.contains(&text);
            if is_file && !text.starts_with("#!") {
                continue;
            }
            for name in words::programs(text) {
                if let Some(package) = tools::with_old_tables(&name) {
                    tools.push(package);
                    continue;
                }
                let at = format!("{name} (on {} of {})", node.name, plan.scenario);
                match tools::standing(&name) {
                    Standing::There => {}
                    _ if placed(&name) => {}
                    Standing::Fetched(package) => tools.push(package),
                    Standing::In(package) if node.packages.iter().any(|has| has == package) => {}
                    Standing::In(package) => {
                        let mend = format!("`sudo apt-get install {package}`, or `packages = [\"{package}\"]`");
                        lacking.push(format!("{at}: it is in the package {package}; {mend} in the node"));
                    }
                    // Further on it may be no program at all: the pattern of a `case`.
                    Standing::Unknown if is_file || text.split_whitespace().next() != Some(&name) => {}
                    Standing::Unknown if !node.packages.is_empty() => {}
                    Standing::Unknown => lacking.push(format!("{at}: it is not known which package has it")),
                }
            }
        }
    }
    (tools, lacking)
}

/// What the shipped scenarios need of packages, and which scenarios do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shipped {
    /// Packages of programs that labs call, with how many scenarios call them.
    pub(super) tools: BTreeMap<&'static str, usize>,
    /// Sets of packages that nodes have, with the scenarios that have such a node.
    pub(super) sets: BTreeMap<Vec<String>, Vec<String>>,
}

/// Asks all shipped scenarios.
pub(super) fn of_shipped() -> Shipped {
    let mut all = Shipped::default();
    for plan in select::shipped().iter().filter_map(|one| run::compile(one).ok()) {
        let mut tools: Vec<&'static str> = plan.nodes.iter().flat_map(|node| tools_of(&plan, node)).collect();
        tools.sort_unstable();
        tools.dedup();
        for tool in tools {
            *all.tools.entry(tool).or_default() += 1;
        }
        let mut sets: Vec<&Vec<String>> = plan.nodes.iter().map(|node| &node.packages).collect();
        sets.sort_unstable();
        sets.dedup();
        for set in sets.into_iter().filter(|set| !set.is_empty()) {
            all.sets.entry(set.clone()).or_default().push(plan.scenario.clone());
        }
    }
    all
}

/// The packages of the tools that a node's programs call, wherever they are.
fn tools_of(plan: &Plan, node: &Node) -> Vec<&'static str> {
    let called = plan.texts_of(node).flat_map(words::programs);
    let mut all: Vec<&'static str> = called.filter_map(|program| tools::package_fetched_for(&program)).collect();
    all.extend((!node.arptables.is_empty()).then_some("arptables"));
    all.extend((!node.iptables.is_empty()).then_some("iptables"));
    all
}

#[cfg(test)]
mod tests {
    use super::{called, needed, of_shipped};
    use crate::base::Content;
    use crate::plan::{Command, PlacedFile, Plan};

    /// The textbook's lab with a change to `rs1`.
    fn plans(change: impl FnOnce(&mut crate::plan::Node)) -> Vec<Plan> {
        let shipped = super::select::shipped().into_iter().find(|one| one.name == "basic/lvs-dr").unwrap();
        let mut plan = super::run::compile(&shipped).unwrap();
        change(plan.nodes.iter_mut().find(|node| node.name == "rs1").unwrap());
        vec![plan]
    }

    fn command(text: &str) -> Command {
        Command { shown: text.to_owned(), text: text.to_owned(), may_fail: false, deadline_ms: 1000 }
    }

    fn file(path: &str, text: &str) -> PlacedFile {
        let content = Some(Content::Text(text.to_owned()));
        PlacedFile { path: path.to_owned(), content, copy_of: None, executable: true }
    }

    #[test]
    fn a_program_of_an_unknown_package_is_lacking_with_its_node_and_scenario() {
        let (_, lacking) = called(&plans(|rs1| rs1.commands.push(command("frobnicate --now"))));
        assert_eq!(lacking, ["frobnicate (on rs1 of basic/lvs-dr): it is not known which package has it"]);
        let error = needed(&plans(|rs1| rs1.commands.push(command("frobnicate --now")))).unwrap_err();
        assert!(error.to_string().starts_with("this machine lacks programs that the scenarios call:\n  frobnicate"));
    }

    #[test]
    fn a_daemon_that_the_machine_lacks_is_told_with_its_package_unless_the_node_has_it() {
        let path = "/no/such/folder/haproxy -f /etc/haproxy.cfg";
        let (_, lacking) = called(&plans(|rs1| rs1.commands.push(command(path))));
        assert!(lacking[0].contains("it is in the package haproxy; `sudo apt-get install haproxy`"), "{lacking:?}");
        let (_, lacking) = called(&plans(|rs1| {
            rs1.commands.push(command(path));
            rs1.packages.push("haproxy".to_owned());
        }));
        assert_eq!(lacking, [""; 0]);
    }

    #[test]
    fn what_is_placed_in_the_node_is_not_lacking_there() {
        let (_, lacking) = called(&plans(|rs1| {
            rs1.files.push(file("/usr/local/bin/frobnicate", "#!/bin/sh\n"));
            rs1.commands.push(command("frobnicate && /usr/local/bin/frobnicate"));
        }));
        assert_eq!(lacking, [""; 0]);
    }

    #[test]
    fn of_a_file_only_a_script_is_read_and_only_what_is_well_known_counts() {
        let text = "frobnicate\narptables -A INPUT -j DROP\n";
        let (tools, lacking) = called(&plans(|rs1| rs1.files.push(file("/etc/notes", text))));
        assert_eq!((tools, lacking), (vec![], vec![]));
        let script = format!("#!/bin/sh\n{text}");
        let (tools, lacking) = called(&plans(|rs1| rs1.files.push(file("/etc/start", &script))));
        assert_eq!((tools, lacking), (vec!["arptables"], vec![]));
    }

    #[test]
    fn tools_that_go_by_tables_are_needed_wherever_rules_are() {
        let rules = plans(|rs1| {
            rs1.arptables.push(["-A", "INPUT", "-j", "DROP"].map(str::to_owned).to_vec());
            rs1.commands.push(command("iptables -L; iptables -S"));
        });
        assert_eq!(needed(&rules).unwrap(), ["arptables", "iptables"]);
    }

    #[test]
    fn the_shipped_scenarios_need_what_they_are_known_for() {
        let shipped = of_shipped();
        assert!(shipped.tools.contains_key("arptables") && shipped.tools.contains_key("net-tools"), "{shipped:?}");
        assert_eq!(shipped.sets[&vec!["nginx".to_owned()]], ["apps/nginx"]);
    }
}
