//! What a built lab must be. Each case runs in a process of its own, from its only thread.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use drlab::base::{NodeName, error_chain};
use drlab::channel::BuildOptions;
use drlab::facts::statements::is_left_open;
use drlab::inside::build::{Lab, act};
use drlab::plan::statements::planned;
use drlab::plan::{Act, Condition, Plan};

use super::{labs, programs, table};

/// A case: its name, and what it does; whether it needs what few kernels have built in: IPVS, dummy and IPIP devices.
pub(crate) type Case = (&'static str, fn(), bool);

pub(crate) const CASES: &[Case] = &[
    ("a_lab_reads_back_as_it_was_planned", a_lab_reads_back_as_it_was_planned, false),
    ("arptables_rules_read_back", arptables_rules_read_back, false),
    ("a_node_is_a_host_of_its_own", a_node_is_a_host_of_its_own, false),
    ("no_node_sees_what_another_writes", no_node_sees_what_another_writes, false),
    ("the_first_packet_crosses_at_once", the_first_packet_crosses_at_once, false),
    ("nothing_is_left_of_a_lab_that_was_taken_down", nothing_is_left_of_a_lab_that_was_taken_down, false),
    ("an_impossible_route_is_refused_in_the_kernels_words", an_impossible_route_is_refused_in_the_kernels_words, false),
    ("acts_change_what_facts_say", acts_change_what_facts_say, false),
    ("a_hundred_real_servers_are_built", a_hundred_real_servers_are_built, false),
    ("the_port_that_joined_last_answers_first", the_port_that_joined_last_answers_first, false),
    ("tools_are_seen_in_a_node_whatever_covers_them", tools_are_seen_in_a_node_whatever_covers_them, false),
    ("nothing_is_left_of_a_lab_that_was_killed", nothing_is_left_of_a_lab_that_was_killed, false),
    ("a_lab_that_fails_half_way_leaves_nothing", a_lab_that_fails_half_way_leaves_nothing, false),
    ("a_placed_file_is_the_nodes_alone", programs::a_placed_file_is_the_nodes_alone, false),
    ("a_program_can_change_nothing_of_the_machines", programs::a_program_can_change_nothing_of_the_machines, false),
    (
        "a_command_without_end_is_killed_with_what_it_started",
        programs::a_command_without_end_is_killed_with_what_it_started,
        false,
    ),
    ("a_program_that_only_forks_meets_its_bound", programs::a_program_that_only_forks_meets_its_bound, false),
    (
        "a_program_that_takes_all_memory_meets_its_bound",
        programs::a_program_that_takes_all_memory_meets_its_bound,
        false,
    ),
    (
        "a_daemon_is_ready_once_its_condition_holds_and_is_ended_or_killed",
        programs::a_daemon_is_ready_once_its_condition_holds_and_is_ended_or_killed,
        false,
    ),
    ("a_daemon_that_dies_says_why", programs::a_daemon_that_dies_says_why, false),
    ("what_is_sent_to_the_systems_log_is_kept", programs::what_is_sent_to_the_systems_log_is_kept, false),
    ("every_kind_of_device_is_made", every_kind_of_device_is_made, true),
    ("services_read_back_as_they_were_planned", table::services_read_back_as_they_were_planned, true),
    ("connections_are_shared_out_and_counted", table::connections_are_shared_out_and_counted, true),
    ("packets_are_marked_and_balanced_by_their_mark", table::packets_are_marked_and_balanced_by_their_mark, true),
    ("a_real_servers_port_is_taken_as_given", table::a_real_servers_port_is_taken_as_given, true),
    ("what_ipvs_refuses_is_said_in_words", table::what_ipvs_refuses_is_said_in_words, true),
];

/// Runs one.
pub(crate) fn run(case: &str) {
    if case == WAITING {
        return build_and_wait();
    }
    let (_, run, _) = CASES.iter().find(|(name, _, _)| *name == case).unwrap();
    run();
}

pub(super) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

/// As much that the programs of one node meet the bound of processes before that of memory.
const MEMORY_MIB: u32 = 1024;

fn options(skip_ipvs: bool) -> BuildOptions {
    let tools = std::env::var("DRLAB_TEST_TOOLS").unwrap_or_default();
    let tool_roots = tools.split(':').filter(|root| !root.is_empty()).map(str::to_owned).collect();
    BuildOptions {
        output: "/tmp".to_owned(),
        tool_roots,
        trees: Vec::new(),
        skip_ipvs,
        capture: false,
        jitter_us: 0,
        memory_mib: MEMORY_MIB,
    }
}

fn search() -> String {
    std::env::var("PATH").unwrap_or_default()
}

pub(super) fn built(plan: &Plan, skip_ipvs: bool) -> Lab {
    let begun = Instant::now();
    let lab = Lab::create(plan, &options(skip_ipvs), &search(), &mut |_| {})
        .unwrap_or_else(|error| panic!("{}", chain(&error)));
    let created = begun.elapsed();
    let configured = lab.configure().unwrap_or_else(|error| panic!("{}", chain(&error)));
    println!("{} nodes: created {created:?}, built {:?}", plan.nodes.len(), begun.elapsed());
    assert_eq!(configured.absent_sysctls.len(), plan.nodes.len(), "{configured:?}");
    lab
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    error_chain(error).join("\n  caused by: ")
}

pub(super) fn down(lab: Lab) {
    let begun = Instant::now();
    assert_eq!(lab.tear_down(), Vec::<String>::new());
    println!("taken down {:?}", begun.elapsed());
}

/// Facts equal the plan, but for the one baseline key that no kernel has.
pub(super) fn assert_as_planned(lab: &Lab, skip_ipvs: bool) {
    let begun = Instant::now();
    let facts = lab.facts();
    println!("facts read {:?}", begun.elapsed());
    for ((node, _), facts) in lab.workers().zip(&facts) {
        let mut node = node.clone();
        node.ipvs = node.ipvs.filter(|_| !skip_ipvs);
        let (wanted, found) = (planned(&node), facts.statements());
        let missing: Vec<_> = wanted.iter().filter(|line| !found.contains(line)).collect();
        let unplanned = found.iter().filter(|line| !wanted.contains(line) && !is_left_open(line, &wanted));
        let invented = "sysctl net.ipv6.conf.all.no_such_key_anywhere = 0";
        assert_eq!(missing, [invented], "{}: {found:#?}", node.name);
        assert_eq!(unplanned.collect::<Vec<_>>(), Vec::<&String>::new(), "{}", node.name);
        let unread: Vec<_> = facts.unread.iter().filter(|one| !one.what.contains("no_such_key")).collect();
        assert!(unread.is_empty(), "{unread:?}");
        assert!(facts.sysctls.contains_key("net.ipv4.conf.lo.arp_ignore"));
        assert!(facts.routes.iter().any(|route| route.table == "local"));
    }
}

fn a_lab_reads_back_as_it_was_planned() {
    let lab = built(&labs::textbook(), true);
    assert_as_planned(&lab, true);
    for line in lab.facts()[3].statements().iter().filter(|line| !line.starts_with("sysctl")) {
        println!("{line}");
    }
    down(lab);
}

fn arptables_rules_read_back() {
    let mut plan = labs::textbook();
    let rules = ["-A INPUT -d 172.16.0.66 -j DROP", "-A OUTPUT -s 172.16.0.66 -j mangle --mangle-ip-s 172.16.252.137"];
    plan.nodes[3].arptables = rules.map(|rule| rule.split(' ').map(str::to_owned).collect()).to_vec();
    let lab = built(&plan, true);
    assert_as_planned(&lab, true);
    println!("{:?}", lab.facts()[3].arptables);
    down(lab);
}

fn a_node_is_a_host_of_its_own() {
    let lab = built(&labs::textbook(), true);
    let script = "hostname; echo $$ >/run/pid; cat /run/pid; echo lab >/etc/drlab-test && cat /etc/drlab-test; ls /tmp; \
                  ls /sys/class/net; ls -d /proc/[0-9]* | wc -l";
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdout(Stdio::piped()).stdin(Stdio::null()).current_dir("/");
    let child = lab.worker(&name("rs1")).unwrap().space().spawn(&mut command).unwrap();
    let said = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    println!("{said:?}");
    let lines: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(lines[0], "rs1");
    assert!(lines[1].parse::<u32>().unwrap() < 20, "its own PID namespace");
    assert_eq!(lines[2], "lab");
    assert!(lines.contains(&"eth0") && lines.contains(&"lo"));
    assert!(!std::path::Path::new("/etc/drlab-test").exists());
    let other = lab.worker(&name("rs2")).unwrap();
    assert!(!other.run(|| async { std::path::Path::new("/etc/drlab-test").exists() }).unwrap());
    assert_eq!(other.run(|| async { std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap() }).unwrap(), "rs2\n");
    down(lab);
}

fn no_node_sees_what_another_writes() {
    let lab = built(&labs::textbook(), true);
    let files = ["/etc", "/var", "/tmp", "/run"].map(|folder| format!("{folder}/drlab-test-of-rs1"));
    let seen = |node: &str| {
        let files = files.clone();
        let worker = lab.worker(&name(node)).unwrap();
        worker.run(|| async move { files.map(|file| std::path::Path::new(&file).exists()) }).unwrap()
    };
    let written = files.clone();
    let rs1 = lab.worker(&name("rs1")).unwrap();
    rs1.run(|| async move { written.map(|file| std::fs::write(file, "rs1").unwrap()) }).unwrap();
    assert_eq!(seen("rs1"), [true; 4]);
    for other in ["rs2", "director", "router", "client"] {
        assert_eq!(seen(other), [false; 4], "{other}");
    }
    assert!(files.iter().all(|file| !std::path::Path::new(file).exists()));
    down(lab);
}

fn the_first_packet_crosses_at_once() {
    let lab = built(&labs::textbook(), true);
    serve(&lab, "rs1", "172.16.252.137:80");
    let begun = Instant::now();
    let heard = ask(&lab, "172.16.252.137:80");
    println!("{heard:?} after {:?}", begun.elapsed());
    assert_eq!(heard.as_deref(), Some("rs1"));
    assert!(begun.elapsed() < Duration::from_millis(500), "a lost ARP would have cost a second");
    serve(&lab, "director", "[2001:db8::73]:80");
    let begun = Instant::now();
    assert_eq!(ask_from(&lab, "router", "[2001:db8::73]:80").as_deref(), Some("director"));
    assert!(begun.elapsed() < Duration::from_millis(500), "a lost solicitation would have cost a second");
    down(lab);
}

fn the_port_that_joined_last_answers_first() {
    for last in ["rs1", "rs2"] {
        let mut plan = labs::textbook();
        for node in &mut plan.nodes {
            node.sysctls.retain(|one| one.baseline);
        }
        let ports = &mut plan.segments[1].ports;
        let place = ports.iter().position(|port| port.node == *last).unwrap();
        let port = ports.remove(place);
        ports.push(port);
        let wanted = plan.nodes.iter().find(|node| node.name == *last).unwrap().interfaces[1].mac;
        let lab = built(&plan, true);
        assert_eq!(ask_from(&lab, "router", "172.16.0.66:80"), None, "nobody serves");
        let address = labs::VIP.parse().unwrap();
        let condition = Condition::Neighbour { node: name("router"), address, mac: wanted };
        let router = lab.worker(&name("router")).unwrap();
        let seen = router.run(move || async move { act::look(&condition).await.unwrap().unwrap() }).unwrap();
        assert!(seen.holds, "{last}: {}", seen.what);
        down(lab);
    }
}

fn tools_are_seen_in_a_node_whatever_covers_them() {
    use std::os::unix::fs::PermissionsExt;
    let root = std::env::temp_dir().join(format!("drlab-tools-{}", std::process::id()));
    let folder = root.join("usr/sbin");
    std::fs::create_dir_all(&folder).unwrap();
    let tool = folder.join("hello");
    std::fs::write(&tool, "#!/bin/sh\necho from the tool\n").unwrap();
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut options = options(true);
    options.tool_roots = vec![root.display().to_string()];
    let lab = Lab::create(&labs::textbook(), &options, "", &mut |_| {}).unwrap();
    let mut command = Command::new(drlab::inside::ns::tool_folder(0).join("usr/sbin/hello"));
    command.stdout(Stdio::piped()).current_dir("/");
    let child = lab.worker(&name("client")).unwrap().space().spawn(&mut command).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, b"from the tool\n");
    let client = lab.worker(&name("client")).unwrap();
    assert!(!client.run(move || async move { tool.exists() }).unwrap(), "the node's /tmp is its own");
    down(lab);
    std::fs::remove_dir_all(root).unwrap();
}

/// The name under which this program builds a lab and waits to be killed.
const WAITING: &str = "build-and-wait";

fn build_and_wait() {
    let lab = built(&labs::textbook(), true);
    let agents: Vec<_> = lab.workers().filter_map(|(_, worker)| worker.space().agent()).collect();
    let agents: Vec<String> = agents.iter().map(ToString::to_string).collect();
    println!("agents {}", agents.join(" "));
    std::io::stdin().read_to_string(&mut String::new()).unwrap();
}

fn nothing_is_left_of_a_lab_that_was_killed() {
    use std::io::{BufRead, BufReader};
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("DRLAB_TEST_CASE", WAITING).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let agents = lines.find_map(|line| line.strip_prefix("agents ").map(str::to_owned)).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let alive = |pid: &str| {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z")
    };
    let deadline = Instant::now() + Duration::from_secs(2);
    while agents.split(' ').any(alive) {
        assert!(Instant::now() < deadline, "still there: {agents}");
        std::thread::yield_now();
    }
}

fn a_lab_that_fails_half_way_leaves_nothing() {
    let mut plan = labs::textbook();
    plan.segments[0].bridge = plan.segments[1].bridge.clone();
    let refused = Lab::create(&plan, &options(true), &search(), &mut |_| {}).unwrap_err();
    println!("{}", chain(&refused));
    assert_eq!(refused.kind(), drlab::channel::FailureKind::Lab);
    let children = std::fs::read_to_string("/proc/thread-self/children");
    assert_eq!(children.unwrap_or_default(), "");
    // The process has its one thread again, so that another lab can be built.
    down(built(&labs::textbook(), true));
}

/// Serves its own name on every connection, until the lab ends.
pub(super) fn serve(lab: &Lab, node: &'static str, at: &str) {
    let at: SocketAddr = at.parse().unwrap();
    let listening = lab.worker(&name(node)).unwrap().run(move || async move {
        let listener = tokio::net::TcpListener::bind(at).await.unwrap();
        tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = stream.into_std().unwrap();
                stream.set_nonblocking(false).unwrap();
                stream.write_all(node.as_bytes()).unwrap();
            }
        });
    });
    listening.unwrap();
}

/// What the client hears from there.
pub(super) fn ask(lab: &Lab, at: &str) -> Option<String> {
    ask_from(lab, "client", at)
}

fn ask_from(lab: &Lab, node: &str, at: &str) -> Option<String> {
    let at: SocketAddr = at.parse().unwrap();
    let asked = lab.worker(&name(node)).unwrap().run(move || async move {
        let connecting = tokio::net::TcpStream::connect(at);
        let stream = tokio::time::timeout(Duration::from_secs(3), connecting).await.ok()?.ok()?;
        let mut stream = stream.into_std().ok()?;
        stream.set_nonblocking(false).ok()?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).ok()?;
        Some(heard)
    });
    asked.unwrap()
}

#[expect(clippy::zombie_processes, reason = "taking the lab down is what reaps it")]
fn nothing_is_left_of_a_lab_that_was_taken_down() {
    let lab = built(&labs::textbook(), true);
    let agents: Vec<_> = lab.workers().filter_map(|(_, worker)| worker.space().agent()).collect();
    let mut command = Command::new("sleep");
    let child = lab.worker(&name("rs1")).unwrap().space().spawn(command.arg("1000").current_dir("/")).unwrap();
    down(lab);
    let gone = |pid: String| !std::path::Path::new(&format!("/proc/{pid}")).exists();
    assert!(agents.iter().all(|agent| gone(agent.to_string())));
    assert!(gone(child.id().to_string()), "programs end with their node");
}

fn an_impossible_route_is_refused_in_the_kernels_words() {
    let mut plan = labs::textbook();
    plan.nodes[4].routes[0].gateway = Some("192.0.2.1".parse().unwrap());
    let lab = Lab::create(&plan, &options(true), &search(), &mut |_| {}).unwrap();
    let refused = lab.configure().unwrap_err();
    let said = chain(&refused);
    println!("{said}");
    assert!(said.contains("rs2") && said.contains("0.0.0.0/0 via 192.0.2.1"), "{said}");
    assert!(said.contains("Nexthop has invalid gateway"), "{said}");
    down(lab);
}

fn acts_change_what_facts_say() {
    let lab = built(&labs::textbook(), true);
    let interface = || "eth0".parse().unwrap();
    let node = || name("client");
    let address: std::net::IpAddr = "10.0.0.99".parse().unwrap();
    let mac = "02:d1:00:00:00:99".parse().unwrap();
    let acts = [
        Act::SetSysctl { node: node(), key: "net.ipv4.conf.all.arp_ignore".to_owned(), value: "3".to_owned() },
        Act::SetNeighbour { node: node(), interface: interface(), address, mac, permanent: false },
        Act::AddAddress {
            node: node(),
            interface: interface(),
            address: drlab::plan::Address {
                address: "10.0.0.77/24".parse().unwrap(),
                broadcast: None,
                label: None,
                nodad: false,
            },
            unless_taken: false,
        },
    ];
    let holds = |condition: Condition| {
        let looked = lab.worker(&node()).unwrap().run(move || async move { act::look(&condition).await.unwrap() });
        looked.unwrap().unwrap()
    };
    let done = |wanted: Act| {
        let done = lab.worker(&node()).unwrap().run(move || async move { act::apply(&wanted).await.unwrap() });
        assert!(done.unwrap());
    };
    let key = || "net.ipv4.conf.all.arp_ignore".to_owned();
    assert!(!holds(Condition::Sysctl { node: node(), key: key(), value: "3".to_owned() }).holds);
    acts.into_iter().for_each(done);
    assert!(holds(Condition::Sysctl { node: node(), key: key(), value: "3".to_owned() }).holds);
    assert!(holds(Condition::Neighbour { node: node(), address, mac: Some(mac) }).holds);
    assert!(lab.facts()[0].statements().contains(&"address eth0 10.0.0.77/24".to_owned()));
    done(Act::DeleteAddress { node: node(), interface: interface(), address: "10.0.0.77/24".parse().unwrap() });
    assert!(!lab.facts()[0].statements().contains(&"address eth0 10.0.0.77/24".to_owned()));
    done(Act::FlushNeighbours { node: node(), interface: None, address: None });
    assert!(holds(Condition::NoNeighbour { node: node(), address }).holds);
    assert!(holds(Condition::LinkUp { node: node(), interface: interface() }).holds);
    done(Act::SetLink { node: node(), interface: interface(), up: false });
    assert!(!holds(Condition::LinkUp { node: node(), interface: interface() }).holds);
    down(lab);
}

fn a_hundred_real_servers_are_built() {
    let lab = built(&labs::wide(100), true);
    assert_as_planned(&lab, true);
    down(lab);
}

fn every_kind_of_device_is_made() {
    use drlab::plan::{Interface, LinkKind};
    let mut plan = labs::textbook();
    let device = |name: &str, kind: LinkKind, mtu: u32| Interface {
        name: name.parse().unwrap(),
        kind,
        mac: None,
        mtu,
        arp: true,
        tx_checksum: false,
        up: true,
        addresses: vec![drlab::plan::Address {
            address: "172.16.0.67/32".parse().unwrap(),
            broadcast: None,
            label: None,
            nodad: false,
        }],
    };
    plan.nodes[3].interfaces.push(device("dummy0", LinkKind::Dummy, 1400));
    plan.nodes[4].interfaces.push(device("tunl0", LinkKind::Ipip, 1480));
    plan.nodes[4].interfaces[1].mtu = 1400;
    let lab = built(&plan, true);
    assert_as_planned(&lab, true);
    down(lab);
}
