//! Who is in a ward now: what bedside devices are given as their list of patients.

use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

/// A patient of a ward.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct InWard {
    pub subject_key: Uuid,
    /// `Location`
    pub location: Option<serde_json::Value>,
}

/// Patients who are in a ward by what hospital systems and staff said last, at most `limit`; `ward` absent: in the house. Facilities
/// are compared where both sides name one.
///
/// In the house is who was admitted and has not left. Who is treated without being admitted (PV1-2 other than I) counts for
/// three days where a bed is named: their visits are often never closed.
///
/// # Errors
/// The database failed.
pub async fn in_ward(
    conn: &mut PgConnection,
    ward: Option<&str>,
    facility: Option<&str>,
    limit: i64,
) -> Result<Vec<InWard>, sqlx::Error> {
    sqlx::query_as(
        "with here as ( \
             select e.encounter_key, e.subject_key, e.location, e.created_at from clinical.encounters e \
             where e.stage in ('admitted', 'discharge_initiated', 'cleared') \
             union \
             select e.encounter_key, e.subject_key, e.location, e.created_at from clinical.bed_stays s \
             join clinical.encounters e on e.encounter_key = s.encounter_key and e.status = 'in_progress' \
             where s.to_at is null and not s.void and s.from_at > now() - interval '3 days' \
         ) select subject_key, location from here \
         where ($1::text is null or upper(regexp_replace(btrim(location ->> 'point_of_care'), '\\s+', ' ', 'g')) \
                 = upper(regexp_replace(btrim($1), '\\s+', ' ', 'g'))) \
         and ($2::text is null or location ->> 'facility' is null or upper(btrim(location ->> 'facility')) = upper(btrim($2))) \
         order by created_at, encounter_key limit $3",
    )
    .bind(ward)
    .bind(facility)
    .bind(limit)
    .fetch_all(conn)
    .await
}
