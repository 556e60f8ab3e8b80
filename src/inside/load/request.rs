//! One request on a connection of its own: HTTP by hyper over a socket that is ours, or a datagram.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use std::{io, str};

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect, setsockopt, socket, sockopt,
};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout_at;

use super::failure::Kind;
use crate::facts::run::Outcome;
use crate::facts::weblog::AGENT;
use crate::inside::serve::{REQUEST_HEADER, body};

/// What is asked, of whom, from where.
#[derive(Debug, Clone, Copy)]
pub(in crate::inside) struct Ask<'a> {
    pub(in crate::inside) target: SocketAddr,
    pub(in crate::inside) source: Option<IpAddr>,
    /// 0 for one of the kernel's choice.
    pub(in crate::inside) source_port: u16,
    /// What is sent up with it; a GET where 0.
    pub(in crate::inside) upload_bytes: u32,
    pub(in crate::inside) host: &'a str,
    pub(in crate::inside) path: &'a str,
    /// `LOAD/NUMBER`.
    pub(in crate::inside) id: &'a str,
    pub(in crate::inside) timeout_ms: u64,
    /// Whether the answer is a page of somebody else's.
    pub(in crate::inside) foreign: bool,
    /// Text that the answer has to hold.
    pub(in crate::inside) contains: Option<&'a str>,
}

/// What came of it.
#[derive(Debug)]
pub(in crate::inside) struct Answer {
    pub(in crate::inside) local: Option<SocketAddr>,
    pub(in crate::inside) outcome: Outcome,
    /// Whether it lacks the text that it has to hold.
    pub(in crate::inside) lacks: bool,
    /// When the last byte of the answer was there; `None` where it failed.
    pub(in crate::inside) whole_at: Option<Instant>,
}

impl Answer {
    pub(in crate::inside) fn failed(local: Option<SocketAddr>, outcome: Outcome) -> Self {
        Self { local, outcome, lacks: false, whole_at: None }
    }
}

impl Ask<'_> {
    fn deadline(&self) -> tokio::time::Instant {
        tokio::time::Instant::now() + Duration::from_millis(self.timeout_ms)
    }
}

/// Asks over TCP. The server is asked to close, and this returns once it has: so its port is what waits (`TIME_WAIT`),
/// the client's never runs out, and the next request meets a Director that has seen the end of this one.
pub(in crate::inside) async fn http(ask: Ask<'_>) -> Answer {
    let deadline = ask.deadline();
    let stream = match tcp_socket(&ask) {
        Ok(stream) => stream,
        Err((doing, error)) => return Answer::failed(None, Kind::of_io(&error).outcome(doing, &error)),
    };
    // The port is known before the connection is, so that a failed one is found in the capture.
    let local = stream.local_addr().ok();
    match timeout_at(deadline, connected(&stream)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Answer::failed(local, Kind::of_io(&error).outcome("could not connect", &error)),
        Err(_) => return Answer::failed(local, Kind::timed_out("could not connect", ask.timeout_ms)),
    }
    let mut answer = None;
    let exchanged = timeout_at(deadline, exchange(stream, &ask, &mut answer)).await;
    match (answer, exchanged) {
        (Some((judged, at)), _) => judged.answer(local, at),
        (None, Ok(Err(error))) => Answer::failed(local, Kind::of(&error).outcome("could not get an answer", &error)),
        (None, Ok(Ok(())) | Err(_)) => {
            Answer::failed(local, Kind::timed_out("could not get an answer", ask.timeout_ms))
        }
    }
}

/// A socket that has begun to connect.
fn tcp_socket(ask: &Ask<'_>) -> Result<TcpStream, (&'static str, io::Error)> {
    let family = if ask.target.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Stream, flags, None).map_err(|e| ("could not open a socket", e.into()))?;
    if ask.source_port != 0 {
        // The port may still be waiting from the connection before.
        setsockopt(&fd, sockopt::ReuseAddr, &true).map_err(|e| ("could not share the port", e.into()))?;
    }
    if ask.source.is_some() || ask.source_port != 0 {
        let source = ask.source.unwrap_or_else(|| unspecified(ask.target));
        // Else the kernel would take a port of the source for every target at once, and run out of them sooner.
        setsockopt(&fd, sockopt::IpBindAddressNoPort, &true)
            .map_err(|e| ("could not leave the port open", e.into()))?;
        bind(fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(source, ask.source_port)))
            .map_err(|e| ("could not bind the source address", e.into()))?;
    }
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(ask.target)) {
        Ok(()) | Err(Errno::EINPROGRESS) => {}
        Err(errno) => return Err(("could not connect", errno.into())),
    }
    TcpStream::from_std(fd.into()).map_err(|e| ("could not watch the socket", e))
}

fn unspecified(like: SocketAddr) -> IpAddr {
    if like.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// Waits until the connection is there, or is not to be.
async fn connected(stream: &TcpStream) -> io::Result<()> {
    stream.writable().await?;
    stream.take_error()?.map_or(Ok(()), Err)
}

type Whole = Option<(Judged, Instant)>;

async fn exchange(stream: TcpStream, ask: &Ask<'_>, answer: &mut Whole) -> Result<(), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let asking = async move {
        let response = sender.send_request(request(ask)?).await.map_err(Failed::Http)?;
        let outcome = read(response, ask).await.map_err(Failed::Http)?;
        Ok((outcome, Instant::now()))
    };
    let (closed, asked) = tokio::join!(connection.without_shutdown(), asking);
    match asked {
        Ok(whole) => *answer = Some(whole),
        Err(Failed::Http(error)) => return Err(error),
        Err(Failed::Request(error)) => {
            let outcome = Kind::Protocol.outcome("could not put the request together", &error);
            *answer = Some((Judged { outcome, lacks: false }, Instant::now()));
        }
    }
    if let Ok(parts) = closed {
        let mut stream = parts.io.into_inner();
        // Whatever ends the connection ends the wait; the answer is whole by now.
        while let Ok(1..) = stream.read(&mut [0; 64]).await {}
    }
    Ok(())
}

enum Failed {
    Request(hyper::http::Error),
    Http(hyper::Error),
}

fn request(ask: &Ask<'_>) -> Result<Request<Full<Bytes>>, Failed> {
    let method = if ask.upload_bytes > 0 { Method::POST } else { Method::GET };
    let mut request = Request::builder();
    if ask.foreign {
        request = request.header(USER_AGENT, format!("{AGENT}{}", ask.id));
    }
    request
        .method(method)
        .uri(ask.path)
        .header(HOST, ask.host)
        .header(CONNECTION, "close")
        .header(REQUEST_HEADER, ask.id)
        .body(Full::new(upload(ask)))
        .map_err(Failed::Request)
}

/// What a request carries up: as much as was asked for of what a body is made of.
pub(in crate::inside) fn upload(ask: &Ask<'_>) -> Bytes {
    let mut bytes = if ask.upload_bytes > 0 { body::compose("client", ask.path, ask.upload_bytes) } else { Vec::new() };
    bytes.truncate(ask.upload_bytes as usize);
    Bytes::from(bytes)
}

async fn read<B: Body>(response: Response<B>, ask: &Ask<'_>) -> Result<Judged, B::Error> {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(judge(status, &bytes, ask.path, ask))
}

/// What an HTTP answer is worth.
#[derive(Debug)]
pub(in crate::inside) struct Judged {
    outcome: Outcome,
    lacks: bool,
}

impl Judged {
    /// The answer that it makes.
    pub(in crate::inside) fn answer(self, local: Option<SocketAddr>, whole_at: Instant) -> Answer {
        Answer { local, outcome: self.outcome, lacks: self.lacks, whole_at: Some(whole_at) }
    }
}

/// Judges an HTTP answer; `path` is the one that was asked for in the end.
pub(in crate::inside) fn judge(status: u16, body: &[u8], path: &str, ask: &Ask<'_>) -> Judged {
    let lacks = ask.contains.is_some_and(|text| !holds(body, text.as_bytes()));
    let bytes = body.len() as u64;
    let (server, whole) = if ask.foreign {
        // One that ended before its length would not have got here.
        (None, true)
    } else {
        let examined = body::examine(body, path);
        (examined.server, examined.whole)
    };
    Judged { outcome: Outcome::Answered { status, server, bytes, whole: whole && status == 200 && !lacks }, lacks }
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text)
}

/// Asks over UDP: one datagram from a port of its own, and the first one that comes back from the target.
pub(in crate::inside) async fn datagram(ask: Ask<'_>) -> Answer {
    let deadline = ask.deadline();
    let source = SocketAddr::new(ask.source.unwrap_or_else(|| unspecified(ask.target)), ask.source_port);
    let socket = match UdpSocket::bind(source).await {
        Ok(socket) => socket,
        Err(error) => return Answer::failed(None, Kind::Local.outcome("could not bind the source address", &error)),
    };
    let mut local = None;
    let sent = format!("{} {}", ask.id, ask.path);
    let mut buffer = vec![0; sent.len() + 256];
    let asking = async {
        socket.connect(ask.target).await?;
        local = socket.local_addr().ok();
        socket.send(sent.as_bytes()).await?;
        socket.recv(&mut buffer).await
    };
    let received = match timeout_at(deadline, asking).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Answer::failed(local, Kind::of_io(&error).outcome("could not get an echo", &error)),
        Err(_) => return Answer::failed(local, Kind::timed_out("could not get an echo", ask.timeout_ms)),
    };
    let whole_at = Instant::now();
    Judged { outcome: echo(&buffer[..received], &sent), lacks: false }.answer(local, whole_at)
}

fn echo(received: &[u8], sent: &str) -> Outcome {
    let words = str::from_utf8(received).ok().and_then(|text| text.split_once(' '));
    Outcome::Answered {
        status: 200,
        server: words.map(|(server, _)| server.to_owned()),
        bytes: received.len() as u64,
        whole: words.is_some_and(|(_, rest)| rest == sent),
    }
}
