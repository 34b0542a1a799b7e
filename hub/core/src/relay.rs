//! Publishes what workers committed to say. May repeat after a crash, with the same ids; receivers' inboxes
//! stop the repeats (design.md §4.5).

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use schemas::TenantId;
use sqlx::{PgPool, Row as _};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::backbone::{Backbone, PublishError, ToPublish};
use crate::db::Kept;
use crate::governor::Governor;
use crate::record::Record;
use crate::retry::Pauses;
use crate::telemetry::{Kind, Span, SpanContext, Value, export};

/// Rows published at once.
const BATCH: i64 = 256;
/// How often the outbox is looked at when nobody says that it has something (another process may have died
/// between commit and publish).
const POLL: Duration = Duration::from_secs(2);

/// The relay of one process. One relay at a time publishes a tenant's rows.
pub struct Relay {
    pub backbone: Backbone,
    pub pool: PgPool,
    /// Whose outboxes there are; the list grows while the hub runs.
    pub tenants: watch::Receiver<Vec<TenantId>>,
    pub outbox: Arc<Notify>,
    pub governor: Governor,
    pub stop: CancellationToken,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("publish: {0}")]
    Publish(#[from] PublishError),
}

impl Relay {
    /// Runs until `stop`.
    pub async fn run(self) {
        let mut pauses = Pauses::for_backbone();
        let mut database = Kept::new(self.pool.clone());
        // what the process before left unsaid
        self.outbox.notify_one();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.outbox.notified() => {}
                () = tokio::time::sleep(POLL) => {}
            }
            let tenants = self.tenants.borrow().clone();
            for tenant in &tenants {
                loop {
                    let turn = self.governor.turn().await;
                    let published = self.publish(&mut database, tenant).await;
                    drop(turn);
                    match published {
                        // who says more from now on also calls
                        Ok(rows) if rows < BATCH as u64 => {
                            pauses.reset();
                            break;
                        }
                        Ok(_) => pauses.reset(),
                        Err(error) => {
                            database.failed();
                            metrics::counter!("hub_relay_failures_total").increment(1);
                            tracing::debug!(%error, "the outbox can't be published now");
                            if !pauses.wait(&self.stop).await {
                                return;
                            }
                            break;
                        }
                    }
                }
            }
        }
    }

    async fn publish(&self, database: &mut Kept, tenant: &TenantId) -> Result<u64, RelayError> {
        let mut tx = database.begin(tenant).await?;
        let mine: bool = sqlx::query_scalar(
            "select pg_try_advisory_xact_lock(hashtextextended('relay:' || $1, 0))",
        )
        .bind(tenant.as_str())
        .fetch_one(tx.conn())
        .await?;
        if !mine {
            tx.rollback().await?;
            return Ok(0);
        }
        let rows = sqlx::query("select id, subject, headers, body from integration.outbox where published_at is null order by id limit $1")
            .bind(BATCH)
            .fetch_all(tx.conn())
            .await?;
        if rows.is_empty() {
            tx.rollback().await?;
            return Ok(0);
        }
        let mut ids: Vec<i64> = Vec::with_capacity(rows.len());
        let mut run: Vec<ToPublish> = Vec::new();
        let mut run_of = String::new();
        let mut spans = Vec::new();
        for row in &rows {
            ids.push(row.try_get(0)?);
            let subject: String = row.try_get(1)?;
            let pairs: Vec<(String, String)> =
                serde_json::from_value(row.try_get(2)?).unwrap_or_default();
            let body: bytes::Bytes = row.try_get::<Vec<u8>, _>(3)?.into();
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name.as_str(), value.as_str());
            }
            if export::is_on() {
                spans.append(&mut relayed(&headers, &body, tenant));
            }
            // one atomic batch a stream, in the order they were said
            let stream = subject.split('.').next().unwrap_or_default().to_owned();
            if stream != run_of && !run.is_empty() {
                self.send(&run_of, std::mem::take(&mut run)).await?;
            }
            run_of = stream;
            run.push(ToPublish {
                subject,
                headers,
                payload: body,
            });
        }
        if !run.is_empty() {
            self.send(&run_of, run).await?;
        }
        sqlx::query("update integration.outbox set published_at = now() where id = any($1)")
            .bind(&ids)
            .execute(tx.conn())
            .await?;
        tx.commit().await?;
        for (trace, span) in spans {
            export::record(trace, || span.ended_now());
        }
        metrics::counter!("hub_relay_published_total").increment(ids.len() as u64);
        Ok(ids.len() as u64)
    }

    async fn send(&self, stream: &str, messages: Vec<ToPublish>) -> Result<(), PublishError> {
        // the settings bucket takes no atomic batches
        if stream == "$KV" {
            for message in messages {
                self.backbone
                    .publish(message.subject, message.headers, message.payload, None)
                    .await?;
            }
            return Ok(());
        }
        self.backbone
            .publish_atomic(messages, None)
            .await
            .map(|_| ())
    }
}

/// A span for each message of a row: from when it was said to when it is published. It stands beside what the message
/// causes, under the span that said it, as a message carries one context only.
fn relayed(
    headers: &HeaderMap,
    body: &bytes::Bytes,
    tenant: &TenantId,
) -> Vec<(SpanContext, Span)> {
    let Ok(record) = Record::decode(Some(headers.clone()), body.clone()) else {
        return Vec::new();
    };
    let span_of = |part| {
        let said = SpanContext::of(record.attribute(part, "traceparent"))?;
        if !said.is_sampled() {
            return None;
        }
        let id = Uuid::parse_str(record.attribute(part, "ce-id")?).ok()?;
        let said_at =
            OffsetDateTime::parse(record.attribute(part, "hub-recorded-at")?, &Rfc3339).ok()?;
        let name = Value::message_type(record.attribute(part, "ce-type")?);
        let trace = said.child("relay", id.as_u128());
        let span = Span::new(trace, Some(said.span()), Kind::Producer, "relay", said_at)
            .on(name.clone())
            .with("hub.tenant", Value::Tenant(tenant.clone()))
            .with("hub.message_type", name)
            .with("hub.message_id", Value::Id(id));
        Some((trace, span))
    };
    record.parts.iter().filter_map(span_of).collect()
}
