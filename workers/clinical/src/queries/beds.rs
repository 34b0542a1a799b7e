//! Beds that messages named, as somebody was in them.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// A bed. Room and facility are empty where the messages named none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow)]
pub struct NamedBed {
    pub bed_key: Uuid,
    pub ward: String,
    pub bed: String,
    pub room: String,
    pub facility: String,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
}

/// Beds of the hospital, at most `limit`. A bed in which nobody ever was has no name here but its digest, and is left out.
///
/// # Errors
/// The database failed.
pub async fn named_beds(conn: &mut PgConnection, limit: i64) -> Result<Vec<NamedBed>, sqlx::Error> {
    sqlx::query_as(
        "select bed.bed_key, stay.ward, stay.bed, bed.room, bed.facility, bed.first_at from clinical.beds as bed \
         cross join lateral (select ward, bed from clinical.bed_stays as stay \
             where stay.bed_key = bed.bed_key and not stay.void order by stay.from_at limit 1) as stay \
         order by bed.facility, stay.ward, bed.room, stay.bed limit $1",
    )
    .bind(limit)
    .fetch_all(conn)
    .await
}
