//! Sockets that take in what comes for their address, from `/proc/net/tcp`, `tcp6`, `udp` and `udp6`.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::base::Protocol;
use crate::facts::SocketFact;

/// The states in which they are (`include/net/tcp_states.h`): `TCP_LISTEN`, and `TCP_CLOSE` for a bound UDP socket.
const TAKING_IN: [(Protocol, &str); 2] = [(Protocol::Tcp, "0A"), (Protocol::Udp, "07")];

/// All that are told below `files`, in the order of the files.
///
/// # Errors
/// Those of the files; a kernel without IPv6 has none for it.
pub(super) fn all(files: &str) -> io::Result<Vec<SocketFact>> {
    let mut found = Vec::new();
    for (protocol, state) in TAKING_IN {
        let name = protocol.to_string().to_lowercase();
        found.extend(listed(&fs::read_to_string(format!("{files}/{name}"))?, protocol, state));
        match fs::read_to_string(format!("{files}/{name}6")) {
            Ok(text) => found.extend(listed(&text, protocol, state)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn listed(text: &str, protocol: Protocol, state: &str) -> Vec<SocketFact> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let at = address(words.next()?)?;
        (words.nth(1)? == state).then_some(SocketFact { protocol, at })
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// `0100007F:0050`: words of four bytes in the machine's order, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (words, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for at in (0..words.len()).step_by(8) {
        bytes.extend(u32::from_str_radix(words.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    }
    let ip = match <[u8; 4]>::try_from(bytes.as_slice()) {
        Ok(four) => IpAddr::V4(Ipv4Addr::from(four)),
        Err(_) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes.as_slice()).ok()?)),
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::listed;
    use crate::base::Protocol;

    #[test]
    fn only_sockets_that_listen_count() {
        let text = "  sl  local_address rem_address   st tx_queue\n\
                    \u{20}  0: 4200106C:0050 00000000:0000 0A 00000000:00000000\n\
                    \u{20}  1: 4200106C:0050 027100CB:C350 01 00000000:00000000\n";
        let found = listed(text, Protocol::Tcp, "0A");
        assert_eq!(found.len(), 1);
        if cfg!(target_endian = "little") {
            assert_eq!(found[0].at.to_string(), "108.16.0.66:80");
        }
    }

    #[test]
    fn an_ipv6_address_is_four_words() {
        let text = "head\n 0: 00000000000000000000000000000000:1F90 0:0 07 0\n";
        assert_eq!(listed(text, Protocol::Udp, "07")[0].at.to_string(), "[::]:8080");
    }
}
