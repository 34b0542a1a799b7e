//! Runs a worker: reads its lanes, applies batches, finds the one message that is at fault, waits out
//! what is transient, and never lets one lane or one tenant stop another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemas::TenantId;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::CancellationToken;

use super::Worker;
use super::lanes::{LaneKeeper, Owned, SOURCES};
use super::sources::{Arrived, Sources};
use super::transaction::{self, Advance, Committed, TxError};
use crate::backbone::Backbone;
use crate::db::{Kept, is_of_key, is_transient};
use crate::envelope::Envelope;
use crate::governor::Governor;
use crate::retry::Pauses;

mod at_fault;
mod held;

use at_fault::Single;
use held::{Held, Whose};

/// One worker of this process.
pub struct WorkerRunner<W> {
    pub worker: Arc<W>,
    pub backbone: Backbone,
    pub database: Mutex<Kept>,
    /// For the connection that holds the lanes' locks.
    pub lock_options: PgConnectOptions,
    /// Told when the outbox has something to publish.
    pub outbox: Arc<Notify>,
    pub governor: Governor,
    pub stop: CancellationToken,
}

impl<W: Worker> WorkerRunner<W> {
    /// Runs until `stop`; the transaction in flight is finished.
    pub async fn run(self) {
        let (sender, mut owned) = watch::channel(Owned::new());
        let keeper = LaneKeeper {
            worker: W::NAME,
            options: self.lock_options.clone(),
            stop: self.stop.clone(),
        };
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(keeper.run(sender));
        let mut stood = Owned::new();
        while !self.stop.is_cancelled() {
            let mut lanes = owned.borrow_and_update().clone();
            for (lane, grant) in &mut lanes {
                // held all the while: go on where we stood
                if let Some(before) = stood.get(lane).filter(|before| before.epoch == grant.epoch) {
                    *grant = *before;
                }
            }
            if lanes.is_empty() {
                tokio::select! {
                    () = self.stop.cancelled() => break,
                    changed = owned.changed() => if changed.is_err() { break },
                }
                continue;
            }
            self.work(&mut lanes, &mut owned).await;
            stood = lanes;
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Works a set of lanes until the set changes, or the streams are to be read again.
    async fn work(&self, lanes: &mut Owned, owned: &mut watch::Receiver<Owned>) {
        if !self.check_positions(lanes).await {
            return;
        }
        let mut sources = Sources::open::<W>(&self.backbone, lanes);
        let mut held = Held::default();
        loop {
            let collected = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                changed = owned.changed() => {
                    let _ = changed;
                    return;
                }
                () = until(held.next_try()) => false,
                () = sources.collect() => true,
            };
            let batch = if collected {
                let _turn = self.governor.turn().await;
                sources.decode(lanes).await
            } else {
                Vec::new()
            };
            metrics::gauge!("hub_worker_lag_records", "worker" => W::NAME, "stream" => "EVENTS")
                .set(sources.behind[0] as f64);
            metrics::gauge!("hub_worker_lag_records", "worker" => W::NAME, "stream" => "COMMANDS")
                .set(sources.behind[1] as f64);
            metrics::gauge!("hub_worker_lanes_held", "worker" => W::NAME).set(held.len() as f64);
            // what is held keeps its order: what comes for it waits behind
            let ready: Vec<Arrived> = batch
                .into_iter()
                .filter_map(|arrived| held.behind(arrived))
                .collect();
            for whose in held.due(tokio::time::Instant::now()) {
                if !self.apply_held(&whose, lanes, &mut held).await {
                    return;
                }
            }
            if !ready.is_empty() && !self.apply_batch(ready, lanes, &mut held).await {
                return;
            }
        }
    }

    /// A lane can't have applied what its stream has never held: then the stream was lost and made anew, and is
    /// read from its beginning. The inbox stops what was applied before.
    async fn check_positions(&self, lanes: &mut Owned) -> bool {
        let mut pauses = Pauses::for_backbone();
        for (source, stream) in SOURCES.iter().enumerate() {
            let newest = loop {
                match self.backbone.bounds(*stream).await {
                    Ok(state) => break state.last_sequence,
                    Err(error) => {
                        tracing::debug!(worker = W::NAME, %error, "the streams can't be asked yet");
                    }
                }
                if !pauses.wait(&self.stop).await {
                    return false;
                }
            };
            for (lane, grant) in lanes.iter_mut() {
                if grant.applied[source] > newest {
                    metrics::counter!("hub_streams_restarted_total", "stream" => stream.as_str())
                        .increment(1);
                    tracing::error!(
                        worker = W::NAME,
                        stream = stream.as_str(),
                        lane,
                        applied = grant.applied[source],
                        newest,
                        "the stream is shorter than what was applied from it: it was lost or made anew; reading it from its beginning"
                    );
                    grant.applied[source] = 0;
                }
            }
        }
        true
    }

    /// Tries what waits; false when the lanes are lost, or the streams are to be read again.
    async fn apply_held(&self, whose: &Whose, lanes: &mut Owned, held: &mut Held) -> bool {
        while let Some(arrived) = held.first(whose) {
            match self.record_one_by_one(&arrived, lanes, held).await {
                Single::Done => held.applied(&arrived),
                Single::Lost => return false,
                Single::Hold => {
                    held.hold(arrived);
                    return true;
                }
            }
        }
        held.free(whose)
    }

    /// Applies a batch; false when the lanes are lost.
    async fn apply_batch(&self, batch: Vec<Arrived>, lanes: &mut Owned, held: &mut Held) -> bool {
        let started = std::time::Instant::now();
        let mut pauses = Pauses::for_backbone();
        let advances: Vec<Advance> = batch
            .iter()
            .filter_map(|arrived| held.advance(arrived, lanes))
            .collect();
        let mut batch = batch;
        let mut messages = Vec::with_capacity(batch.iter().map(|one| one.messages.len()).sum());
        let counts: Vec<usize> = batch
            .iter_mut()
            .map(|arrived| {
                let count = arrived.messages.len();
                messages.append(&mut arrived.messages);
                count
            })
            .collect();
        loop {
            let turn = self.governor.turn().await;
            let outcome = self.together(&messages, &advances, lanes).await;
            drop(turn);
            match outcome {
                Ok(committed) => {
                    if let Some(last) = messages.last() {
                        let lag = time::OffsetDateTime::now_utc() - last.recorded_at;
                        self.governor
                            .applied(W::NAME, lag.try_into().unwrap_or_default());
                    }
                    self.done(&committed, started).await;
                    for arrived in &batch {
                        held.applied(arrived);
                    }
                    return true;
                }
                Err(TxError::Fenced) => {
                    tracing::warn!(worker = W::NAME, "lost lanes to another process");
                    return false;
                }
                Err(TxError::Database(error)) if database_is_away(&error) => {
                    metrics::counter!("hub_worker_transient_total", "worker" => W::NAME)
                        .increment(1);
                    tracing::warn!(worker = W::NAME, tries = pauses.tries(), %error, "the database is away; waiting");
                    if !pauses.wait(&self.stop).await {
                        return false;
                    }
                }
                Err(error) => {
                    at_fault::batch_failed(W::NAME, &error);
                    let mut rest = messages.into_iter();
                    for (arrived, count) in batch.iter_mut().zip(counts) {
                        arrived.messages = rest.by_ref().take(count).collect();
                    }
                    return self.one_by_one(batch, lanes, held).await;
                }
            }
        }
    }

    /// All messages of a batch in as few transactions as there are tenants.
    async fn together(
        &self,
        messages: &[Envelope],
        advances: &[Advance],
        lanes: &mut Owned,
    ) -> Result<Committed, TxError> {
        let mut all = Committed::default();
        if let Some(first) = messages.first()
            && messages
                .iter()
                .all(|message| message.tenant == first.tenant)
        {
            all = transaction::apply(
                self.worker.as_ref(),
                &mut *self.database.lock().await,
                &first.tenant,
                messages,
                advances,
            )
            .await?;
        } else {
            let mut tenants: BTreeMap<&TenantId, Vec<Envelope>> = BTreeMap::new();
            for message in messages {
                tenants
                    .entry(&message.tenant)
                    .or_default()
                    .push(message.clone());
            }
            let last = tenants.len().saturating_sub(1);
            for (index, (tenant, messages)) in tenants.iter().enumerate() {
                // positions move with the last tenant; a crash before it repeats, and the inbox stops the repeats
                let advances: &[Advance] = if index == last { advances } else { &[] };
                let committed = transaction::apply(
                    self.worker.as_ref(),
                    &mut *self.database.lock().await,
                    tenant,
                    messages,
                    advances,
                )
                .await?;
                all.add(committed);
            }
        }
        for advance in advances {
            if let Some(grant) = lanes.get_mut(&advance.lane) {
                grant.applied[advance.source] = grant.applied[advance.source].max(advance.seq);
            }
        }
        Ok(all)
    }

    async fn done(&self, committed: &Committed, started: std::time::Instant) {
        metrics::counter!("hub_applied_total", "worker" => W::NAME)
            .increment(committed.applied as u64);
        metrics::counter!("hub_repeats_total", "worker" => W::NAME)
            .increment(committed.repeats as u64);
        metrics::histogram!("hub_apply_seconds", "worker" => W::NAME)
            .record(started.elapsed().as_secs_f64());
        metrics::histogram!("hub_apply_batch_size", "worker" => W::NAME)
            .record((committed.applied + committed.repeats) as f64);
        if committed.said {
            self.outbox.notify_one();
        }
        for (to, outcome) in &committed.replies {
            let payload = serde_json::to_vec(outcome).unwrap_or_default();
            if let Err(error) = self
                .backbone
                .client()
                .publish(to.clone(), payload.into())
                .await
            {
                tracing::debug!(worker = W::NAME, %error, "a caller could not be told the outcome; it asks the status instead");
            }
        }
    }
}

/// The whole database is away (not just one row locked, or one key not to be had): every lane waits.
fn database_is_away(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            ["08", "53", "57", "58"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        // one tenant's key is its own trouble
        other => is_transient(other) && !is_of_key(other),
    }
}

async fn until(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// How long a graceful stop may take.
pub const STOP_DEADLINE: Duration = Duration::from_secs(8);
