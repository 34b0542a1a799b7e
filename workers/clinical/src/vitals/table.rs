//! `clinical.vitals` written in arrays.

use hub_core::Tx;
use schemas::care::HoldReason;

use super::MatchedBy;
use super::incoming::Row;
use super::versions::Superseded;

/// Takes these versions out of what is current.
pub(super) async fn supersede(tx: &mut Tx<'_>, old: &[Superseded]) -> Result<(), sqlx::Error> {
    if old.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.vitals as vital set superseded_at = now() \
         from unnest($1::uuid[], $2::smallint[]) as old (key, version) \
         where vital.vital_key = old.key and vital.version = old.version",
    )
    .bind(old.iter().map(|one| one.key).collect::<Vec<_>>())
    .bind(old.iter().map(|one| one.version).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(super) async fn insert(tx: &mut Tx<'_>, rows: &[Row]) -> Result<(), sqlx::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    macro_rules! column {
        ($row:ident => $value:expr) => {
            rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "insert into clinical.vitals (tenant_id, vital_key, version, superseded_at, observed_at, timed_by, received_at, \
         fact_at, channel, subject_key, matched_by, item_id, named_key, named_value, bed_key, place, device, code, \
         code_system, code_text, alternate, path, container, value_type, value_kind, comparator, value_text, value_json, \
         raw_value, unit, loinc, loinc_display, ucum, ucum_value, range_text, flags, status, method, site, held, \
         source_event) \
         select $1, * from unnest($2::uuid[], $3::smallint[], $4::timestamptz[], $5::timestamptz[], $6::text[], \
         $7::timestamptz[], $8::timestamptz[], $9::text[], $10::uuid[], $11::text[], $12::bigint[], $13::uuid[], \
         $14::text[], $15::uuid[], $16::jsonb[], $17::text[], $18::text[], $19::text[], $20::text[], $21::jsonb[], \
         $22::text[], $23::text[], $24::text[], $25::text[], $26::text[], $27::text[], $28::jsonb[], $29::text[], \
         $30::text[], $31::text[], $32::text[], $33::text[], $34::text[], $35::text[], $36::text[], $37::text[], \
         $38::text[], $39::jsonb[], $40::text[], $41::uuid[])",
    )
    .bind(tenant.as_str())
    .bind(column!(row => row.key))
    .bind(column!(row => row.version))
    .bind(column!(row => row.superseded_at))
    .bind(column!(row => row.observed_at))
    .bind(column!(row => row.timed_by.as_str()))
    .bind(column!(row => row.received_at))
    .bind(column!(row => row.fact_at))
    .bind(column!(row => row.channel.as_str()))
    .bind(column!(row => row.subject))
    .bind(column!(row => row.matched_by.map(MatchedBy::as_str)))
    .bind(column!(row => row.item))
    .bind(column!(row => row.named.as_ref().map(|(key, _)| *key)))
    .bind(column!(row => row.named.as_ref().map(|(_, value)| value.as_str())))
    .bind(column!(row => row.bed_key))
    .bind(column!(row => row.place.clone()))
    .bind(column!(row => row.device.as_deref()))
    .bind(column!(row => row.code.as_str()))
    .bind(column!(row => row.code_system.as_deref()))
    .bind(column!(row => row.code_text.as_deref()))
    .bind(column!(row => row.alternate.clone()))
    .bind(column!(row => row.path.as_deref()))
    .bind(column!(row => row.container.as_deref()))
    .bind(column!(row => row.value_type.as_deref()))
    .bind(column!(row => row.value_kind))
    .bind(column!(row => row.comparator))
    .bind(column!(row => row.value_text.as_deref()))
    .bind(column!(row => row.value_json.clone()))
    .bind(column!(row => row.raw_value.as_deref()))
    .bind(column!(row => row.unit.as_deref()))
    .bind(column!(row => row.loinc.as_deref()))
    .bind(column!(row => row.loinc_display.as_deref()))
    .bind(column!(row => row.ucum.as_deref()))
    .bind(column!(row => row.ucum_value.as_deref()))
    .bind(column!(row => row.range_text.as_deref()))
    .bind(column!(row => row.flags.as_deref()))
    .bind(column!(row => row.status.as_deref()))
    .bind(column!(row => row.method.as_deref()))
    .bind(column!(row => row.site.clone()))
    .bind(column!(row => row.held.map(HoldReason::as_str)))
    .bind(column!(row => row.source_event))
    .execute(tx.conn())
    .await?;
    Ok(())
}
