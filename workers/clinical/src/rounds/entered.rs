//! Values that people entered, in `clinical.vitals`: recorded once, corrected by a next version.

use hub_core::{Refusal, Tx};
use schemas::IdentifierKey;
use schemas::ids::care_key;
use schemas::rounds::{CorrectObservation, EnteredValue, RecordObservations, VitalsRecorded};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::news2::{Fixed, Measured, News2};
use super::{Outcome, STAFF, oxygen, person, rfc3339, scoring};
use crate::batch::Batch;
use crate::{audit, body, decimal};

/// Clocks of tablets differ by so much; what lies further ahead is a mistake of the day.
const CLOCK: Duration = Duration::minutes(5);
/// A round has a dozen values; more is no round.
const MOST: usize = 50;

/// A value as it is stored.
struct Value {
    loinc: String,
    display: Option<String>,
    kind: &'static str,
    text: String,
    unit: Option<String>,
    ucum: Option<String>,
    /// The value in `ucum`, where it is another than `text`.
    ucum_value: Option<String>,
}

impl Value {
    fn read(one: &EnteredValue, pack: &News2) -> Result<Self, Refusal> {
        let refuse = |code, words: String| Err(Refusal::new(code, words));
        if !is_loinc(&one.loinc) {
            return refuse(
                "clinical.observation_code",
                "a value needs a LOINC code".to_owned(),
            );
        }
        let text = one.value.trim().to_owned();
        if text.is_empty() {
            return refuse(
                "clinical.observation_value",
                format!("{} has no value", one.loinc),
            );
        }
        let mut value = Self {
            loinc: one.loinc.clone(),
            display: one.display.clone(),
            kind: if one.ucum.is_some() {
                "quantity"
            } else {
                "coded"
            },
            text,
            unit: one.ucum.clone(),
            ucum: one.ucum.clone(),
            ucum_value: None,
        };
        if value.kind == "quantity" && !decimal::is_decimal(&value.text) {
            return refuse(
                "clinical.observation_value",
                format!("{} has a unit, and its value is no number", one.loinc),
            );
        }
        if value.ucum.as_deref() == Some("[degF]") {
            value.ucum_value = Fixed::parse(&value.text).map(|number| number.celsius().to_string());
            value.ucum = Some("Cel".to_owned());
        }
        if let Some(fault) = pack.fault(&value.measured()) {
            return refuse("clinical.observation_implausible", fault);
        }
        Ok(value)
    }

    fn measured(&self) -> Measured {
        Measured {
            loinc: self.loinc.clone(),
            value: self.ucum_value.clone().unwrap_or_else(|| self.text.clone()),
            ucum: self.ucum.clone(),
        }
    }
}

fn is_loinc(code: &str) -> bool {
    code.split_once('-').is_some_and(|(number, check)| {
        (1..=7).contains(&number.len())
            && check.len() == 1
            && number
                .bytes()
                .chain(check.bytes())
                .all(|b| b.is_ascii_digit())
    })
}

/// A measurement's current version.
#[derive(sqlx::FromRow)]
struct Standing {
    vital_key: Uuid,
    version: i16,
    channel: String,
    subject_key: Option<Uuid>,
    observed_at: OffsetDateTime,
    value_text: Option<String>,
    unit: Option<String>,
    status: Option<String>,
}

impl Standing {
    fn is_retracted(&self) -> bool {
        self.status.as_deref() == Some("W")
    }
}

const STANDING: &str = "select vital_key, version, channel, subject_key, observed_at, value_text, unit, status \
    from clinical.vitals where vital_key = any($1) and superseded_at is null order by vital_key for update";

/// A round of values.
pub(super) async fn record(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    pack: &News2,
    command: &RecordObservations,
) -> Outcome {
    let envelope = &batch.envelopes[slot];
    let Some(observed_at) = (match body::time(Some(&command.observed_at), "observed_at") {
        Ok(at) => at,
        Err(refusal) => return Ok(Err(refusal)),
    }) else {
        return Ok(Err(Refusal::new("clinical.time", "observed_at is empty")));
    };
    if observed_at > envelope.recorded_at + CLOCK {
        return Ok(Err(Refusal::new(
            "clinical.observation_ahead",
            "observed_at lies in the future",
        )));
    }
    let values = match read(&command.values, pack) {
        Ok(values) => values,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let mut keys = command.keys.clone();
    keys.push(command.subject.key.0);
    let scale = match oxygen::scale(tx, &keys, command.scale).await? {
        Ok(scale) => scale,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let subject = command.subject.key;
    let ids: Vec<Uuid> = values
        .iter()
        .map(|value| id(tx, subject, &value.loinc, observed_at))
        .collect();
    let standing: Vec<Standing> = sqlx::query_as(STANDING)
        .bind(&ids)
        .fetch_all(tx.conn())
        .await?;
    let mut new: Vec<(Uuid, i16, &Value)> = Vec::new();
    for (id, value) in ids.iter().zip(&values) {
        match standing.iter().find(|one| one.vital_key == *id) {
            None => new.push((*id, 1, value)),
            // what was taken back may be entered anew
            Some(one) if one.is_retracted() => new.push((*id, one.version + 1, value)),
            Some(one)
                if one.value_text.as_deref() == Some(&value.text) && one.unit == value.unit => {}
            Some(one) => {
                return Ok(Err(Refusal::new(
                    "clinical.observation_exists",
                    format!(
                        "{} of that time stands with another value: correct {}",
                        value.loinc, one.vital_key
                    ),
                )));
            }
        }
    }
    let round = scoring::Round {
        subject,
        keys: &keys,
        visit_number: command.visit_number.as_deref(),
        observed_at,
        scale,
        actor: &command.actor,
    };
    let score = if new.is_empty() {
        scoring::current(tx, pack, &round).await?
    } else {
        write(tx, batch, slot, &new, &round, None).await?;
        batch.changes.vitals += new.len();
        batch.say(
            slot,
            &VitalsRecorded {
                subject_key: subject,
                observed_at: rfc3339(observed_at),
                observations: new.iter().map(|(id, ..)| *id).collect(),
                codes: new.iter().map(|(.., value)| value.loinc.clone()).collect(),
            },
        );
        audit::entry(
            tx,
            &command.actor,
            "clinical.observation.record",
            &format!("observations:{}", new.len()),
            &[batch.envelopes[slot].id],
            Some(serde_json::json!({ "observations": new.iter().map(|(id, ..)| id).collect::<Vec<_>>() })),
        )
        .await?;
        if new.iter().any(|(.., value)| pack.concerns(&value.loinc)) {
            let checks = person::checks(
                command.birth_date.as_deref(),
                command.pregnant,
                observed_at.date(),
                pack.min_age_years,
            );
            scoring::make(tx, batch, slot, pack, &round, &checks).await?
        } else {
            None
        }
    };
    batch.answer(
        slot,
        serde_json::json!({
            "observations": ids, "created": !new.is_empty(), "score": score,
        }),
    );
    Ok(Ok(()))
}

fn read(values: &[EnteredValue], pack: &News2) -> Result<Vec<Value>, Refusal> {
    if values.is_empty() || values.len() > MOST {
        return Err(Refusal::new(
            "clinical.observation_count",
            format!("a round has 1 to {MOST} values"),
        ));
    }
    let read: Vec<Value> = values
        .iter()
        .map(|one| Value::read(one, pack))
        .collect::<Result<_, _>>()?;
    for (at, value) in read.iter().enumerate() {
        if read[at + 1..]
            .iter()
            .any(|other| other.loinc == value.loinc)
        {
            return Err(Refusal::new(
                "clinical.observation_twice",
                format!("{} stands twice in one round", value.loinc),
            ));
        }
    }
    Ok(read)
}

/// Patient, term and time: the same again is the same observation.
fn id(tx: &Tx<'_>, subject: IdentifierKey, loinc: &str, at: OffsetDateTime) -> Uuid {
    care_key(
        tx.tenant(),
        "entered",
        &[
            &subject.0.to_string(),
            loinc,
            &at.unix_timestamp_nanos().to_string(),
        ],
    )
}

/// Writes versions of values; the ones before are superseded.
async fn write(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    slot: usize,
    values: &[(Uuid, i16, &Value)],
    round: &scoring::Round<'_>,
    reason: Option<&str>,
) -> Result<(), sqlx::Error> {
    supersede(tx, values.iter().map(|(id, ..)| *id).collect()).await?;
    let envelope = &batch.envelopes[slot];
    let tenant = tx.tenant().clone();
    macro_rules! column {
        ($value:ident => $what:expr) => {
            values.iter().map(|(.., $value)| $what).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "insert into clinical.vitals (tenant_id, vital_key, version, observed_at, timed_by, received_at, fact_at, channel, \
         subject_key, matched_by, code, code_system, code_text, value_kind, value_text, value_json, unit, loinc, \
         loinc_display, ucum, ucum_value, status, source_event, entered_by, change_reason) \
         select $1, r.id, r.version, $4, 'observation', $5, $5, $6, $7, 'entry', r.loinc, 'LN', r.display, r.kind, r.text, \
         case when r.kind = 'coded' then jsonb_build_array(jsonb_build_object('code', r.text)) end, r.unit, r.loinc, \
         r.display, r.ucum, r.ucum_value, case when $17::text is null then 'F' else 'C' end, $15, $16, $17 \
         from unnest($2::uuid[], $3::smallint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], \
         $13::text[], $14::text[]) as r (id, version, loinc, display, kind, text, unit, ucum, ucum_value)",
    )
    .bind(tenant.as_str())
    .bind(values.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
    .bind(values.iter().map(|(_, version, _)| *version).collect::<Vec<_>>())
    .bind(round.observed_at)
    .bind(envelope.recorded_at)
    .bind(STAFF)
    .bind(round.subject.0)
    .bind(column!(value => value.loinc.as_str()))
    .bind(column!(value => value.display.as_deref()))
    .bind(column!(value => value.kind))
    .bind(column!(value => value.text.as_str()))
    .bind(column!(value => value.unit.as_deref()))
    .bind(column!(value => value.ucum.as_deref()))
    .bind(column!(value => value.ucum_value.as_deref()))
    .bind(envelope.id)
    .bind(round.actor)
    .bind(reason)
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn supersede(tx: &mut Tx<'_>, ids: Vec<Uuid>) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update clinical.vitals set superseded_at = now() where vital_key = any($1) and superseded_at is null",
    )
    .bind(ids)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Another value, or none.
pub(super) async fn correct(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    pack: &News2,
    command: &CorrectObservation,
) -> Outcome {
    let refuse = |code, words: &str| Ok(Err(Refusal::new(code, words)));
    let standing: Option<Standing> = sqlx::query_as(STANDING)
        .bind(vec![command.observation_id])
        .fetch_optional(tx.conn())
        .await?;
    let Some(standing) = standing else {
        return refuse("clinical.observation_unknown", "no observation has this id");
    };
    let Some(subject) = standing
        .subject_key
        .filter(|_| standing.channel == STAFF)
        .map(IdentifierKey)
    else {
        return refuse(
            "clinical.observation_device_conflict",
            "a device measured it: its next word would undo the correction; write a note",
        );
    };
    if command
        .seen
        .is_some_and(|seen| seen != i32::from(standing.version))
    {
        return refuse(
            "clinical.observation_stale",
            "it was changed since: read it again",
        );
    }
    if standing.is_retracted() {
        return refuse(
            "clinical.observation_retracted_conflict",
            "it was taken back: enter it anew",
        );
    }
    if command.reason.trim().is_empty() {
        return refuse("clinical.reason_needed", "a correction needs a reason");
    }
    let mut keys = command.keys.clone();
    keys.push(subject.0);
    let round = scoring::Round {
        subject,
        keys: &keys,
        visit_number: None,
        observed_at: standing.observed_at,
        scale: 1,
        actor: &command.actor,
    };
    let version = standing.version + 1;
    let loinc = match &command.value {
        Some(value) => {
            let value = match Value::read(value, pack) {
                Ok(value) => value,
                Err(refusal) => return Ok(Err(refusal)),
            };
            if id(tx, subject, &value.loinc, standing.observed_at) != standing.vital_key {
                return refuse(
                    "clinical.observation_code",
                    "a correction is of the same term",
                );
            }
            let rows = [(standing.vital_key, version, &value)];
            write(tx, batch, slot, &rows, &round, Some(&command.reason)).await?;
            value.loinc
        }
        None => retract(tx, batch, slot, &standing, &command.actor, &command.reason).await?,
    };
    batch.changes.vitals += 1;
    batch.say(
        slot,
        &VitalsRecorded {
            subject_key: subject,
            observed_at: rfc3339(standing.observed_at),
            observations: vec![standing.vital_key],
            codes: vec![loinc],
        },
    );
    audit::entry(
        tx,
        &command.actor,
        "clinical.observation.correct",
        &format!("observation:{}", standing.vital_key),
        &[batch.envelopes[slot].id],
        Some(serde_json::json!({
            "version": version, "reason": command.reason, "entered_in_error": command.value.is_none(),
        })),
    )
    .await?;
    let score = scoring::anew(tx, batch, slot, pack, &round).await?;
    batch.answer(
        slot,
        serde_json::json!({ "id": standing.vital_key, "version": version, "score": score }),
    );
    Ok(Ok(()))
}

/// The next version says that it should not have been entered (OBX-11 `W`); what was entered stays in it.
async fn retract(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    slot: usize,
    standing: &Standing,
    actor: &str,
    reason: &str,
) -> Result<String, sqlx::Error> {
    let envelope = &batch.envelopes[slot];
    supersede(tx, vec![standing.vital_key]).await?;
    sqlx::query_scalar(
        "insert into clinical.vitals (tenant_id, vital_key, version, observed_at, timed_by, received_at, fact_at, channel, \
         subject_key, matched_by, code, code_system, code_text, value_kind, value_text, value_json, unit, loinc, \
         loinc_display, ucum, ucum_value, status, source_event, entered_by, change_reason) \
         select tenant_id, vital_key, version + 1, observed_at, timed_by, $3, $3, channel, subject_key, matched_by, code, \
         code_system, code_text, value_kind, value_text, value_json, unit, loinc, loinc_display, ucum, ucum_value, 'W', $4, \
         $5, $6 from clinical.vitals where vital_key = $1 and version = $2 returning loinc",
    )
    .bind(standing.vital_key)
    .bind(standing.version)
    .bind(envelope.recorded_at)
    .bind(envelope.id)
    .bind(actor)
    .bind(reason)
    .fetch_one(tx.conn())
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loinc_code_has_a_form() {
        for (code, good) in [
            ("8867-4", true),
            ("1-8", true),
            ("8867", false),
            ("8867-", false),
            ("8867-44", false),
            ("x-1", false),
            ("-1", false),
        ] {
            assert_eq!(is_loinc(code), good, "{code}");
        }
    }
}
