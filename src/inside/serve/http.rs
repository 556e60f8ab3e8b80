//! HTTP/1.1: every path is answered by a body that tells the node.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, HOST, HeaderValue};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::{AccessLog, REQUEST_HEADER, Reach, SERVER_HEADER, body, canonical};
use crate::base::NodeName;
use crate::facts::run::AccessLogEntry;
use crate::inside::timeline::clock::epoch_ns;

const BACKLOG: u32 = 1024;

/// What all connections of a server share.
pub(super) struct Site {
    pub(super) node: NodeName,
    pub(super) filler_bytes: u32,
    /// The names that it is asked by; every one where there are none.
    pub(super) hosts: Vec<String>,
    pub(super) log: AccessLog,
}

/// Opens a listener.
pub(super) fn listen(at: SocketAddr, reach: Reach) -> Result<TcpListener, (&'static str, io::Error)> {
    let socket = match at {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.map_err(|e| ("open a socket", e))?;
    if at.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &(reach == Reach::OwnFamily))
            .map_err(|e| ("choose the socket's families", e.into()))?;
    }
    socket.set_reuseaddr(true).map_err(|e| ("set SO_REUSEADDR", e))?;
    // Connections inherit it, which saves a system call for each.
    socket.set_nodelay(true).map_err(|e| ("set TCP_NODELAY", e))?;
    socket.bind(at).map_err(|e| ("bind", e))?;
    socket.listen(BACKLOG).map_err(|e| ("listen", e))
}

/// Serves until `stop` is dropped, then closes everything and lets go of `done`.
pub(super) async fn serve(
    listener: TcpListener,
    site: Site,
    mut stop: oneshot::Receiver<()>,
    done: oneshot::Sender<()>,
) {
    let site = Rc::new(site);
    // Bodies differ only by path, and a load has few of them.
    let bodies = Rc::new(RefCell::new(None));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            _ = &mut stop => break,
            accepted = listener.accept() => {
                // A client that broke off while it waited in the backlog is no reason to stop serving.
                if let Ok((stream, client)) = accepted {
                    let client = canonical(client);
                    connections.spawn_local(connection(stream, client, Rc::clone(&site), Rc::clone(&bodies)));
                }
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    connections.shutdown().await;
    drop(done);
}

type LastBody = RefCell<Option<(String, Bytes)>>;

async fn connection(stream: TcpStream, client: SocketAddr, site: Rc<Site>, bodies: Rc<LastBody>) {
    let Ok(local) = stream.local_addr().map(canonical) else { return };
    let service = service_fn(|request: Request<Incoming>| {
        let (site, bodies) = (Rc::clone(&site), Rc::clone(&bodies));
        async move {
            let (head, upload) = request.into_parts();
            // What is sent up is taken in whole before the answer; one that breaks off gets none.
            if head.method == Method::POST {
                upload.collect().await?;
            }
            Ok::<_, hyper::Error>(answer(&head, client, local, &site, &bodies))
        }
    });
    let served = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service).await;
    // What a client does to its connection shows in its own result and in the capture.
    drop(served);
}

fn answer(
    request: &Parts,
    client: SocketAddr,
    local: SocketAddr,
    site: &Site,
    bodies: &LastBody,
) -> Response<Full<Bytes>> {
    let path = request.uri.path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    let allowed = matches!(request.method, Method::GET | Method::HEAD | Method::POST);
    let (status, body) = if !allowed {
        (StatusCode::METHOD_NOT_ALLOWED, Bytes::new())
    } else if !is_named(site, request) {
        (StatusCode::NOT_FOUND, Bytes::new())
    } else {
        (StatusCode::OK, body_of(site, path, bodies))
    };
    site.log.add(AccessLogEntry {
        at_ns: epoch_ns(),
        client,
        local,
        request: request.headers.get(REQUEST_HEADER).and_then(|v| v.to_str().ok()).map(str::to_owned),
        path: path.to_owned(),
        status: status.as_u16(),
        bytes: body.len() as u64,
    });
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    // A node's name is a hostname, hence a header's value.
    if let Ok(name) = HeaderValue::from_str(site.node.as_str()) {
        response.headers_mut().insert(SERVER_HEADER, name);
    }
    if !allowed {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    }
    response
}

/// Whether the server has a site of the name that is asked for (RFC 9110 section 7.2).
fn is_named(site: &Site, request: &Parts) -> bool {
    let asked = request.headers.get(HOST).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let name = asked.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(asked, |(name, _)| name);
    site.hosts.is_empty() || site.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

fn body_of(site: &Site, path: &str, last: &LastBody) -> Bytes {
    let mut last = last.borrow_mut();
    match &*last {
        Some((of, body)) if of == path => body.clone(),
        _ => {
            let body = Bytes::from(body::compose(site.node.as_str(), path, site.filler_bytes));
            *last = Some((path.to_owned(), body.clone()));
            body
        }
    }
}
