//! Is a patient at a place now? What a care relationship is made of.

use sqlx::PgConnection;
use uuid::Uuid;

/// True when this encounter is at one of the places, over or not; places as [`is_in_care_at`] has them.
///
/// # Errors
/// The database failed.
pub async fn is_encounter_at(
    conn: &mut PgConnection,
    id: Uuid,
    facilities: &[String],
    departments: &[String],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (
             select from clinical.encounters e where e.id = $1 and clinical.is_at(e.location, $2, $3))",
    )
    .bind(id)
    .bind(facilities)
    .bind(departments)
    .fetch_one(conn)
    .await
}

/// True when one of the keys has an encounter that is planned or under way at one of the places. A place is a facility, or
/// a ward (HL7 PL.1, the point of care) or department of one; `departments` has an empty text for the whole facility.
///
/// # Errors
/// The database failed.
pub async fn is_in_care_at(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    facilities: &[String],
    departments: &[String],
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select exists (
             select from clinical.encounters e
             where e.subject_key = any($1) and e.status in ('planned', 'in_progress')
               and clinical.is_at(e.location, $2, $3))",
    )
    .bind(subjects)
    .bind(facilities)
    .bind(departments)
    .fetch_one(conn)
    .await
}
