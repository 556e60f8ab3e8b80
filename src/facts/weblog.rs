//! Access logs of web servers, in the common and the combined format (Apache's `mod_log_config`, nginx's default).
//!
//! Owns: reading a line. Refuses: guessing; a line of another format gives nothing. These logs have no client's port: what
//! tells one request from another is the `User-Agent`, in which a load says its own number.

use std::net::IpAddr;

/// What a load's requests begin their `User-Agent` with; `LOAD/NUMBER` follows.
pub const AGENT: &str = "drlab ";

/// A line of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The client.
    pub client: IpAddr,
    /// `LOAD/NUMBER`, where a load asked.
    pub request: Option<String>,
    /// The path asked for.
    pub path: String,
    /// The status given.
    pub status: u16,
    /// Bytes of the body.
    pub bytes: u64,
}

/// Reads a line: `203.0.113.101 - - [23/Nov/2026:06:12:01 +0000] "GET / HTTP/1.1" 200 615 "-" "drlab load/17"`.
pub fn parse(line: &str) -> Option<Line> {
    let (client, rest) = line.trim().split_once(' ')?;
    // Apache can put the site before the client (`vhost_combined`).
    let (client, rest) = if let Ok(client) = client.parse() {
        (client, rest)
    } else {
        let (client, rest) = rest.split_once(' ')?;
        (client.parse().ok()?, rest)
    };
    let (_, rest) = rest.split_once("] \"")?;
    let (asked, rest) = rest.split_once("\" ")?;
    let mut asked = asked.split(' ');
    let (_, path) = (asked.next()?, asked.next()?);
    let mut words = rest.splitn(3, ' ');
    let (status, bytes) = (words.next()?.parse().ok()?, words.next()?);
    let agent = words.next().and_then(|rest| rest.rsplit('"').nth(1));
    Some(Line {
        client,
        request: agent.and_then(|agent| agent.strip_prefix(AGENT)).map(str::to_owned),
        path: path.to_owned(),
        status,
        // An empty body is a dash.
        bytes: if bytes == "-" { 0 } else { bytes.parse().ok()? },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Line, parse};

    fn line(request: Option<&str>) -> Line {
        Line {
            client: "203.0.113.101".parse().unwrap(),
            request: request.map(str::to_owned),
            path: "/".to_owned(),
            status: 200,
            bytes: 615,
        }
    }

    #[test]
    fn a_loads_request_is_known_by_its_agent() {
        let nginx = "203.0.113.101 - - [23/Nov/2026:06:12:01 +0000] \"GET / HTTP/1.1\" 200 615 \"-\" \"drlab load/17\"";
        assert_eq!(parse(nginx), Some(line(Some("load/17"))));
        assert_eq!(parse(&format!("rs1:80 {nginx}")), Some(line(Some("load/17"))));
    }

    #[test]
    fn somebody_elses_request_is_nobodys_of_a_load() {
        let check =
            "203.0.113.101 - - [23/Nov/2026:06:12:01 +0000] \"GET / HTTP/1.0\" 200 615 \"-\" \"KeepAliveClient\"";
        assert_eq!(parse(check), Some(line(None)));
        let common = "203.0.113.101 - - [23/Nov/2026:06:12:01 +0000] \"GET / HTTP/1.0\" 200 615";
        assert_eq!(parse(common), Some(line(None)));
    }

    #[test]
    fn what_is_no_such_line_gives_nothing() {
        for text in ["", "x", "203.0.113.101 - - [", "203.0.113.101 - - [x] \"GET\" 200 1", "{\"remote\":\"1.2.3.4\"}"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall(text in ".{0,200}") {
            parse(&text);
        }
    }
}
