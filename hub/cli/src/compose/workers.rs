//! The workers of a process, and what runs beside them: the relay, upkeep, the calendar's work, and held results that a mapping
//! releases.

use std::sync::Arc;

use hub_core::Worker;
use hub_core::backbone::Backbone;
use hub_core::config::{ChannelSettings, Loaded};
use hub_core::db::Kept;
use hub_core::governor::Governor;
use hub_core::relay::Relay;
use hub_core::vault::Columns;
use hub_core::worker::runner::WorkerRunner;
use schemas::{ChannelId, TenantId};
use sqlx::PgPool;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use worker_clinical::{ClinicalWorker, RuleStore};

use super::mapping_files::MappingFiles;
use super::{identity, maintenance, mapping_files, rule_packs, scheduling};
use crate::kinds::Kind;

/// What the workers of a process are started with.
pub(super) struct Workers<'a> {
    pub(super) loaded: &'a Loaded,
    pub(super) channels: &'a [(ChannelSettings, Kind)],
    pub(super) files: &'a Arc<MappingFiles>,
    pub(super) tenants: &'a watch::Receiver<Vec<TenantId>>,
    pub(super) backbone: &'a Backbone,
    pub(super) pool: &'a PgPool,
    pub(super) columns: &'a Columns,
    pub(super) governor: &'a Governor,
    pub(super) stop: &'a CancellationToken,
    pub(super) tasks: &'a TaskTracker,
    /// The threads they run on.
    pub(super) handle: &'a Handle,
}

impl Workers<'_> {
    /// Starts one runner for each domain, and what runs beside them until `stop`.
    ///
    /// # Errors
    /// The rule packs or the secret of the keys can't be read.
    pub(super) fn start(&self) -> anyhow::Result<()> {
        let outbox = Arc::new(Notify::new());
        self.worker(worker_patient::PatientWorker, &outbox);
        let rules = Arc::new(RuleStore::new(rule_packs::load(
            &self.loaded.mappings_folder(),
        )?));
        for note in rule_packs::notes(&rules.current()) {
            tracing::info!("{note}");
        }
        self.worker(
            ClinicalWorker::new(Arc::clone(self.files.store()))
                .with_rules(Arc::clone(&rules))
                .with_verification(to_verify(self.channels)),
            &outbox,
        );
        self.tasks.spawn_on(
            rule_packs::watch(self.loaded.mappings_folder(), rules, self.stop.clone()),
            self.handle,
        );
        self.worker(worker_integration::IntegrationWorker, &outbox);
        self.worker(worker_identity::IdentityWorker, &outbox);
        self.worker(worker_scheduling::SchedulingWorker, &outbox);
        self.tasks.spawn_on(
            scheduling::run(
                self.backbone.clone(),
                self.pool.clone(),
                self.tenants.clone(),
                self.stop.clone(),
            ),
            self.handle,
        );
        self.tasks.spawn_on(
            Relay {
                backbone: self.backbone.clone(),
                pool: self.pool.clone(),
                tenants: self.tenants.clone(),
                outbox,
                governor: self.governor.clone(),
                stop: self.stop.clone(),
            }
            .run(),
            self.handle,
        );
        let links = self
            .channels
            .iter()
            .map(|(c, _)| (c.tenant.get_ref().clone(), c.id.get_ref().clone()))
            .collect();
        // longer than anything can come again from a stream
        let nats = &self.loaded.config.nats;
        let inbox_age = time::Duration::days(
            i64::try_from(nats.raw_days.max(nats.events_days)).unwrap_or(3650) + 7,
        );
        self.tasks.spawn_on(
            maintenance::run(maintenance::Upkeep {
                backbone: self.backbone.clone(),
                pool: self.pool.clone(),
                governor: self.governor.clone(),
                channels: links,
                tenants: self.tenants.clone(),
                sealer: identity::sealer(self.loaded)?,
                inbox_age,
                unseen: time::Duration::seconds(
                    self.loaded.config.incidents.escalate_after_seconds.into(),
                ),
                stop: self.stop.clone(),
            }),
            self.handle,
        );
        self.tasks.spawn_on(
            mapping_files::release_when_changed(
                self.backbone.clone(),
                self.pool.clone(),
                Arc::clone(self.files),
                self.tenants.clone(),
                self.stop.clone(),
            ),
            self.handle,
        );
        Ok(())
    }

    fn worker<W: Worker>(&self, worker: W, outbox: &Arc<Notify>) {
        let runner = WorkerRunner {
            worker: Arc::new(worker),
            backbone: self.backbone.clone(),
            database: Kept::new(self.pool.clone())
                .with_columns(self.columns.clone())
                .into(),
            lock_options: (*self.pool.connect_options()).clone(),
            outbox: Arc::clone(outbox),
            governor: self.governor.clone(),
            stop: self.stop.clone(),
        };
        self.tasks.spawn_on(runner.run(), self.handle);
    }
}

/// Channels whose results must be verified before anybody may act on them.
fn to_verify(channels: &[(ChannelSettings, Kind)]) -> impl Iterator<Item = (TenantId, ChannelId)> {
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
