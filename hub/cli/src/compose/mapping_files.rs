//! Mappings while the hub runs: files that change are read again, what people map over REST arrives through
//! the settings bucket, and rows that are new release the results that wait for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hub_core::Tx;
use hub_core::backbone::Backbone;
use hub_core::mappings::{Lookup, MappingStore, Packs};
use hub_core::publish::{self, NewMessage};
use schemas::commands::MapCode;
use schemas::integration::CodeMapped;
use schemas::{ChannelId, TenantId};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use worker_integration::queries::{HeldSearch, held_items};

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

/// Reads the files again when they change, and has the results released that the tables explain.
pub(super) async fn watch(
    backbone: Backbone,
    pool: PgPool,
    mappings: Arc<MappingStore>,
    tenants: watch::Receiver<Vec<TenantId>>,
    stop: CancellationToken,
) {
    let Some(folder) = mappings.folder().map(Path::to_owned) else {
        return;
    };
    let mut seen = stamp(&folder);
    let mut packs = Packs::load(&folder).unwrap_or_default();
    // at the start too: files may have changed while nobody looked
    let mut release_due = true;
    loop {
        if release_due {
            let now = tenants.borrow().clone();
            match release(&backbone, &pool, &mappings, &now).await {
                Ok(()) => release_due = false,
                Err(error) => tracing::debug!(%error, "held results can't be looked through now"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = stamp(&folder);
        if now == seen {
            continue;
        }
        seen = now;
        match mappings.reload() {
            Err(error) => {
                metrics::counter!("hub_mapping_reload_failures_total").increment(1);
                tracing::error!(%error, "the mapping files have a problem; the tables in use stay as they are");
            }
            Ok(reloaded) => {
                tracing::info!(version = %reloaded.version, new_rows = reloaded.added.len(), "mapping tables read again");
                if let Ok(now) = Packs::load(&folder) {
                    say_changed_settings(&mappings, &packs, &now);
                    packs = now;
                }
                release_due = reloaded.changed;
            }
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

/// Names, sizes and times of all mapping files.
fn stamp(folder: &Path) -> BTreeSet<(String, u64, Option<SystemTime>)> {
    ["tables", "site", "analyzers", "site/analyzers"]
        .iter()
        .filter_map(|part| std::fs::read_dir(folder.join(part)).ok())
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .path()
                .extension()
                .is_some_and(|extension| extension == "toml")
        })
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some((
                entry.path().display().to_string(),
                data.len(),
                data.modified().ok(),
            ))
        })
        .collect()
}
