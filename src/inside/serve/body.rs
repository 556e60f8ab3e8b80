//! The bodies that lab servers send: a line that tells who answered what, then bytes that can be checked.

use std::io::Write;

/// Length of a line of filler, its end included. Each line is its own offset, so that a piece that is missing, moved
/// or doubled shows.
const LINE_BYTES: usize = 16;

/// What a body showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Who it says it came from.
    pub server: Option<String>,
    /// Whether every byte is what that server serves under that path.
    pub whole: bool,
}

/// The body that `server` serves under `path`, with `filler_bytes` after its first line.
pub fn compose(server: &str, path: &str, filler_bytes: u32) -> Vec<u8> {
    let mut body = format!("drlab server={server} path={path} bytes={filler_bytes}\n").into_bytes();
    fill(&mut body, filler_bytes as usize);
    body
}

/// Takes a body apart and compares it with what its first line announces; `path` is what was asked for.
pub fn examine(body: &[u8], path: &str) -> Examined {
    let Some((server, filler_bytes)) = first_line(body) else {
        return Examined { server: None, whole: false };
    };
    // A length that lies is no reason to take memory for it.
    let whole = filler_bytes as usize <= body.len() && compose(&server, path, filler_bytes) == body;
    Examined { server: Some(server), whole }
}

fn first_line(body: &[u8]) -> Option<(String, u32)> {
    let end = body.iter().position(|&byte| byte == b'\n')?;
    let rest = std::str::from_utf8(&body[..end]).ok()?.strip_prefix("drlab server=")?;
    let (server, rest) = rest.split_once(" path=")?;
    let (_, filler) = rest.rsplit_once(" bytes=")?;
    Some((server.to_owned(), filler.parse().ok()?))
}

fn fill(body: &mut Vec<u8>, bytes: usize) {
    let end = body.len() + bytes;
    body.reserve(bytes + LINE_BYTES);
    let mut offset = 0;
    while body.len() < end {
        // Writing into memory does not fail; were it to, the length below would still be right.
        if writeln!(body, "{offset:015x}").is_err() {
            break;
        }
        offset += LINE_BYTES;
    }
    body.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use super::{compose, examine};

    #[test]
    fn a_body_tells_its_server_and_is_whole() {
        let body = compose("rs1", "/a", 40);
        assert_eq!(
            String::from_utf8_lossy(&body),
            "drlab server=rs1 path=/a bytes=40\n000000000000000\n000000000000010\n00000000"
        );
        let examined = examine(&body, "/a");
        assert_eq!((examined.server.as_deref(), examined.whole), (Some("rs1"), true));
    }

    #[test]
    fn a_body_that_is_cut_or_changed_or_of_another_path_is_not_whole() {
        let body = compose("rs1", "/a", 4000);
        assert!(!examine(&body[..body.len() - 1], "/a").whole);
        assert!(!examine(&body, "/b").whole);
        let mut swapped = body.clone();
        swapped.copy_within(1000..1016, 2000);
        assert!(!examine(&swapped, "/a").whole);
    }

    #[test]
    fn a_page_of_another_program_has_no_server() {
        assert_eq!(examine(b"<html>hello</html>\n", "/").server, None);
        assert!(!examine(b"", "/").whole);
    }

    #[test]
    fn a_length_that_lies_takes_no_memory() {
        assert!(!examine(b"drlab server=rs1 path=/ bytes=4294967295\n", "/").whole);
    }
}
