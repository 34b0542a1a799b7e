//! The hub that is measured: servers of our own in a temporary folder (nats-server that syncs every write, Postgres) and
//! this program as a child, all on this machine together with the sender.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use schemas::{ChannelId, TenantId};
use tokio::process::{Child, Command};

use super::generator::{self, Burst, Limit, Outcome};
use super::observe::{account, until_visible};
use super::run_name;
use super::seed::Ground;
use crate::home::{CHANNEL, Home, HomeOptions, TENANT, project_folder};
use crate::rest::Rest;

const PASSWORD: &str = "measure-me-once";
/// All three together at rest use less than this share of a core, at so many looks one after the other.
const QUIET_SHARE: f64 = 0.15;
const QUIET_LOOKS: u32 = 3;
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Nothing takes longer than this to be drained.
pub(super) const PATIENCE: Duration = Duration::from_secs(900);

/// The hub that is measured.
pub(super) struct Subject {
    home: Home,
    child: Child,
    pub mllp: SocketAddr,
    pub astm: SocketAddr,
    pub api: SocketAddr,
    pub rest: Arc<Rest>,
    pub first_accepted: Duration,
    /// Memory before anybody used REST; of use only where it was asked for.
    pub idle_mb: f64,
    folder: PathBuf,
}

/// What a home has beyond its defaults.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Channels, as they stand in `hub.toml`.
    pub channels: String,
    /// Rows of a site's mapping tables.
    pub mappings: String,
}

/// Where a hub that is measured has everything.
pub(super) fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("hub-load-{}", std::process::id()))
}

impl Extra {
    /// Adds it to the settings that the home has written.
    fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let file = folder.join("hub.toml");
        let mut text = std::fs::read_to_string(&file)?;
        if !self.mappings.is_empty() {
            let of_project = project_folder("mappings", "HUB_MAPPINGS")?;
            let own = folder.join("mappings");
            for part in ["tables", "site", "rules"] {
                std::fs::create_dir_all(own.join(part))?;
                for entry in std::fs::read_dir(of_project.join(part))
                    .into_iter()
                    .flatten()
                {
                    let path = entry?.path();
                    if let (true, Some(name)) = (path.is_file(), path.file_name()) {
                        std::fs::copy(&path, own.join(part).join(name))?;
                    }
                }
            }
            std::fs::write(own.join("site/load.toml"), &self.mappings)?;
            let quoted = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
            text = text.replace(&quoted(&of_project), &quoted(&own));
        }
        text.push_str(&self.channels);
        std::fs::write(&file, text)?;
        Ok(())
    }
}

impl Subject {
    /// Starts servers and a hub, and waits until it has taken a message; with `idle`, also until it has stood still so long.
    ///
    /// # Errors
    /// Something does not start.
    pub(super) async fn start(extra: &Extra, idle: Option<Duration>) -> anyhow::Result<Self> {
        let folder = folder();
        let free = || -> anyhow::Result<SocketAddr> {
            Ok(SocketAddr::from((
                [127, 0, 0, 1],
                local_servers::free_port()?,
            )))
        };
        let options = HomeOptions {
            folder: folder.clone(),
            api: free()?,
            mllp: free()?,
            astm: free()?,
            nats_port: 0,
            pg_port: 0,
        };
        let home = Home::start(&options).await?;
        extra.write(&folder)?;
        let started = Instant::now();
        let child = Command::new(std::env::current_exe()?)
            .args(["run", "--config"])
            .arg(folder.join("hub.toml"))
            .env("HUB_BOOTSTRAP_ADMIN_PASSWORD", PASSWORD)
            .env("HUB_LOG", "warn")
            .env_remove("HUB_API_ADDR")
            .kill_on_drop(true)
            .spawn()
            .context("can't start this program as a child")?;
        let first = Burst {
            to: options.mllp,
            connections: 1,
            limit: Limit::Messages(1),
            rate: None,
            patients: 1,
            run: run_name(),
        };
        let first = Arc::new(first);
        loop {
            if generator::run(Arc::clone(&first))
                .await
                .is_ok_and(|outcome| outcome.acknowledged == 1)
            {
                break;
            }
            if started.elapsed() > Duration::from_secs(30) {
                bail!("the hub took no message within 30 s");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let first_accepted = started.elapsed();
        let idle_mb = match (idle, child.id()) {
            (Some(idle), Some(pid)) => {
                // judged after the start's own work is over
                tokio::time::sleep(idle.saturating_sub(started.elapsed())).await;
                account(pid).rss as f64 / 1e6
            }
            _ => f64::NAN,
        };
        let rest = loop {
            match Rest::sign_in(options.api, PASSWORD).await {
                Ok(rest) => break Arc::new(rest),
                Err(error) if started.elapsed() > Duration::from_secs(30) => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        };
        Ok(Self {
            home,
            child,
            mllp: options.mllp,
            astm: options.astm,
            api: options.api,
            rest,
            first_accepted,
            idle_mb,
            folder,
        })
    }

    /// Where its database is filled, and whose rows it is filled with.
    ///
    /// # Errors
    /// The home has no owner of the tables.
    pub(super) fn ground(&self) -> anyhow::Result<Ground> {
        let url = self.home.loaded.config.postgres.owner_url.as_ref();
        Ok(Ground {
            owner_url: url
                .context("the home has no owner_url")?
                .resolve()
                .map_err(anyhow::Error::msg)?,
            tenant: TenantId::new(TENANT)?,
            channel: ChannelId::new(CHANNEL)?,
        })
    }

    /// Where Postgres has its data.
    pub(super) fn data_folder(&self) -> &Path {
        self.home.postgres.data_dir()
    }

    fn hub_pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// CPU seconds so far of hub, NATS and Postgres.
    pub(super) fn cpu(&self) -> [f64; 3] {
        [
            Some(self.hub_pid()),
            self.home.nats.pid(),
            self.home.postgres.pid(),
        ]
        .map(|pid| pid.map_or(0.0, |pid| account(pid).cpu))
    }

    pub(super) fn rss_mb(&self) -> f64 {
        account(self.hub_pid()).rss as f64 / 1e6
    }

    pub(super) async fn burst(
        &self,
        connections: usize,
        limit: Limit,
        rate: Option<u64>,
    ) -> anyhow::Result<Outcome> {
        let burst = Burst {
            to: self.mllp,
            connections,
            limit,
            rate,
            patients: 20_000,
            run: run_name(),
        };
        let outcome = generator::run(Arc::new(burst)).await?;
        if outcome.refused > 0 || outcome.failed > 0 {
            bail!(
                "{} messages refused, {} connections failed",
                outcome.refused,
                outcome.failed
            );
        }
        Ok(outcome)
    }

    pub(super) async fn drained(&self, outcome: &Outcome) -> anyhow::Result<Duration> {
        until_visible(&self.rest, outcome, PATIENCE).await
    }

    /// Waits until the hub and its servers do next to nothing. What can be read is not all that a message leaves to be done (the ledger,
    /// the trail, vacuum), and the figure that comes next is not measured beside it.
    pub(super) async fn at_rest(&self) {
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            if began.elapsed() > PATIENCE {
                eprintln!(
                    "something is still at work after {PATIENCE:?}; what follows is measured beside it"
                );
                return;
            }
            let (before, looked) = (self.cpu(), Instant::now());
            tokio::time::sleep(LOOK_EVERY).await;
            let spent: f64 = self.cpu().iter().sum::<f64>() - before.iter().sum::<f64>();
            quiet = if spent < looked.elapsed().as_secs_f64() * QUIET_SHARE {
                quiet + 1
            } else {
                0
            };
        }
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            )?;
        }
        let _ = tokio::time::timeout(Duration::from_secs(12), self.child.wait()).await;
        self.home.stop().await;
        local_servers::remove_data(&self.folder)?;
        std::fs::remove_dir_all(&self.folder).ok();
        Ok(())
    }
}
