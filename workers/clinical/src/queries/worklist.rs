//! What is pending on tubes: what an instrument that asks is answered from.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// One ordered test on one tube, to be done or to be taken back.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct PendingTest {
    /// On the tube.
    pub number: String,
    pub order_id: Uuid,
    pub subject_key: Uuid,
    /// The order was revoked, or somebody asked for that: to be taken back.
    pub cancelled: bool,
    pub code: String,
    pub code_system: Option<String>,
    pub code_text: Option<String>,
    pub priority: Option<String>,
    pub placer_number: Option<String>,
    pub filler_number: Option<String>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub ordered_at: Option<OffsetDateTime>,
    /// `{code, text, system}`
    pub kind: Option<serde_json::Value>,
    #[serde(with = "time::serde::rfc3339::option")]
    pub collected_at: Option<OffsetDateTime>,
}

/// Tests on these tubes for a channel, oldest order first. A revoked order is told as such for a day: an instrument that
/// was offline may still have it on its list.
///
/// # Errors
/// The database failed.
pub async fn pending_on(
    conn: &mut PgConnection,
    channel: &str,
    numbers: &[String],
) -> Result<Vec<PendingTest>, sqlx::Error> {
    sqlx::query_as(
        "select carried.number, orders.id as order_id, carried.subject_key, orders.status <> 'active' as cancelled, \
         orders.code, orders.code_system, orders.code_text, orders.priority, orders.placer_number, \
         orders.filler_number, orders.ordered_at, tube.kind, tube.collected_at \
         from clinical.order_tubes as carried \
         join clinical.orders as orders on orders.id = carried.order_id \
         left join lateral ( \
             select specimen.kind, specimen.collected_at from clinical.order_specimens as link \
             join clinical.specimens as specimen on specimen.id = link.specimen_id \
             where link.order_id = orders.id and carried.number in (specimen.number, specimen.filler_number) limit 1 \
         ) as tube on true \
         where carried.number = any($2) and (orders.targets is null or $1 = any(orders.targets)) \
         and (carried.state = 'open' and orders.status in ('active', 'cancel_requested') \
             or orders.status = 'revoked' and carried.settled_at > now() - interval '1 day') \
         order by orders.created_at, orders.id",
    )
    .bind(channel)
    .bind(numbers)
    .fetch_all(conn)
    .await
}

/// Those of the numbers that an order or a patient's result has named.
///
/// # Errors
/// The database failed.
pub async fn known_numbers(
    conn: &mut PgConnection,
    numbers: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select number from clinical.tubes where number = any($1) and subject_key is not null \
         union select number from clinical.specimens where number = any($1) and subject_key is not null",
    )
    .bind(numbers)
    .fetch_all(conn)
    .await
}

/// How many tests a tube has at most, as far as the walk below needs to know: tubes with more take room of others.
const TESTS_A_TUBE: i64 = 40;

/// Numbers of the tubes that wait longest for one of these ordered codes on this channel, at most `limit`.
///
/// # Errors
/// The database failed.
pub async fn oldest_pending(
    conn: &mut PgConnection,
    channel: &str,
    codes: &[String],
    limit: u32,
) -> Result<Vec<String>, sqlx::Error> {
    let limit = limit.min(1_000);
    let rows: Vec<String> = sqlx::query_scalar(
        "select carried.number from clinical.order_tubes as carried \
         join clinical.orders as orders on orders.id = carried.order_id \
         where carried.state = 'open' and orders.status in ('active', 'cancel_requested') \
         and orders.code = any($2) and (orders.targets is null or $1 = any(orders.targets)) \
         order by carried.created_at, carried.number limit $3",
    )
    .bind(channel)
    .bind(codes)
    .bind(i64::from(limit) * TESTS_A_TUBE)
    .fetch_all(conn)
    .await?;
    let mut numbers: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for number in rows {
        if numbers.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            break;
        }
        if seen.insert(number.clone()) {
            numbers.push(number);
        }
    }
    Ok(numbers)
}
