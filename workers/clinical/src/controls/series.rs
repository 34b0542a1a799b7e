//! Targets of control material, and the results around one.

use hub_core::Tx;
use schemas::controls::DefineControl;
use time::OffsetDateTime;

use super::westgard::Westgard;

/// What a material should measure.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Target {
    pub(super) lot: String,
    pub(super) level: String,
    pub(super) mean: f64,
    pub(super) sd: f64,
    pub(super) mean_text: String,
    pub(super) sd_text: String,
    pub(super) unit: Option<String>,
}

pub(super) async fn target(
    tx: &mut Tx<'_>,
    channel: &str,
    material: &str,
    code: &str,
) -> Result<Option<Target>, sqlx::Error> {
    sqlx::query_as(
        "select lot, level, mean, sd, mean_text, sd_text, unit from clinical.qc_targets \
         where channel = $1 and material = $2 and code = $3",
    )
    .bind(channel)
    .bind(material)
    .bind(code)
    .fetch_optional(tx.conn())
    .await
}

/// Results around one, as z.
pub(super) struct Series {
    /// Of the same lot and level, newest first.
    pub(super) before: Vec<f64>,
    /// Of other levels within one run, the newest of each.
    pub(super) others: Vec<f64>,
}

/// What a person rejected does not count; it stays visible.
pub(super) async fn around(
    tx: &mut Tx<'_>,
    channel: &str,
    code: &str,
    target: &Target,
    at: OffsetDateTime,
    run_minutes: i32,
) -> Result<Series, sqlx::Error> {
    let before = sqlx::query_scalar(
        "select z from clinical.qc_results where channel = $1 and code = $2 and lot = $3 and level = $4 \
         and observed_at <= $5 and z is not null and state <> 'rejected' order by observed_at desc, id desc limit $6",
    )
    .bind(channel)
    .bind(code)
    .bind(&target.lot)
    .bind(&target.level)
    .bind(at)
    .bind(Westgard::LONGEST as i64)
    .fetch_all(tx.conn())
    .await?;
    let others = sqlx::query_scalar(
        "select distinct on (level) z from clinical.qc_results where channel = $1 and code = $2 and level <> $3 \
         and observed_at between $4 - make_interval(mins => $5) and $4 and z is not null and state <> 'rejected' \
         order by level, observed_at desc, id desc",
    )
    .bind(channel)
    .bind(code)
    .bind(&target.level)
    .bind(at)
    .bind(run_minutes)
    .fetch_all(tx.conn())
    .await?;
    Ok(Series { before, others })
}

pub(super) async fn define(tx: &mut Tx<'_>, command: &DefineControl) -> Result<(), sqlx::Error> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.qc_targets (tenant_id, channel, material, code, lot, level, mean, sd, mean_text, sd_text, \
         unit, actor) values ($1, $2, $3, $4, $5, $6, $7::text::float8, $8::text::float8, $7, $8, $9, $10) \
         on conflict (tenant_id, channel, material, code) do update set lot = excluded.lot, level = excluded.level, \
         mean = excluded.mean, sd = excluded.sd, mean_text = excluded.mean_text, sd_text = excluded.sd_text, \
         unit = excluded.unit, actor = excluded.actor, changed_at = now()",
    )
    .bind(tenant.as_str())
    .bind(command.channel.as_str())
    .bind(&command.material)
    .bind(&command.code)
    .bind(&command.lot)
    .bind(&command.level)
    .bind(&command.mean)
    .bind(&command.sd)
    .bind(&command.unit)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    Ok(())
}
