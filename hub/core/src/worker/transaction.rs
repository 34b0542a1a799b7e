//! One transaction: inbox, effect, outbox, positions. All or nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use futures::FutureExt as _;
use schemas::integration::{DeadLettered, Stage};
use schemas::{MessageKind, TenantId};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::lanes::SOURCES;
use super::spans::Spans;
use super::{Destination, Outgoing, Verdict, Worker};
use crate::backbone::settings_bucket;
use crate::db::{Kept, Tx};
use crate::envelope::Envelope;
use crate::failure::Refusal;
use crate::lane::lane_of;
use crate::record::{self, Part, Shared};
use crate::subject;

/// Why a transaction did not commit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TxError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("the lane belongs to another process now")]
    Fenced,
    #[error("the worker failed on it")]
    Defect,
    #[error("the worker returned {got} verdicts for {asked} messages")]
    Contract { asked: usize, got: usize },
}

/// Where a lane stands after the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Advance {
    pub(crate) source: usize,
    pub(crate) lane: u16,
    pub(crate) seq: u64,
    pub(crate) epoch: i64,
}

/// What a waiting caller is told.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum CommandOutcome {
    /// Carried out.
    Applied {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<serde_json::Value>,
    },
    /// Will never work.
    Refused { code: String, detail: String },
}

/// Result of a committed transaction.
#[derive(Default)]
pub(crate) struct Committed {
    pub(crate) applied: usize,
    pub(crate) repeats: usize,
    pub(crate) refused: usize,
    pub(crate) said: bool,
    /// Replies for callers who wait: subject and outcome.
    pub(crate) replies: Vec<(String, CommandOutcome)>,
}

impl Committed {
    /// Adds another transaction's result.
    pub(crate) fn add(&mut self, other: Self) {
        self.applied += other.applied;
        self.repeats += other.repeats;
        self.refused += other.refused;
        self.said |= other.said;
        self.replies.extend(other.replies);
    }
}

/// Applies messages of one tenant and advances the lanes, in one transaction.
pub(crate) async fn apply<W: Worker>(
    worker: &W,
    database: &mut Kept,
    tenant: &TenantId,
    messages: &[Envelope],
    advances: &[Advance],
) -> Result<Committed, TxError> {
    let done = try_apply(worker, database, tenant, messages, advances).await;
    if done.is_err() {
        database.failed();
    }
    done
}

async fn try_apply<W: Worker>(
    worker: &W,
    database: &mut Kept,
    tenant: &TenantId,
    messages: &[Envelope],
    advances: &[Advance],
) -> Result<Committed, TxError> {
    let mut spans = Spans::begin::<W>();
    let mut tx = database.begin(tenant).await?;
    let (fresh, repeats) = enter::<W>(&mut tx, messages, advances).await?;
    if repeats > 0 {
        spans.repeated(messages, &fresh);
    }
    let mut committed = Committed {
        repeats,
        ..Committed::default()
    };
    if !fresh.is_empty() {
        // a defect of a worker must stop one message and not its lanes
        let verdicts = std::panic::AssertUnwindSafe(worker.apply(&mut tx, &fresh))
            .catch_unwind()
            .await
            .map_err(|_| TxError::Defect)?
            .map_err(|error| TxError::Database(error.0))?;
        if verdicts.len() != fresh.len() {
            return Err(TxError::Contract {
                asked: fresh.len(),
                got: verdicts.len(),
            });
        }
        settle::<W>(&mut tx, &fresh, verdicts, &mut committed, &mut spans).await?;
    }
    tx.commit().await?;
    spans.committed();
    Ok(committed)
}

/// A message that no transaction could take: refused on its own.
pub(crate) async fn refuse<W: Worker>(
    database: &mut Kept,
    message: &Envelope,
    refusal: &Refusal,
    advances: &[Advance],
) -> Result<Committed, TxError> {
    let done = try_refuse::<W>(database, message, refusal, advances).await;
    if done.is_err() {
        database.failed();
    }
    done
}

async fn try_refuse<W: Worker>(
    database: &mut Kept,
    message: &Envelope,
    refusal: &Refusal,
    advances: &[Advance],
) -> Result<Committed, TxError> {
    let mut spans = Spans::begin::<W>();
    let mut tx = database.begin(&message.tenant).await?;
    let mut committed = Committed::default();
    let (fresh, _) = enter::<W>(&mut tx, std::slice::from_ref(message), advances).await?;
    if !fresh.is_empty() {
        settle::<W>(
            &mut tx,
            &fresh,
            vec![Verdict::Refused(refusal.clone())],
            &mut committed,
            &mut spans,
        )
        .await?;
    }
    tx.commit().await?;
    spans.committed();
    Ok(committed)
}

/// The inbox row stops every repeat: returns what was not applied before. Moves the lanes' positions, in the same round trip;
/// a lane whose epoch is not ours any more moves nowhere, and nothing is committed.
async fn enter<'m, W: Worker>(
    tx: &mut Tx<'_>,
    messages: &'m [Envelope],
    advances: &[Advance],
) -> Result<(Cow<'m, [Envelope]>, usize), TxError> {
    let ids: Vec<Uuid> = messages.iter().map(|message| message.id).collect();
    let mut newest: BTreeMap<(usize, u16), Advance> = BTreeMap::new();
    for one in advances {
        let entry = newest.entry((one.source, one.lane)).or_insert(*one);
        entry.seq = entry.seq.max(one.seq);
    }
    let sources: Vec<&str> = newest
        .values()
        .map(|one| SOURCES[one.source].as_str())
        .collect();
    let lanes: Vec<i16> = newest
        .values()
        .map(|one| i16::try_from(one.lane).unwrap_or(i16::MAX))
        .collect();
    let seqs: Vec<i64> = newest
        .values()
        .map(|one| i64::try_from(one.seq).unwrap_or(i64::MAX))
        .collect();
    let epochs: Vec<i64> = newest.values().map(|one| one.epoch).collect();
    let tenant = tx.tenant().to_string();
    let (moved, entered): (i64, Vec<Uuid>) = sqlx::query_as(
        "with moved as (
             update integration.lanes l set applied_seq = a.seq, applied_at = now()
             from unnest($4::text[], $5::smallint[], $6::bigint[], $7::bigint[]) as a(source, lane, seq, epoch)
             where l.worker = $2 and l.source = a.source and l.lane = a.lane and l.epoch = a.epoch
             returning 1),
         entered as (
             insert into integration.inbox (tenant_id, event_id, worker, outcome)
             select $1, unnest($3::uuid[]), $2, 'applied'
             on conflict do nothing
             returning event_id)
         select (select count(*) from moved), array(select event_id from entered)",
    )
    .bind(tenant)
    .bind(W::NAME)
    .bind(&ids)
    .bind(&sources)
    .bind(&lanes)
    .bind(&seqs)
    .bind(&epochs)
    .fetch_one(tx.conn())
    .await?;
    if moved != newest.len() as i64 {
        return Err(TxError::Fenced);
    }
    if entered.len() == messages.len() {
        return Ok((Cow::Borrowed(messages), 0));
    }
    let mut new: HashSet<Uuid> = entered.into_iter().collect();
    // the same message twice in one batch: the first one counts
    let fresh: Vec<Envelope> = messages
        .iter()
        .filter(|message| new.remove(&message.id))
        .cloned()
        .collect();
    let repeats = messages.len() - fresh.len();
    Ok((Cow::Owned(fresh), repeats))
}

async fn settle<W: Worker>(
    tx: &mut Tx<'_>,
    messages: &[Envelope],
    verdicts: Vec<Verdict>,
    committed: &mut Committed,
    spans: &mut Spans,
) -> Result<(), sqlx::Error> {
    let mut outgoing: Vec<Outgoing> = Vec::new();
    let mut unchanged = Vec::new();
    let mut parked = Vec::new();
    let mut answers: Vec<(Uuid, &'static str, serde_json::Value)> = Vec::new();
    for (message, verdict) in messages.iter().zip(verdicts) {
        let is_command = schemas::CatalogueEntry::find(&message.name)
            .is_some_and(|entry| entry.kind == MessageKind::Command);
        let trace = spans.settled(message, &verdict);
        let first_said = outgoing.len();
        match verdict {
            Verdict::Applied {
                outgoing: said,
                answer,
            } => {
                committed.applied += 1;
                outgoing.extend(said);
                if is_command {
                    let outcome = CommandOutcome::Applied { answer };
                    answers.push((
                        message.id,
                        "applied",
                        serde_json::to_value(&outcome).unwrap_or_default(),
                    ));
                    committed
                        .replies
                        .extend(message.reply_to.clone().map(|to| (to, outcome)));
                }
            }
            Verdict::Unchanged => {
                unchanged.push(message.id);
                if is_command {
                    let outcome = CommandOutcome::Applied { answer: None };
                    answers.push((
                        message.id,
                        "unchanged",
                        serde_json::to_value(&outcome).unwrap_or_default(),
                    ));
                    committed
                        .replies
                        .extend(message.reply_to.clone().map(|to| (to, outcome)));
                }
            }
            Verdict::Refused(refusal) => {
                committed.refused += 1;
                metrics::counter!("hub_refused_total", "worker" => W::NAME, "code" => refusal.code)
                    .increment(1);
                if is_command {
                    let outcome = CommandOutcome::Refused {
                        code: refusal.code.to_owned(),
                        detail: refusal.detail.clone(),
                    };
                    answers.push((
                        message.id,
                        "refused",
                        serde_json::to_value(&outcome).unwrap_or_default(),
                    ));
                    committed
                        .replies
                        .extend(message.reply_to.clone().map(|to| (to, outcome)));
                } else {
                    // not in the inbox: a replay after a repair must find it new
                    parked.push(message.id);
                    outgoing.push(dead_letter::<W>(message, &refusal));
                }
            }
        }
        if outgoing.len() > first_said {
            let traceparent = trace.traceparent();
            for said in &mut outgoing[first_said..] {
                said.traceparent = Some(traceparent.clone());
            }
        }
    }
    if !unchanged.is_empty() {
        sqlx::query("update integration.inbox set outcome = 'unchanged' where worker = $1 and event_id = any($2)")
            .bind(W::NAME)
            .bind(&unchanged)
            .execute(tx.conn())
            .await?;
    }
    if !parked.is_empty() {
        sqlx::query("delete from integration.inbox where worker = $1 and event_id = any($2)")
            .bind(W::NAME)
            .bind(&parked)
            .execute(tx.conn())
            .await?;
    }
    for (id, outcome, answer) in answers {
        sqlx::query("update integration.inbox set outcome = $3, answer = $4 where worker = $1 and event_id = $2")
            .bind(W::NAME)
            .bind(id)
            .bind(outcome)
            .bind(answer)
            .execute(tx.conn())
            .await?;
    }
    if !outgoing.is_empty() {
        committed.said = true;
        enter_outbox::<W>(tx, outgoing).await?;
    }
    Ok(())
}

fn dead_letter<W: Worker>(message: &Envelope, refusal: &Refusal) -> Outgoing {
    let stream = if message.name == <DeadLettered as schemas::Body>::NAME {
        "DEAD"
    } else {
        "EVENTS"
    };
    let body = DeadLettered {
        stage: Stage::Work,
        by: W::NAME.to_owned(),
        reason: refusal.code.to_owned(),
        detail: refusal.detail.clone(),
        event_id: Some(message.id),
        event_type: Some(message.name.clone()),
        raw_id: message.correlation.map(schemas::RawId),
        channel: message
            .source
            .rsplit('/')
            .next()
            .and_then(|channel| schemas::ChannelId::new(channel).ok()),
        stream: stream.to_owned(),
        stream_seq: message.position.seq,
        index: message.position.index,
        attempts: 1,
        in_ledger: false,
    };
    Outgoing::new(message, 0xDEAD_0000, message.aggregate.clone(), &body)
}

/// One row a subject: messages that are said together are stored together.
async fn enter_outbox<W: Worker>(
    tx: &mut Tx<'_>,
    outgoing: Vec<Outgoing>,
) -> Result<(), sqlx::Error> {
    struct Row {
        name: &'static str,
        version: u16,
        parts: Vec<Part>,
        causes: Vec<Uuid>,
        bytes: usize,
    }
    let tenant = tx.tenant().clone();
    let source = format!("/worker/{}", W::NAME);
    let now = OffsetDateTime::now_utc()
        .format(&Rfc3339)
        .unwrap_or_default();
    let mut rows: Vec<(String, Row)> = Vec::new();
    let mut open: HashMap<String, usize> = HashMap::new();
    for message in outgoing {
        let (subject, name, version) = match &message.to {
            Destination::Setting { key } => (settings_bucket::subject(key), "setting", 1),
            Destination::Catalogue {
                name,
                version,
                kind,
            } => {
                let lane = lane_of(message.aggregate.as_bytes());
                let subject = if *name == <DeadLettered as schemas::Body>::NAME {
                    subject::dead(&tenant, lane, Stage::Work.as_str())
                } else {
                    subject::message(*kind, &tenant, lane, name)
                };
                (subject, *name, *version)
            }
        };
        let mut part = Part::new(message.body.into());
        if name != "setting" {
            part.attribute("ce-id", &message.id.to_string());
            part.attribute("ce-subject", &message.aggregate);
            part.attribute("ce-time", &now);
            part.attribute("hub-causation", &message.causation.to_string());
            if let Some(correlation) = message.correlation {
                part.attribute("hub-correlation", &correlation.to_string());
            }
            if let Some(traceparent) = &message.traceparent {
                part.attribute("traceparent", traceparent);
            }
        }
        let slot = open.get(&subject).copied().filter(|slot| {
            let row = &rows[*slot].1;
            name != "setting"
                && row.parts.len() < record::MAX_PARTS
                && row.bytes + part.len() <= record::MAX_BYTES
        });
        let slot = slot.unwrap_or_else(|| {
            rows.push((
                subject.clone(),
                Row {
                    name,
                    version,
                    parts: Vec::new(),
                    causes: Vec::new(),
                    bytes: 0,
                },
            ));
            open.insert(subject, rows.len() - 1);
            rows.len() - 1
        });
        let row = &mut rows[slot].1;
        row.bytes += part.len();
        row.parts.push(part);
        row.causes.push(message.causation);
    }
    let mut subjects = Vec::with_capacity(rows.len());
    let mut headers_column = Vec::with_capacity(rows.len());
    let mut bodies: Vec<Vec<u8>> = Vec::with_capacity(rows.len());
    let mut causes = Vec::with_capacity(rows.len());
    for (subject, row) in rows {
        let (headers, payload) = if row.name == "setting" {
            record::encode_packed(&[], &row.parts)
        } else {
            record::encode_packed(
                &Shared::new(row.name, row.version, &tenant, &source, &now).each(),
                &row.parts,
            )
        };
        let pairs: Vec<(String, String)> = headers
            .iter()
            .flat_map(|(name, values)| {
                values
                    .iter()
                    .map(move |value| (name.to_string(), value.as_str().to_owned()))
            })
            .collect();
        subjects.push(subject);
        headers_column.push(serde_json::to_value(&pairs).unwrap_or_default());
        bodies.push(payload.to_vec());
        causes.push(
            row.causes
                .iter()
                .map(Uuid::to_string)
                .collect::<Vec<_>>()
                .join(","),
        );
    }
    sqlx::query(
        "insert into integration.outbox (tenant_id, subject, headers, body, causes)
         select $1, subject, headers, body, string_to_array(causes, ',')::uuid[]
         from unnest($2::text[], $3::jsonb[], $4::bytea[], $5::text[]) with ordinality as t(subject, headers, body, causes, n)
         order by n",
    )
    .bind(tenant.as_str())
    .bind(&subjects)
    .bind(&headers_column)
    .bind(&bodies)
    .bind(&causes)
    .execute(tx.conn())
    .await?;
    Ok(())
}
