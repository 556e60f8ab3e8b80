//! A node's `/dev/log`: what its programs send to the system's log, kept in a file.
//!
//! Owns: the socket and the lines. Refuses: priorities and facilities; they are cut off.

use std::io;
use std::os::unix::fs::PermissionsExt;

use tokio::net::UnixDatagram;

use super::log::Log;

/// Where programs send to.
const SOCKET: &str = "/dev/log";

/// Listens in the node whose worker this is called in, for as long as that worker lives.
///
/// # Errors
/// Those of the socket.
pub fn listen(log: Log) -> io::Result<()> {
    let socket = UnixDatagram::bind(SOCKET)?;
    std::fs::set_permissions(SOCKET, std::fs::Permissions::from_mode(0o666))?;
    tokio::task::spawn_local(async move {
        let mut room = vec![0; 64 << 10];
        while let Ok(length) = socket.recv(&mut room).await {
            let mut line = text(&room[..length]).to_vec();
            line.push(b'\n');
            log.take(&line);
        }
    });
    Ok(())
}

/// The message without its priority `<30>` and what ends it.
fn text(message: &[u8]) -> &[u8] {
    let message = message.trim_ascii_end().strip_suffix(&[0]).unwrap_or(message.trim_ascii_end());
    let end = message.iter().take(5).position(|byte| *byte == b'>');
    match (message.first(), end) {
        (Some(b'<'), Some(end)) => &message[end + 1..],
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::text;

    #[test]
    fn a_priority_is_cut_off_and_nothing_else() {
        assert_eq!(text(b"<30>Nov 23 05:32:31 Keepalived[7]: Starting\n"), b"Nov 23 05:32:31 Keepalived[7]: Starting");
        assert_eq!(text(b"a > b\0"), b"a > b");
        assert_eq!(text(b""), b"");
    }
}
