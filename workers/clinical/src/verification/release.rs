//! When a report goes out: every result of it that needs verification is decided, and at least one is good.

use std::collections::BTreeMap;

use hub_core::Tx;
use schemas::verification::{ReportReleased, ReportReopened};
use uuid::Uuid;

use super::pack::Release;
use crate::batch::Batch;

#[derive(sqlx::FromRow)]
struct Standing {
    report_id: Uuid,
    open: i64,
    verified: i64,
    released: i64,
    /// Released in this transaction.
    fresh: i64,
    rejected: i64,
    /// Of the report, before.
    before: Option<String>,
    releases: i32,
}

impl Standing {
    fn state(&self) -> &'static str {
        match (self.open, self.verified + self.released) {
            (1.., _) => "open",
            (_, 0) => "rejected",
            _ => "released",
        }
    }

    /// It goes out now, for the first time or again.
    fn goes_out(&self) -> bool {
        self.state() == "released"
            && (self.before.as_deref() != Some("released") || self.fresh + self.verified > 0)
    }
}

/// Decisions of one report come one after the other: before it is settled it is locked, unless this transaction made it.
pub(super) async fn lock(tx: &mut Tx<'_>, reports: &[Uuid]) -> Result<(), sqlx::Error> {
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query("select from clinical.reports where id = any($1) order by id for update")
        .bind(reports)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Brings reports (locked) to the state that their results have now, and says which went out and which are in doubt again.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    touched: &BTreeMap<Uuid, usize>,
    release: Release,
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = touched.keys().copied().collect();
    let standing: Vec<Standing> = sqlx::query_as(
        "select standing.report_id, count(*) filter (where standing.state in ('received', 'needs_review')) as open, \
         count(*) filter (where standing.state = 'verified') as verified, \
         count(*) filter (where standing.state = 'released') as released, \
         count(*) filter (where standing.state = 'released' and standing.released_at = now()) as fresh, \
         count(*) filter (where standing.state = 'rejected') as rejected, \
         report.state as before, coalesce(report.releases, 0) as releases \
         from clinical.verifications as standing \
         left join clinical.report_releases as report on report.report_id = standing.report_id \
         where standing.report_id = any($1) and standing.current \
         group by standing.report_id, report.state, report.releases order by standing.report_id",
    )
    .bind(&ids)
    .fetch_all(tx.conn())
    .await?;
    let out: Vec<Uuid> = standing
        .iter()
        .filter(|report| report.verified > 0 && (report.open == 0 || release == Release::Each))
        .map(|report| report.report_id)
        .collect();
    if !out.is_empty() {
        sqlx::query(
            "update clinical.verifications set state = 'released', released_at = now(), revision = revision + 1 \
             where report_id = any($1) and current and state = 'verified'",
        )
        .bind(&out)
        .execute(tx.conn())
        .await?;
    }
    let changed: Vec<&Standing> = standing
        .iter()
        .filter(|report| report.goes_out() || report.before.as_deref() != Some(report.state()))
        .collect();
    write(tx, &changed).await?;
    for report in changed {
        let Some(&slot) = touched.get(&report.report_id) else {
            continue;
        };
        if report.goes_out() {
            batch.say(
                slot,
                &ReportReleased {
                    report_id: report.report_id,
                    release: report.releases + 1,
                    released: count(report.verified + report.released),
                    rejected: count(report.rejected),
                },
            );
        } else if report.before.as_deref() == Some("released") {
            batch.say(
                slot,
                &ReportReopened {
                    report_id: report.report_id,
                    release: report.releases,
                },
            );
        }
    }
    Ok(())
}

async fn write(tx: &mut Tx<'_>, reports: &[&Standing]) -> Result<(), sqlx::Error> {
    if reports.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.report_releases as report (tenant_id, report_id, state, releases, released_at) \
         select $1, stands.report_id, stands.state, stands.out, case when stands.out > 0 then now() end \
         from unnest($2::uuid[], $3::text[], $4::integer[]) as stands (report_id, state, out) \
         on conflict (report_id) do update set state = excluded.state, \
         releases = report.releases + excluded.releases, \
         released_at = coalesce(excluded.released_at, report.released_at)",
    )
    .bind(tenant.as_str())
    .bind(reports.iter().map(|one| one.report_id).collect::<Vec<_>>())
    .bind(reports.iter().map(|one| one.state()).collect::<Vec<_>>())
    .bind(
        reports
            .iter()
            .map(|one| i32::from(one.goes_out()))
            .collect::<Vec<_>>(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn count(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
