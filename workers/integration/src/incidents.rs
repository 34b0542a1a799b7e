//! Incidents: equal failures become one, a person says that he has seen it, and what nobody sees in time is escalated.

use std::collections::BTreeMap;

use hub_core::{Envelope, Outgoing, Refusal, Tx, Verdict, WorkerError};
use schemas::Body as _;
use schemas::incidents::{AcknowledgeIncident, EscalateIncidents, IncidentEscalated};
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::{Entry, Trail};

/// Kind of the incidents that equal failures make.
pub(crate) const REPEATED_FAILURES: &str = "repeated_failures";
/// As many equal failures in [`WINDOW`] are an incident: one broken message is a dead letter, and no more than that.
const MANY: i64 = 10;
/// Seconds.
const WINDOW: f64 = 300.0;

/// Where and why something failed; what is alike in it is one incident.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cause {
    pub(crate) channel: Option<String>,
    pub(crate) stage: &'static str,
    pub(crate) reason: String,
}

/// Counts failures whose dead letters were just written in this transaction.
pub(crate) async fn count(
    tx: &mut Tx<'_>,
    failed: BTreeMap<Cause, i32>,
) -> Result<(), sqlx::Error> {
    let (mut channels, mut stages, mut reasons, mut counts) = (vec![], vec![], vec![], vec![]);
    for (cause, count) in failed {
        channels.push(cause.channel);
        stages.push(cause.stage);
        reasons.push(cause.reason);
        counts.push(count);
    }
    let tenant = tx.tenant().clone();
    // Before an incident is open there are fewer than `MANY` beside those of now, so no more than that are looked at in a storm.
    // What is open already takes in one failure too; else the failures of the window must be many. Two lanes that find the
    // same at once meet in the index, and the second adds its own to what the first counted.
    sqlx::query(
        "with failed as materialized (
             select concat_ws('/', coalesce(g.channel, '-'), g.stage, g.reason) as key, g.*,
                    (select count(*) from (
                         select from integration.dead_letters d
                         where d.last_at > now() - make_interval(secs => $7) and d.reason = g.reason and d.stage = g.stage
                           and d.channel is not distinct from g.channel
                         limit $6 + g.n) few) as recent
             from unnest($2::text[], $3::text[], $4::text[], $5::integer[]) as g(channel, stage, reason, n))
         insert into integration.incidents as i (tenant_id, kind, dedup_key, detail, count)
         select $1, $8, f.key,
                concat('messages fail alike at ', f.stage, ' (', f.reason, '), channel ', coalesce(f.channel, '-'),
                       ': GET /api/v1/dead-letters?reason=', f.reason),
                f.recent
         from failed f
         where f.recent >= $6 or exists (
             select from integration.incidents o where o.kind = $8 and o.dedup_key = f.key and o.resolved_at is null)
         order by f.key
         on conflict (tenant_id, kind, dedup_key) where resolved_at is null do update
             set count = i.count + (select f.n from failed f where f.key = excluded.dedup_key), last_at = now()",
    )
    .bind(tenant.as_str())
    .bind(channels)
    .bind(stages)
    .bind(reasons)
    .bind(counts)
    .bind(MANY)
    .bind(WINDOW)
    .bind(REPEATED_FAILURES)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The incident of this dead letter is over when no letter like it is open any more.
pub(crate) async fn over_with(tx: &mut Tx<'_>, dead_letter: i64) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update integration.incidents i set resolved_at = now()
         from integration.dead_letters d
         where d.id = $1 and i.kind = $2 and i.resolved_at is null
           and i.dedup_key = concat_ws('/', coalesce(d.channel, '-'), d.stage, d.reason)
           and not exists (
               select from integration.dead_letters o
               where o.state = 'open' and o.stage = d.stage and o.reason = d.reason
                 and o.channel is not distinct from d.channel)",
    )
    .bind(dead_letter)
    .bind(REPEATED_FAILURES)
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A person has seen it: once, while it is open.
pub(crate) async fn acknowledge(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    trail: &mut Trail,
) -> Result<Verdict, WorkerError> {
    let command: AcknowledgeIncident = match envelope.decode() {
        Ok(command) => command,
        Err(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    let done = sqlx::query(
        "update integration.incidents set acknowledged_at = now(), acknowledged_by = $2, note = $3
         where id = $1 and resolved_at is null and acknowledged_at is null",
    )
    .bind(command.incident_id)
    .bind(&command.actor)
    .bind(&command.note)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        let known: bool =
            sqlx::query_scalar("select exists (select from integration.incidents where id = $1)")
                .bind(command.incident_id)
                .fetch_one(tx.conn())
                .await?;
        return Ok(Verdict::Refused(if known {
            Refusal::new(
                "integration.incident_conflict",
                "the incident is acknowledged or over; allowed: to acknowledge an open one, once",
            )
        } else {
            Refusal::new("integration.incident_unknown", "no incident has this id")
        }));
    }
    trail.add(Entry {
        actor: command.actor,
        action: AcknowledgeIncident::NAME.to_owned(),
        object: format!("incident {}", command.incident_id),
        reason: command.note,
        cause: envelope.id,
        detail: json!({}),
    });
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "incident_id": command.incident_id, "state": "acknowledged" })),
    })
}

/// Marks what nobody has seen in time, and says so.
pub(crate) async fn escalate(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Verdict, WorkerError> {
    let command: EscalateIncidents = match envelope.decode() {
        Ok(command) => command,
        Err(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    let Ok(before) = OffsetDateTime::parse(&command.opened_before, &Rfc3339) else {
        return Ok(Verdict::Refused(Refusal::new(
            "envelope.body",
            "opened_before is no RFC 3339 time",
        )));
    };
    let due: Vec<(i64, String, i32)> = sqlx::query_as(
        "update integration.incidents set escalated_at = now()
         where resolved_at is null and acknowledged_at is null and escalated_at is null and first_at < $1
         returning id, kind, count",
    )
    .bind(before)
    .fetch_all(tx.conn())
    .await?;
    if due.is_empty() {
        return Ok(Verdict::Unchanged);
    }
    let outgoing = (0..).zip(due).map(|(nth, (incident_id, kind, count))| {
        let body = IncidentEscalated {
            incident_id,
            kind,
            count,
        };
        Outgoing::new(envelope, nth, format!("incident/{incident_id}"), &body)
    });
    Ok(Verdict::Applied {
        outgoing: outgoing.collect(),
        answer: None,
    })
}
