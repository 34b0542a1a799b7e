//! Orders and specimens.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::cursor::{Cursor, Page};

/// One order.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct OrderRow {
    pub id: Uuid,
    pub subject_key: Option<Uuid>,
    pub visit_number: Option<String>,
    pub placer_number: Option<String>,
    pub filler_number: Option<String>,
    pub group_number: Option<String>,
    pub code: String,
    pub code_system: Option<String>,
    pub code_text: Option<String>,
    /// `active`, `on_hold`, `cancel_requested`, `revoked`, `completed`, `entered_in_error`, `unknown`.
    pub status: String,
    pub priority: Option<String>,
    pub ordered_by: Option<serde_json::Value>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ordered_at: Option<OffsetDateTime>,
    /// Lines joined by line feed.
    pub notes: Option<String>,
    /// Channels whose instruments may do it; absent = every one that knows the test.
    pub targets: Option<Vec<String>>,
    /// Why it is not offered to instruments although it is open: `specimen_in_use`, `specimen_rejected`.
    pub held: Option<String>,
    pub version: i32,
    pub source_event: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl OrderRow {
    /// Where the next page begins after this row.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor::row(self.created_at, self.id)
    }
}

/// One specimen; codes as `{code, text, system}`.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct SpecimenRow {
    pub id: Uuid,
    pub number: Option<String>,
    pub filler_number: Option<String>,
    pub subject_key: Option<Uuid>,
    pub kind: Option<serde_json::Value>,
    pub body_site: Option<serde_json::Value>,
    /// HL7 table 0369.
    pub role: Option<String>,
    pub container: Option<serde_json::Value>,
    pub condition: Option<serde_json::Value>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub collected_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub received_at: Option<OffsetDateTime>,
    /// `accessioned`, `collected`, `received`, `rejected`.
    pub state: String,
    /// Where staff said it.
    pub collected_by: Option<String>,
    pub received_by: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub rejected_at: Option<OffsetDateTime>,
    pub rejected_by: Option<String>,
    /// [`schemas::specimens::RejectReason`]
    pub reject_reason: Option<String>,
    pub reject_text: Option<String>,
    /// Its orders wait for another one.
    pub recollect: Option<bool>,
    pub version: i32,
}

/// Which orders; absent = all.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    pub status: Option<String>,
    pub code: Option<String>,
    /// Placer, filler or group number.
    pub number: Option<String>,
    /// Ordered (or, where that is unknown, recorded) at or after.
    pub from: Option<OffsetDateTime>,
    /// Ordered before.
    pub to: Option<OffsetDateTime>,
}

const COLUMNS: &str = "id, subject_key, visit_number, placer_number, filler_number, group_number, code, code_system, \
    code_text, status, priority, ordered_by, ordered_at, notes, targets, held, version, source_event, created_at, updated_at";

pub(super) const SPECIMEN_COLUMNS: &str = "specimen.id, specimen.number, specimen.filler_number, specimen.subject_key, \
    specimen.kind, specimen.body_site, specimen.role, specimen.container, specimen.condition, \
    specimen.collected_at, specimen.received_at, case when specimen.rejected_at is not null then 'rejected' \
    when specimen.received_at is not null then 'received' when specimen.collected_at is not null then 'collected' \
    else 'accessioned' end as state, specimen.collected_by, specimen.received_by, specimen.rejected_at, \
    specimen.rejected_by, specimen.reject_reason, specimen.reject_text, specimen.recollect, specimen.version";

/// Orders of a patient, newest first.
///
/// # Errors
/// The database failed.
pub async fn orders_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    filter: &OrderFilter,
    page: Page,
) -> Result<Vec<OrderRow>, sqlx::Error> {
    let start = page.start();
    let query = format!(
        "select page.* from unnest($1::uuid[]) as subject (key) cross join lateral ( \
             select {COLUMNS} from clinical.orders \
             where subject_key = subject.key and (created_at, id) < ($2, $3) \
             and ($4::text is null or status = $4) and ($5::text is null or code = $5) \
             and ($6::text is null or $6 in (placer_number, filler_number, group_number)) \
             and ($7::timestamptz is null or coalesce(ordered_at, created_at) >= $7) \
             and ($8::timestamptz is null or coalesce(ordered_at, created_at) < $8) \
             order by created_at desc, id desc limit $9 \
         ) as page order by created_at desc, id desc limit $9"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(start.at)
        .bind(start.id)
        .bind(&filter.status)
        .bind(&filter.code)
        .bind(&filter.number)
        .bind(filter.from)
        .bind(filter.to)
        .bind(page.rows())
        .fetch_all(conn)
        .await
}

/// Orders on the specimens with this number, newest first.
///
/// # Errors
/// The database failed.
pub async fn orders_for_specimen(
    conn: &mut PgConnection,
    number: &str,
    filter: &OrderFilter,
    page: Page,
) -> Result<Vec<OrderRow>, sqlx::Error> {
    let start = page.start();
    let query = format!(
        "select {COLUMNS} from clinical.orders where id in ( \
             select link.order_id from clinical.specimens as specimen \
             join clinical.order_specimens as link on link.specimen_id = specimen.id \
             where coalesce(specimen.number, specimen.filler_number) = $1) \
         and (created_at, id) < ($2, $3) and ($4::text is null or status = $4) and ($5::text is null or code = $5) \
         and ($6::text is null or $6 in (placer_number, filler_number, group_number)) \
         order by created_at desc, id desc limit $7"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(number)
        .bind(start.at)
        .bind(start.id)
        .bind(&filter.status)
        .bind(&filter.code)
        .bind(&filter.number)
        .bind(page.rows())
        .fetch_all(conn)
        .await
}

/// One order.
///
/// # Errors
/// The database failed.
pub async fn order(conn: &mut PgConnection, id: Uuid) -> Result<Option<OrderRow>, sqlx::Error> {
    let query = format!("select {COLUMNS} from clinical.orders where id = $1");
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(id)
        .fetch_optional(conn)
        .await
}

/// Specimens of one order.
///
/// # Errors
/// The database failed.
pub async fn specimens_of_order(
    conn: &mut PgConnection,
    order: Uuid,
) -> Result<Vec<SpecimenRow>, sqlx::Error> {
    let query = format!(
        "select {SPECIMEN_COLUMNS} from clinical.order_specimens as link \
         join clinical.specimens as specimen on specimen.id = link.specimen_id \
         where link.order_id = $1 order by specimen.id"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(order)
        .fetch_all(conn)
        .await
}

/// Specimens with this number, newest first, at most 100: analyzers use small numbers again.
///
/// # Errors
/// The database failed.
pub async fn specimens_by_number(
    conn: &mut PgConnection,
    number: &str,
) -> Result<Vec<SpecimenRow>, sqlx::Error> {
    let query = format!(
        "select {SPECIMEN_COLUMNS} from clinical.specimens as specimen \
         where coalesce(specimen.number, specimen.filler_number) = $1 order by specimen.id desc limit 100"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(number)
        .fetch_all(conn)
        .await
}
