//! Postgres: the pool, and a transaction that belongs to one tenant and seals its columns.

use std::time::{Duration, Instant};

use schemas::TenantId;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, Postgres, Transaction};

use crate::vault::{Columns, Opener, Place, VaultError};

/// A connection that its owner keeps from one transaction to the next. A pool asks a connection whether it lives whenever it
/// is put back: a round trip more for each short transaction.
pub struct Kept {
    pool: PgPool,
    connection: Option<PoolConnection<Postgres>>,
    used: Instant,
    /// When its plans were made, and how old they may grow.
    planned: Instant,
    plans_last: Duration,
    columns: Option<Columns>,
}

impl Kept {
    /// Takes one of the pool's connections when it is first needed.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self {
            pool,
            connection: None,
            used: Instant::now(),
            planned: Instant::now(),
            plans_last: FIRST_PLANS,
            columns: None,
        }
    }

    /// Its transactions seal and open columns.
    #[must_use]
    pub fn with_columns(mut self, columns: Columns) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Begins a transaction and sets its tenant.
    ///
    /// # Errors
    /// The database is out of reach or refuses.
    pub async fn begin(&mut self, tenant: &TenantId) -> Result<Tx<'_>, sqlx::Error> {
        let kept = match self.connection.take() {
            Some(mut kept) if self.used.elapsed() > RESTED => {
                kept.ping().await.is_ok().then_some(kept)
            }
            kept => kept,
        };
        let connection = match kept {
            Some(kept) => kept,
            None => self.pool.acquire().await?,
        };
        self.used = Instant::now();
        let begin = if self.planned.elapsed() > self.plans_last {
            self.planned = self.used;
            self.plans_last = (self.plans_last * 2).min(LAST_PLANS);
            AssertSqlSafe(format!("discard plans; {}", begin_for(tenant)))
        } else {
            AssertSqlSafe(begin_for(tenant))
        };
        let connection: &mut PgConnection = self.connection.insert(connection);
        Ok(Tx {
            tenant: tenant.clone(),
            inner: connection.begin_with(begin).await?,
            columns: self.columns.clone(),
        })
    }

    /// A transaction failed: the next one gets a connection of which the pool knows that it lives.
    pub fn failed(&mut self) {
        self.connection = None;
    }
}

/// The plans of a kept connection are made anew after this, then after twice as long, and so on: those that were made while the
/// tables were all but empty would read far too much of them until statistics are gathered.
const FIRST_PLANS: Duration = Duration::from_millis(250);
const LAST_PLANS: Duration = Duration::from_secs(600);
/// A kept connection that has rested this long is asked whether it lives.
const RESTED: Duration = Duration::from_secs(5);

/// One round trip instead of two: most transactions are short.
fn begin_for(tenant: &TenantId) -> String {
    // a tenant's name has no character that would need a quote (`TenantId::new`)
    format!("begin; select set_config('hub.tenant', '{tenant}', true)")
}

/// A transaction in which only one tenant's rows exist (row-level security, design.md §4.7).
pub struct Tx<'p> {
    tenant: TenantId,
    inner: Transaction<'p, Postgres>,
    columns: Option<Columns>,
}

impl Tx<'_> {
    /// Begins a transaction and sets its tenant.
    ///
    /// # Errors
    /// The database is out of reach or refuses.
    pub async fn begin(pool: &PgPool, tenant: &TenantId) -> Result<Tx<'static>, sqlx::Error> {
        Self::begin_with(pool, tenant, begin_for(tenant)).await
    }

    /// Begins a transaction that can write nothing, and in which no statement takes longer than `limit`. One round trip too.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub async fn begin_reading(
        pool: &PgPool,
        tenant: &TenantId,
        limit: Duration,
    ) -> Result<Tx<'static>, sqlx::Error> {
        let begin = format!(
            "begin read only; set local statement_timeout = {}; select set_config('hub.tenant', '{tenant}', true)",
            limit.as_millis()
        );
        Self::begin_with(pool, tenant, begin).await
    }

    async fn begin_with(
        pool: &PgPool,
        tenant: &TenantId,
        begin: String,
    ) -> Result<Tx<'static>, sqlx::Error> {
        Ok(Tx {
            tenant: tenant.clone(),
            inner: pool.begin_with(AssertSqlSafe(begin)).await?,
            columns: None,
        })
    }

    /// The tenant whose rows this transaction sees.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The connection, for queries.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// It seals and opens columns. Without, nothing is sealed, and what is sealed does not open.
    #[must_use]
    pub fn with_columns(mut self, columns: &Columns) -> Self {
        self.columns = Some(columns.clone());
        self
    }

    /// True when what is written into columns that are chosen for it is sealed.
    #[must_use]
    pub fn seals(&self) -> bool {
        self.columns.as_ref().is_some_and(Columns::seals)
    }

    /// Seals a value for a place, with the newest key that this transaction sees. `None`: nothing is sealed here, and the value
    /// is stored as it is.
    ///
    /// # Errors
    /// The database failed, or no key can be had, which [passes](is_transient).
    pub async fn seal(
        &mut self,
        place: Place<'_>,
        plain: &[u8],
    ) -> Result<Option<String>, sqlx::Error> {
        let Some(columns) = self.columns.clone().filter(Columns::seals) else {
            return Ok(None);
        };
        let sealed = columns.seal(&self.tenant, &mut self.inner, place, plain);
        sealed.await.map(Some)
    }

    /// Keys of these numbers, to open what was sealed with them.
    ///
    /// # Errors
    /// The database failed. A key that can't be had is told by what needs it.
    pub async fn opener(&mut self, numbers: Vec<i32>) -> Result<Opener, sqlx::Error> {
        let columns = self.columns.clone().unwrap_or_default();
        columns
            .opener(&self.tenant, &mut self.inner, Some(numbers))
            .await
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The commit failed; whether it took effect is unknown, the inbox tells on the next try.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// The connection is gone (then the server takes it back by itself).
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.inner.rollback().await
    }
}

/// A connection that was used this short a time ago is not asked whether it is still alive: it was, when it was put back.
const FRESH: Duration = Duration::from_millis(200);

/// Opens the pool lazily: the hub starts and acknowledges while Postgres is down.
#[must_use]
pub fn pool(options: PgConnectOptions, max_connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(5))
        .idle_timeout(Duration::from_secs(300))
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_lazy_with(options)
}

/// True when another try can help: the server is away, starting, out of room or asked us to retry
/// (SQLSTATE classes 08, 53, 57, 58, 40, 55); or the key of a sealed column can't be had ([`is_of_key`]).
#[must_use]
pub fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(database) => database.code().is_some_and(|code| {
            ["08", "53", "57", "58", "40", "55", "25", "XX"]
                .iter()
                .any(|class| code.starts_with(class))
        }),
        other => is_of_key(other),
    }
}

/// True when the key of a sealed column can't be had: not the database's fault, and only what needs that key waits.
#[must_use]
pub fn is_of_key(error: &sqlx::Error) -> bool {
    of_vault(error).is_some_and(VaultError::is_of_key)
}

/// Why the key of a sealed column is not to be had for good, as anybody may hear it: it is gone, or the master key or its service
/// does not open it. No try brings it back, a person may. `None` for every other failure.
#[must_use]
pub fn lost_key(error: &sqlx::Error) -> Option<&'static str> {
    of_vault(error)
        .filter(|error| error.is_lost())
        .map(VaultError::in_short)
}

fn of_vault(error: &sqlx::Error) -> Option<&VaultError> {
    match error {
        sqlx::Error::Decode(error) => error.downcast_ref::<VaultError>(),
        _ => None,
    }
}
