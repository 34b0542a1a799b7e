//! Dead letters: what could not be processed, once each however often it is tried.

use std::collections::BTreeMap;

use hub_core::{Envelope, Refusal, Tx, Verdict, WorkerError};
use schemas::commands::ResolveDead;
use schemas::integration::DeadLettered;
use serde_json::json;

use crate::audit::{Entry, Trail};
use crate::incidents::{self, Cause};

/// By who refused it and what was refused.
#[derive(Debug, Default)]
pub(crate) struct DeadLetters(BTreeMap<(String, String), DeadLettered>);

impl DeadLetters {
    pub(crate) fn note(&mut self, envelope: &Envelope) -> Result<(), Refusal> {
        let letter: DeadLettered = envelope.decode()?;
        // its row comes with the ledger's, so that nobody finds a letter whose message the ledger does not know
        if letter.in_ledger {
            return Ok(());
        }
        self.add(letter)
    }

    /// A letter, wherever it stands.
    pub(crate) fn add(&mut self, letter: DeadLettered) -> Result<(), Refusal> {
        if i64::try_from(letter.stream_seq).is_err() || i16::try_from(letter.index).is_err() {
            return Err(Refusal::new(
                "integration.range",
                "stream_seq or index is too large for the table of dead letters",
            ));
        }
        let original = letter
            .event_id
            .or(letter.raw_id.map(|raw| raw.0))
            .map_or_else(
                || format!("{}/{}.{}", letter.stream, letter.stream_seq, letter.index),
                |id| id.to_string(),
            );
        let attempts = letter.attempts;
        self.0
            .entry((letter.by.clone(), original))
            .and_modify(|earlier| {
                *earlier = DeadLettered {
                    attempts: earlier.attempts.saturating_add(attempts),
                    ..letter.clone()
                };
            })
            .or_insert(letter);
        Ok(())
    }

    pub(crate) async fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), WorkerError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let mut columns = Columns::default();
        let mut failed: BTreeMap<Cause, i32> = BTreeMap::new();
        for ((by, original), letter) in std::mem::take(&mut self.0) {
            let cause = Cause {
                channel: letter
                    .channel
                    .as_ref()
                    .map(|channel| channel.as_str().to_owned()),
                stage: letter.stage.as_str(),
                reason: letter.reason.clone(),
            };
            *failed.entry(cause).or_default() += 1;
            columns.push(by, original, letter);
        }
        let tenant = tx.tenant().clone();
        // one that was replayed and died again is open again; one that a person discarded or resent stays closed
        sqlx::query(
            "insert into integration.dead_letters as d
                 (tenant_id, refused_by, original, stage, reason, detail, event_id, event_type, raw_id, channel, stream,
                  stream_seq, record_index, attempts)
             select $1, r.* from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[],
                                        $9::uuid[], $10::text[], $11::text[], $12::bigint[], $13::smallint[],
                                        $14::integer[]) as r
             on conflict (tenant_id, refused_by, original) do update
                 set attempts = d.attempts + excluded.attempts, last_at = now(), stage = excluded.stage,
                     reason = excluded.reason, detail = excluded.detail, stream = excluded.stream,
                     stream_seq = excluded.stream_seq, record_index = excluded.record_index,
                     state = case d.state when 'replayed' then 'open' else d.state end,
                     resolution = case d.state when 'replayed' then null else d.resolution end,
                     resolved_by = case d.state when 'replayed' then null else d.resolved_by end,
                     resolved_at = case d.state when 'replayed' then null else d.resolved_at end",
        )
        .bind(tenant.as_str())
        .bind(columns.by)
        .bind(columns.original)
        .bind(columns.stage)
        .bind(columns.reason)
        .bind(columns.detail)
        .bind(columns.event_id)
        .bind(columns.event_type)
        .bind(columns.raw_id)
        .bind(columns.channel)
        .bind(columns.stream)
        .bind(columns.stream_seq)
        .bind(columns.record_index)
        .bind(columns.attempts)
        .execute(tx.conn())
        .await?;
        incidents::count(tx, failed).await?;
        Ok(())
    }
}

#[derive(Default)]
struct Columns {
    by: Vec<String>,
    original: Vec<String>,
    stage: Vec<&'static str>,
    reason: Vec<String>,
    detail: Vec<String>,
    event_id: Vec<Option<uuid::Uuid>>,
    event_type: Vec<Option<String>>,
    raw_id: Vec<Option<uuid::Uuid>>,
    channel: Vec<Option<String>>,
    stream: Vec<String>,
    stream_seq: Vec<i64>,
    record_index: Vec<i16>,
    attempts: Vec<i32>,
}

impl Columns {
    fn push(&mut self, by: String, original: String, letter: DeadLettered) {
        self.by.push(by);
        self.original.push(original);
        self.stage.push(letter.stage.as_str());
        self.reason.push(letter.reason);
        self.detail.push(letter.detail);
        self.event_id.push(letter.event_id);
        self.event_type.push(letter.event_type);
        self.raw_id.push(letter.raw_id.map(|raw| raw.0));
        self.channel
            .push(letter.channel.map(|channel| channel.as_str().to_owned()));
        self.stream.push(letter.stream);
        // ranges were checked when it was noted
        self.stream_seq
            .push(i64::try_from(letter.stream_seq).unwrap_or(i64::MAX));
        self.record_index
            .push(i16::try_from(letter.index).unwrap_or(i16::MAX));
        self.attempts
            .push(i32::try_from(letter.attempts).unwrap_or(i32::MAX));
    }
}

/// A person dealt with it: open → replayed, resent or discarded, once.
pub(crate) async fn resolve(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    trail: &mut Trail,
) -> Result<Verdict, WorkerError> {
    let command: ResolveDead = match envelope.decode() {
        Ok(command) => command,
        Err(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    if !["replayed", "resent", "discarded"].contains(&command.resolution.as_str()) {
        return Ok(Verdict::Refused(Refusal::new(
            "integration.dead_resolution",
            "a dead letter is replayed, resent or discarded",
        )));
    }
    let done = sqlx::query(
        "update integration.dead_letters
         set state = $2, child = $3, resolution = $4, resolved_by = $5, resolved_at = now()
         where id = $1 and state = 'open'",
    )
    .bind(command.dead_id)
    .bind(&command.resolution)
    .bind(command.child)
    .bind(&command.reason)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        let known: bool = sqlx::query_scalar(
            "select exists (select from integration.dead_letters where id = $1)",
        )
        .bind(command.dead_id)
        .fetch_one(tx.conn())
        .await?;
        return Ok(Verdict::Refused(if known {
            Refusal::new(
                "integration.dead_not_open",
                "the dead letter was dealt with before",
            )
        } else {
            Refusal::new("integration.dead_unknown", "no dead letter has this id")
        }));
    }
    incidents::over_with(tx, command.dead_id).await?;
    let answer =
        json!({"dead_id": command.dead_id, "state": command.resolution, "child": command.child});
    trail.add(Entry {
        actor: command.actor,
        action: "integration.dead.resolve".to_owned(),
        object: format!("dead {}", command.dead_id),
        reason: Some(command.reason),
        cause: envelope.id,
        detail: json!({"resolution": command.resolution, "child": command.child}),
    });
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(answer),
    })
}
