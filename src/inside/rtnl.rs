//! A conversation with the kernel's routing netlink, and what its refusals say.
//!
//! Owns: opening a socket in the worker's namespace, extended acknowledgements, the error that all of `link`, `addr`,
//! `route` and `neigh` give. Refuses: what is asked.

use std::fmt;
use std::io;

use nix::errno::Errno;
use rtnetlink::Handle;
use rtnetlink::sys::AsyncSocket;

/// What the kernel did not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not {what}")]
pub struct RtnlError {
    /// What was attempted, on what: `add 172.16.0.66/32 to lo`.
    pub what: String,
    /// Why not.
    #[source]
    pub source: Refused,
}

/// The kernel's reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An errno, and the words that came with it (`NETLINK_EXT_ACK`), where some did.
    Errno {
        /// The number.
        errno: Errno,
        /// The kernel's own words.
        words: Option<String>,
    },
    /// The conversation itself broke.
    Conversation(String),
    /// There is no such thing as was named.
    Missing,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno { errno, words: None } => write!(f, "{errno}"),
            Self::Errno { errno, words: Some(words) } => write!(f, "{errno} ({words})"),
            Self::Conversation(what) => write!(f, "the netlink conversation broke: {what}"),
            Self::Missing => f.write_str("there is no such thing"),
        }
    }
}

impl Refused {
    /// The errno, where the kernel gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Errno { errno, .. } => Some(*errno),
            Self::Conversation(_) | Self::Missing => None,
        }
    }
}

impl From<rtnetlink::Error> for Refused {
    fn from(error: rtnetlink::Error) -> Self {
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::Errno {
                errno: Errno::from_raw(message.raw_code().saturating_abs()),
                words: kernel_words(&message.header),
            },
            other => Self::Conversation(other.to_string()),
        }
    }
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) => Self::Errno { errno: Errno::from_raw(number), words: None },
            None => Self::Conversation(error.to_string()),
        }
    }
}

/// Adds to a result what was attempted.
pub(super) trait Attempt<T> {
    /// Says what was attempted, on what.
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, RtnlError>;
}

impl<T, E: Into<Refused>> Attempt<T> for Result<T, E> {
    fn attempt(self, what: impl FnOnce() -> String) -> Result<T, RtnlError> {
        self.map_err(|error| RtnlError { what: what(), source: error.into() })
    }
}

/// Opens a conversation in the namespace of the calling thread; it ends with the last copy of the handle. Must be
/// called on a runtime.
///
/// # Errors
/// Those of the socket.
pub fn open() -> Result<Handle, RtnlError> {
    let opened = rtnetlink::new_connection().and_then(|(mut connection, handle, _events)| {
        connection.socket_mut().socket_mut().set_ext_ack(true)?;
        drop(tokio::spawn(connection));
        Ok(handle)
    });
    opened.attempt(|| "talk to the kernel by netlink".to_owned())
}

/// Runs requests one behind the other without waiting in between; the kernel does them in this order. The first error
/// counts, the rest is still waited for.
pub(super) async fn pipeline<F: Future<Output = Result<(), RtnlError>>>(
    requests: impl IntoIterator<Item = F>,
) -> Result<(), RtnlError> {
    futures_util::future::join_all(requests).await.into_iter().collect()
}

/// Finds `NLMSGERR_ATTR_MSG` in what follows the errno of an `NLMSG_ERROR`: the header of the request, its payload, and
/// then, aligned to 4, the attributes. rtnetlink leaves all that unread.
fn kernel_words(echo: &[u8]) -> Option<String> {
    const HEADER_BYTES: usize = 16;
    const ATTR_MSG: u16 = 1;
    let length = u32::from_ne_bytes(echo.get(..4)?.try_into().ok()?) as usize;
    let mut rest = echo.get(length.max(HEADER_BYTES).next_multiple_of(4)..)?;
    while let Some(head) = rest.get(..4) {
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        let body = rest.get(4..length)?;
        if kind == ATTR_MSG {
            let text = body.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::kernel_words;

    #[test]
    fn the_kernels_words_are_found_behind_the_echoed_request() {
        let mut echo = vec![0; 20];
        echo[0] = 18;
        echo.extend_from_slice(&[8, 0, 2, 0, 9, 0, 0, 0]);
        echo.extend_from_slice(&[9, 0, 1, 0, b'l', b'o', b'w', b'!', 0, 0, 0, 0]);
        assert_eq!(kernel_words(&echo).as_deref(), Some("low!"));
    }

    #[test]
    fn an_echo_without_words_or_cut_short_gives_none() {
        let mut echo = vec![0; 16];
        echo[0] = 16;
        assert_eq!(kernel_words(&echo), None);
        echo.extend_from_slice(&[200, 0, 1, 0, b'x']);
        assert_eq!(kernel_words(&echo), None);
        assert_eq!(kernel_words(&[]), None);
    }
}
