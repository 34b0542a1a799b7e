//! `hub load --seed`: a hospital's worth of invented patients and results, written straight into Postgres.
//!
//! What it writes is what the workers would have written for as many registrations and reports: the same keys, the rows that
//! people are found by, every constraint checked, every index kept. What it leaves out is how they came: there are no messages of
//! them, no events, and one row in the audit trail for each part. It never writes beside a tenant's own patients.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use schemas::{ChannelId, TenantId};
use sqlx::types::Json;
use sqlx::{Connection as _, PgConnection};
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;

pub(super) mod people;
pub(super) mod reports;

mod copy;
mod size;

use super::super::ConfigArgument;
use copy::Rows;
use people::Person;
use reports::Report;
pub(super) use size::Size;
use size::gigabytes;

/// Patients, and reports, of one transaction: a few megabytes in memory, a second or two under the locks of their tables.
const PEOPLE_AT_ONCE: usize = 10_000;
const REPORTS_AT_ONCE: usize = 5_000;

/// In the order in which the worker takes their locks.
const OF_PEOPLE: [&str; 3] = [
    "patients.identifiers",
    "patients.patients",
    "patients.match_keys",
];
const OF_REPORTS: [&str; 2] = ["clinical.reports", "clinical.results"];

/// Where it is written.
#[derive(Clone)]
pub(super) struct Ground {
    /// As the owner of the tables. Holds a password: never logged.
    pub(super) owner_url: String,
    pub(super) tenant: TenantId,
    /// The channel that the reports are said to have come on.
    pub(super) channel: ChannelId,
}

impl Ground {
    /// Of a configuration.
    fn of(config: &ConfigArgument, tenant: Option<&TenantId>) -> anyhow::Result<Self> {
        let Some(tenant) = tenant else {
            bail!("name the tenant that is to have invented patients: --tenant");
        };
        let loaded = config.load()?;
        let channel = loaded
            .config
            .channels
            .iter()
            .find(|channel| channel.tenant.get_ref() == tenant)
            .map_or_else(
                || ChannelId::new(crate::home::CHANNEL),
                |channel| Ok(channel.id.get_ref().clone()),
            )?;
        let url = loaded
            .config
            .postgres
            .owner_url
            .as_ref()
            .context("[postgres] owner_url is missing: tables are filled as their owner")?;
        Ok(Self {
            owner_url: url.resolve().map_err(anyhow::Error::msg)?,
            tenant: tenant.clone(),
            channel,
        })
    }

    async fn connect(&self) -> anyhow::Result<PgConnection> {
        PgConnection::connect(&self.owner_url)
            .await
            .context("can't reach Postgres as the owner of the tables")
    }
}

/// `hub load --seed`.
///
/// # Errors
/// The tenant has patients of its own; Postgres is out of reach or refuses.
pub(super) async fn run(
    config: &ConfigArgument,
    tenant: Option<&TenantId>,
    size: Size,
) -> anyhow::Result<()> {
    let ground = Ground::of(config, tenant)?;
    let mut connection = ground.connect().await?;
    ensure!(
        is_tenant(&mut connection, &ground.tenant).await?,
        "there is no tenant {}: hub tenant list",
        ground.tenant
    );
    ensure!(
        !has_others(&mut connection, &ground.tenant).await?,
        "{} has patients of its own: invented ones are for a tenant that has none (hub tenant create)",
        ground.tenant
    );
    println!(
        "writing {} patients and {} results of {}: up to {} on the disk of Postgres",
        size.seed_patients,
        size.seed_results,
        ground.tenant,
        gigabytes(size.bytes())
    );
    let took = fill(&ground, size).await?;
    let bytes = database_bytes(&mut connection).await?;
    connection.close().await?;
    println!(
        "done in {:.0} s; the database has {}",
        took.as_secs_f64(),
        gigabytes(bytes)
    );
    Ok(())
}

/// Whether a hub has ever served this tenant.
async fn is_tenant(connection: &mut PgConnection, tenant: &TenantId) -> anyhow::Result<bool> {
    let mut tx = connection.begin().await?;
    of_tenant(&mut tx, tenant).await?;
    let there =
        sqlx::query_scalar("select exists (select from users.tenants where tenant_id = $1)")
            .bind(tenant.as_str())
            .fetch_one(&mut *tx)
            .await?;
    tx.rollback().await?;
    Ok(there)
}

/// Whether the tenant has patients that were not invented here.
async fn has_others(connection: &mut PgConnection, tenant: &TenantId) -> anyhow::Result<bool> {
    let mut tx = connection.begin().await?;
    of_tenant(&mut tx, tenant).await?;
    let others: bool = sqlx::query_scalar(
        "select exists (
             select from patients.patients p
             where not exists (select from patients.identifiers i where i.patient_id = p.id and i.system = $1))",
    )
    .bind(people::SYSTEM)
    .fetch_one(&mut *tx)
    .await?;
    tx.rollback().await?;
    Ok(others)
}

/// Bytes of the database on disk.
///
/// # Errors
/// Postgres is out of reach.
pub(super) async fn database_bytes(connection: &mut PgConnection) -> anyhow::Result<u64> {
    let bytes: i64 = sqlx::query_scalar("select pg_database_size(current_database())")
        .fetch_one(connection)
        .await?;
    Ok(u64::try_from(bytes)?)
}

/// Writes what is not there yet, people and reports side by side, and gathers statistics. Said on the standard error as it goes on.
///
/// # Errors
/// Postgres is out of reach or refuses; the tenant was filled with another size before. What is written stays, and the next
/// call goes on behind it.
pub(super) async fn fill(ground: &Ground, size: Size) -> anyhow::Result<Duration> {
    size.is_whole()?;
    let began = Instant::now();
    let mut parts = JoinSet::new();
    parts.spawn(fill_people(ground.clone(), size));
    parts.spawn(fill_reports(ground.clone(), size));
    while let Some(done) = parts.join_next().await {
        done??;
    }
    let mut connection = ground.connect().await?;
    // what autovacuum would do in the minutes that follow
    for table in OF_PEOPLE.iter().chain(&OF_REPORTS) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("vacuum (analyze) {table}")))
            .execute(&mut connection)
            .await?;
    }
    write_out(&mut connection).await?;
    connection.close().await?;
    Ok(began.elapsed())
}

/// Gigabytes that are not in their files yet would be written beside whatever comes next, for minutes: they are written now,
/// where the role may say so.
async fn write_out(connection: &mut PgConnection) -> anyhow::Result<()> {
    match sqlx::raw_sql("checkpoint").execute(connection).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_allowed(&error) => {
            eprintln!(
                "this role may not ask for a checkpoint: Postgres is busy writing for some minutes yet"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn is_not_allowed(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "42501")
}

async fn fill_people(ground: Ground, size: Size) -> anyhow::Result<()> {
    let mut connection = ground.connect().await?;
    let all = size.seed_patients;
    // what anybody says of them from now on is newer
    let at = reports::FIRST.format(&Rfc3339)?;
    let (mut patients, mut identifiers, mut keys) =
        (Rows::default(), Rows::default(), Rows::default());
    for first in (0..all).step_by(PEOPLE_AT_ONCE) {
        let end = all.min(first + PEOPLE_AT_ONCE as u64);
        let mut tx = connection.begin().await?;
        of_tenant(&mut tx, &ground.tenant).await?;
        let ends = [first, end - 1].map(|n| Person::number(&ground.tenant, n).id);
        let there: i64 =
            sqlx::query_scalar("select count(*) from patients.patients where id = any($1)")
                .bind(ends.to_vec())
                .fetch_one(&mut *tx)
                .await?;
        if was_written(end - first, there, there)? {
            tx.rollback().await?;
            continue;
        }
        copy::force(&mut tx, &OF_PEOPLE, false).await?;
        for n in first..end {
            Person::number(&ground.tenant, n).write(
                &ground.tenant,
                &at,
                &mut patients,
                &mut identifiers,
                &mut keys,
            )?;
        }
        patients
            .load(&mut tx, "patients.patients", people::PATIENTS)
            .await?;
        identifiers
            .load(&mut tx, "patients.identifiers", people::IDENTIFIERS)
            .await?;
        keys.load(&mut tx, "patients.match_keys", people::MATCH_KEYS)
            .await?;
        copy::force(&mut tx, &OF_PEOPLE, true).await?;
        record(&mut tx, &ground.tenant, "patients", end - first).await?;
        tx.commit().await?;
        told("patients", end, all, 100_000);
    }
    connection.close().await?;
    Ok(())
}

async fn fill_reports(ground: Ground, size: Size) -> anyhow::Result<()> {
    let mut connection = ground.connect().await?;
    let all = size.reports();
    let report = |n| Report::number(&ground.tenant, &ground.channel, n, size.seed_patients);
    let (mut reports, mut results) = (Rows::default(), Rows::default());
    for first in (0..all).step_by(REPORTS_AT_ONCE) {
        let end = all.min(first + REPORTS_AT_ONCE as u64);
        let mut tx = connection.begin().await?;
        of_tenant(&mut tx, &ground.tenant).await?;
        let ends = [first, end - 1].map(&report);
        // who is reported on follows from how many patients there are, and the id from who is
        let (same, there): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where id = any($1)), count(*) from clinical.reports where specimen_number = any($2)",
        )
        .bind(ends.each_ref().map(|end| end.id).to_vec())
        .bind(ends.each_ref().map(|end| end.specimen.clone()).to_vec())
        .fetch_one(&mut *tx)
        .await?;
        if was_written(end - first, same, there)? {
            tx.rollback().await?;
            continue;
        }
        copy::force(&mut tx, &OF_REPORTS, false).await?;
        for n in first..end {
            report(n).write(&ground.tenant, &ground.channel, &mut reports, &mut results)?;
        }
        reports
            .load(&mut tx, "clinical.reports", reports::REPORTS_COLUMNS)
            .await?;
        results
            .load(&mut tx, "clinical.results", reports::RESULTS_COLUMNS)
            .await?;
        copy::force(&mut tx, &OF_REPORTS, true).await?;
        record(&mut tx, &ground.tenant, "reports", end - first).await?;
        tx.commit().await?;
        told("reports", end, all, 100_000);
    }
    connection.close().await?;
    Ok(())
}

/// The owner sees a tenant's rows as the program does; a hub at work is not held up for long.
async fn of_tenant(connection: &mut PgConnection, tenant: &TenantId) -> Result<(), sqlx::Error> {
    sqlx::query(
        "select set_config('hub.tenant', $1, true), set_config('lock_timeout', '30s', true)",
    )
    .bind(tenant.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether a part of `count` was written before: its first and its last are there, or neither is. `same`: how many of the two are
/// there as they would be written; `there`: how many are there at all.
fn was_written(count: u64, same: i64, there: i64) -> anyhow::Result<bool> {
    let ends = if count > 1 { 2 } else { 1 };
    match (same, there) {
        (0, 0) => Ok(false),
        (same, there) if same == ends && there == ends => Ok(true),
        _ => bail!(
            "this tenant was filled with another number of patients or results before: give the same, or take an empty tenant"
        ),
    }
}

async fn record(
    connection: &mut PgConnection,
    tenant: &TenantId,
    what: &str,
    count: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into audit.entries (tenant_id, actor, action, object, detail)
         values ($1, 'hub load --seed', 'load.seed', $2, $3)",
    )
    .bind(tenant.as_str())
    .bind(what)
    .bind(Json(serde_json::json!({ "invented": count })))
    .execute(connection)
    .await?;
    Ok(())
}

/// Says how far it is, now and then.
fn told(what: &str, done: u64, all: u64, every: u64) {
    if done.is_multiple_of(every) || done == all {
        eprintln!("{done} of {all} {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_passed_over_when_it_is_there_and_another_size_is_noticed() {
        assert!(!was_written(10, 0, 0).unwrap());
        assert!(was_written(10, 2, 2).unwrap());
        assert!(was_written(1, 1, 1).unwrap());
        for (count, same, there) in [(10, 1, 1), (10, 0, 2), (10, 1, 2), (1, 0, 1)] {
            assert!(was_written(count, same, there).is_err(), "{same} {there}");
        }
    }
}
