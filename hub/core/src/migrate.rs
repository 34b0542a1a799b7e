//! Applies the ordered migrations of `schemas/sql`, each in its own transaction, one process at a time.

use schemas::sql::MIGRATIONS;
use sha2::{Digest, Sha256};
use sqlx::{Connection, PgConnection, Row};

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(
        "migration {version} ({name}) was changed after it had been applied: restore it and add a new one"
    )]
    Changed { version: i64, name: &'static str },
    #[error("the database is at migration {0}, newer than this program knows: run a newer hub")]
    Newer(i64),
}

/// Brings the database up to date; returns the versions applied. Connect as the owner role.
///
/// # Errors
/// See [`MigrateError`]; a migration that fails leaves nothing behind.
pub async fn migrate(connection: &mut PgConnection) -> Result<Vec<i64>, MigrateError> {
    // one migrating process at a time: session lock, freed with the connection
    sqlx::query("select pg_advisory_lock(5426714)")
        .execute(&mut *connection)
        .await?;
    let done = apply(connection).await;
    sqlx::query("select pg_advisory_unlock(5426714)")
        .execute(&mut *connection)
        .await?;
    done
}

async fn apply(connection: &mut PgConnection) -> Result<Vec<i64>, MigrateError> {
    sqlx::raw_sql(
        "create table if not exists public.hub_migrations (
            version bigint primary key, name text not null, digest bytea not null, applied_at timestamptz not null default now())",
    )
    .execute(&mut *connection)
    .await?;
    sqlx::raw_sql("grant select on public.hub_migrations to hub_app")
        .execute(&mut *connection)
        .await?;
    let rows = sqlx::query("select version, digest from public.hub_migrations order by version")
        .fetch_all(&mut *connection)
        .await?;
    let mut applied = Vec::new();
    for row in &rows {
        let version: i64 = row.try_get(0)?;
        let digest: Vec<u8> = row.try_get(1)?;
        let known = MIGRATIONS
            .iter()
            .find(|m| m.version == version)
            .ok_or(MigrateError::Newer(version))?;
        if digest != Sha256::digest(known.sql.as_bytes()).as_slice() {
            return Err(MigrateError::Changed {
                version,
                name: known.name,
            });
        }
    }
    for migration in MIGRATIONS.iter().skip(rows.len()) {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(migration.sql)
            .execute(&mut *transaction)
            .await?;
        sqlx::query(
            "insert into public.hub_migrations (version, name, digest) values ($1, $2, $3)",
        )
        .bind(migration.version)
        .bind(migration.name)
        .bind(Sha256::digest(migration.sql.as_bytes()).as_slice())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        applied.push(migration.version);
    }
    Ok(applied)
}

/// True when the database has every migration this program needs (or more).
///
/// # Errors
/// The database is out of reach.
pub async fn is_current(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let table: Option<String> =
        sqlx::query_scalar("select to_regclass('public.hub_migrations')::text")
            .fetch_one(&mut *connection)
            .await?;
    if table.is_none() {
        return Ok(false);
    }
    let newest: Option<i64> = sqlx::query_scalar("select max(version) from public.hub_migrations")
        .fetch_one(&mut *connection)
        .await?;
    Ok(newest >= MIGRATIONS.last().map(|m| m.version))
}
