//! Capture, servers, loads, probes and pings in network namespaces of their own. Needs root (`CAP_SYS_ADMIN`) and `ip`:
//! where they lack, every test here fails and says so.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't prepare its namespaces has to fail")]

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drlab::base::{IfName, Mac, NodeName, Protocol, Role};
use drlab::facts::run::{Acted, CaptureStats, Outcome, RequestResult};
use drlab::inside::capture::{Capture, Sink, Tap, file, ring_bytes, vantages};
use drlab::inside::programs::Daemons;
use drlab::inside::ring::Ring;
use drlab::inside::serve::Servers;
use drlab::inside::timeline::nodes::{NodeGone, NodeJob, Nodes, on_node};
use drlab::inside::timeline::{self, ActError, Configure, Observed, Stage};
use drlab::inside::{ping, probe};
use drlab::plan::act::LoadClient;
use drlab::plan::{Act, Condition, During, Load, LoadMode, Node, Probe, Server, TimedAct, Trigger};
use drlab::wire::frame::Direction;
use drlab::wire::pcapng::Reader;
use tokio::sync::mpsc;

const VIP: &str = "10.9.0.66";
const SERVER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

/// Threads that live in network namespaces of their own, joined by one veth: `client` and `rs1`.
struct Pair {
    jobs: BTreeMap<NodeName, mpsc::UnboundedSender<NodeJob>>,
}

impl Nodes for Pair {
    fn spawn(&self, node: &NodeName, job: NodeJob) -> Result<(), NodeGone> {
        let gone = || NodeGone { node: node.clone() };
        self.jobs.get(node).ok_or_else(gone)?.send(job).map_err(|_| gone())
    }
}

impl Pair {
    fn new() -> Self {
        let (server, server_tid) = namespace();
        let (client, client_tid) = namespace();
        let at = |tid: i32, line: &str| {
            let command = format!("nsenter --net=/proc/self/task/{tid}/ns/net {line}");
            // nsenter runs in a process of its own: the path has to name ours.
            let command = command.replace("/proc/self", &format!("/proc/{}", std::process::id()));
            run(&command);
        };
        run(&format!(
            "nsenter --net=/proc/{0}/task/{client_tid}/ns/net ip link add eth0 address 02:00:00:00:00:01 type veth \
             peer name eth0 address 02:00:00:00:00:02 netns /proc/{0}/task/{server_tid}/ns/net",
            std::process::id()
        ));
        for (tid, addresses) in [
            (client_tid, &["10.9.0.1/24", "fd09::1/64"][..]),
            (server_tid, &["10.9.0.2/24", "10.9.0.66/32", "fd09::2/64"]),
        ] {
            at(tid, "ip link set lo up");
            at(tid, "ip link set eth0 up");
            for address in addresses {
                let nodad = if address.contains(':') { " nodad" } else { "" };
                at(tid, &format!("ip addr add {address} dev eth0{nodad}"));
            }
        }
        Self { jobs: BTreeMap::from([(name("client"), client), (name("rs1"), server)]) }
    }

    /// Runs a job on a node that needs no other.
    async fn on<T, F>(&self, node: &str, job: impl FnOnce() -> F + Send + 'static) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        on_node(self, &name(node), job).await.expect("the node's thread runs")
    }

    async fn taps(&self) -> Vec<Tap> {
        let bytes = ring_bytes(2);
        let mut taps = Vec::new();
        for node in ["client", "rs1"] {
            let opened = self.on(node, move || async move { (Ring::open(bytes), index("lo"), index("eth0")) });
            let (ring, lo, eth0) = opened.await;
            taps.push(Tap {
                node: name(node),
                ring: ring.expect("packet rings need CAP_NET_RAW"),
                interfaces: BTreeMap::from([(lo, interface("lo")), (eth0, interface("eth0"))]),
            });
        }
        taps
    }
}

fn namespace() -> (mpsc::UnboundedSender<NodeJob>, i32) {
    let (sender, mut jobs) = mpsc::unbounded_channel::<NodeJob>();
    let (told, tid) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("this test needs root: unshare(CLONE_NEWNET)");
        told.send(nix::unistd::gettid().as_raw()).expect("the test waits");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        tokio::task::LocalSet::new().block_on(&runtime, async {
            while let Some(job) = jobs.recv().await {
                tokio::task::spawn_local(job());
            }
        });
    });
    (sender, tid.recv().expect("this test needs root: a thread could not get a network namespace"))
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let done = Command::new(words.next().expect("a program")).args(words).output();
    let done = done.unwrap_or_else(|error| panic!("`{line}` needs iproute2 and util-linux: {error}"));
    assert!(done.status.success(), "`{line}` failed: {}", String::from_utf8_lossy(&done.stderr));
}

fn index(interface: &str) -> u32 {
    nix::net::if_::if_nametoindex(interface).expect("the interface is there")
}

fn name(text: &str) -> NodeName {
    text.parse().expect("a node's name")
}

fn interface(text: &str) -> IfName {
    text.parse().expect("an interface's name")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

fn server(protocol: Protocol, bind: &str) -> Server {
    Server {
        name: format!("{protocol}"),
        protocol,
        bind: bind.parse().expect("an address"),
        body_bytes: 3000,
        hosts: Vec::new(),
        source_by_route: false,
    }
}

fn rs1(servers: Vec<Server>) -> Node {
    Node {
        name: name("rs1"),
        role: Role::RealServer,
        kind: drlab::base::DirectorKind::default(),
        runs_on: None,
        interfaces: Vec::new(),
        sysctls: Vec::new(),
        routes: Vec::new(),
        neighbours: Vec::new(),
        arptables: Vec::new(),
        iptables: Vec::new(),
        ipvs: None,
        balances: Vec::new(),
        packages: Vec::new(),
        servers,
        files: Vec::new(),
        access_logs: Vec::new(),
        daemons: Vec::new(),
        commands: Vec::new(),
        commands_later: false,
    }
}

fn load(protocol: Protocol, target: &str) -> Load {
    Load {
        name: "l".to_owned(),
        clients: vec![LoadClient { node: name("client"), source: None }],
        protocol,
        target: target.parse().expect("an address"),
        requests: 20,
        concurrency: 4,
        rate_per_s: None,
        duration_ms: None,
        mode: LoadMode::PerRequest,
        paths: vec!["/a".to_owned(), "/b?x=1".to_owned()],
        host: "www.example.org".to_owned(),
        source_port: None,
        upload_bytes: 0,
        contains: None,
        timeout_ms: 2000,
        foreign: false,
        during: Vec::new(),
    }
}

fn whole(request: &RequestResult) -> bool {
    matches!(&request.outcome, Outcome::Answered { status: 200, server: Some(s), whole: true, .. } if s == "rs1")
}

/// What the tests' acts need of a kernel: nothing.
struct NoKernel;

impl Configure for NoKernel {
    async fn apply(&self, act: &Act) -> Result<String, ActError> {
        panic!("no test does {act:?}")
    }

    async fn observe(&self, condition: &Condition) -> Result<Observed, ActError> {
        panic!("no test waits for {condition:?}")
    }
}

type Frames = Arc<Mutex<Vec<(usize, Direction, u64, u32, Vec<u8>)>>>;

struct Kept(Frames);

impl Sink for Kept {
    fn frame(&mut self, vantage: usize, direction: Direction, at: u64, length: u32, data: &[u8]) -> io::Result<()> {
        self.0.lock().expect("nobody panicked").push((vantage, direction, at, length, data.to_vec()));
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn stop(capture: Capture) -> CaptureStats {
    capture.stop().expect("the capture was written").0
}

#[test]
fn every_request_of_a_load_is_answered_whole_and_logged_and_captured() {
    block_on(async {
        let pair = Pair::new();
        let taps = pair.taps().await;
        let names = vantages(&taps);
        let path = std::env::temp_dir().join(format!("drlab-test-{}.pcapng", std::process::id()));
        let out = std::fs::File::create(&path).expect("a file in the temporary folder");
        let sink = file::Pcapng::new(out, &names).expect("a begun file");
        let capture = Capture::start(taps, sink).expect("a capture");
        let servers =
            Servers::start_all(&[rs1(vec![server(Protocol::Tcp, "0.0.0.0:80")])], &pair).await.expect("servers");
        let stage = Stage { nodes: &pair, servers: &servers, daemons: &Daemons::default(), kernel: &NoKernel };
        let timeline = [TimedAct { label: "ask".to_owned(), act: Act::Load(load(Protocol::Tcp, "10.9.0.66:80")) }];
        let results = timeline::run(&timeline, &stage, |_| {}).await.expect("a load");
        let stats = stop(capture);
        let requests = &results.loads[0].requests;
        assert_eq!(requests.len(), 20);
        assert!(requests.iter().all(whole), "{requests:#?}");
        let log = &servers.access_logs()[&name("rs1")];
        for request in requests {
            let id = format!("l/{}", request.number);
            let entry = log.iter().find(|entry| entry.request.as_ref() == Some(&id)).expect("a line for each request");
            assert_eq!(Some(entry.client), request.local);
            assert_eq!(entry.local, "10.9.0.66:80".parse().expect("an address"));
            assert_eq!(entry.path, request.path);
        }
        assert_eq!(stats.vantages, ["client:lo", "client:eth0", "rs1:lo", "rs1:eth0"]);
        assert!(stats.dropped.values().all(|&drops| drops == 0), "{stats:?}");
        let bytes = std::fs::read(&path).expect("the capture's file");
        std::fs::remove_file(&path).expect("the capture's file can be removed");
        let packets: Vec<_> =
            Reader::new(bytes.as_slice()).expect("pcapng").collect::<Result<_, _>>().expect("whole packets");
        assert_eq!(packets.len() as u64, stats.frames);
        for (vantage, direction) in [(1, Direction::Out), (3, Direction::In)] {
            let opening =
                packets.iter().filter(|p| p.interface == vantage && p.direction == direction && opens(&p.data));
            assert_eq!(opening.count(), 20, "each request has a connection of its own at {}", names[vantage]);
        }
        let mut closing = BTreeMap::new();
        for packet in packets.iter().filter(|p| p.interface == 3 && is_tcp(&p.data) && p.data[47] & 1 == 1) {
            let port = if packet.direction == Direction::In { 34..36 } else { 36..38 };
            closing.entry(packet.data[port].to_vec()).or_insert(packet.direction);
        }
        assert_eq!(closing.len(), 20);
        assert!(closing.values().all(|&first| first == Direction::Out), "the server closes first: {closing:?}");
    });
}

/// A TCP packet over IPv4 without options that has SYN and not ACK.
fn opens(frame: &[u8]) -> bool {
    is_tcp(frame) && frame[47] & 0x12 == 2
}

fn is_tcp(frame: &[u8]) -> bool {
    frame.len() > 47 && frame[12..14] == [8, 0] && frame[23] == 6
}

#[test]
fn what_was_on_the_wire_before_the_stop_is_in_the_capture() {
    block_on(async {
        let pair = Pair::new();
        for _ in 0..20 {
            let frames = Frames::default();
            let capture = Capture::start(pair.taps().await, Kept(Arc::clone(&frames))).expect("a capture");
            let pinged = pair.on("client", || ping("10.9.0.2")).await;
            let stats = stop(capture);
            assert_eq!(pinged, "2 of 2 answered");
            let frames = frames.lock().expect("nobody panicked");
            let echoes = frames.iter().filter(|(_, _, _, _, data)| data[12..14] == [8, 0] && data[23] == 1).count();
            assert_eq!(echoes, 8, "two requests and two replies, each seen on both ends");
            assert_eq!(stats.frames, frames.len() as u64);
        }
    });
}

async fn ping(target: &str) -> String {
    let target = target.parse().expect("an address");
    ping::ping(&name("client"), target, 2, Duration::from_millis(500)).await.expect("a raw socket").to_string()
}

#[test]
fn the_loopback_is_captured_once_and_into_the_node() {
    block_on(async {
        let pair = Pair::new();
        let frames = Frames::default();
        let capture = Capture::start(pair.taps().await, Kept(Arc::clone(&frames))).expect("a capture");
        assert_eq!(pair.on("client", || ping("127.0.0.1")).await, "2 of 2 answered");
        stop(capture);
        let frames = frames.lock().expect("nobody panicked");
        let looped: Vec<_> = frames.iter().filter(|(vantage, ..)| *vantage == 0).collect();
        assert_eq!(looped.len(), 4);
        assert!(looped.iter().all(|(_, direction, ..)| *direction == Direction::In));
        assert!(looped.iter().all(|(.., data)| data[..14] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0]));
    });
}

#[test]
fn a_frame_of_an_interface_that_nobody_named_counts_as_dropped() {
    block_on(async {
        let pair = Pair::new();
        let mut taps = pair.taps().await;
        taps[0].interfaces.retain(|_, name| *name == "eth0");
        let capture = Capture::start(taps, Kept(Frames::default())).expect("a capture");
        assert_eq!(pair.on("client", || ping("127.0.0.1")).await, "2 of 2 answered");
        let stats = stop(capture);
        assert_eq!(stats.dropped[&name("client")], 4);
        assert_eq!(stats.dropped[&name("rs1")], 0);
    });
}

#[test]
fn a_ping_counts_what_was_answered() {
    block_on(async {
        let pair = Pair::new();
        assert_eq!(pair.on("client", || ping("fd09::2")).await, "2 of 2 answered");
        assert!(pair.on("client", || ping("10.77.0.1")).await.starts_with("0 of 2 answered (Network is unreachable"));
    });
}

#[test]
fn a_probe_hears_the_macs_that_answer_and_an_empty_wire_gives_none() {
    block_on(async {
        let pair = Pair::new();
        for (sender, target, answers) in [
            ("10.9.0.1", VIP, vec![SERVER_MAC]),
            ("10.9.0.1", "10.9.0.99", vec![]),
            ("fd09::1", "fd09::2", vec![SERVER_MAC]),
            ("fd09::1", "fd09::99", vec![]),
        ] {
            let probe = Probe {
                node: name("client"),
                interface: interface("eth0"),
                sender: sender.parse().expect("an address"),
                target: target.parse().expect("an address"),
            };
            let heard = probe::ask_all(&[probe], &pair).await.expect("a question can be sent");
            assert_eq!(heard[0].answers, answers, "{target}");
        }
    });
}

#[test]
fn an_announcement_changes_what_a_neighbour_knows() {
    block_on(async {
        let pair = Pair::new();
        assert_eq!(pair.on("client", || ping("10.9.0.2")).await, "2 of 2 answered");
        assert_eq!(pair.on("client", || ping("fd09::2")).await, "2 of 2 answered");
        let servers = Servers::default();
        let stage = Stage { nodes: &pair, servers: &servers, daemons: &Daemons::default(), kernel: &NoKernel };
        let other = Mac([2, 0, 0, 0, 0, 9]);
        for address in ["10.9.0.2", "fd09::2"] {
            let address: IpAddr = address.parse().expect("an address");
            let act = Act::GratuitousArp { node: name("rs1"), interface: interface("eth0"), address, mac: Some(other) };
            let said = Mutex::new(Vec::<Acted>::new());
            timeline::run(&[TimedAct { label: "say".to_owned(), act }], &stage, |acted| {
                said.lock().expect("nobody panicked").push(acted);
            })
            .await
            .expect("an announcement");
            assert_eq!(said.lock().expect("nobody panicked")[0].outcome, format!("{address} is at 02:00:00:00:00:09"));
        }
        let known = pair
            .on("client", || async {
                let shown = Command::new("ip").args(["neigh", "show"]).output().expect("iproute2");
                String::from_utf8_lossy(&shown.stdout).into_owned()
            })
            .await;
        assert_eq!(known.matches("02:00:00:00:00:09").count(), 2, "{known}");
    });
}

#[test]
fn datagrams_are_echoed_from_the_address_that_they_were_sent_to() {
    block_on(async {
        let pair = Pair::new();
        let both = vec![
            server(Protocol::Udp, "[::]:53"),
            Server { name: "v4".to_owned(), ..server(Protocol::Udp, "0.0.0.0:5353") },
        ];
        let servers = Servers::start_all(&[rs1(both)], &pair).await.expect("servers");
        for target in ["10.9.0.66:53", "[fd09::2]:53", "10.9.0.66:5353"] {
            let results = run_load(&pair, &servers, load(Protocol::Udp, target)).await;
            assert!(results.iter().all(whole), "{results:#?}");
            let at: SocketAddr = target.parse().expect("an address");
            let log = &servers.access_logs()[&name("rs1")];
            assert_eq!(log.iter().filter(|entry| entry.local == at && entry.path == "/a").count(), 10);
        }
    });
}

#[test]
fn a_server_on_every_address_serves_both_families_where_it_is_alone() {
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        block_on(async {
            let pair = Pair::new();
            let servers = Servers::start_all(&[rs1(vec![server(protocol, "[::]:53")])], &pair).await.expect("servers");
            for target in ["10.9.0.66:53", "[fd09::2]:53"] {
                let results = run_load(&pair, &servers, load(protocol, target)).await;
                assert!(results.iter().all(whole), "{results:#?}");
                let at: SocketAddr = target.parse().expect("an address");
                let log = &servers.access_logs()[&name("rs1")];
                assert!(log.iter().any(|entry| entry.local == at && entry.client.is_ipv4() == at.is_ipv4()));
            }
        });
    }
}

async fn run_load(pair: &Pair, servers: &Servers, load: Load) -> Vec<RequestResult> {
    let stage = Stage { nodes: pair, servers, daemons: &Daemons::default(), kernel: &NoKernel };
    let timeline = [TimedAct { label: "ask".to_owned(), act: Act::Load(load) }];
    let mut results = timeline::run(&timeline, &stage, |_| {}).await.expect("a load");
    results.loads.remove(0).requests
}

#[test]
fn a_server_stopped_after_ten_requests_refuses_the_eleventh_until_it_is_started_again() {
    block_on(async {
        let pair = Pair::new();
        let servers =
            Servers::start_all(&[rs1(vec![server(Protocol::Tcp, "0.0.0.0:80")])], &pair).await.expect("servers");
        let gate = |after, label: &str, act| During {
            when: Trigger::AfterRequests(after),
            act: TimedAct { label: label.to_owned(), act },
        };
        let during = vec![
            gate(15, "start", Act::StartServer { node: name("rs1"), server: "TCP".to_owned() }),
            gate(10, "stop", Act::StopServer { node: name("rs1"), server: "TCP".to_owned() }),
        ];
        let results = run_load(&pair, &servers, Load { during, ..load(Protocol::Tcp, "10.9.0.66:80") }).await;
        for request in &results {
            let refused = matches!(&request.outcome, Outcome::Failed { kind, .. } if kind == "refused");
            assert_eq!(refused, (10..15).contains(&request.number), "{request:#?}");
            assert_eq!(whole(request), !refused);
        }
    });
}

#[test]
fn a_load_without_a_route_or_with_a_foreign_source_says_which() {
    block_on(async {
        let pair = Pair::new();
        let servers = Servers::default();
        let kind = |requests: Vec<RequestResult>| match requests.into_iter().next().map(|request| request.outcome) {
            Some(Outcome::Failed { kind, .. }) => kind,
            other => panic!("no failure: {other:?}"),
        };
        let one = |target| Load { requests: 1, timeout_ms: 200, ..load(Protocol::Tcp, target) };
        assert_eq!(kind(run_load(&pair, &servers, one("10.77.0.1:80")).await), "unreachable");
        assert_eq!(kind(run_load(&pair, &servers, one("10.9.0.99:80")).await), "timeout");
        let foreign = vec![LoadClient { node: name("client"), source: "10.5.5.5".parse().ok() }];
        assert_eq!(kind(run_load(&pair, &servers, Load { clients: foreign, ..one("10.9.0.66:80") }).await), "local");
        assert_eq!(kind(run_load(&pair, &servers, one("10.9.0.66:81")).await), "refused");
    });
}
#[test]
fn a_ring_that_nobody_reads_counts_what_it_has_no_room_for() {
    block_on(async {
        let pair = Pair::new();
        let opened = pair.on("client", || async { (Ring::open(1), index("lo")) }).await;
        let taps = vec![Tap {
            node: name("client"),
            ring: opened.0.expect("a packet ring needs CAP_NET_RAW"),
            interfaces: BTreeMap::from([(opened.1, interface("lo"))]),
        }];
        pair.on("client", || async {
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let to = socket.local_addr().expect("its address");
            for _ in 0..1000 {
                socket.send_to(&[0; 1000], to).expect("the loopback takes it");
            }
        })
        .await;
        let stats = stop(Capture::start(taps, Kept(Frames::default())).expect("a capture"));
        // Four blocks of 64 KiB hold at most 262 frames of a thousand bytes, every second one of which is a twin.
        assert!((100..=131).contains(&stats.frames), "{stats:?}");
        assert!(stats.dropped[&name("client")] >= 2000 - 262, "{stats:?}");
    });
}
