//! What people said analyzer codes mean (`clinical.code.map`), and the release of results that waited for it.
//!
//! No result may be left behind between a mapping and the results it explains. Filing of held results takes
//! the tenant's lock shared before it reads the mappings, the command takes it exclusively before it writes one:
//! whoever comes second sees what the first committed.

use std::collections::HashMap;

use hub_core::mappings::{is_loinc, is_ucum};
use hub_core::{Refusal, Tx};
use schemas::commands::MapCode;
use schemas::integration::CodeMapped;
use uuid::Uuid;

use crate::batch::Batch;
use crate::criticals::limits::CriticalLimits;
use crate::criticals::{self, Suspects};
use crate::{audit, body, decimal, verification, vitals};

/// One mapping.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct CodeMap {
    channel: String,
    code_system: String,
    code: String,
    /// Unit as sent; empty = whatever unit.
    unit: String,
    pub(crate) loinc: String,
    pub(crate) display: Option<String>,
    ucum: Option<String>,
    pub(crate) factor: Option<String>,
}

impl CodeMap {
    /// The UCUM unit of a result sent with `unit`. A mapping for whatever unit tells what the code means; which
    /// unit a number is in it can only tell where none was sent, or the same one: anything else would be a guess.
    pub(crate) fn ucum_for(&self, unit: Option<&str>) -> Option<&str> {
        let ucum = self.ucum.as_deref()?;
        let known = !self.unit.is_empty() || unit.is_none_or(|unit| unit == ucum);
        known.then_some(ucum)
    }
}

/// Mappings by channel, system and code.
#[derive(Debug, Default)]
pub(crate) struct CodeMaps(HashMap<String, Vec<CodeMap>>);

impl CodeMaps {
    /// Those of the given codes.
    pub(crate) async fn load(tx: &mut Tx<'_>, codes: &[&str]) -> Result<Self, sqlx::Error> {
        let rows: Vec<CodeMap> = sqlx::query_as(
            "select channel, code_system, code, unit, loinc, display, ucum, factor \
             from clinical.code_maps where code = any($1)",
        )
        .bind(codes)
        .fetch_all(tx.conn())
        .await?;
        let mut maps: HashMap<String, Vec<CodeMap>> = HashMap::new();
        for row in rows {
            maps.entry(row.code.clone()).or_default().push(row);
        }
        Ok(Self(maps))
    }

    /// The mapping for a result: the one for its unit, else the one for whatever unit.
    pub(crate) fn find(
        &self,
        channel: &str,
        system: &str,
        code: &str,
        unit: Option<&str>,
    ) -> Option<&CodeMap> {
        let rows = self.0.get(code)?;
        let with = |unit: &str| {
            rows.iter()
                .find(|row| row.channel == channel && row.code_system == system && row.unit == unit)
        };
        unit.and_then(with).or_else(|| with(""))
    }
}

const LOCK: &str = "clinical.code_maps";

/// Taken shared, before the mappings are read and before any result is written.
pub(crate) async fn lock_for_filing(tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query("select pg_advisory_xact_lock_shared(hashtext($1), hashtext($2))")
        .bind(LOCK)
        .bind(tenant.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

async fn lock_for_mapping(tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query("select pg_advisory_xact_lock(hashtext($1), hashtext($2))")
        .bind(LOCK)
        .bind(tenant.as_str())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Carries out every `clinical.code.map` of the batch.
pub(crate) async fn map(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    limits: &CriticalLimits,
) -> Result<(), sqlx::Error> {
    let slots = batch.named(<MapCode as schemas::Body>::NAME);
    if slots.is_empty() {
        return Ok(());
    }
    lock_for_mapping(tx).await?;
    for slot in slots {
        let command = body::decode::<MapCode>(&batch.envelopes[slot]).and_then(checked);
        match command {
            Ok(command) => map_one(tx, batch, slot, &command, limits).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

/// What a mapping must be before it may touch results.
fn checked(mut command: MapCode) -> Result<MapCode, Refusal> {
    command.loinc = command.loinc.trim().to_owned();
    command.unit = command.unit.filter(|unit| !unit.is_empty());
    let refuse = |code, detail: &str| Err(Refusal::new(code, detail));
    if command.loinc.is_empty() {
        return refuse("clinical.map_without_loinc", "a mapping names a LOINC code");
    }
    if !is_loinc(&command.loinc) {
        return refuse(
            "clinical.map_loinc",
            "this is no LOINC code: its check digit tells that it was mistyped",
        );
    }
    if command.ucum.as_deref().is_some_and(|unit| !is_ucum(unit)) {
        return refuse(
            "clinical.map_ucum",
            "this is no UCUM unit: it is written as on ucum.org, without blanks",
        );
    }
    if command.code.is_empty() {
        return refuse(
            "clinical.map_without_code",
            "a mapping names the code as sent",
        );
    }
    match command.factor.as_deref() {
        None => Ok(command),
        Some(factor) if !decimal::is_decimal(factor) || factor.starts_with('-') => refuse(
            "clinical.map_factor",
            "the factor is a decimal number above zero such as `0.1`",
        ),
        Some(factor) if !factor.bytes().any(|byte| (b'1'..=b'9').contains(&byte)) => {
            refuse("clinical.map_factor", "the factor is above zero")
        }
        Some(_) if command.unit.is_none() => refuse(
            "clinical.map_factor_without_unit",
            "a factor converts from one unit: name the unit as sent",
        ),
        Some(_) if command.ucum.is_none() => refuse(
            "clinical.map_factor_without_ucum",
            "a factor converts to one unit: name it in UCUM",
        ),
        Some(_) => Ok(command),
    }
}

async fn map_one(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &MapCode,
    limits: &CriticalLimits,
) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.code_maps \
         (tenant_id, channel, code_system, code, unit, loinc, display, ucum, factor, actor) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         on conflict (tenant_id, channel, code_system, code, unit) do update set loinc = excluded.loinc, \
         display = excluded.display, ucum = excluded.ucum, factor = excluded.factor, actor = excluded.actor, \
         changed_at = now()",
    )
    .bind(tenant.as_str())
    .bind(command.channel.as_str())
    .bind(&command.code_system)
    .bind(&command.code)
    .bind(command.unit.as_deref().unwrap_or_default())
    .bind(&command.loinc)
    .bind(&command.display)
    .bind(&command.ucum)
    .bind(&command.factor)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    let (released, reports) = release(tx, command).await?;
    let released = released + vitals::release(tx, command).await?;
    let released = u32::try_from(released).unwrap_or(u32::MAX);

    let mapped = CodeMapped {
        channel: command.channel.clone(),
        code_system: command.code_system.clone(),
        code: command.code.clone(),
        unit: command.unit.clone(),
        loinc: command.loinc.clone(),
        display: command.display.clone(),
        ucum: command.ucum.clone(),
        factor: command.factor.clone(),
        released,
    };
    let detail = serde_json::to_value(&mapped).ok();
    batch.say(slot, &mapped);
    verification::made_by(tx, &reports, Some(&command.code), &command.actor).await?;
    for report in &reports {
        batch.touch(*report, slot);
    }
    let mut suspects = Suspects::new(limits);
    if limits.concern(&command.loinc) {
        for report in reports {
            suspects.add(report, slot);
        }
    }
    criticals::raise(tx, batch, &suspects).await?;
    batch.answer(slot, serde_json::json!({ "released": released }));
    let cause = batch.envelopes[slot].id;
    audit::entry(
        tx,
        &command.actor,
        "clinical.code.map",
        &format!("code:{}/{}", command.channel, command.code),
        &[cause],
        detail,
    )
    .await
}

/// Gives every result that waited for this mapping its meaning, in all versions; a result that also waits for a
/// patient gets the meaning and keeps waiting. The value as sent stays as it is: `ucum_value` is computed by
/// numeric, which is exact.
async fn release(tx: &mut Tx<'_>, command: &MapCode) -> Result<(i64, Vec<Uuid>), sqlx::Error> {
    sqlx::query_as(
        "with explained as ( \
             update clinical.results as result set loinc = $5, loinc_display = $6, \
             ucum = case when $4::text is not null or result.unit is null or result.unit = $7 then $7 end, \
             ucum_value = case when $8::text is not null and result.value_kind = 'quantity' \
                 and result.value_text ~ '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)$' \
                 then (result.value_text::numeric * $8::numeric)::text end, \
             held = nullif(result.held, case when result.held in ('no_patient', 'patient_mismatch') then '' else result.held end) \
             from clinical.reports as report \
             where report.id = result.report_id and report.channel = $1 \
             and result.held in ('unknown_code', 'unknown_unit', 'no_patient', 'patient_mismatch') and result.code = $3 \
             and coalesce(result.code_system, '') = $2 and ($4::text is null or result.unit = $4) \
             and (result.held not in ('no_patient', 'patient_mismatch') or result.loinc is null) \
             returning result.held, result.report_id) \
         select count(*) filter (where held is null), coalesce(array_agg(distinct report_id), '{}') from explained",
    )
    .bind(command.channel.as_str())
    .bind(&command.code_system)
    .bind(&command.code)
    .bind(&command.unit)
    .bind(&command.loinc)
    .bind(&command.display)
    .bind(&command.ucum)
    .bind(&command.factor)
    .fetch_one(tx.conn())
    .await
}
