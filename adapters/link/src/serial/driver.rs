//! The one thread that listens to all serial ports of the process.
//!
//! A port hands on a few bytes at a time, some sixty times a second even at 9600 bits a second. With many ports, nearly all
//! that a line costs is waking up for them: 64 ports took 7 % of a core. So this thread, having woken up, lets the bytes of
//! other ports and of the same port gather for a moment before it looks again. When no port speaks it sleeps without a
//! timer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};

/// How long bytes may lie before they are read, when many ports are open: small beside the second and a half that a
/// message takes at 9600 bits a second.
const LONGEST_GATHER_MS: u64 = 50;

/// Ports that are open now.
static PORTS: AtomicU64 = AtomicU64::new(0);

/// Counts a port for as long as it is open.
pub(crate) struct Counted(());

impl Counted {
    pub(crate) fn new() -> Self {
        PORTS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        PORTS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where ports are registered; started with the first of them, and as long-lived as the process.
///
/// # Errors
/// The thread can't be had.
pub(crate) fn handle() -> io::Result<Handle> {
    static RUNNING: Mutex<Option<Handle>> = Mutex::new(None);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*running {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread()
        .enable_io()
        .on_thread_park(gather)
        .build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("serial".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    *running = Some(handle.clone());
    Ok(handle)
}

/// A millisecond for each open port: alone on the machine a port is read at once.
fn gather() {
    let ports = PORTS.load(Ordering::Relaxed);
    std::thread::sleep(Duration::from_millis(
        ports.saturating_sub(1).min(LONGEST_GATHER_MS),
    ));
}
