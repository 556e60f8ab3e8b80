//! Why a request failed, sorted into the kinds that reports count.

use std::error::Error;
use std::io;

use crate::facts::run::Outcome;

/// The kinds of failure; as text they are what [`Outcome::Failed`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// No answer within the request's time.
    Timeout,
    /// The port answered with RST, or with ICMP "port unreachable".
    Refused,
    /// The connection was torn down by RST.
    Reset,
    /// No route, or ICMP said so.
    Unreachable,
    /// The peer closed before its answer was whole.
    Closed,
    /// What came is no HTTP.
    Protocol,
    /// The client's own machine could not even ask: no such source address, no port left.
    Local,
}

impl Kind {
    /// The word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::Unreachable => "unreachable",
            Self::Closed => "closed",
            Self::Protocol => "protocol",
            Self::Local => "local",
        }
    }

    /// The outcome of that kind, told by `error` and all its causes.
    pub(in crate::inside) fn outcome(self, doing: &str, error: &(dyn Error + 'static)) -> Outcome {
        let mut detail = format!("{doing}: {error}");
        let mut cause = error.source();
        while let Some(next) = cause {
            let words = next.to_string();
            // hyper and reqwest repeat their cause in their own words.
            if !detail.ends_with(&words) {
                detail.push_str(": ");
                detail.push_str(&words);
            }
            cause = next.source();
        }
        Outcome::Failed { kind: self.as_str().to_owned(), detail }
    }

    /// The outcome of a request that took too long.
    pub(in crate::inside) fn timed_out(doing: &str, timeout_ms: u64) -> Outcome {
        let detail = format!("{doing}: nothing within {timeout_ms} ms");
        Outcome::Failed { kind: Self::Timeout.as_str().to_owned(), detail }
    }

    /// Sorts an error of a socket.
    pub(in crate::inside) fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as E;
        match error.kind() {
            E::TimedOut | E::WouldBlock => Self::Timeout,
            E::ConnectionRefused => Self::Refused,
            E::ConnectionReset | E::ConnectionAborted | E::BrokenPipe | E::NotConnected => Self::Reset,
            E::HostUnreachable | E::NetworkUnreachable | E::NetworkDown => Self::Unreachable,
            E::UnexpectedEof => Self::Closed,
            _ => Self::Local,
        }
    }

    /// Sorts any error by the first of its causes that tells: one of a socket, or one of hyper's.
    pub(in crate::inside) fn of(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        let mut by_hyper = None;
        while let Some(error) = next {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                // An error of hyper's may hide in one of a socket, which then has no kind of its own.
                let hidden = io.get_ref().filter(|_| io.kind() == io::ErrorKind::Other);
                return hidden.map_or_else(|| Self::of_io(io), |inner| Self::of(inner));
            }
            if let Some(hyper) = error.downcast_ref::<hyper::Error>() {
                by_hyper = Some(Self::of_hyper(hyper));
            }
            next = error.source();
        }
        by_hyper.unwrap_or(Self::Protocol)
    }

    fn of_hyper(error: &hyper::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_parse() || error.is_parse_status() || error.is_parse_too_large() || error.is_user() {
            Self::Protocol
        } else {
            Self::Closed
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::Kind;
    use crate::facts::run::Outcome;

    #[test]
    fn errors_of_sockets_are_sorted_by_what_the_network_did() {
        for (errno, kind) in [
            (libc::ECONNREFUSED, Kind::Refused),
            (libc::ECONNRESET, Kind::Reset),
            (libc::EPIPE, Kind::Reset),
            (libc::EHOSTUNREACH, Kind::Unreachable),
            (libc::ENETUNREACH, Kind::Unreachable),
            (libc::ETIMEDOUT, Kind::Timeout),
            (libc::EADDRNOTAVAIL, Kind::Local),
            (libc::EMFILE, Kind::Local),
        ] {
            assert_eq!(Kind::of(&io::Error::from_raw_os_error(errno)), kind, "errno {errno}");
        }
    }

    #[test]
    fn a_cause_is_told_once() {
        let inner = io::Error::from_raw_os_error(libc::ECONNRESET);
        let Outcome::Failed { kind, detail } = Kind::Reset.outcome("could not read", &inner) else {
            panic!("no failure")
        };
        assert_eq!(
            (kind.as_str(), detail.as_str()),
            ("reset", "could not read: Connection reset by peer (os error 104)")
        );
    }
}
