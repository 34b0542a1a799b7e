//! Users and what belongs to them.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// What a sign-in needs.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Account {
    pub id: Uuid,
    pub username: String,
    pub password_hash: String,
    pub state: String,
    pub must_change: bool,
    pub one_time_until: Option<OffsetDateTime>,
    /// The active second factor.
    pub factor_id: Option<Uuid>,
    pub has_passkey: bool,
}

impl Account {
    /// A password alone does not let him in.
    #[must_use]
    pub fn needs_second_factor(&self) -> bool {
        self.factor_id.is_some() || self.has_passkey
    }
}

const ACCOUNT: &str = "select u.id, u.username, u.password_hash, u.state, u.must_change, u.one_time_until, f.id as factor_id,
    exists (select from users.passkeys p where p.user_id = u.id and p.ended_at is null) as has_passkey
    from users.users u left join users.factors f on f.user_id = u.id and f.state = 'active'";

/// The account of that name, in whatever state.
///
/// # Errors
/// The database is out of reach.
pub async fn account(
    conn: &mut PgConnection,
    username: &str,
) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{ACCOUNT} where u.username = $1"
    )))
    .bind(username)
    .fetch_optional(conn)
    .await
}

/// The account of that user, in whatever state.
///
/// # Errors
/// The database is out of reach.
pub async fn account_of(conn: &mut PgConnection, id: Uuid) -> Result<Option<Account>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{ACCOUNT} where u.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// A user as administrators see him; never with the hash.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct UserRow {
    pub id: Uuid,
    pub username: String,
    pub display_name: String,
    pub state: String,
    pub state_reason: Option<String>,
    pub must_change: bool,
    pub has_factor: bool,
    /// Given to the user himself, without a role (the first administrator).
    pub permissions: Vec<String>,
    pub version: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
    pub last_sign_in: Option<OffsetDateTime>,
}

const USER: &str = "select u.id, u.username, u.display_name, u.state, u.state_reason, u.must_change,
    exists (select from users.factors f where f.user_id = u.id and f.state = 'active')
        or exists (select from users.passkeys p where p.user_id = u.id and p.ended_at is null) as has_factor,
    u.permissions, u.version, u.created_by, u.created_at, u.updated_at,
    (select max(s.created_at) from users.sessions s where s.user_id = u.id) as last_sign_in
    from users.users u";

/// One user.
///
/// # Errors
/// The database is out of reach.
pub async fn user(conn: &mut PgConnection, id: Uuid) -> Result<Option<UserRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{USER} where u.id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Users by name, after a name; patients are not among them.
///
/// # Errors
/// The database is out of reach.
pub async fn users(
    conn: &mut PgConnection,
    state: Option<&str>,
    name: Option<&str>,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<UserRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{USER} where ($1::text is null or u.state = $1) and ($2::text is null or u.username > $2)
         and ($3::text is null or starts_with(u.username, lower($3)) or strpos(lower(u.display_name), lower($3)) > 0)
         and not exists (select from users.patient_logins l where l.user_id = u.id)
         order by u.username limit $4"
    )))
    .bind(state)
    .bind(after)
    .bind(name)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// A role of the tenant's own.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct RoleRow {
    pub code: String,
    pub name: String,
    pub permissions: Vec<String>,
    pub state: String,
    pub version: i32,
    pub updated_by: String,
    pub updated_at: OffsetDateTime,
}

const ROLE: &str =
    "select code, name, permissions, state, version, updated_by, updated_at from users.roles";

/// The tenant's own roles.
///
/// # Errors
/// The database is out of reach.
pub async fn roles(conn: &mut PgConnection) -> Result<Vec<RoleRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{ROLE} order by code")))
        .fetch_all(conn)
        .await
}

/// One of the tenant's own roles.
///
/// # Errors
/// The database is out of reach.
pub async fn role(conn: &mut PgConnection, code: &str) -> Result<Option<RoleRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{ROLE} where code = $1")))
        .bind(code)
        .fetch_optional(conn)
        .await
}

/// A grant, also one that ended.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct GrantRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub role: String,
    pub facility: Option<String>,
    pub department: Option<String>,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
    pub granted_by: String,
    pub created_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub ended_by: Option<String>,
    pub end_reason: Option<String>,
}

const GRANT: &str = "select id, user_id, role, facility, department, starts_at, ends_at, granted_by, created_at, ended_at,
    ended_by, end_reason from users.grants";

/// Grants of a user, newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn grants(conn: &mut PgConnection, user: Uuid) -> Result<Vec<GrantRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{GRANT} where user_id = $1 order by created_at desc, id limit 500"
    )))
    .bind(user)
    .fetch_all(conn)
    .await
}

/// One grant.
///
/// # Errors
/// The database is out of reach.
pub async fn grant(conn: &mut PgConnection, id: Uuid) -> Result<Option<GrantRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{GRANT} where id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// A session, also one that ended.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SessionRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub amr: Vec<String>,
    pub peer: Option<String>,
    pub agent: Option<String>,
    pub created_at: OffsetDateTime,
    pub last_used_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub ended_at: Option<OffsetDateTime>,
    pub end_reason: Option<String>,
}

/// Sessions of a user, newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn sessions(
    conn: &mut PgConnection,
    user: Uuid,
    open_only: bool,
) -> Result<Vec<SessionRow>, sqlx::Error> {
    sqlx::query_as(
        "select id, user_id, amr, peer, agent, created_at, last_used_at, expires_at, ended_at, end_reason
         from users.sessions where user_id = $1 and (not $2 or (ended_at is null and expires_at > now()))
         order by created_at desc, id limit 500",
    )
    .bind(user)
    .bind(open_only)
    .fetch_all(conn)
    .await
}

/// Whose refresh token this is, used up or not.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct SessionOfToken {
    pub session_id: Uuid,
    pub user_id: Uuid,
    pub username: String,
    pub amr: Vec<String>,
    pub expires_at: OffsetDateTime,
    pub must_change: bool,
}

/// The session of a refresh token, by the token's digest.
///
/// # Errors
/// The database is out of reach.
pub async fn session_of_token(
    conn: &mut PgConnection,
    digest: &[u8],
) -> Result<Option<SessionOfToken>, sqlx::Error> {
    sqlx::query_as(
        "select s.id as session_id, s.user_id, u.username, s.amr, s.expires_at, u.must_change
         from users.refresh_tokens t
         join users.sessions s on s.id = t.session_id join users.users u on u.id = s.user_id
         where t.digest = $1",
    )
    .bind(digest)
    .fetch_optional(conn)
    .await
}

/// A second factor.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Factor {
    pub id: Uuid,
    pub user_id: Uuid,
    pub sealed: Vec<u8>,
    pub state: String,
    pub last_step: i64,
}

/// One second factor.
///
/// # Errors
/// The database is out of reach.
pub async fn factor(conn: &mut PgConnection, id: Uuid) -> Result<Option<Factor>, sqlx::Error> {
    sqlx::query_as("select id, user_id, sealed, state, last_step from users.factors where id = $1")
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// The user's factor in that state (`pending`, `active`).
///
/// # Errors
/// The database is out of reach.
pub async fn factor_of(
    conn: &mut PgConnection,
    user: Uuid,
    state: &str,
) -> Result<Option<Factor>, sqlx::Error> {
    sqlx::query_as(
        "select id, user_id, sealed, state, last_step from users.factors where user_id = $1 and state = $2",
    )
    .bind(user)
    .bind(state)
    .fetch_optional(conn)
    .await
}

/// Recovery codes that are left.
///
/// # Errors
/// The database is out of reach.
pub async fn recovery_left(conn: &mut PgConnection, factor: Uuid) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from users.recovery_codes where factor_id = $1 and used_at is null",
    )
    .bind(factor)
    .fetch_one(conn)
    .await
}
