//! Patients' log-ins.

use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// A log-in of a patient, also one that ended.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct PatientLoginRow {
    pub user_id: Uuid,
    pub username: String,
    /// The record that it was made for.
    pub made_for: Uuid,
    /// The record that stands for it now.
    pub patient_id: Uuid,
    /// Of the user: `active`, `locked`, `disabled`.
    pub state: String,
    pub must_change: bool,
    pub has_factor: bool,
    pub version: i32,
    pub created_by: String,
    pub created_at: OffsetDateTime,
    pub last_sign_in: Option<OffsetDateTime>,
    pub ended_at: Option<OffsetDateTime>,
    pub ended_by: Option<String>,
    /// `desk` or `merge`.
    pub ended_as: Option<String>,
    pub end_reason: Option<String>,
}

/// Log-ins that were made for any of the person's records, by the id of one of them: the one that stands first, then the newest.
///
/// # Errors
/// The database is out of reach.
pub async fn patient_logins(
    conn: &mut PgConnection,
    patient: Uuid,
) -> Result<Vec<PatientLoginRow>, sqlx::Error> {
    sqlx::query_as(
        "select l.user_id, u.username, l.made_for, coalesce(patients.standing(l.made_for), l.made_for) as patient_id,
                u.state, u.must_change,
                exists (select from users.factors f where f.user_id = u.id and f.state = 'active')
                    or exists (select from users.passkeys p where p.user_id = u.id and p.ended_at is null) as has_factor,
                l.version, l.created_by, l.created_at,
                (select max(s.created_at) from users.sessions s where s.user_id = u.id) as last_sign_in,
                l.ended_at, l.ended_by, l.ended_as, l.end_reason
         from users.patient_logins l join users.users u on u.id = l.user_id
         where l.made_for in (select f.id from patients.family_of(patients.standing($1)) as f(id))
         order by (l.ended_at is null) desc, l.created_at desc, l.user_id limit 100",
    )
    .bind(patient)
    .fetch_all(conn)
    .await
}

/// The record that is this user's own at this moment: the one that stands for the one that his log-in was made for. `None`: he is no
/// patient, his log-in has ended, or the record was entered in error.
///
/// Merges are followed here and not only where the worker has heard of them: after an unmerge nobody sees the other's record.
///
/// # Errors
/// The database is out of reach.
pub async fn own_record(conn: &mut PgConnection, user: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar(
        "select p.id from users.patient_logins l
         join users.users u on u.id = l.user_id and u.state = 'active'
         join patients.patients p on p.id = patients.standing(l.made_for) and p.status = 'active'
         where l.user_id = $1 and l.ended_at is null",
    )
    .bind(user)
    .fetch_optional(conn)
    .await
}
