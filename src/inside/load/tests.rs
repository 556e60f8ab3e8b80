//! Loads over the loopback, with every node on the test's own thread.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::{LoadError, run};
use crate::base::{NodeName, Protocol};
use crate::facts::run::{LoadResult, Outcome, RequestResult};
use crate::inside::serve::{AccessLog, Reach, Running, start};
use crate::inside::timeline::nodes::{NodeGone, NodeJob, Nodes};
use crate::plan::act::LoadClient;
use crate::plan::{Act, During, Load, LoadMode, Server, TimedAct, Trigger};

struct Here;

impl Nodes for Here {
    fn spawn(&self, _: &NodeName, job: NodeJob) -> Result<(), NodeGone> {
        tokio::task::spawn_local(job());
        Ok(())
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the act failed")]
struct ActFailed;

fn here<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn server(log: &AccessLog) -> Running {
    server_of(&[], log)
}

/// One that has sites of those names only.
fn server_of(hosts: &[&str], log: &AccessLog) -> Running {
    let bind = "127.0.0.1:0".parse().unwrap();
    let server = Server {
        name: "http".to_owned(),
        protocol: Protocol::Tcp,
        bind,
        body_bytes: 100,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        source_by_route: false,
    };
    start(&name("rs1"), &server, Reach::Both, log).unwrap()
}

fn load(target: SocketAddr) -> Load {
    Load {
        name: "main".to_owned(),
        clients: vec![LoadClient { node: name("client"), source: None }],
        protocol: Protocol::Tcp,
        target,
        requests: 10,
        concurrency: 1,
        rate_per_s: None,
        duration_ms: None,
        mode: LoadMode::PerRequest,
        paths: vec!["/".to_owned()],
        host: "drlab".to_owned(),
        source_port: None,
        upload_bytes: 0,
        contains: None,
        timeout_ms: 1000,
        foreign: false,
        during: Vec::new(),
    }
}

fn during(when: Trigger, label: &str) -> During {
    let timeout_ms = 0;
    let act = Act::Ping { node: name("client"), target: "127.0.0.1".parse().unwrap(), count: 0, timeout_ms };
    During { when, act: TimedAct { label: label.to_owned(), act } }
}

async fn go(load: &Load) -> LoadResult {
    run(load, &Here, async |_| Err(ActFailed)).await.unwrap()
}

fn whole(request: &RequestResult) -> bool {
    matches!(&request.outcome, Outcome::Answered { status: 200, whole: true, .. })
}

fn kind(request: &RequestResult) -> &str {
    match &request.outcome {
        Outcome::Failed { kind, .. } => kind,
        Outcome::Answered { .. } => "answered",
    }
}

#[test]
fn with_a_concurrency_of_one_a_request_starts_once_the_last_one_is_answered() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let result = go(&load(server.at())).await;
        assert!(result.requests.iter().all(whole), "{result:#?}");
        for pair in result.requests.windows(2) {
            assert!(pair[0].start_ns + pair[0].latency_us * 1000 <= pair[1].start_ns, "{pair:#?}");
        }
        let asked: Vec<_> = log.entries().into_iter().filter_map(|entry| entry.request).collect();
        let numbers: Vec<_> = (0..10).map(|number| format!("main/{number}")).collect();
        assert_eq!(asked, numbers);
    });
}

#[test]
fn each_request_has_a_connection_of_its_own_that_the_access_log_names() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let result = go(&Load { concurrency: 4, ..load(server.at()) }).await;
        let mut ports: Vec<_> = result.requests.iter().filter_map(|request| request.local).collect();
        let mut logged: Vec<_> = log.entries().iter().map(|entry| entry.client).collect();
        ports.sort_unstable();
        logged.sort_unstable();
        assert_eq!(ports, logged);
        ports.dedup();
        assert_eq!(ports.len(), 10);
    });
}

#[test]
fn clients_and_paths_are_taken_in_turn() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let client = |source: &str| LoadClient { node: name("client"), source: source.parse().ok() };
        let clients = vec![client("127.0.0.2"), client("127.0.0.3")];
        let paths = vec!["/a".to_owned(), "/b".to_owned(), "/c?d=e".to_owned()];
        let result = go(&Load { clients, paths, ..load(server.at()) }).await;
        assert!(result.requests.iter().all(whole), "{result:#?}");
        let seen: Vec<_> = log.entries().iter().map(|entry| format!("{} {}", entry.client.ip(), entry.path)).collect();
        assert_eq!(seen[..4], ["127.0.0.2 /a", "127.0.0.3 /b", "127.0.0.2 /c?d=e", "127.0.0.3 /a"].map(str::to_owned));
    });
}

#[test]
fn a_client_that_keeps_its_connection_uses_one_for_all() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let result = go(&Load { mode: LoadMode::KeepAlive, ..load(server.at()) }).await;
        assert!(result.requests.iter().all(whole), "{result:#?}");
        let first = log.entries()[0].client;
        assert!(log.entries().iter().all(|entry| entry.client == first));
        assert!(result.requests.iter().all(|request| request.local == Some(first)));
    });
}

#[test]
fn a_kept_connection_fails_for_the_same_reasons_as_one_for_each_request() {
    here(async {
        for mode in [LoadMode::PerRequest, LoadMode::KeepAlive] {
            for (behaviour, wanted) in [
                ("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ntoo short", "closed"),
                ("", "closed"),
                ("220 mail.example.org ESMTP\r\n", "protocol"),
                ("hang", "timeout"),
                ("reset", "reset"),
            ] {
                let at = odd_server(behaviour).await;
                let result = go(&Load { mode, requests: 1, timeout_ms: 100, ..load(at) }).await;
                assert_eq!(kind(&result.requests[0]), wanted, "{mode:?} {behaviour:?}: {result:#?}");
            }
            let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let result = go(&Load { mode, requests: 1, ..load(nobody) }).await;
            assert_eq!(kind(&result.requests[0]), "refused", "{mode:?}");
        }
    });
}

/// A server that reads one request, then says or does what it is told.
async fn odd_server(behaviour: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if behaviour == "reset" {
            // Closing with bytes unread makes the kernel send RST.
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
            return;
        }
        let mut request = [0; 4096];
        assert_ne!(stream.read(&mut request).await.unwrap(), 0);
        if behaviour == "hang" {
            std::future::pending::<()>().await;
        }
        stream.write_all(behaviour.as_bytes()).await.unwrap();
    });
    at
}

#[test]
fn a_refused_request_knows_its_port_so_that_its_frames_are_found() {
    here(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = closed.local_addr().unwrap();
        drop(closed);
        let result = go(&Load { requests: 1, ..load(target) }).await;
        assert_eq!(kind(&result.requests[0]), "refused");
        assert!(result.requests[0].local.is_some_and(|local| local.port() != 0), "{:?}", result.requests[0]);
    });
}

#[test]
fn a_page_of_another_program_is_an_answer_that_is_not_whole() {
    here(async {
        let at = odd_server("HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\nconnection: close\r\n\r\nno\n").await;
        let result = go(&Load { requests: 1, ..load(at) }).await;
        let outcome = Outcome::Answered { status: 404, server: None, bytes: 3, whole: false };
        assert_eq!(result.requests[0].outcome, outcome);
    });
}

#[test]
fn an_act_after_four_requests_finds_four_ended_and_none_under_way() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let seen = RefCell::new(Vec::new());
        let during = vec![during(Trigger::AfterRequests(4), "fourth"), during(Trigger::AfterRequests(0), "begin")];
        let load = Load { during, concurrency: 3, ..load(server.at()) };
        let act = async |act: &TimedAct| {
            seen.borrow_mut().push((act.label.clone(), log.entries().len()));
            tokio::task::yield_now().await;
            seen.borrow_mut().push((act.label.clone(), log.entries().len()));
            Ok::<_, ActFailed>(())
        };
        assert_eq!(run(&load, &Here, act).await.unwrap().requests.len(), 10);
        let wanted = [("begin", 0), ("begin", 0), ("fourth", 4), ("fourth", 4)];
        assert_eq!(seen.into_inner(), wanted.map(|(label, count)| (label.to_owned(), count)));
    });
}

#[test]
fn an_act_at_a_time_happens_even_after_the_last_request() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let acted = Cell::new(0);
        let during = vec![during(Trigger::AtMs(40), "late"), during(Trigger::AtMs(0), "at once")];
        let load = Load { during, requests: 1, ..load(server.at()) };
        let act = async |_: &TimedAct| {
            acted.set(acted.get() + 1);
            Ok::<_, ActFailed>(())
        };
        assert!(run(&load, &Here, act).await.unwrap().ms >= 40.0);
        assert_eq!(acted.get(), 2);
    });
}

#[test]
fn an_act_that_the_load_never_came_to_is_an_error() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let load = Load { during: vec![during(Trigger::AfterRequests(11), "never")], ..load(server.at()) };
        let ended = run(&load, &Here, async |_| Err(ActFailed)).await;
        assert!(matches!(&ended, Err(LoadError::NeverReached { wanted: 11, ended: 10, .. })), "{ended:?}");
    });
}

#[test]
fn an_act_that_fails_ends_the_load() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let load = Load { during: vec![during(Trigger::AfterRequests(5), "breaks")], ..load(server.at()) };
        assert!(matches!(run(&load, &Here, async |_| Err(ActFailed)).await, Err(LoadError::During { .. })));
    });
}

#[test]
fn a_rate_keeps_starts_apart_and_a_duration_ends_a_load_early() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        // The first starts at once, the tenth after nine periods of 10 ms.
        let paced = go(&Load { rate_per_s: Some(100.0), concurrency: 4, ..load(server.at()) }).await;
        assert!(paced.ms >= 90.0, "{} ms", paced.ms);
        let spec = Load { rate_per_s: Some(100.0), duration_ms: Some(45), requests: 1000, ..load(server.at()) };
        let ended = go(&spec).await;
        assert!((1..=5).contains(&ended.requests.len()), "{} requests", ended.requests.len());
    });
}

#[test]
fn a_stopped_server_has_closed_its_kept_connections_and_its_port() {
    here(async {
        let log = AccessLog::default();
        let server = server(&log);
        let at = server.at();
        let mut kept = tokio::net::TcpStream::connect(at).await.unwrap();
        kept.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_ne!(kept.read(&mut [0; 4096]).await.unwrap(), 0);
        server.stop().await;
        let rest = tokio::time::timeout(Duration::from_secs(1), kept.read(&mut [0; 64])).await.unwrap();
        assert_eq!(rest.unwrap(), 0);
        assert!(tokio::net::TcpStream::connect(at).await.is_err());
    });
}

#[test]
fn what_a_request_carries_up_is_taken_in_whichever_way_it_is_sent() {
    here(async {
        let server = server(&AccessLog::default());
        for mode in [LoadMode::PerRequest, LoadMode::KeepAlive] {
            let result = go(&Load { mode, requests: 2, upload_bytes: 100_000, ..load(server.at()) }).await;
            assert!(result.requests.iter().all(whole), "{result:#?}");
        }
    });
}

#[test]
fn a_site_of_another_name_is_not_found() {
    here(async {
        let server = server_of(&["shop.example"], &AccessLog::default());
        let status = async |host: &str| {
            let result = go(&Load { requests: 1, host: host.to_owned(), ..load(server.at()) }).await;
            match result.requests[0].outcome {
                Outcome::Answered { status, .. } => status,
                Outcome::Failed { .. } => 0,
            }
        };
        assert_eq!(status("127.0.0.1").await, 404);
        assert_eq!(status("shop.example").await, 200);
        assert_eq!(status("SHOP.example:80").await, 200);
    });
}

#[test]
fn requests_leave_from_the_port_that_is_asked_for() {
    here(async {
        let server = server(&AccessLog::default());
        // A port that was free a moment ago.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let result = go(&Load { requests: 2, source_port: Some(port), ..load(server.at()) }).await;
        let ports: Vec<_> = result.requests.iter().filter_map(|r| r.local).map(|l| l.port()).collect();
        assert_eq!(ports, [port, port], "{result:#?}");
    });
}
