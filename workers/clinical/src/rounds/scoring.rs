//! The score of a round: what went in, which rows matched, what came out; every version is kept.

use hub_core::Tx;
use schemas::IdentifierKey;
use schemas::ids::care_key;
use schemas::rounds::ScoreComputed;
use serde_json::{Value, json};
use sqlx::types::Json;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::news2::{Measured, News2};
use super::person::Checks;
use super::{STAFF, tasks};
use crate::batch::Batch;

/// All observations of one patient that were entered with one time.
pub(super) struct Round<'r> {
    pub(super) subject: IdentifierKey,
    /// Of the person: devices may know another identifier.
    pub(super) keys: &'r [Uuid],
    pub(super) visit_number: Option<&'r str>,
    pub(super) observed_at: OffsetDateTime,
    pub(super) scale: i16,
    pub(super) actor: &'r str,
}

impl Round<'_> {
    fn score_id(&self, tx: &Tx<'_>, pack: &News2) -> Uuid {
        care_key(
            tx.tenant(),
            "score",
            &[
                &pack.id,
                &self.subject.0.to_string(),
                &self.observed_at.unix_timestamp_nanos().to_string(),
            ],
        )
    }
}

#[derive(sqlx::FromRow)]
struct Input {
    vital_key: Uuid,
    version: i16,
    channel: String,
    device: Option<String>,
    observed_at: OffsetDateTime,
    loinc: String,
    ucum: Option<String>,
    value: String,
}

/// What was entered with the round's time, then what devices measured shortly before, the newest first.
async fn inputs(
    tx: &mut Tx<'_>,
    pack: &News2,
    round: &Round<'_>,
) -> Result<Vec<Input>, sqlx::Error> {
    let terms: Vec<&str> = pack.terms().collect();
    sqlx::query_as(
        "select vital_key, version, channel, device, observed_at, loinc, ucum, \
         case when value_kind = 'coded' then coalesce(value_text, value_json -> 0 ->> 'code', '') \
              else coalesce(ucum_value, value_text, '') end as value \
         from clinical.vitals \
         where subject_key = any($1) and superseded_at is null and held is null and loinc = any($2) \
         and comparator is null and value_kind in ('quantity', 'coded') and coalesce(status, '') not in ('D', 'W', 'X') \
         and observed_at <= $3 and observed_at >= $4 and (channel <> $5 or observed_at = $3) \
         order by channel = $5 desc, observed_at desc, vital_key",
    )
    .bind(round.keys)
    .bind(terms)
    .bind(round.observed_at)
    .bind(round.observed_at - Duration::minutes(pack.window_minutes))
    .bind(STAFF)
    .fetch_all(tx.conn())
    .await
}

/// Makes the score of a round, as its next version if there is one; the answer to the caller.
pub(super) async fn make(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    pack: &News2,
    round: &Round<'_>,
    checks: &Checks,
) -> Result<Option<Value>, sqlx::Error> {
    let inputs = inputs(tx, pack, round).await?;
    let values: Vec<Measured> = inputs
        .iter()
        .map(|one| Measured {
            loinc: one.loinc.clone(),
            value: one.value.clone(),
            ucum: one.ucum.clone(),
        })
        .collect();
    let score = pack.score(&values, round.scale);
    let (state, total, response) = match (checks.applies(), score.total) {
        (false, _) => ("not_applicable", None, None),
        (true, None) => ("incomplete", None, score.response),
        (true, Some(total)) => ("computed", Some(total), score.response),
    };
    let asked = response.and_then(|place| Some((place, pack.response(place)?)));
    let parts: Vec<Value> = score
        .parts
        .iter()
        .map(|scored| {
            let of = &inputs[scored.of];
            json!({
                "part": scored.part, "points": scored.points, "row": scored.row, "value": of.value, "ucum": of.ucum,
                "loinc": of.loinc, "observation_id": of.vital_key, "version": of.version,
                "observed_at": super::rfc3339(of.observed_at),
                "from": if of.channel == STAFF { "entry" } else { "device" }, "device": of.device,
            })
        })
        .collect();
    let next_due_at = asked
        .filter(|_| total.is_some())
        .map(|(_, row)| round.observed_at + Duration::minutes(row.next_minutes));
    let id = round.score_id(tx, pack);
    let version = insert(
        tx,
        batch,
        slot,
        &Made {
            id,
            pack,
            round,
            state,
            total,
            response: asked.map(|(_, row)| row.name.as_str()),
            parts: &parts,
            missing: &score.missing,
            checks,
            next_due_at,
        },
    )
    .await?;
    batch.say(
        slot,
        &ScoreComputed {
            score_id: id,
            version,
            subject_key: round.subject,
            pack: pack.id.clone(),
            pack_version: pack.version.clone(),
            state: state.to_owned(),
            total,
            missing: score.missing.clone(),
        },
    );
    let task = match asked {
        Some((place, row)) => match row.respond_minutes {
            Some(minutes) => {
                let wanted = tasks::Wanted {
                    score: id,
                    total,
                    trigger: &row.name,
                    rank: pack.rank(place),
                    minutes,
                };
                Some(tasks::raise(tx, batch, slot, round, &wanted).await?)
            }
            None => None,
        },
        None => None,
    };
    Ok(Some(json!({
        "id": id, "version": version, "state": state, "total": total, "missing": score.missing,
        "response": asked.map(|(_, row)| &row.name), "task_id": task,
    })))
}

struct Made<'m> {
    id: Uuid,
    pack: &'m News2,
    round: &'m Round<'m>,
    state: &'static str,
    total: Option<i16>,
    response: Option<&'m str>,
    parts: &'m [Value],
    missing: &'m [String],
    checks: &'m Checks,
    next_due_at: Option<OffsetDateTime>,
}

async fn insert(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    slot: usize,
    made: &Made<'_>,
) -> Result<i16, sqlx::Error> {
    let before: Option<i16> = sqlx::query_scalar(
        "update clinical.scores set superseded_at = now() where id = $1 and superseded_at is null returning version",
    )
    .bind(made.id)
    .fetch_optional(tx.conn())
    .await?;
    let version = before.unwrap_or(0) + 1;
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.scores (tenant_id, id, version, subject_key, visit_number, pack, pack_version, state, total, \
         response, parts, missing, checks, scale, observed_at, next_due_at, entered_by, source_event) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(tenant.as_str())
    .bind(made.id)
    .bind(version)
    .bind(made.round.subject.0)
    .bind(made.round.visit_number)
    .bind(&made.pack.id)
    .bind(&made.pack.version)
    .bind(made.state)
    .bind(made.total)
    .bind(made.response)
    .bind(Json(made.parts))
    .bind(made.missing)
    .bind(Json(made.checks))
    .bind(made.round.scale)
    .bind(made.round.observed_at)
    .bind(made.next_due_at)
    .bind(made.round.actor)
    .bind(batch.envelopes[slot].id)
    .execute(tx.conn())
    .await?;
    Ok(version)
}

/// Makes the score of a round anew after a correction; a round that has none gets none.
pub(super) async fn anew(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    pack: &News2,
    round: &Round<'_>,
) -> Result<Option<Value>, sqlx::Error> {
    let before: Option<(i16, Json<Checks>, Option<String>)> = sqlx::query_as(
        "select scale, checks, visit_number from clinical.scores where id = $1 and superseded_at is null",
    )
    .bind(round.score_id(tx, pack))
    .fetch_optional(tx.conn())
    .await?;
    let Some((scale, Json(checks), visit_number)) = before else {
        return Ok(None);
    };
    let round = Round {
        subject: round.subject,
        keys: round.keys,
        visit_number: visit_number.as_deref(),
        observed_at: round.observed_at,
        scale,
        actor: round.actor,
    };
    make(tx, batch, slot, pack, &round, &checks).await
}

/// What a caller who repeats himself is told.
pub(super) async fn current(
    tx: &mut Tx<'_>,
    pack: &News2,
    round: &Round<'_>,
) -> Result<Option<Value>, sqlx::Error> {
    /// Version, state, total, missing parts, response.
    type Standing = (i16, String, Option<i16>, Vec<String>, Option<String>);
    let id = round.score_id(tx, pack);
    let row: Option<Standing> = sqlx::query_as(
        "select version, state, total, missing, response from clinical.scores where id = $1 and superseded_at is null",
    )
    .bind(id)
    .fetch_optional(tx.conn())
    .await?;
    let task: Option<Uuid> = sqlx::query_scalar(
        "select id from clinical.tasks where score_id = $1 order by raised_at desc limit 1",
    )
    .bind(id)
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|(version, state, total, missing, response)| {
        json!({
            "id": id, "version": version, "state": state, "total": total, "missing": missing, "response": response,
            "task_id": task,
        })
    }))
}
