//! A Postgres cluster of our own on loopback, below `<home>/postgres`.
//!
//! Postgres refuses to run as root. There it runs as the account `postgres` of its package, and if that account cannot
//! reach the home (a home below /root, a folder of mode 700), the cluster lives in `/var/tmp/sangam-<hash of the home>`
//! instead: `<home>/postgres/elsewhere` names that folder, and the folder's file `home` names the home. Folders whose
//! home no longer exists are removed at the next start of any local Postgres.

mod account;
mod cluster;
mod place;
mod psql;

use crate::keeper::{Core, Keeper, Program, ServerState};
use crate::{Error, Result, Tools, off_thread};
use cluster::Cluster;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use place::remove;

/// Owns the schemas and runs the migrations.
pub const OWNER_ROLE: &str = "hub_owner";
/// What the program connects as: no superuser, and row-level security binds it.
pub const APP_ROLE: &str = "hub_app";

/// Where and how the server runs.
#[derive(Debug, Clone)]
pub struct PgOptions {
    /// The hub's home; the server's files go to `<home>/postgres`.
    pub home: PathBuf,
    /// Port on 127.0.0.1; 0 picks a free one.
    pub port: u16,
    /// Further lines of `postgresql.conf`, after ours: (name, value).
    pub settings: Vec<(String, String)>,
    /// For tests: the cluster is made without waiting for the disk, and its data outside the home go when it is dropped.
    /// Commits are as durable as ever.
    pub temporary: bool,
}

impl PgOptions {
    /// A free port, data that stay.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self {
            home: home.into(),
            port: 0,
            settings: Vec::new(),
            temporary: false,
        }
    }
}

/// How to reach one database. The URLs hold passwords: never log them.
#[derive(Clone)]
pub struct Database {
    pub name: String,
    /// As [`OWNER_ROLE`], over TCP.
    pub owner_url: String,
    /// As [`APP_ROLE`], over TCP.
    pub app_url: String,
    /// As [`APP_ROLE`], over the Unix socket: saves the loopback's share of every round trip.
    pub app_socket_url: String,
}

/// A running Postgres, kept running until it is stopped or dropped. Dropping blocks until it has ended (8 s at most).
pub struct Postgres {
    keeper: Keeper,
    cluster: Arc<Cluster>,
}

impl Postgres {
    /// Creates the cluster where there is none, starts it and waits until it accepts connections.
    ///
    /// # Errors
    /// A taken port or home, a missing account, a server that ends or does not get ready (with the end of its log).
    pub async fn start(tools: &Tools, options: PgOptions) -> Result<Self> {
        let tools = tools.clone();
        off_thread(move || {
            let cluster = Arc::new(Cluster::lay_out(&tools, options)?);
            let keeper = Keeper::start(Arc::clone(&cluster) as Arc<dyn Program>)?;
            Ok(Self { keeper, cluster })
        })
        .await
    }

    pub fn port(&self) -> u16 {
        self.cluster.port
    }

    /// As superuser, over TCP. Holds a password: never log it.
    pub fn admin_url(&self, database: &str) -> String {
        self.cluster
            .url("postgres", &self.cluster.passwords.admin, database)
    }

    /// Where the cluster's data are; not below the home when the home is out of reach (see the module).
    pub fn data_dir(&self) -> &Path {
        &self.cluster.place.data
    }

    /// The folder of the Unix socket.
    pub fn socket_dir(&self) -> &Path {
        &self.cluster.place.sockets
    }

    pub fn log_file(&self) -> &Path {
        self.cluster.log()
    }

    /// The postmaster; `None` while it is down.
    pub fn pid(&self) -> Option<u32> {
        self.keeper.core().pid()
    }

    pub fn state(&self) -> ServerState {
        self.keeper.core().state()
    }

    /// Makes the roles [`OWNER_ROLE`] and [`APP_ROLE`] and a database of this name (a-z, 0-9, _) where they are missing.
    ///
    /// # Errors
    /// A bad name, or what Postgres says.
    pub async fn ensure_database(&self, name: &str) -> Result<Database> {
        let cluster = Arc::clone(&self.cluster);
        let name = name.to_owned();
        off_thread(move || cluster.ensure_database(&name)).await
    }

    /// Runs SQL as superuser through `psql` and returns its unaligned output. For set-up and tests.
    ///
    /// # Errors
    /// What Postgres says.
    pub async fn sql(&self, database: &str, script: &str) -> Result<String> {
        let cluster = Arc::clone(&self.cluster);
        let (database, script) = (database.to_owned(), script.to_owned());
        off_thread(move || cluster.sql(&database, &script)).await
    }

    /// SIGKILL for the postmaster and all its children; it stays down until [`restart`](Self::restart).
    ///
    /// # Errors
    /// When a process does not end.
    pub async fn kill9(&self) -> Result<()> {
        self.on_core(|core| core.cut(true)).await
    }

    /// SIGKILL for all of it, and the keeper starts it again, as after a real crash.
    ///
    /// # Errors
    /// When a process does not end.
    pub async fn crash(&self) -> Result<()> {
        self.on_core(|core| core.cut(false)).await
    }

    /// Waits until it accepts connections (after [`crash`](Self::crash)).
    ///
    /// # Errors
    /// When an attempt to start it failed, or it is stopped.
    pub async fn wait_ready(&self) -> Result<()> {
        self.on_core(Core::wait_up).await
    }

    /// SIGSTOP for the postmaster alone: no new connections, the others work on.
    pub fn freeze(&self) {
        self.keeper.core().freeze();
    }

    /// Ends [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.keeper.core().thaw();
    }

    /// Fast shutdown; after 5 s an immediate one (the next start recovers), then SIGKILL. It stays down until
    /// [`restart`](Self::restart).
    ///
    /// # Errors
    /// When it does not end at all.
    pub async fn stop(&self) -> Result<()> {
        self.on_core(Core::stop).await
    }

    /// Stops it if it runs, starts it on the same port and data, and waits until it accepts connections.
    ///
    /// # Errors
    /// As [`start`](Self::start); the keeper goes on trying.
    pub async fn restart(&self) -> Result<()> {
        self.on_core(Core::restart).await
    }

    async fn on_core(&self, work: impl FnOnce(&Core) -> Result<()> + Send + 'static) -> Result<()> {
        let core = Arc::clone(self.keeper.core());
        off_thread(move || work(&core)).await
    }
}

/// Names go into SQL and URLs as they are.
fn check_name(name: &str) -> Result<()> {
    let good = name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if good {
        Ok(())
    } else {
        Err(Error::DatabaseName(name.to_owned()))
    }
}
