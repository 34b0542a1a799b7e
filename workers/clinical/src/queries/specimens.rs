//! Specimens with whose they are and which orders they are for.

use sqlx::{FromRow, PgConnection, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::orders::{SPECIMEN_COLUMNS, SpecimenRow};
use crate::specimens::state;

/// One specimen and what is known of it beside itself.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct KeptSpecimen {
    #[sqlx(flatten)]
    pub specimen: SpecimenRow,
    pub orders: Vec<Uuid>,
    pub source_event: Uuid,
    pub created_at: OffsetDateTime,
    pub updated_at: OffsetDateTime,
}

const MORE: &str = "specimen.source_event, specimen.created_at, specimen.updated_at, \
    array(select link.order_id from clinical.order_specimens as link where link.specimen_id = specimen.id \
        order by link.order_id) as orders";

/// Steps that staff may take with a specimen that stands so, by the word of its state.
#[must_use]
pub fn specimen_steps(state: &str) -> Vec<&'static str> {
    state::steps(state)
}

/// Specimens by their ids.
///
/// # Errors
/// The database failed.
pub async fn specimens(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<KeptSpecimen>, sqlx::Error> {
    let query = format!(
        "select {SPECIMEN_COLUMNS}, {MORE} from clinical.specimens as specimen where specimen.id = any($1) order by specimen.id"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(ids)
        .fetch_all(conn)
        .await
}

/// Specimens with one of these numbers, newest first, at most 100: analyzers use small numbers again.
///
/// # Errors
/// The database failed.
pub async fn specimens_numbered(
    conn: &mut PgConnection,
    numbers: &[String],
) -> Result<Vec<KeptSpecimen>, sqlx::Error> {
    let query = format!(
        "select {SPECIMEN_COLUMNS}, {MORE} from clinical.specimens as specimen \
         where coalesce(specimen.number, specimen.filler_number) = any($1) \
         order by specimen.id desc limit 100"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(numbers)
        .fetch_all(conn)
        .await
}

/// Specimens of a patient, newest first: those that his orders are for, and those that his reports name. Specimens have no
/// index by patient; both walks are as long as his chart.
///
/// # Errors
/// The database failed.
pub async fn specimens_for_subjects(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<KeptSpecimen>, sqlx::Error> {
    let query = format!(
        "with named as ( \
             select link.specimen_id as id from clinical.orders as ordered \
             join clinical.order_specimens as link on link.order_id = ordered.id where ordered.subject_key = any($1) \
             union \
             select specimen.id from clinical.reports as report \
             join clinical.specimens as specimen \
             on coalesce(specimen.number, specimen.filler_number) = report.specimen_number \
             and specimen.subject_key = report.subject_key where report.subject_key = any($1)) \
         select {SPECIMEN_COLUMNS}, {MORE} from named join clinical.specimens as specimen on specimen.id = named.id \
         where specimen.subject_key = any($1) and ($2::uuid is null or specimen.id < $2) \
         order by specimen.id desc limit $3"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(subjects)
        .bind(after)
        .bind(limit)
        .fetch_all(conn)
        .await
}

/// Where a specimen stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpecimenState {
    Accessioned,
    Collected,
    Received,
    Rejected,
}

/// Which specimens; all given conditions hold.
#[derive(Debug, Clone, Default)]
pub struct SpecimenFilter {
    /// On the tube: the specimen's own, else the filler's.
    pub number: Option<String>,
    /// Keys of a patient: those that his orders are for, and those that his reports name.
    pub subjects: Option<Vec<Uuid>>,
    pub order: Option<Uuid>,
    pub state: Option<SpecimenState>,
    /// Open orders are on it.
    pub awaited: bool,
    /// Collected at or after.
    pub collected_from: Option<OffsetDateTime>,
    /// Collected before.
    pub collected_to: Option<OffsetDateTime>,
    /// Keyset: below this id.
    pub after: Option<Uuid>,
    pub limit: i64,
}

/// Newest first. At least one of number, subjects, order, awaited or the state `rejected` leads to an index.
///
/// # Errors
/// The database failed.
pub async fn specimens_found(
    conn: &mut PgConnection,
    filter: &SpecimenFilter,
) -> Result<Vec<KeptSpecimen>, sqlx::Error> {
    let mut query = QueryBuilder::new("select ");
    query
        .push(SPECIMEN_COLUMNS)
        .push(", ")
        .push(MORE)
        .push(" from clinical.specimens as specimen where true");
    if let Some(number) = &filter.number {
        query
            .push(" and coalesce(specimen.number, specimen.filler_number) = ")
            .push_bind(number);
    }
    if let Some(subjects) = &filter.subjects {
        // each half walks an index; specimens have none by patient
        query
            .push(
                " and specimen.id in (select link.specimen_id from clinical.orders as ordered \
                 join clinical.order_specimens as link on link.order_id = ordered.id where ordered.subject_key = any(",
            )
            .push_bind(subjects)
            .push(
                ") union select tube.id from clinical.reports as report join clinical.specimens as tube \
                 on coalesce(tube.number, tube.filler_number) = report.specimen_number and tube.subject_key = report.subject_key \
                 where report.subject_key = any(",
            )
            .push_bind(subjects)
            .push(")) and specimen.subject_key = any(")
            .push_bind(subjects)
            .push(")");
    }
    if let Some(order) = filter.order {
        query
            .push(" and specimen.id in (select link.specimen_id from clinical.order_specimens as link where link.order_id = ")
            .push_bind(order)
            .push(")");
    }
    if filter.awaited {
        // an array, so that the few that wait are looked up: a join may be walked from the newest specimen down, and where fewer wait
        // than the page holds, that is all of them
        query.push(
            " and specimen.id = any(array(select tube.id from clinical.order_tubes as carried \
             join clinical.specimens as tube \
             on coalesce(tube.number, tube.filler_number) = carried.number and tube.subject_key = carried.subject_key \
             where carried.state = 'open'))",
        );
    }
    query.push(match filter.state {
        None => "",
        Some(SpecimenState::Accessioned) => {
            " and specimen.collected_at is null and specimen.received_at is null and specimen.rejected_at is null"
        }
        Some(SpecimenState::Collected) => {
            " and specimen.collected_at is not null and specimen.received_at is null and specimen.rejected_at is null"
        }
        Some(SpecimenState::Received) => {
            " and specimen.received_at is not null and specimen.rejected_at is null"
        }
        Some(SpecimenState::Rejected) => " and specimen.rejected_at is not null",
    });
    if let Some(from) = filter.collected_from {
        query.push(" and specimen.collected_at >= ").push_bind(from);
    }
    if let Some(to) = filter.collected_to {
        query.push(" and specimen.collected_at < ").push_bind(to);
    }
    if let Some(after) = filter.after {
        query.push(" and specimen.id < ").push_bind(after);
    }
    query
        .push(" order by specimen.id desc limit ")
        .push_bind(filter.limit);
    query.build_query_as().fetch_all(conn).await
}
