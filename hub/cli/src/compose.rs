//! Puts the rooms together and runs them until they are told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hub_api::{ApiLimits, ApiState, Rates};
use hub_core::backbone::{Backbone, request_bucket, settings_bucket, sync_check};
use hub_core::config::{Loaded, Problem};
use hub_core::db::Kept;
use hub_core::governor::Governor;
use hub_core::relay::Relay;
use hub_core::retry::Pauses;
use hub_core::subject::StreamName;
use hub_core::telemetry::{MetricsHandle, export};
use hub_core::vault::Vault;
use hub_core::worker::runner::{STOP_DEADLINE, WorkerRunner};
use hub_core::{Worker, claim, db};
use schemas::{ChannelId, TenantId};
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use worker_clinical::{ClinicalWorker, RuleStore};

mod api_backbone;
mod background;
mod channels;
pub(crate) mod identity;
pub(crate) mod maintenance;
mod mapping_files;
pub(crate) mod rule_packs;
mod scheduling;
mod tables;
mod tenants;
pub(crate) mod unmatched_age;
mod worklist;

pub(crate) use api_backbone::ApiBackbone;
pub(crate) use tables::{mapping_problems, mapping_store, packs};

use crate::kinds::Kind;

/// How long the start waits for NATS before it opens its ports without it (and asks senders to repeat).
const NATS_PATIENCE: Duration = Duration::from_secs(2);

/// How long the look at the data keys may take, one question a tenant.
const KEYS_PATIENCE: Duration = Duration::from_secs(10);

/// Which parts this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub adapters: bool,
    pub workers: bool,
    pub api: bool,
}

impl Roles {
    pub(crate) const ALL: Self = Self {
        adapters: true,
        workers: true,
        api: true,
    };

    /// Reads `adapters,workers,api`.
    pub(crate) fn parse(list: &str) -> anyhow::Result<Self> {
        let mut roles = Self {
            adapters: false,
            workers: false,
            api: false,
        };
        for name in list.split(',').map(str::trim) {
            match name {
                "adapters" => roles.adapters = true,
                "workers" => roles.workers = true,
                "api" => roles.api = true,
                other => {
                    bail!("--only {other}: use adapters, workers, api, or several with commas")
                }
            }
        }
        Ok(roles)
    }
}

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

/// Channels whose results must be verified before anybody may act on them.
fn to_verify(
    channels: &[(hub_core::config::ChannelSettings, Kind)],
) -> impl Iterator<Item = (TenantId, ChannelId)> {
    channels
        .iter()
        .filter(|(_, kind)| kind.verify())
        .map(|(channel, _)| {
            (
                channel.tenant.get_ref().clone(),
                channel.id.get_ref().clone(),
            )
        })
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
        let metrics = hub_core::telemetry::start_metrics();
        let channels = read_channels(&loaded).map_err(problems)?;
        let tenants = tenants::Tenants::of(&loaded);
        let tenant_list = tenants.list();
        let files = mapping_files::MappingFiles::load(&loaded);
        let files = Arc::new(files.map_err(|error| anyhow::anyhow!("{error}"))?);
        let mappings = Arc::clone(files.store());
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();

        let vault = Vault::of(&loaded.config.encryption).map_err(anyhow::Error::msg)?;
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
        tasks.spawn(set_up_streams(
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
            let outbox = Arc::new(Notify::new());
            let start = Workers {
                backbone: &behind,
                pool: &pool,
                outbox: &outbox,
                governor: &governor,
                stop: &stop,
                tasks: &tasks,
                handle: &background.handle(),
            };
            start.worker(worker_patient::PatientWorker);
            let rules = Arc::new(RuleStore::new(rule_packs::load(&loaded.mappings_folder())?));
            for note in rule_packs::notes(&rules.current()) {
                tracing::info!("{note}");
            }
            start.worker(
                ClinicalWorker::new(Arc::clone(&mappings))
                    .with_rules(Arc::clone(&rules))
                    .with_verification(to_verify(&channels)),
            );
            tasks.spawn_on(
                rule_packs::watch(loaded.mappings_folder(), rules, stop.clone()),
                &background.handle(),
            );
            start.worker(worker_integration::IntegrationWorker);
            start.worker(worker_identity::IdentityWorker);
            start.worker(worker_scheduling::SchedulingWorker);
            tasks.spawn_on(
                scheduling::run(
                    behind.clone(),
                    pool.clone(),
                    tenant_list.clone(),
                    stop.clone(),
                ),
                &background.handle(),
            );
            tasks.spawn_on(
                Relay {
                    backbone: behind.clone(),
                    pool: pool.clone(),
                    tenants: tenant_list.clone(),
                    outbox,
                    governor: governor.clone(),
                    stop: stop.clone(),
                }
                .run(),
                &background.handle(),
            );
            let links = channels
                .iter()
                .map(|(c, _)| (c.tenant.get_ref().clone(), c.id.get_ref().clone()))
                .collect();
            // longer than anything can come again from a stream
            let inbox_age = time::Duration::days(
                i64::try_from(
                    loaded
                        .config
                        .nats
                        .raw_days
                        .max(loaded.config.nats.events_days),
                )
                .unwrap_or(3650)
                    + 7,
            );
            tasks.spawn_on(
                maintenance::run(maintenance::Upkeep {
                    backbone: behind.clone(),
                    pool: pool.clone(),
                    governor: governor.clone(),
                    channels: links,
                    tenants: tenant_list.clone(),
                    sealer: identity::sealer(&loaded)?,
                    inbox_age,
                    unseen: time::Duration::seconds(
                        loaded.config.incidents.escalate_after_seconds.into(),
                    ),
                    stop: stop.clone(),
                }),
                &background.handle(),
            );
            tasks.spawn_on(
                mapping_files::release_when_changed(
                    behind.clone(),
                    pool.clone(),
                    Arc::clone(&files),
                    tenant_list.clone(),
                    stop.clone(),
                ),
                &background.handle(),
            );
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
            hub.start_api(&loaded, &backbone, &api_pool, &registry, metrics)
                .await?;
        }
        Ok(hub)
    }

    async fn start_api(
        &mut self,
        loaded: &Loaded,
        backbone: &Backbone,
        pool: &PgPool,
        registry: &channels::Registry,
        metrics: Option<MetricsHandle>,
    ) -> anyhow::Result<()> {
        let tenant = loaded
            .config
            .tenants
            .first()
            .map(|tenant| tenant.id.get_ref().clone())
            .context("the configuration names no tenant")?;
        let keys = identity::token_keys(loaded).await?;
        let address: SocketAddr = loaded.config.api.address.parse().context("[api] address")?;
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .with_context(|| format!("can't listen on {address} for the REST API; set $HUB_API_ADDR or [api] address to a free one"))?;
        self.api_address = Some(listener.local_addr()?);
        let password = std::env::var("HUB_BOOTSTRAP_ADMIN_PASSWORD")
            .ok()
            .filter(|password| !password.is_empty());
        (self.one_time_password, ()) = tokio::join!(
            bootstrap(pool, &tenant, password, &self.stop, &self.tasks),
            identity::keep_keys(pool, &keys, &self.stop, &self.tasks),
        );
        let render: hub_api::RenderMetrics = match metrics {
            Some(handle) => Arc::new(move || handle.render()),
            None => Arc::new(String::new),
        };
        let backbone = ApiBackbone::new(backbone.clone(), pool.clone(), registry.clone());
        let api = &loaded.config.api;
        let state = ApiState::new(
            pool.clone(),
            Arc::new(backbone),
            keys,
            tenant,
            render,
            ApiLimits {
                request_time: Duration::from_secs(api.request_seconds),
                body_bytes: api.body_kib * 1024,
                ..ApiLimits::default()
            },
        )
        .with_care_relationship(api.care_relationship)
        .with_rates(Rates {
            per_address: api.rate_per_address,
            per_user: api.rate_per_user,
            per_tenant: api.rate_per_tenant,
        })
        .behind_proxies(&api.trusted_proxies)
        .with_cors_origins(&api.cors_origins)
        .with_passkeys(api.passkeys.clone())
        .with_providers(identity::providers(loaded)?);
        {
            let state = state.clone();
            tokio::task::spawn_blocking(move || state.prepare());
        }
        let tls = loaded.config.api.tls.as_ref().map(api_tls).transpose()?;
        self.tasks.spawn(hub_api::serve(
            listener,
            hub_api::router(state),
            tls,
            self.stop.clone().cancelled_owned(),
        ));
        Ok(())
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

struct Workers<'a> {
    backbone: &'a Backbone,
    pool: &'a PgPool,
    outbox: &'a Arc<Notify>,
    governor: &'a Governor,
    stop: &'a CancellationToken,
    tasks: &'a TaskTracker,
    handle: &'a tokio::runtime::Handle,
}

impl Workers<'_> {
    fn worker<W: Worker>(&self, worker: W) {
        let runner = WorkerRunner {
            worker: Arc::new(worker),
            backbone: self.backbone.clone(),
            database: Kept::new(self.pool.clone()).into(),
            lock_options: (*self.pool.connect_options()).clone(),
            outbox: Arc::clone(self.outbox),
            governor: self.governor.clone(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn_on(runner.run(), self.handle);
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

/// `[api.tls]` as the listener wants it.
fn api_tls(settings: &hub_core::config::ApiTls) -> anyhow::Result<hub_api::TlsAcceptor> {
    let settings = adapter_link::TlsServerSettings {
        certificate: settings.certificate_file.clone(),
        key: settings.key_file.clone(),
        client_ca: settings.client_ca_file.clone(),
        client_auth: adapter_link::ClientAuth::Required,
        min_version: adapter_link::TlsVersion::V1_2,
        // the API's listener has a deadline of its own
        handshake_timeout_ms: 10_000,
    };
    adapter_link::acceptor(&settings).context("[api.tls]")
}

/// Streams and buckets, tried until they stand.
async fn set_up_streams(
    backbone: Backbone,
    settings: hub_core::config::NatsSettings,
    stop: CancellationToken,
) {
    let mut pauses = Pauses::for_backbone();
    loop {
        let set_up = async {
            for name in StreamName::ALL {
                backbone.ensure_stream(name, &settings).await?;
            }
            settings_bucket::ensure(&backbone, settings.replicas).await?;
            claim::ensure(&backbone, settings.replicas).await?;
            request_bucket::ensure(&backbone, settings.replicas).await?;
            Ok::<_, hub_core::backbone::BackboneError>(())
        };
        match tokio::time::timeout(Duration::from_secs(10), set_up).await {
            Ok(Ok(())) => break,
            Ok(Err(error)) => tracing::warn!(%error, "the streams do not stand yet"),
            Err(_) => tracing::warn!("the streams do not stand yet: no answer within 10 s"),
        }
        if !pauses.wait(&stop).await {
            return;
        }
    }
    match sync_check::check(settings.monitor_url.as_deref()).await {
        sync_check::SyncSetting::Always => tracing::info!("NATS syncs every write"),
        weak @ sync_check::SyncSetting::Weaker { .. } => {
            metrics::gauge!("hub_nats_sync_weak").set(1.0);
            tracing::error!(
                "NATS durability is {weak}: a power cut can lose acknowledged messages"
            );
        }
        unknown @ sync_check::SyncSetting::NotChecked { .. } => {
            tracing::warn!("NATS durability {unknown}");
        }
    }
}

/// Makes the administrator; keeps trying in the background when Postgres is away.
async fn bootstrap(
    pool: &PgPool,
    tenant: &TenantId,
    password: Option<String>,
    stop: &CancellationToken,
    tasks: &TaskTracker,
) -> Option<String> {
    let first = tokio::time::timeout(
        Duration::from_secs(5),
        hub_api::bootstrap_admin(pool, tenant, password.clone()),
    )
    .await;
    if let Ok(Ok(one_time)) = first {
        return one_time;
    }
    let (pool, tenant, stop) = (pool.clone(), tenant.clone(), stop.clone());
    tasks.spawn(async move {
        let mut pauses = Pauses::for_backbone();
        while pauses.wait(&stop).await {
            match hub_api::bootstrap_admin(&pool, &tenant, password.clone()).await {
                Ok(None) => return,
                Ok(Some(one_time)) => {
                    // shown once, on the terminal of who started the program, never in the log
                    eprintln!("one-time password of admin: {one_time}");
                    return;
                }
                Err(error) => tracing::debug!(%error, "the administrator can't be made yet"),
            }
        }
    });
    None
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
