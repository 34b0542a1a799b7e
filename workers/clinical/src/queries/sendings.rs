//! What instruments were told of orders, and how they took it.

use serde::Serialize;
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

/// The newest word to one channel about one order.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct SendingRow {
    pub order_id: Uuid,
    pub channel: String,
    /// `perform` or `cancel`.
    pub action: String,
    /// `sending`, `delivered`, `accepted`, `refused`, `no_answer`.
    pub answer: String,
    pub reason: Option<String>,
    /// `query` or `download`.
    pub occasion: String,
    pub control_id: Option<String>,
    /// Messages that carried it and of which is known what became of them.
    pub times: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub first_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
}

/// Of these orders, oldest word first.
///
/// # Errors
/// The database failed.
pub async fn sendings(
    conn: &mut PgConnection,
    orders: &[Uuid],
) -> Result<Vec<SendingRow>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query_as(
        "select order_id, channel, action, answer, reason, occasion, control_id, times, first_at, at \
         from clinical.order_sendings where order_id = any($1) order by order_id, at, channel, action",
    )
    .bind(orders)
    .fetch_all(conn)
    .await
}
