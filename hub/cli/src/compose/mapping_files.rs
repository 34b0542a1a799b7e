//! Mappings while the hub runs: files that change are read again, what people map over REST arrives through
//! the settings bucket, and rows that are new release the results that wait for them. Who must not answer from tables
//! that are older than the files ([`MappingFiles::refresh`]) need not wait for the next look.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hub_core::Tx;
use hub_core::backbone::Backbone;
use hub_core::config::Loaded;
use hub_core::mappings::{Lookup, MappingError, MappingStore, Packs};
use hub_core::publish::{self, NewMessage};
use schemas::commands::MapCode;
use schemas::integration::CodeMapped;
use schemas::{ChannelId, TenantId};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker_integration::queries::{HeldSearch, held_items};

use super::mapping_store;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// A setting changed: `code.<tenant>.<key>` holds what a person mapped.
pub(super) fn on_setting(mappings: &MappingStore, key: &str, value: &[u8]) {
    if !key.starts_with("code.") {
        return;
    }
    match serde_json::from_slice::<CodeMapped>(value) {
        Ok(said) => mappings.apply_code_mapped(&said),
        Err(_) => tracing::warn!(
            key,
            "a mapping in the settings can't be read; it is passed over"
        ),
    }
}

/// The mapping files, and the tables that were made of them.
pub(super) struct MappingFiles {
    store: Arc<MappingStore>,
    /// Held while files are read: of two that look at the same moment the second finds it done.
    read: Mutex<Read>,
    /// Rows are new since [`MappingFiles::take_changed`] asked.
    changed: AtomicBool,
}

/// What was read last.
struct Read {
    stamp: Stamp,
    packs: Packs,
}

/// Names, sizes and times of all mapping files.
type Stamp = BTreeSet<(PathBuf, u64, Option<SystemTime>)>;

impl MappingFiles {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// Every fault of every file.
    pub(super) fn load(loaded: &Loaded) -> Result<Self, MappingError> {
        let folder = loaded.mappings_folder();
        // before they are read: what changes meanwhile is read again
        let stamp = stamp(&folder);
        let store = Arc::new(mapping_store(loaded)?);
        let packs = Packs::load(&folder).unwrap_or_default();
        Ok(Self {
            store,
            read: Mutex::new(Read { stamp, packs }),
            changed: AtomicBool::new(false),
        })
    }

    /// The tables in force.
    pub(super) fn store(&self) -> &Arc<MappingStore> {
        &self.store
    }

    /// After this the tables in force are at least as new as the files were when it was called, unless those have a fault.
    pub(super) async fn refresh(self: &Arc<Self>) {
        let this = Arc::clone(self);
        // reading all of them takes a moment, and nobody else is to wait for it
        if let Err(error) = tokio::task::spawn_blocking(move || this.read_again()).await {
            tracing::error!(%error, "the mapping files could not be looked at");
        }
    }

    fn read_again(&self) {
        let Some(folder) = self.store.folder() else {
            return;
        };
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(folder);
        if now == read.stamp {
            return;
        }
        read.stamp = now;
        match self.store.reload() {
            Err(error) => {
                metrics::counter!("hub_mapping_reload_failures_total").increment(1);
                tracing::error!(%error, "the mapping files have a problem; the tables in use stay as they are");
            }
            Ok(reloaded) => {
                tracing::info!(version = %reloaded.version, new_rows = reloaded.added.len(), "mapping tables read again");
                if let Ok(now) = Packs::load(folder) {
                    say_changed_settings(&self.store, &read.packs, &now);
                    read.packs = now;
                }
                self.changed.fetch_or(reloaded.changed, Ordering::AcqRel);
            }
        }
    }

    /// Whether rows are new since this was asked last.
    fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }
}

/// Reads the files again when they change: in every process that translates or answers.
pub(super) async fn watch(files: Arc<MappingFiles>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => files.refresh().await,
        }
    }
}

/// Has the results released that new rows explain.
pub(super) async fn release_when_changed(
    backbone: Backbone,
    pool: PgPool,
    files: Arc<MappingFiles>,
    tenants: watch::Receiver<Vec<TenantId>>,
    stop: CancellationToken,
) {
    // at the start too: files may have changed while nobody looked
    let mut due = true;
    loop {
        due |= files.take_changed();
        if due {
            let now = tenants.borrow().clone();
            match release(&backbone, &pool, files.store(), &now).await {
                Ok(()) => due = false,
                Err(error) => tracing::debug!(%error, "held results can't be looked through now"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Codes and units of a pack are in force with the tables; how its line and its dialect are set is read when a channel's
/// process starts, so that one message is never read half this way and half that.
fn say_changed_settings(mappings: &MappingStore, before: &Packs, now: &Packs) {
    for one in mappings.packs_in_use() {
        let settings = |packs: &Packs| packs.get(&one.pack).map(|pack| pack.settings.clone());
        if settings(before) != settings(now) {
            tracing::warn!(channel = %one.channel, pack = one.pack, "the pack's settings changed; the channel takes them at the next start of its process (its codes and units are in force now)");
        }
    }
}

/// Asks the tables about every open question on a code; what they explain is told to the clinical worker,
/// which releases the results that wait.
async fn release(
    backbone: &Backbone,
    pool: &PgPool,
    mappings: &MappingStore,
    tenants: &[TenantId],
) -> anyhow::Result<()> {
    let maps = mappings.current();
    for tenant in tenants {
        let mut after = None;
        loop {
            let mut tx = Tx::begin(pool, tenant).await?;
            let search = HeldSearch {
                state: Some("open".into()),
                after,
                limit: 500,
                ..HeldSearch::default()
            };
            let items = held_items(tx.conn(), &search).await?;
            tx.rollback().await?;
            let Some(last) = items.last() else { break };
            after = Some(last.id);
            for item in items.iter().filter(|item| !item.code.is_empty()) {
                let Ok(channel) = ChannelId::new(item.channel.clone()) else {
                    continue;
                };
                let Lookup::Mapped(mapped) =
                    maps.code(&channel, &item.code_system, &item.code, &item.unit, true)
                else {
                    continue;
                };
                let body = MapCode {
                    channel: channel.clone(),
                    code_system: item.code_system.clone(),
                    code: item.code.clone(),
                    unit: Some(item.unit.clone()),
                    loinc: mapped.loinc,
                    display: mapped.display,
                    ucum: mapped.ucum,
                    factor: mapped.factor,
                    actor: "mapping files".into(),
                };
                // the same lane as a mapping of this code over REST
                let aggregate = format!("code/{channel}/{}/{}", item.code_system, item.code);
                let message = NewMessage::command(tenant, "/mappings", aggregate, &body);
                publish::publish(backbone, &message, None).await?;
                tracing::info!(%channel, code = item.code, waiting = item.waiting, "a mapping file explains results that wait; releasing them");
            }
        }
    }
    Ok(())
}

fn stamp(folder: &Path) -> Stamp {
    ["tables", "site", "analyzers", "site/analyzers"]
        .iter()
        .filter_map(|part| std::fs::read_dir(folder.join(part)).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .filter_map(|path| {
            // of the file, not of a link to it: a mounted ConfigMap is links whose target changes
            let data = std::fs::metadata(&path).ok()?;
            Some((path, data.len(), data.modified().ok()))
        })
        .collect()
}
