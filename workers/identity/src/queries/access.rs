//! What a user may do at this moment, and what he did in emergencies.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::patient_logins::ROLE;
use crate::roles;

/// All that decides what a live token may do.
#[derive(Debug, Clone)]
pub struct Standing {
    pub user_id: Uuid,
    pub username: String,
    pub state: String,
    pub must_change: bool,
    /// Everywhere and always.
    pub direct: Vec<String>,
    pub grants: Vec<HeldGrant>,
    /// Sessions that ended while tokens of theirs may still be about.
    pub ended_sessions: Vec<Uuid>,
    /// Patients whose glass is broken, and until when.
    pub broken_glass: Vec<(Uuid, OffsetDateTime)>,
}

/// A grant with what its role gives; empty when there is no such role any more.
#[derive(Debug, Clone)]
pub struct HeldGrant {
    pub permissions: Vec<String>,
    pub facility: Option<String>,
    pub department: Option<String>,
    pub starts_at: OffsetDateTime,
    pub ends_at: Option<OffsetDateTime>,
}

#[derive(sqlx::FromRow)]
struct GrantOfRole {
    role: String,
    own: Option<Vec<String>>,
    facility: Option<String>,
    department: Option<String>,
    starts_at: OffsetDateTime,
    ends_at: Option<OffsetDateTime>,
}

#[derive(sqlx::FromRow)]
struct Head {
    username: String,
    state: String,
    must_change: bool,
    permissions: Vec<String>,
    ended: Vec<Uuid>,
    /// He belongs to a patient, or did.
    of_patient: bool,
    /// Since when his log-in as one stands.
    patient_since: Option<OffsetDateTime>,
}

/// Where a user stands; `None` when the tenant has no such user.
///
/// # Errors
/// The database is out of reach.
pub async fn standing(
    conn: &mut PgConnection,
    user: Uuid,
) -> Result<Option<Standing>, sqlx::Error> {
    // tokens live for 15 minutes: what ended an hour ago has none
    let head: Option<Head> = sqlx::query_as(
        "select u.username, u.state, u.must_change, u.permissions,
                array(select s.id from users.sessions s
                      where s.user_id = u.id and s.ended_at > now() - interval '1 hour') as ended,
                l.user_id is not null as of_patient,
                case when l.ended_at is null then l.created_at end as patient_since
         from users.users u left join users.patient_logins l on l.user_id = u.id where u.id = $1",
    )
    .bind(user)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(head) = head else {
        return Ok(None);
    };
    if head.of_patient {
        return Ok(Some(of_patient(user, head)));
    }
    let grants: Vec<GrantOfRole> = sqlx::query_as(
        "select g.role, r.permissions as own, g.facility, g.department, g.starts_at, g.ends_at
         from users.grants g left join users.roles r on r.code = g.role and r.state = 'active'
         where g.user_id = $1 and g.ended_at is null and (g.ends_at is null or g.ends_at > now())",
    )
    .bind(user)
    .fetch_all(&mut *conn)
    .await?;
    let broken_glass = sqlx::query_as(
        "select patient_id, expires_at from users.broken_glass where user_id = $1 and expires_at > now()",
    )
    .bind(user)
    .fetch_all(conn)
    .await?;
    Ok(Some(Standing {
        user_id: user,
        username: head.username,
        state: head.state,
        must_change: head.must_change,
        direct: head.permissions,
        grants: grants
            .into_iter()
            .map(|grant| HeldGrant {
                permissions: roles::find(&grant.role)
                    .map(|role| role.permissions.clone())
                    .or(grant.own)
                    .unwrap_or_default(),
                facility: grant.facility,
                department: grant.department,
                starts_at: grant.starts_at,
                ends_at: grant.ends_at,
            })
            .collect(),
        ended_sessions: head.ended,
        broken_glass,
    }))
}

/// A patient has the right to his own record while his log-in stands. Whatever else somebody may have written down for him (a grant,
/// a role that an identity provider says he has) is worth nothing.
fn of_patient(user: Uuid, head: Head) -> Standing {
    let own = head.patient_since.map(|since| HeldGrant {
        permissions: roles::find(ROLE).map_or_else(Vec::new, |role| role.permissions.clone()),
        facility: None,
        department: None,
        starts_at: since,
        ends_at: None,
    });
    Standing {
        user_id: user,
        username: head.username,
        state: head.state,
        must_change: head.must_change,
        direct: Vec::new(),
        grants: own.into_iter().collect(),
        ended_sessions: head.ended,
        broken_glass: Vec::new(),
    }
}

/// One breaking of the glass.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct GlassRow {
    pub id: Uuid,
    pub user_id: Uuid,
    pub username: String,
    pub patient_id: Uuid,
    pub reason: String,
    pub opened_at: OffsetDateTime,
    pub expires_at: OffsetDateTime,
    pub reviewed_at: Option<OffsetDateTime>,
    pub reviewed_by: Option<String>,
    pub finding: Option<String>,
    pub note: Option<String>,
}

const GLASS: &str = "select id, user_id, username, patient_id, reason, opened_at, expires_at, reviewed_at, reviewed_by,
    finding, note from users.broken_glass";

/// One of them.
///
/// # Errors
/// The database is out of reach.
pub async fn broken_glass(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<GlassRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!("{GLASS} where id = $1")))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Newest first, after a row; `open_only`: those that nobody has reviewed.
///
/// # Errors
/// The database is out of reach.
pub async fn glass_search(
    conn: &mut PgConnection,
    open_only: bool,
    after: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<GlassRow>, sqlx::Error> {
    sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{GLASS} where (not $1 or reviewed_at is null)
         and ($2::timestamptz is null or (opened_at, id) < ($2, $3)) order by opened_at desc, id desc limit $4"
    )))
    .bind(open_only)
    .bind(after.map(|(at, _)| at))
    .bind(after.map(|(_, id)| id))
    .bind(limit)
    .fetch_all(conn)
    .await
}
