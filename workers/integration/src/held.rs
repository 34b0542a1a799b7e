//! Held items: one open item for each thing a person must decide, with what waits behind it.

use std::collections::BTreeMap;

use hub_core::{Envelope, Outgoing, Refusal, Tx, Verdict, WorkerError};
use schemas::commands::ResolveHeld;
use schemas::ids::care_key;
use schemas::integration::{CodeMapped, ResultHeld};
use serde_json::json;
use uuid::Uuid;

use crate::audit::{Entry, Trail};

/// What makes two held results one question: reason, channel, code system, code, unit.
type Question = (&'static str, String, String, String, String);

#[derive(Debug)]
struct Waiting {
    count: i32,
    code_text: Option<String>,
    sample_value: Option<String>,
    sample_report: Uuid,
}

#[derive(Debug, Default)]
pub(crate) struct HeldItems(BTreeMap<Question, Waiting>);

impl HeldItems {
    pub(crate) fn note(&mut self, envelope: &Envelope) -> Result<(), Refusal> {
        let held: ResultHeld = envelope.decode()?;
        let question = (
            held.reason.as_str(),
            held.channel.as_str().to_owned(),
            held.code_system,
            held.code,
            held.unit.unwrap_or_default(),
        );
        let waiting = self.0.entry(question).or_insert(Waiting {
            count: 0,
            code_text: None,
            sample_value: None,
            sample_report: held.report_id,
        });
        waiting.count += 1;
        waiting.code_text = waiting.code_text.take().or(held.code_text);
        waiting.sample_value = waiting.sample_value.take().or(held.raw_value);
        Ok(())
    }

    pub(crate) async fn save(&mut self, tx: &mut Tx<'_>) -> Result<(), WorkerError> {
        if self.0.is_empty() {
            return Ok(());
        }
        let (mut reasons, mut channels, mut systems, mut codes, mut units) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (mut texts, mut values, mut reports, mut counts) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for ((reason, channel, system, code, unit), waiting) in std::mem::take(&mut self.0) {
            reasons.push(reason);
            channels.push(channel);
            systems.push(system);
            codes.push(code);
            units.push(unit);
            texts.push(waiting.code_text);
            values.push(waiting.sample_value);
            reports.push(waiting.sample_report);
            counts.push(waiting.count);
        }
        let tenant = tx.tenant().clone();
        sqlx::query(
            "insert into integration.held_items as h
                 (tenant_id, reason, channel, code_system, code, unit, code_text, sample_value, sample_report, waiting)
             select $1, r.* from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                                        $9::uuid[], $10::integer[]) as r
             on conflict (tenant_id, reason, channel, code_system, code, unit) where state = 'open' do update
                 set waiting = h.waiting + excluded.waiting,
                     code_text = coalesce(h.code_text, excluded.code_text),
                     sample_value = coalesce(h.sample_value, excluded.sample_value),
                     last_at = now()",
        )
        .bind(tenant.as_str())
        .bind(reasons)
        .bind(channels)
        .bind(systems)
        .bind(codes)
        .bind(units)
        .bind(texts)
        .bind(values)
        .bind(reports)
        .bind(counts)
        .execute(tx.conn())
        .await?;
        Ok(())
    }
}

/// A code got its meaning: the items that it answers are resolved, and every process learns the mapping.
pub(crate) async fn mapped(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    trail: &mut Trail,
) -> Result<Verdict, WorkerError> {
    let mapped: CodeMapped = match envelope.decode() {
        Ok(mapped) => mapped,
        Err(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    let unit = mapped.unit.as_deref().unwrap_or_default();
    let resolved: Vec<i64> = sqlx::query_scalar(
        "update integration.held_items
         set state = 'resolved', resolution = 'mapped to ' || $5, resolved_by = $6, resolved_at = now()
         where state = 'open' and reason in ('unknown_code', 'unknown_unit')
           and channel = $1 and code_system = $2 and code = $3 and ($4 = '' or unit = $4)
         returning id",
    )
    .bind(mapped.channel.as_str())
    .bind(&mapped.code_system)
    .bind(&mapped.code)
    .bind(unit)
    .bind(&mapped.loinc)
    .bind(&envelope.source)
    .fetch_all(tx.conn())
    .await?;
    trail.add(Entry {
        actor: envelope.source.clone(),
        action: "integration.code.mapped".to_owned(),
        object: format!("channel {}", mapped.channel),
        reason: None,
        cause: envelope.id,
        detail: json!({
            "code_system": mapped.code_system, "code": mapped.code, "unit": unit, "loinc": mapped.loinc,
            "released": mapped.released, "held_items": resolved,
        }),
    });
    let key = care_key(
        &envelope.tenant,
        "code",
        &[
            mapped.channel.as_str(),
            &mapped.code_system,
            &mapped.code,
            unit,
        ],
    );
    Ok(Verdict::with(vec![Outgoing::setting(
        envelope,
        0,
        format!("code.{}.{key}", envelope.tenant),
        envelope.body.to_vec(),
    )]))
}

/// A person closes an item without a mapping.
pub(crate) async fn resolve(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    trail: &mut Trail,
) -> Result<Verdict, WorkerError> {
    let command: ResolveHeld = match envelope.decode() {
        Ok(command) => command,
        Err(refusal) => return Ok(Verdict::Refused(refusal)),
    };
    let done = sqlx::query(
        "update integration.held_items set state = 'resolved', resolution = $2, resolved_by = $3, resolved_at = now()
         where id = $1 and state = 'open'",
    )
    .bind(command.held_id)
    .bind(&command.resolution)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        let known: bool =
            sqlx::query_scalar("select exists (select from integration.held_items where id = $1)")
                .bind(command.held_id)
                .fetch_one(tx.conn())
                .await?;
        return Ok(Verdict::Refused(if known {
            Refusal::new("integration.held_not_open", "the item was resolved before")
        } else {
            Refusal::new("integration.held_unknown", "no held item has this id")
        }));
    }
    trail.add(Entry {
        actor: command.actor,
        action: "integration.held.resolve".to_owned(),
        object: format!("held {}", command.held_id),
        reason: Some(command.resolution),
        cause: envelope.id,
        detail: json!({}),
    });
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({"held_id": command.held_id, "state": "resolved"})),
    })
}
