//! Orders as they stand in the table: found by key or by number, changed in memory, written back together.

use std::collections::HashMap;

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::transition::OrderState;

/// One row of `clinical.orders`.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub(crate) struct Order {
    pub(crate) id: Uuid,
    pub(crate) order_key: Uuid,
    pub(crate) subject_key: Option<Uuid>,
    pub(crate) visit_number: Option<String>,
    pub(crate) placer_number: Option<String>,
    pub(crate) filler_number: Option<String>,
    pub(crate) group_number: Option<String>,
    pub(crate) code: String,
    pub(crate) code_system: Option<String>,
    pub(crate) code_text: Option<String>,
    pub(crate) status: String,
    pub(crate) priority: Option<String>,
    pub(crate) ordered_by: Option<serde_json::Value>,
    pub(crate) ordered_at: Option<OffsetDateTime>,
    pub(crate) notes: Option<String>,
    /// Channels whose instruments may do it; none said = every one that knows the test.
    pub(crate) targets: Option<Vec<String>>,
    /// Why it is not offered to instruments although it is open.
    pub(crate) held: Option<String>,
    pub(crate) fact_at: OffsetDateTime,
    pub(crate) version: i32,
    pub(crate) source_event: Uuid,
}

impl Order {
    pub(crate) fn state(&self) -> OrderState {
        OrderState::stored(&self.status)
    }
}

/// What a message says to find its order by.
pub(crate) struct Wanted<'w> {
    pub(crate) key: Uuid,
    pub(crate) number: Option<&'w str>,
    pub(crate) code: &'w str,
    pub(crate) subject: Option<Uuid>,
    /// Where no number leads to an order, the patient's open one on the code is meant.
    pub(crate) or_open: bool,
}

const COLUMNS: &str = "id, order_key, subject_key, visit_number, placer_number, filler_number, group_number, code, \
    code_system, code_text, status, priority, ordered_by, ordered_at, notes, targets, held, fact_at, version, source_event";

/// The orders that the messages mean, by the message's key: first by key, then (the filler answers with its own number,
/// or names no patient) by number and code, then by an open order on the code where the message looks for one.
pub(crate) async fn load(
    tx: &mut Tx<'_>,
    wanted: &[Wanted<'_>],
) -> Result<HashMap<Uuid, Order>, sqlx::Error> {
    let keys: Vec<Uuid> = wanted.iter().map(|one| one.key).collect();
    let query = format!(
        "select {COLUMNS} from clinical.orders where order_key = any($1) order by id for update"
    );
    let mut found: HashMap<Uuid, Order> = sqlx::query_as::<_, Order>(sqlx::AssertSqlSafe(query))
        .bind(&keys)
        .fetch_all(tx.conn())
        .await?
        .into_iter()
        .map(|order| (order.order_key, order))
        .collect();
    by_number(tx, wanted, &mut found).await?;
    by_open_order(tx, wanted, &mut found).await?;
    Ok(found)
}

async fn by_number(
    tx: &mut Tx<'_>,
    wanted: &[Wanted<'_>],
    found: &mut HashMap<Uuid, Order>,
) -> Result<(), sqlx::Error> {
    let missing: Vec<&Wanted<'_>> = wanted
        .iter()
        .filter(|one| one.number.is_some() && !found.contains_key(&one.key))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let numbers: Vec<&str> = missing.iter().filter_map(|one| one.number).collect();
    let query = format!(
        "select {COLUMNS} from clinical.orders \
         where (placer_number = any($1) or filler_number = any($1)) order by id for update"
    );
    let numbered: Vec<Order> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(numbers)
        .fetch_all(tx.conn())
        .await?;
    for one in missing {
        let same = |order: &&Order| {
            order.code == one.code
                && (order.subject_key == one.subject
                    || order.subject_key.is_none()
                    || one.subject.is_none())
                && (order.placer_number.as_deref() == one.number
                    || order.filler_number.as_deref() == one.number)
        };
        // the newest that fits
        if let Some(order) = numbered.iter().rev().find(same) {
            found.insert(one.key, order.clone());
        }
    }
    Ok(())
}

/// Of several open orders the oldest is answered first. One that another instrument answered with its number is not open to this.
async fn by_open_order(
    tx: &mut Tx<'_>,
    wanted: &[Wanted<'_>],
    found: &mut HashMap<Uuid, Order>,
) -> Result<(), sqlx::Error> {
    let looking: Vec<(Uuid, Uuid, &str)> = wanted
        .iter()
        .filter(|one| one.or_open && !found.contains_key(&one.key))
        .filter_map(|one| Some((one.key, one.subject?, one.code)))
        .collect();
    if looking.is_empty() {
        return Ok(());
    }
    let query = format!(
        "select {COLUMNS} from clinical.orders \
         where subject_key = any($1) and code = any($2) and status in ('active', 'unknown') and filler_number is null \
         order by coalesce(ordered_at, created_at), id for update"
    );
    let mut open: Vec<Order> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(
            looking
                .iter()
                .map(|(_, subject, _)| *subject)
                .collect::<Vec<_>>(),
        )
        .bind(looking.iter().map(|(_, _, code)| *code).collect::<Vec<_>>())
        .fetch_all(tx.conn())
        .await?;
    for (key, subject, code) in looking {
        let first = open
            .iter()
            .position(|order| order.subject_key == Some(subject) && order.code == code);
        if let Some(first) = first {
            found.insert(key, open.remove(first));
        }
    }
    Ok(())
}

/// Inserts the new ones and rewrites the changed ones.
pub(crate) async fn save(tx: &mut Tx<'_>, orders: &[&Order]) -> Result<(), sqlx::Error> {
    if orders.is_empty() {
        return Ok(());
    }
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into clinical.orders (tenant_id, id, order_key, subject_key, visit_number, placer_number, \
         filler_number, group_number, code, code_system, code_text, status, priority, ordered_by, ordered_at, \
         notes, targets, held, fact_at, version, source_event) \
         select $1, id, order_key, subject_key, visit_number, placer_number, filler_number, group_number, code, \
         code_system, code_text, status, priority, ordered_by, ordered_at, notes, string_to_array(targets, ','), \
         held, fact_at, version, source_event from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], \
         $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::jsonb[], \
         $15::timestamptz[], $16::text[], $17::text[], $18::text[], $19::timestamptz[], $20::integer[], $21::uuid[]) \
         as placed (id, order_key, subject_key, visit_number, placer_number, filler_number, group_number, code, \
         code_system, code_text, status, priority, ordered_by, ordered_at, notes, targets, held, fact_at, version, \
         source_event) \
         on conflict (id) do update set subject_key = excluded.subject_key, visit_number = excluded.visit_number, \
         placer_number = excluded.placer_number, filler_number = excluded.filler_number, \
         group_number = excluded.group_number, code_system = excluded.code_system, \
         code_text = excluded.code_text, status = excluded.status, priority = excluded.priority, \
         ordered_by = excluded.ordered_by, ordered_at = excluded.ordered_at, notes = excluded.notes, \
         targets = excluded.targets, held = excluded.held, \
         fact_at = excluded.fact_at, version = excluded.version, updated_at = now()",
    )
    .bind(tenant.as_str())
    .bind(orders.iter().map(|o| o.id).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.order_key).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.subject_key).collect::<Vec<_>>())
    .bind(texts(orders, |o| o.visit_number.as_deref()))
    .bind(texts(orders, |o| o.placer_number.as_deref()))
    .bind(texts(orders, |o| o.filler_number.as_deref()))
    .bind(texts(orders, |o| o.group_number.as_deref()))
    .bind(texts(orders, |o| Some(o.code.as_str())))
    .bind(texts(orders, |o| o.code_system.as_deref()))
    .bind(texts(orders, |o| o.code_text.as_deref()))
    .bind(texts(orders, |o| Some(o.status.as_str())))
    .bind(texts(orders, |o| o.priority.as_deref()))
    .bind(orders.iter().map(|o| o.ordered_by.clone()).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.ordered_at).collect::<Vec<_>>())
    .bind(texts(orders, |o| o.notes.as_deref()))
    // an array of arrays must be a rectangle; ids of channels hold no comma
    .bind(orders.iter().map(|o| Some(o.targets.as_ref()?.join(","))).collect::<Vec<_>>())
    .bind(texts(orders, |o| o.held.as_deref()))
    .bind(orders.iter().map(|o| o.fact_at).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.version).collect::<Vec<_>>())
    .bind(orders.iter().map(|o| o.source_event).collect::<Vec<_>>())
    .execute(tx.conn())
    .await?;
    Ok(())
}

fn texts<'o>(
    orders: &[&'o Order],
    read: impl Fn(&'o Order) -> Option<&'o str>,
) -> Vec<Option<&'o str>> {
    orders.iter().map(|order| read(order)).collect()
}
