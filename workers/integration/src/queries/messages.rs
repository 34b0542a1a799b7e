//! The ledger, as an operator searches it.

use serde::Serialize;
use sqlx::{PgConnection, QueryBuilder};
use time::OffsetDateTime;
use uuid::Uuid;

use super::page::{Cursor, Page};

/// One arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Message {
    /// `<stream_seq>.<record_index>`.
    pub id: String,
    pub raw_id: Uuid,
    pub stream_seq: i64,
    pub record_index: i16,
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    pub channel: String,
    pub peer: Option<String>,
    pub size: i32,
    /// `translated`, `not_translated`, `query`, `answer`, `dead`, `duplicate`.
    pub outcome: String,
    pub message_type: Option<String>,
    pub control_id: Option<String>,
    pub patient_number: Option<String>,
    pub accession: Option<String>,
    pub order_number: Option<String>,
    pub visit_number: Option<String>,
    pub bill_number: Option<String>,
    /// The other patients of a message about several.
    pub more_patients: Option<Vec<String>>,
    /// The other specimens of a message about several.
    pub more_accessions: Option<Vec<String>>,
    /// The other orders of a message about several.
    pub more_orders: Option<Vec<String>>,
    /// Types of the events made, in order.
    pub events: Vec<String>,
    pub unmapped: Vec<String>,
    pub notes: Vec<String>,
    /// Raw id of the message of which this is a deliberate child.
    pub parent: Option<Uuid>,
    #[serde(with = "time::serde::rfc3339")]
    pub recorded_at: OffsetDateTime,
}

/// What to look for; all given conditions hold.
#[derive(Debug, Clone, Default)]
pub struct MessageSearch {
    /// Of any patient that the message is about.
    pub patient_number: Option<String>,
    /// Of any specimen that the message is about.
    pub accession: Option<String>,
    /// Of any order that the message is about.
    pub order_number: Option<String>,
    pub control_id: Option<String>,
    pub visit_number: Option<String>,
    pub bill_number: Option<String>,
    pub channel: Option<String>,
    pub message_type: Option<String>,
    pub outcome: Option<String>,
    /// From this moment on.
    pub received_from: Option<OffsetDateTime>,
    /// Before this moment.
    pub received_to: Option<OffsetDateTime>,
    pub after: Option<Cursor>,
    /// At most this many, at least one.
    pub limit: i64,
}

const COLUMNS: &str = "select stream_seq || '.' || record_index as id, raw_id, stream_seq, record_index, received_at, channel,
        peer, size, outcome, message_type, control_id, patient_number, accession, order_number, visit_number, bill_number,
        more_patients, more_accessions, more_orders, events, unmapped, notes, parent, recorded_at ";
const LEDGER: &str = "from integration.messages ";

/// Newest first.
///
/// # Errors
/// The database is out of reach.
pub async fn messages(
    conn: &mut PgConnection,
    search: &MessageSearch,
) -> Result<Page<Message>, sqlx::Error> {
    let limit = search.limit.max(1);
    let mut query = QueryBuilder::new(COLUMNS);
    // a number, its kind in `message_numbers`, the column of the first and that of the others
    let mut numbers = [
        (
            &search.accession,
            "specimen",
            "accession",
            "more_accessions",
        ),
        (
            &search.patient_number,
            "patient",
            "patient_number",
            "more_patients",
        ),
        (&search.order_number, "order", "order_number", "more_orders"),
    ]
    .into_iter()
    .filter_map(|(number, kind, first, others)| Some((number.as_ref()?, kind, first, others)));
    match numbers.next() {
        None => {
            query.push(LEDGER).push("where true");
        }
        // two branches, each with its index; no message is in both
        Some((number, kind, first, _)) => {
            query
                .push("from (select * from integration.messages where ")
                .push(first)
                .push(" = ")
                .push_bind(number)
                .push(
                    " union all select m.* from integration.message_numbers n \
                      join integration.messages m using (received_at, stream_seq, record_index) where n.kind = ",
                )
                .push_bind(kind)
                .push(" and n.number = ")
                .push_bind(number)
                .push(") as m where true");
        }
    }
    for (number, _, first, others) in numbers {
        query
            .push(" and (")
            .push(first)
            .push(" = ")
            .push_bind(number);
        query.push(" or ").push_bind(number).push(" = any(");
        query.push(others).push("))");
    }
    let texts = [
        (" and control_id = ", &search.control_id),
        (" and visit_number = ", &search.visit_number),
        (" and bill_number = ", &search.bill_number),
        (" and channel = ", &search.channel),
        (" and message_type = ", &search.message_type),
        (" and outcome = ", &search.outcome),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value);
        }
    }
    if let Some(from) = search.received_from {
        query.push(" and received_at >= ").push_bind(from);
    }
    if let Some(to) = search.received_to {
        query.push(" and received_at < ").push_bind(to);
    }
    if let Some(after) = search.after {
        // the first condition alone lets the planner leave out partitions
        query
            .push(" and received_at <= ")
            .push_bind(after.received_at);
        query
            .push(" and (received_at, stream_seq, record_index) < (")
            .push_bind(after.received_at)
            .push(", ")
            .push_bind(after.stream_seq)
            .push(", ")
            .push_bind(after.record_index)
            .push(")");
    }
    query
        .push(" order by received_at desc, stream_seq desc, record_index desc limit ")
        .push_bind(limit + 1);
    let mut items: Vec<Message> = query.build_query_as().fetch_all(conn).await?;
    let has_more = i64::try_from(items.len()).is_ok_and(|found| found > limit);
    if has_more {
        items.pop();
    }
    let next = items.last().filter(|_| has_more).map(|last| {
        Cursor {
            received_at: last.received_at,
            stream_seq: last.stream_seq,
            record_index: last.record_index,
        }
        .encode()
    });
    Ok(Page { items, next })
}

/// One arrival, by `<stream_seq>.<record_index>` or by raw id (then the first arrival of those bytes).
///
/// # Errors
/// The database is out of reach.
pub async fn message(conn: &mut PgConnection, id: &str) -> Result<Option<Message>, sqlx::Error> {
    if let Ok(raw_id) = id.parse::<Uuid>() {
        return Ok(messages_of_raw(conn, raw_id).await?.into_iter().next());
    }
    let place = id
        .split_once('.')
        .and_then(|(seq, index)| Some((seq.parse::<i64>().ok()?, index.parse::<i16>().ok()?)));
    let Some((stream_seq, record_index)) = place else {
        return Ok(None);
    };
    // a stream that was made anew counts from 1 again: the newest is meant
    let mut query = QueryBuilder::new(COLUMNS);
    query
        .push(LEDGER)
        .push("where stream_seq = ")
        .push_bind(stream_seq)
        .push(" and record_index = ")
        .push_bind(record_index)
        .push(" order by received_at desc limit 1");
    query.build_query_as().fetch_optional(conn).await
}

/// Every arrival of the same bytes on the same channel, oldest first.
///
/// # Errors
/// The database is out of reach.
pub async fn messages_of_raw(
    conn: &mut PgConnection,
    raw_id: Uuid,
) -> Result<Vec<Message>, sqlx::Error> {
    by_uuid(conn, "where raw_id = ", raw_id).await
}

/// Deliberate children of a message, oldest first.
pub(super) async fn children(
    conn: &mut PgConnection,
    raw_id: Uuid,
) -> Result<Vec<Message>, sqlx::Error> {
    by_uuid(conn, "where parent = ", raw_id).await
}

async fn by_uuid(
    conn: &mut PgConnection,
    condition: &'static str,
    id: Uuid,
) -> Result<Vec<Message>, sqlx::Error> {
    let mut query = QueryBuilder::new(COLUMNS);
    query
        .push(LEDGER)
        .push(condition)
        .push_bind(id)
        .push(" order by received_at, stream_seq, record_index limit 100");
    query.build_query_as().fetch_all(conn).await
}
