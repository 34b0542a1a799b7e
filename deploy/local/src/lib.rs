//! Our own nats-server and Postgres on this machine, for `hub dev`, `hub demo` and the black-box tests.
//!
//! Each server lives below a home folder (`<home>/nats`, `<home>/postgres`), listens on loopback only, is started again
//! when it dies, and ends with the process that started it. Nothing of the machine's own is touched: no service, no
//! cluster, no process found by its name. Never for production, where servers are run by somebody else.

mod error;
mod keeper;
mod lock;
mod nats;
mod port;
mod postgres;
mod processes;
mod secret;
mod tools;

pub use error::{Error, Result};
pub use keeper::ServerState;
pub use lock::HomeLock;
pub use nats::{NatsOptions, NatsServer};
pub use port::free_port;
pub use postgres::{APP_ROLE, Database, OWNER_ROLE, PgOptions, Postgres};
pub use tools::Tools;

use std::path::Path;

/// Deletes what both servers keep for `home`, also the part of Postgres that had to live elsewhere (see [`Postgres`]).
///
/// # Errors
/// [`Error::HomeTaken`] when a server still runs there; [`Error::Io`] when something cannot be deleted.
pub fn remove_data(home: &Path) -> Result<()> {
    postgres::remove(home)?;
    nats::remove(home)
}

/// Runs blocking work of this crate off the caller's thread.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Interrupted)?
}
