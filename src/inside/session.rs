//! A client that behaves as a user's does: it keeps its connections and cookies and follows redirects.
//!
//! Owns: one reqwest client per load client, bound to that client's source address. Refuses: control over single
//! connections; which one a request took is told by the access log's client port under the same request id. It errs
//! as a browser would: a kept connection that turns out closed is opened anew without a word.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hyper_util::client::legacy::connect::HttpInfo;

use super::load::failure::Kind;
use super::load::request::{Answer, Ask, judge, upload};
use super::serve::REQUEST_HEADER;
use crate::facts::weblog::AGENT;

/// A client with its connections and cookies; cloning it shares them.
#[derive(Debug, Clone)]
pub struct Session {
    client: reqwest::Client,
}

/// The client could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("could not set up a client that keeps its connection")]
pub struct SessionError(#[from] reqwest::Error);

impl Session {
    /// A client that sends from `source` and gives up after `timeout_ms`.
    ///
    /// # Errors
    /// Those of reqwest.
    pub fn new(source: Option<IpAddr>, timeout_ms: u64) -> Result<Self, SessionError> {
        let client = reqwest::Client::builder()
            .local_address(source)
            .cookie_store(true)
            .no_proxy()
            .timeout(Duration::from_millis(timeout_ms))
            .build()?;
        Ok(Self { client })
    }

    pub(super) async fn ask(&self, ask: Ask<'_>) -> Answer {
        match self.get(&ask).await {
            Ok(answer) => answer,
            Err(error) if error.is_timeout() => {
                Answer::failed(None, Kind::timed_out("could not get an answer", ask.timeout_ms))
            }
            Err(error) => Answer::failed(None, Kind::of(&error).outcome("could not get an answer", &error)),
        }
    }

    async fn get(&self, ask: &Ask<'_>) -> Result<Answer, reqwest::Error> {
        let url = format!("http://{}{}", ask.target, ask.path);
        let request = if ask.upload_bytes > 0 { self.client.post(url).body(upload(ask)) } else { self.client.get(url) };
        let request = if ask.foreign {
            request.header(reqwest::header::USER_AGENT, format!("{AGENT}{}", ask.id))
        } else {
            request
        };
        let response = request.header(reqwest::header::HOST, ask.host).header(REQUEST_HEADER, ask.id).send().await?;
        let local = response.extensions().get::<HttpInfo>().map(HttpInfo::local_addr);
        let status = response.status().as_u16();
        let path = response.url().path().to_owned();
        let path = response.url().query().map_or(path.clone(), |query| format!("{path}?{query}"));
        let bytes = response.bytes().await?;
        Ok(judge(status, &bytes, &path, ask).answer(local, Instant::now()))
    }
}
