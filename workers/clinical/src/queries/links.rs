//! From the numbers and ids that rows carry to the rows that they mean, for whole pages at once: what a resource refers to.
//!
//! A number is not unique (analyzers count from 1, a placer's number may stand on several orders), so each answer says
//! whose the row is: who asks compares the person, and refers to nothing where more than one fits.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::encounters::EncounterPlace;

/// A row that carries a number.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Numbered {
    pub number: String,
    /// Absent: on nobody's chart.
    pub subject_key: Option<Uuid>,
    /// Of an order.
    pub code: Option<String>,
    pub id: Uuid,
}

/// Encounters with these visit numbers.
///
/// # Errors
/// The database failed.
pub async fn encounters_of_visits(
    conn: &mut PgConnection,
    visits: &[String],
) -> Result<Vec<Numbered>, sqlx::Error> {
    numbered(
        conn,
        "select visit_number as number, subject_key, null::text as code, id from clinical.encounters \
         where visit_number = any($1)",
        visits,
    )
    .await
}

/// Orders with these placer numbers.
///
/// # Errors
/// The database failed.
pub async fn orders_of_placers(
    conn: &mut PgConnection,
    numbers: &[String],
) -> Result<Vec<Numbered>, sqlx::Error> {
    numbered(
        conn,
        "select placer_number as number, subject_key, code, id from clinical.orders where placer_number = any($1)",
        numbers,
    )
    .await
}

/// Specimens with these numbers.
///
/// # Errors
/// The database failed.
pub async fn specimens_of_numbers(
    conn: &mut PgConnection,
    numbers: &[String],
) -> Result<Vec<Numbered>, sqlx::Error> {
    numbered(
        conn,
        "select coalesce(number, filler_number) as number, subject_key, null::text as code, id from clinical.specimens \
         where coalesce(number, filler_number) = any($1)",
        numbers,
    )
    .await
}

async fn numbered(
    conn: &mut PgConnection,
    statement: &'static str,
    numbers: &[String],
) -> Result<Vec<Numbered>, sqlx::Error> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(statement)
        .bind(numbers)
        .fetch_all(conn)
        .await
}

/// Specimens of orders: pairs of order and specimen.
///
/// # Errors
/// The database failed.
pub async fn specimens_of_orders(
    conn: &mut PgConnection,
    orders: &[Uuid],
) -> Result<Vec<(Uuid, Uuid)>, sqlx::Error> {
    sqlx::query_as(
        "select order_id, specimen_id from clinical.order_specimens where order_id = any($1) order by 1, 2",
    )
    .bind(orders)
    .fetch_all(conn)
    .await
}

#[derive(FromRow)]
struct PlaceOf {
    encounter_id: Uuid,
    #[sqlx(flatten)]
    place: EncounterPlace,
}

/// Places of encounters, oldest first.
///
/// # Errors
/// The database failed.
pub async fn places_of_encounters(
    conn: &mut PgConnection,
    encounters: &[Uuid],
) -> Result<Vec<(Uuid, EncounterPlace)>, sqlx::Error> {
    let rows: Vec<PlaceOf> = sqlx::query_as(
        "select encounter_id, location, status, from_at, to_at from clinical.encounter_locations \
         where encounter_id = any($1) order by encounter_id, from_at nulls first, id",
    )
    .bind(encounters)
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.encounter_id, row.place))
        .collect())
}

/// What stands in a report, by place.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ReportItem {
    pub report_id: Uuid,
    pub item: i16,
    pub value_kind: String,
    /// Of attachments.
    pub value_json: Option<serde_json::Value>,
}

/// Current results of reports, in their order.
///
/// # Errors
/// The database failed.
pub async fn items_of_reports(
    conn: &mut PgConnection,
    reports: &[Uuid],
) -> Result<Vec<ReportItem>, sqlx::Error> {
    sqlx::query_as(
        "select report_id, item, value_kind, case when value_kind = 'attachment' then value_json end as value_json \
         from clinical.results where report_id = any($1) and superseded_at is null order by report_id, item",
    )
    .bind(reports)
    .fetch_all(conn)
    .await
}

/// What the report says that its results do not.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ReportOfResult {
    pub id: Uuid,
    pub visit_number: Option<String>,
    pub updated_at: OffsetDateTime,
}

/// Visit and time of the last change of reports.
///
/// # Errors
/// The database failed.
pub async fn reports_of_results(
    conn: &mut PgConnection,
    reports: &[Uuid],
) -> Result<Vec<ReportOfResult>, sqlx::Error> {
    sqlx::query_as("select id, visit_number, updated_at from clinical.reports where id = any($1)")
        .bind(reports)
        .fetch_all(conn)
        .await
}

/// Whose reports are: pairs of report and key; those on nobody's chart are left out.
///
/// # Errors
/// The database failed.
pub async fn subjects_of_reports(
    conn: &mut PgConnection,
    reports: &[Uuid],
) -> Result<Vec<(Uuid, Uuid)>, sqlx::Error> {
    if reports.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select id, subject_key from clinical.reports where id = any($1) and subject_key is not null",
    )
    .bind(reports)
    .fetch_all(conn)
    .await
}
