//! How our sockets are set.

use crate::KeepAlive;
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Analyzers reconnect all at once after a power cut.
const BACKLOG: u32 = 1024;

pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for connections of the previous run to time out.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// No delay for small frames, and a peer that is gone without a word is noticed, whether the line is silent (keep-alive)
/// or we wait for it to take what we wrote (user time-out, which else is a quarter of an hour).
pub(crate) fn tune(stream: &TcpStream, keep_alive: KeepAlive) -> io::Result<()> {
    stream.set_nodelay(true)?;
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &keep_alive.idle_s)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &keep_alive.interval_s)?;
    setsockopt(stream, sockopt::TcpKeepCount, &keep_alive.probes)?;
    let patience_s = keep_alive.idle_s + keep_alive.interval_s * keep_alive.probes;
    setsockopt(stream, sockopt::TcpUserTimeout, &(patience_s * 1000))?;
    Ok(())
}
