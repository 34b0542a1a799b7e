//! The customers and their plans. The list is there in a transaction of the tenant `platform`; a tenant sees itself.

use schemas::platform::{Limits, TenantState};
use sqlx::PgConnection;
use sqlx::types::Json;
use time::OffsetDateTime;
use uuid::Uuid;

/// One of them.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct TenantRow {
    pub tenant_id: String,
    pub name: String,
    pub state: String,
    pub plan: String,
    pub limits: Json<Limits>,
    /// What holds: the plan's, and over them its own.
    pub in_force: Json<Limits>,
    pub features: Vec<String>,
    pub state_reason: Option<String>,
    pub state_since: OffsetDateTime,
    pub exported_at: Option<OffsetDateTime>,
    pub version: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
}

impl TenantRow {
    /// A state that this release does not know lets nobody in.
    #[must_use]
    pub fn state(&self) -> TenantState {
        TenantState::parse(&self.state).unwrap_or(TenantState::Closed)
    }

    /// A limit, if there is one.
    #[must_use]
    pub fn limit(&self, name: &str) -> Option<u32> {
        self.in_force.get(name).copied().flatten()
    }
}

/// A plan.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PlanRow {
    pub code: String,
    pub name: String,
    pub limits: Json<Limits>,
    pub features: Vec<String>,
    pub version: i32,
    pub updated_by: String,
    pub updated_at: OffsetDateTime,
}

const TENANT: &str = "select t.tenant_id, t.name, t.state, t.plan, t.limits, p.limits || t.limits as in_force, p.features, t.state_reason,
    t.state_since, t.exported_at, t.version, t.created_by, t.created_at
    from users.tenants t join users.plans p on p.code = t.plan";

/// A tenant by its name.
///
/// # Errors
/// The database is out of reach.
pub async fn tenant(conn: &mut PgConnection, name: &str) -> Result<Option<TenantRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{TENANT} where t.tenant_id = $1"
    )))
    .bind(name)
    .fetch_optional(conn)
    .await
}

/// By name, after one; `state`: only those.
///
/// # Errors
/// The database is out of reach.
pub async fn tenants(
    conn: &mut PgConnection,
    state: Option<&str>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<TenantRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{TENANT} where ($1::text is null or t.state = $1) and ($2::text is null or t.tenant_id > $2)
         order by t.tenant_id limit $3"
    )))
    .bind(state)
    .bind(after)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Users of the transaction's tenant as its limit counts them: whoever is not disabled and no patient, without `but`.
///
/// # Errors
/// The database is out of reach.
pub async fn counted_users(conn: &mut PgConnection, but: Option<Uuid>) -> Result<u32, sqlx::Error> {
    let count: i64 = sqlx::query_scalar(
        "select count(*) from users.users u where u.state <> 'disabled' and ($1::uuid is null or u.id <> $1)
         and not exists (select from users.patient_logins l where l.user_id = u.id)",
    )
    .bind(but)
    .fetch_one(conn)
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// A plan by its code.
///
/// # Errors
/// The database is out of reach.
pub async fn plan(conn: &mut PgConnection, code: &str) -> Result<Option<PlanRow>, sqlx::Error> {
    sqlx::query_as(
        "select code, name, limits, features, version, updated_by, updated_at from users.plans where code = $1",
    )
    .bind(code)
    .fetch_optional(conn)
    .await
}

/// All plans; there are few.
///
/// # Errors
/// The database is out of reach.
pub async fn plans(conn: &mut PgConnection) -> Result<Vec<PlanRow>, sqlx::Error> {
    sqlx::query_as(
        "select code, name, limits, features, version, updated_by, updated_at from users.plans order by code",
    )
    .fetch_all(conn)
    .await
}
