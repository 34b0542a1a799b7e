//! Puts the rooms together and runs them until they are told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hub_core::backbone::{Backbone, settings_bucket};
use hub_core::config::{Loaded, Problem};
use hub_core::db;
use hub_core::governor::Governor;
use hub_core::subject::StreamName;
use hub_core::telemetry::{self, export};
use hub_core::vault::{Columns, Vault};
use hub_core::worker::runner::STOP_DEADLINE;
use sqlx::postgres::PgConnectOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod api;
mod api_backbone;
mod background;
mod channels;
mod columns;
pub(crate) mod identity;
pub(crate) mod maintenance;
mod mapping_files;
mod plan_limits;
mod roles;
pub(crate) mod rule_packs;
mod scheduling;
mod streams;
mod tables;
mod tenants;
pub(crate) mod unmatched_age;
mod workers;
mod worklist;

pub(crate) use api_backbone::ApiBackbone;
pub(crate) use roles::Roles;
pub(crate) use tables::{mapping_problems, mapping_store, packs};

use crate::kinds::Kind;

/// How long the start waits for NATS before it opens its ports without it (and asks senders to repeat).
const NATS_PATIENCE: Duration = Duration::from_secs(2);

/// How long the look at the data keys may take, one question a tenant.
const KEYS_PATIENCE: Duration = Duration::from_secs(10);

/// A running hub.
pub(crate) struct Hub {
    stop: CancellationToken,
    tasks: TaskTracker,
    export: Option<export::Export>,
    _background: background::Background,
    /// Where the API listens, if this process has it.
    pub api_address: Option<SocketAddr>,
    /// Generated password of the bootstrap administrator, to be printed once.
    pub one_time_password: Option<String>,
}

/// Reads every channel's settings.
///
/// # Errors
/// All problems of all channels.
pub(crate) fn read_channels(
    loaded: &Loaded,
) -> Result<Vec<(hub_core::config::ChannelSettings, Kind)>, Vec<Problem>> {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    let packs = packs(loaded)?;
    for channel in &loaded.config.channels {
        match Kind::read(loaded, &packs, channel) {
            Ok(kind) => good.push((channel.clone(), kind)),
            Err(problems) => bad.extend(problems),
        }
    }
    if bad.is_empty() { Ok(good) } else { Err(bad) }
}

/// Connect options for the program's role.
///
/// # Errors
/// The URL can't be read.
pub(crate) fn pg_options(url: &str) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = url.parse().context("[postgres] url")?;
    // a lock that is not had in 5 s is transient: the lane waits, the others go on
    Ok(options.application_name("hub").options([
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "60s"),
        // a machine that is gone must not keep its lanes: Linux alone would wait two hours
        ("tcp_keepalives_idle", "20"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
    ]))
}

impl Hub {
    /// Starts the parts. Needs neither NATS nor Postgres to be up: what waits for them waits.
    ///
    /// # Errors
    /// The configuration is wrong, or an address is taken.
    pub(crate) async fn start(loaded: Loaded, roles: Roles) -> anyhow::Result<Self> {
        let metrics = telemetry::start_metrics();
        let channels = read_channels(&loaded).map_err(problems)?;
        let tenants = tenants::Tenants::of(&loaded);
        let tenant_list = tenants.list();
        let files = mapping_files::MappingFiles::load(&loaded);
        let files = Arc::new(files.map_err(|error| anyhow::anyhow!("{error}"))?);
        let mappings = Arc::clone(files.store());
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();

        let vault = Vault::of(&loaded.config.encryption).map_err(anyhow::Error::msg)?;
        let columns = Columns::new(vault.clone(), loaded.config.encryption.columns);
        let backbone = Backbone::connect(&loaded.config.nats)
            .await?
            .with_vault(vault.clone());
        // RAW first: the edge may open its ports as soon as it stands
        if backbone.wait_connected(NATS_PATIENCE).await {
            if let Err(error) = backbone
                .ensure_stream(StreamName::Raw, &loaded.config.nats)
                .await
            {
                // tried again behind the open ports; until then senders are asked to repeat
                tracing::warn!(%error, "RAW does not stand yet");
            }
            keys_open(&backbone).await?;
        }
        let background = background::Background::start()?;
        if let Some(metrics) = metrics.clone() {
            tasks.spawn_on(
                telemetry::keep_metrics(metrics, stop.clone()),
                &background.handle(),
            );
        }
        let export = loaded
            .config
            .telemetry
            .target()
            .map_err(|faults| {
                let said: Vec<String> = faults.into_iter().map(|(_, fault)| fault).collect();
                anyhow::anyhow!("[telemetry] {}", said.join("; "))
            })?
            .and_then(|target| export::start(&target, &background.handle()));
        // connections of its own, on its own threads
        let behind = background
            .run({
                let settings = loaded.config.nats.clone();
                async move { Backbone::connect(&settings).await }
            })
            .await??
            .with_vault(vault);
        let url = loaded
            .config
            .postgres
            .url
            .resolve()
            .map_err(anyhow::Error::msg)?;
        let connections = loaded.config.postgres.max_connections;
        let api_pool = db::pool(pg_options(&url)?, connections.div_ceil(2));
        let pool = {
            let _entered = background.handle().enter();
            db::pool(pg_options(&url)?, connections.div_ceil(2))
        };
        tasks.spawn_on(
            behind.vault().clone().watch(behind.clone(), stop.clone()),
            &background.handle(),
        );
        if roles.workers || roles.api {
            tasks.spawn_on(
                tenants.keep(pool.clone(), stop.clone()),
                &background.handle(),
            );
            if columns.opens() {
                let read = columns::keep(
                    columns.clone(),
                    pool.clone(),
                    tenant_list.clone(),
                    stop.clone(),
                );
                tasks.spawn_on(read, &background.handle());
            }
        }
        let governor = Governor::default();
        let registry = channels::Registry::new(
            &backbone,
            &channels,
            &governor,
            &stop,
            &tasks,
            roles.adapters,
        );
        if roles.adapters {
            registry.start_adapters(&mappings, &tasks, &behind, &background.handle());
        }
        tasks.spawn(streams::set_up_streams(
            backbone.clone(),
            loaded.config.nats.clone(),
            stop.clone(),
        ));
        tasks.spawn(settings_bucket::watch(backbone.clone(), stop.clone(), {
            let (registry, mappings) = (registry.clone(), Arc::clone(&mappings));
            move |key, value| {
                registry.on_setting(&key, &value);
                mapping_files::on_setting(&mappings, &key, &value);
                std::future::ready(())
            }
        }));
        if roles.workers {
            workers::Workers {
                loaded: &loaded,
                channels: &channels,
                files: &files,
                tenants: &tenant_list,
                backbone: &behind,
                pool: &pool,
                columns: &columns,
                governor: &governor,
                stop: &stop,
                tasks: &tasks,
                handle: &background.handle(),
            }
            .start()?;
        }
        if roles.adapters || roles.workers {
            tasks.spawn_on(
                mapping_files::watch(Arc::clone(&files), stop.clone()),
                &background.handle(),
            );
        }
        if roles.workers {
            // an instrument waits: on the threads and connections that answer people, not behind the batches
            for asks in [worklist::Asks::Worklist, worklist::Asks::Roster] {
                tasks.spawn(
                    worklist::Responder {
                        asks,
                        backbone: backbone.clone(),
                        pool: api_pool.clone(),
                        mappings: Arc::clone(&files),
                        tenants: tenant_list.clone(),
                        stop: stop.clone(),
                    }
                    .run(),
                );
            }
        }
        let mut hub = Self {
            stop,
            tasks,
            export,
            _background: background,
            api_address: None,
            one_time_password: None,
        };
        if roles.api {
            hub.start_api(&loaded, &backbone, &api_pool, &columns, &registry, metrics)
                .await?;
        }
        Ok(hub)
    }

    /// Stops everything: no new work, what is in flight is finished, within eight seconds; then spans that wait for their
    /// collector have one more.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_DEADLINE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                tasks = self.tasks.len(),
                "stopping with work in flight; it is repeated at the next start"
            );
        }
        if let Some(export) = self.export {
            export.finish().await;
        }
    }
}

/// What was encrypted must open before anything starts: a master key that is wrong or missing is said now, and not by records
/// that wait. NATS or a key service that is away is no reason not to start: the vault goes on asking behind the open ports, and
/// until it has its keys nothing is stored in the open and senders are asked to repeat.
async fn keys_open(backbone: &Backbone) -> anyhow::Result<()> {
    match tokio::time::timeout(KEYS_PATIENCE, backbone.vault().check(backbone)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) if error.is_passing() => {
            tracing::error!(%error, "the data keys can't be read yet");
            Ok(())
        }
        Ok(Err(error)) => Err(anyhow::anyhow!("{error}")),
        Err(_) => {
            tracing::warn!("the data keys can't be read yet: no answer in time");
            Ok(())
        }
    }
}

/// Problems as one error, a line each.
#[allow(
    clippy::needless_pass_by_value,
    reason = "stands in map_err, which hands the list over"
)]
pub(crate) fn problems(problems: Vec<Problem>) -> anyhow::Error {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    anyhow::anyhow!(
        "the configuration has {} problem(s):\n  {}",
        lines.len(),
        lines.join("\n  ")
    )
}
