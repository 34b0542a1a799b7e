//! Servers and a hub of our own; each is started again when it dies, as an operator's supervisor would.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::{HubProcess, HubSettings, Rest, Servers};
use tokio::task::JoinHandle;

use super::Fallible;
use super::random::Random;

/// systemd's RestartSec, unless told otherwise.
const RESTART: Duration = Duration::from_millis(100);
/// How often it is seen whether the hub still runs.
const LOOK: Duration = Duration::from_millis(10);
/// Name of the one channel.
pub(crate) const CHANNEL: &str = "lab";

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Victim {
    Hub,
    Nats,
    /// The postmaster and all its children.
    Postgres,
    /// One process of Postgres: the postmaster ends the others and recovers.
    Backend,
}

impl Victim {
    pub(crate) const ALL: [Self; 4] = [Self::Hub, Self::Nats, Self::Postgres, Self::Backend];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Nats => "nats-server",
            Self::Postgres => "Postgres, whole",
            Self::Backend => "Postgres, one process",
        }
    }
}

/// All that runs.
pub(crate) struct Stand {
    // before the servers: fields are dropped in this order
    hub: HubKeeper,
    pub(crate) servers: Servers,
}

impl Stand {
    pub(crate) async fn start() -> Self {
        let servers = Servers::start().await;
        let settings = HubSettings::new(&servers);
        let hub = HubKeeper::of(HubProcess::start(&servers, &settings).await);
        Self { hub, servers }
    }

    pub(crate) fn mllp(&self) -> SocketAddr {
        lock(&self.hub.process).mllp(CHANNEL)
    }

    /// SIGKILL. Whoever keeps the victim starts it again. False when it was down already.
    pub(crate) async fn kill(&self, victim: Victim, random: &mut Random) -> Fallible<bool> {
        let Servers { nats, postgres, .. } = &self.servers;
        match victim {
            Victim::Hub => Ok(self.hub.kill()),
            Victim::Nats => {
                let ran = nats.pid().is_some();
                nats.crash().await?;
                Ok(ran)
            }
            Victim::Postgres => {
                let ran = postgres.pid().is_some();
                postgres.crash().await?;
                Ok(ran)
            }
            Victim::Backend => {
                let children = children(postgres.pid());
                let chosen = usize::try_from(random.below(children.len() as u64))?;
                // it may have ended by itself since it was listed
                Ok(children
                    .get(chosen)
                    .is_some_and(|child| kill(*child, Signal::SIGKILL).is_ok()))
            }
        }
    }

    /// SQL as superuser: rows of fields.
    pub(crate) async fn rows(&self, query: &str) -> Fallible<Vec<Vec<String>>> {
        let script = format!("\\pset fieldsep '\\t'\n{query};\n");
        let name = &self.servers.database.name;
        let text = self.servers.postgres.sql(name, &script).await?;
        let lines = text.lines().filter(|line| !line.is_empty());
        Ok(lines
            .map(|line| line.split('\t').map(str::to_owned).collect())
            .collect())
    }

    /// SQL whose outcome is a number.
    pub(crate) async fn number(&self, query: &str) -> Fallible<u64> {
        let rows = self.rows(query).await?;
        let field = rows.first().and_then(|row| row.first());
        Ok(field.ok_or("no row")?.parse()?)
    }

    pub(crate) async fn rest(&self) -> Rest {
        let api = lock(&self.hub.process).api();
        Rest::new(api).sign_in("admin", tests::PASSWORD, None).await
    }

    /// How often the hub ended without having been killed (it gave up, and was started again).
    pub(crate) fn gave_up(&self) -> u32 {
        self.hub.gave_up.load(Ordering::Relaxed)
    }

    /// All that the hubs have logged.
    pub(crate) fn hub_log(&self) -> String {
        lock(&self.hub.process).log()
    }
}

/// Keeps a hub running.
struct HubKeeper {
    process: Arc<Mutex<HubProcess>>,
    /// Killed by us since its last start.
    killed: Arc<Mutex<bool>>,
    gave_up: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl HubKeeper {
    fn of(process: HubProcess) -> Self {
        let process = Arc::new(Mutex::new(process));
        let killed = Arc::new(Mutex::new(false));
        let gave_up = Arc::new(AtomicU32::new(0));
        let task = tokio::spawn({
            let (process, killed, gave_up) = (
                Arc::clone(&process),
                Arc::clone(&killed),
                Arc::clone(&gave_up),
            );
            async move {
                loop {
                    tokio::time::sleep(LOOK).await;
                    if lock(&process).ended().is_none() {
                        continue;
                    }
                    tokio::time::sleep(RESTART).await;
                    if !std::mem::take(&mut *lock(&killed)) {
                        gave_up.fetch_add(1, Ordering::Relaxed);
                    }
                    lock(&process).launch_again();
                }
            }
        });
        Self {
            process,
            killed,
            gave_up,
            task,
        }
    }

    /// False when it was down already.
    fn kill(&self) -> bool {
        let mut process = lock(&self.process);
        let runs = process.ended().is_none();
        if runs {
            *lock(&self.killed) = true;
            process.signal(Signal::SIGKILL);
        }
        runs
    }
}

impl Drop for HubKeeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

fn children(parent: Option<u32>) -> Vec<Pid> {
    let Some(parent) = parent else {
        return Vec::new();
    };
    let listed = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let listed = listed.unwrap_or_default();
    let pids = listed.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.map(Pid::from_raw).collect()
}
