//! Ports of the loopback interface: finding a free one, and saying who has a taken one.

use crate::{Error, Result, processes};
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpSocket;

/// Below the kernel's range for outgoing connections (from 32768), so that no connection takes a port between our
/// finding it and the server's listening on it.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

/// A port on which nothing listens now. The same port is not handed out twice by one process.
///
/// # Errors
/// [`Error::NoFreePort`] when every port tried is taken.
pub fn free_port() -> Result<u16> {
    static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.get_or_insert_default();
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    // Test processes start side by side: the process id keeps their searches apart.
    let start = std::process::id().wrapping_mul(7919).wrapping_add(nanos);
    for step in 0..u32::from(COUNT) {
        let offset = start.wrapping_add(step) % u32::from(COUNT);
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if !given.contains(&port) && is_free(port) {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(Error::NoFreePort)
}

/// Binds without listening. A listening probe would be inherited, for a moment, by whatever another thread starts just
/// then, and the port would look taken.
fn is_free(port: u16) -> bool {
    TcpSocket::new_v4().is_ok_and(|probe| {
        probe.set_reuseaddr(true).is_ok() && probe.bind((Ipv4Addr::LOCALHOST, port).into()).is_ok()
    })
}

/// Refuses a taken port with the name of who has it and of the variable that chooses another.
pub(crate) fn require_free(port: u16, variable: &'static str) -> Result<()> {
    if is_free(port) {
        return Ok(());
    }
    Err(Error::PortTaken {
        port,
        by: listener(port).unwrap_or_else(|| "another program".to_owned()),
        variable,
    })
}

/// `nats-server (pid 4711)`; nothing when the kernel does not let us see it (another user's process).
fn listener(port: u16) -> Option<String> {
    let inodes: HashSet<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .flat_map(|table| {
            listening_inodes(&std::fs::read_to_string(table).unwrap_or_default(), port)
        })
        .collect();
    let pid = processes::all().into_iter().find(|pid| {
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .any(|target| {
                target
                    .to_str()
                    .and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']'))
                    .is_some_and(|inode| inodes.contains(inode))
            })
    })?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (pid {pid})", name.trim()))
}

/// Inodes of listening sockets (state 0A) on a port, from the text of `/proc/net/tcp`.
fn listening_inodes(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let ours = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == "0A";
            ours.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_taken_port_is_refused_with_who_has_it_and_what_to_set() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let text = require_free(port, "HUB_NATS_PORT").unwrap_err().to_string();
        assert!(text.contains("$HUB_NATS_PORT"), "{text}");
        assert!(
            text.contains(&format!("pid {}", std::process::id())),
            "{text}"
        );
    }

    #[test]
    fn two_free_ports_differ() {
        assert_ne!(free_port().unwrap(), free_port().unwrap());
    }
}
