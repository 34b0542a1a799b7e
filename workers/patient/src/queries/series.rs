//! The numbers that facilities give.

use serde::Serialize;
use sqlx::PgConnection;

/// How one facility numbers its patients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct NumberSeries {
    pub facility: String,
    pub prefix: String,
    pub width: i16,
    /// The number that the next patient gets.
    pub next: i64,
    /// Of the definition.
    pub version: i32,
}

/// All series, by facility.
///
/// # Errors
/// The database is out of reach.
pub async fn number_series(conn: &mut PgConnection) -> Result<Vec<NumberSeries>, sqlx::Error> {
    sqlx::query_as(
        "select facility, prefix, width, next, version from patients.number_series order by facility limit 500",
    )
    .fetch_all(conn)
    .await
}

/// The series of one facility.
///
/// # Errors
/// The database is out of reach.
pub async fn one_number_series(
    conn: &mut PgConnection,
    facility: &str,
) -> Result<Option<NumberSeries>, sqlx::Error> {
    sqlx::query_as(
        "select facility, prefix, width, next, version from patients.number_series where facility = $1",
    )
    .bind(facility)
    .fetch_optional(conn)
    .await
}
