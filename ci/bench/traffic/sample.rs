//! Traffic through the textbook lab, built in namespaces of this machine: requests by drlab's own load, by wrk or by oha, or datagrams as
//! fast as one thread sends them, all captured. Without the IPVS table, which this machine may lack, so that requests go to a
//! real server's own address, by way of the router.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use drlab::base::{NodeName, Protocol};
use drlab::channel::BuildOptions;
use drlab::facts::run::Outcome;
use drlab::inside::build::Lab;
use drlab::inside::capture::ring_bytes;
use drlab::inside::serve::Servers;
use drlab::inside::{load, record};
use drlab::plan::act::LoadClient;
use drlab::plan::{Load, LoadMode, Plan};
use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::namespaces::sample::Lab as Which;
use crate::namespaces::sample::{own_namespaces, plan};

/// Requests over time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) per_s: f64,
    /// Answers that were not whole, or not there.
    pub(crate) failed: u64,
}

/// A flood.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Flooded {
    pub(crate) sent: u64,
    pub(crate) seconds: f64,
    pub(crate) frames: u64,
    pub(crate) dropped: u64,
    /// Of one processor.
    pub(crate) capture_share: f64,
    pub(crate) file_mb: f64,
    pub(crate) ring_mb: f64,
    pub(crate) rings: usize,
}

fn name(text: &'static str) -> Result<NodeName, BenchError> {
    text.parse().map_err(|_| BenchError::Usage(format!("{text} is no node")))
}

/// What is built, and where its file goes.
fn built(capture: bool) -> Result<(Lab, Plan), BenchError> {
    let plan = plan(Which::Textbook)?;
    own_namespaces()?;
    let output = env!("CARGO_TARGET_TMPDIR").to_owned();
    let options = BuildOptions {
        output,
        tool_roots: Vec::new(),
        skip_ipvs: true,
        capture,
        jitter_us: 0,
        memory_mib: 0,
        trees: Vec::new(),
    };
    let lab = Lab::create(&plan, &options, "", &mut |_| {}).map_err(|error| BenchError::lab("make a lab", &error))?;
    Ok((lab, plan))
}

fn address(plan: &Plan, node: &NodeName) -> Result<Ipv4Addr, BenchError> {
    let interfaces = plan.nodes.iter().filter(|n| n.name == *node).flat_map(|n| &n.interfaces);
    let found = interfaces.filter(|i| i.name.as_str() == "eth0").flat_map(|i| &i.addresses);
    let found =
        found.map(|a| a.address.addr()).find_map(|a| if let std::net::IpAddr::V4(v4) = a { Some(v4) } else { None });
    found.ok_or_else(|| BenchError::Usage(format!("{node} has no address")))
}

fn say(shown: &impl Serialize) -> Result<(), BenchError> {
    let text = serde_json::to_vec(shown)
        .map_err(|source| BenchError::Answer { what: "the sample itself".to_owned(), source })?;
    std::io::stdout().write_all(&text).map_err(BenchError::io("write to stdout".to_owned()))
}

/// Asks so often, so many at once, by `drlab`, or by the wrk or oha that is given.
pub(crate) fn ask(way: &str, at_once: &str, requests: &str) -> Result<(), BenchError> {
    let number = |text: &str| text.parse::<u32>().map_err(|_| BenchError::Usage(format!("{text} is no number")));
    let (at_once, requests) = (number(at_once)?, number(requests)?);
    let (lab, plan) = built(false)?;
    lab.configure().map_err(|error| BenchError::lab("configure a lab", &error))?;
    let target = SocketAddr::new(address(&plan, &name("rs1")?)?.into(), 80);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(BenchError::io("make a runtime".to_owned()))?;
    let asked = tokio::task::LocalSet::new().block_on(&runtime, async {
        let servers = Servers::start_all(&plan.nodes, &lab).await;
        let servers = servers.map_err(|error| BenchError::lab("start servers", &error))?;
        let asked = if way == "drlab" {
            by_drlab(&lab, target, at_once, requests).await
        } else {
            by_another(way, &lab, target, at_once)
        };
        servers.stop_all().await;
        asked
    })?;
    let left = lab.tear_down();
    if !left.is_empty() {
        return Err(BenchError::Lab { what: "take a lab down", why: left.join(", ") });
    }
    say(&asked)
}

async fn by_drlab(lab: &Lab, target: SocketAddr, at_once: u32, requests: u32) -> Result<Asked, BenchError> {
    let load = Load {
        name: "bench".to_owned(),
        clients: vec![LoadClient { node: name("client")?, source: None }],
        protocol: Protocol::Tcp,
        target,
        requests,
        concurrency: at_once,
        rate_per_s: None,
        duration_ms: None,
        mode: LoadMode::PerRequest,
        paths: vec!["/".to_owned()],
        host: "bench".to_owned(),
        source_port: None,
        contains: None,
        upload_bytes: 0,
        foreign: false,
        timeout_ms: 10_000,
        during: Vec::new(),
    };
    let ran = load::run(&load, lab, async |_| Ok::<(), BenchError>(())).await;
    let ran = ran.map_err(|error| BenchError::lab("run a load", &error))?;
    let whole = |r: &&drlab::facts::run::RequestResult| matches!(r.outcome, Outcome::Answered { whole: true, .. });
    let whole = ran.requests.iter().filter(whole).count() as u64;
    Ok(Asked { per_s: f64::from(requests) / ran.ms * 1e3, failed: u64::from(requests) - whole })
}

fn by_another(program: &str, lab: &Lab, target: SocketAddr, at_once: u32) -> Result<Asked, BenchError> {
    let client = name("client")?;
    let worker = lab.worker(&client).ok_or_else(|| BenchError::Usage("there is no client".to_owned()))?;
    let mut command = Command::new(program);
    let (at_once, url) = (at_once.to_string(), format!("http://{target}/"));
    if program.ends_with("oha") {
        // One thread, as the others.
        command.env("TOKIO_WORKER_THREADS", "1");
        command.args(["--no-tui", "--disable-keepalive", "-z", "3s", "-c", &at_once, &url]);
    } else {
        command.args(["-t1", "-d3s", "-H", "Connection: close", "-c", &at_once, &url]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = worker.space().spawn(&mut command).map_err(BenchError::io(format!("start {program}")))?;
    let answer = child.wait_with_output().map_err(BenchError::io(format!("wait for {program}")))?;
    let text = String::from_utf8_lossy(&answer.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:")?.trim().parse().ok());
    let failed = text.lines().filter(|line| line.contains("Socket errors") || line.contains("Non-2xx")).count() as u64;
    rate.map(|per_s| Asked { per_s, failed }).ok_or_else(|| BenchError::Sample {
        what: program.to_owned(),
        status: answer.status.to_string(),
        said: format!("{text}{}", String::from_utf8_lossy(&answer.stderr)),
    })
}

/// Small datagrams from the client to the router for so many seconds, captured at both.
pub(crate) fn flood(seconds: &str) -> Result<(), BenchError> {
    let seconds = seconds.parse().map_err(|_| BenchError::Usage(format!("{seconds} is no number")))?;
    let (lab, plan) = built(true)?;
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-flood.pcapng");
    let capture = record::start(&lab, &file).map_err(|error| BenchError::lab("begin to capture", &error))?;
    lab.configure().map_err(|error| BenchError::lab("configure a lab", &error))?;
    let target = SocketAddr::new(router(&plan)?.into(), 9);
    let client = name("client")?;
    let worker = lab.worker(&client).ok_or_else(|| BenchError::Usage("there is no client".to_owned()))?;
    let busy = capture_ms()?;
    let begun = Instant::now();
    let sent = worker.run(move || async move { send_for(target, Duration::from_secs(seconds)) });
    let sent = sent.map_err(|error| BenchError::lab("send datagrams", &error))?;
    let sent = sent.map_err(BenchError::io(format!("send to {target}")))?;
    let took = begun.elapsed();
    let busy = capture_ms()? - busy;
    let (stats, closing) = capture.stop().map_err(|error| BenchError::lab("end a capture", &error))?;
    let left = lab.tear_down();
    drop(closing);
    if !left.is_empty() {
        return Err(BenchError::Lab { what: "take a lab down", why: left.join(", ") });
    }
    let bytes = fs::metadata(&file).map_err(BenchError::io(format!("look at {}", file.display())))?.len();
    fs::remove_file(&file).map_err(BenchError::io(format!("remove {}", file.display())))?;
    let rings = plan.nodes.len();
    say(&Flooded {
        sent,
        seconds: took.as_secs_f64(),
        frames: stats.frames,
        dropped: stats.dropped.values().sum(),
        capture_share: busy / took.as_secs_f64() / 1e3,
        file_mb: bytes as f64 / 1e6,
        ring_mb: ring_bytes(rings) as f64 / 1e6,
        rings,
    })
}

/// The router's address on the client's segment.
fn router(plan: &Plan) -> Result<Ipv4Addr, BenchError> {
    let client = address(plan, &name("client")?)?;
    let routes = plan
        .nodes
        .iter()
        .filter(|n| n.name.as_str() == "router")
        .flat_map(|n| &n.interfaces)
        .flat_map(|i| &i.addresses);
    let beside = routes.filter(|a| a.address.contains(&std::net::IpAddr::V4(client))).map(|a| a.address.addr());
    let found = beside.into_iter().find_map(|a| if let std::net::IpAddr::V4(v4) = a { Some(v4) } else { None });
    found.ok_or_else(|| BenchError::Usage("the client has no router".to_owned()))
}

fn send_for(target: SocketAddr, time: Duration) -> std::io::Result<u64> {
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    // Not connected: what the router answers must not become an error here.
    let begun = Instant::now();
    let mut sent = 0;
    while begun.elapsed() < time {
        for _ in 0..256 {
            match socket.send_to(&[0; 22], target) {
                Ok(_) => sent += 1,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(sent)
}

/// How long the capture's thread has kept a processor busy, in ms.
fn capture_ms() -> Result<f64, BenchError> {
    let tasks = fs::read_dir("/proc/self/task").map_err(BenchError::io("list threads".to_owned()))?;
    for task in tasks.filter_map(Result::ok) {
        let read = |file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
        if read("comm").trim() == "capture" {
            let first = read("schedstat").split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
            return Ok(first.unwrap_or(f64::NAN) / 1e6);
        }
    }
    Err(BenchError::Usage("there is no thread that captures".to_owned()))
}
