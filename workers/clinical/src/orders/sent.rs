//! `clinical.order.sent`: what instruments were told, and how they took it. A fact about an order, never a change of it.

use std::collections::BTreeMap;

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::sending::{OrderSent, SendingAnswer, SendingOccasion};
use schemas::worklist::TestAction;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Batch;
use crate::body;

/// A reason is what an instrument wrote; no instrument has more to say.
const LONGEST_REASON: usize = 400;

/// What is said of one order, channel and direction in this batch.
struct Told {
    answer: SendingAnswer,
    reason: Option<String>,
    occasion: SendingOccasion,
    control_id: Option<String>,
    times: i32,
    first_at: OffsetDateTime,
    at: OffsetDateTime,
    source_event: Uuid,
}

/// By order, channel and action: two workers lock rows in one order.
type ByOrder = BTreeMap<(Uuid, String, &'static str), Told>;

/// Applies every fact of the batch.
pub(super) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    let mut told = ByOrder::new();
    let mut slots = Vec::new();
    for slot in batch.named(OrderSent::NAME) {
        match read(batch, slot, &mut told) {
            Ok(orders) => slots.push((slot, orders)),
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    if slots.is_empty() {
        return Ok(());
    }
    let known = save(tx, &told).await?;
    for (slot, orders) in slots {
        if orders.iter().any(|order| known.contains(order)) {
            batch.changes.sendings += 1;
            batch.applied(slot);
        } else {
            batch.refuse(
                slot,
                Refusal::new(
                    "clinical.order_unknown",
                    "an instrument was told of orders that nobody knows here",
                ),
            );
        }
    }
    Ok(())
}

/// Lays a message over what others of the batch said; gives its orders.
fn read(batch: &Batch<'_>, slot: usize, told: &mut ByOrder) -> Result<Vec<Uuid>, Refusal> {
    let envelope = &batch.envelopes[slot];
    let fact: OrderSent = body::decode(envelope)?;
    let at = schemas::moment::read(&fact.at)
        .ok_or_else(|| Refusal::new("clinical.time", "`at` is not RFC 3339"))?;
    for one in &fact.orders {
        let action = match one.action {
            TestAction::Perform => "perform",
            TestAction::Cancel => "cancel",
        };
        let reason = one
            .reason
            .as_ref()
            .map(|text| text.chars().take(LONGEST_REASON).collect());
        let new = Told {
            answer: one.answer,
            reason,
            occasion: fact.occasion,
            control_id: fact.control_id.clone(),
            // a message that is under way is counted when it is known what became of it
            times: i32::from(one.answer != SendingAnswer::Sending),
            first_at: at,
            at,
            source_event: envelope.id,
        };
        let key = (one.order, fact.channel.to_string(), action);
        match told.entry(key) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(new);
            }
            std::collections::btree_map::Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let times = known.times + new.times;
                let first_at = known.first_at.min(new.first_at);
                if new.at >= known.at {
                    *known = new;
                }
                known.times = times;
                known.first_at = first_at;
            }
        }
    }
    Ok(fact.orders.iter().map(|one| one.order).collect())
}

/// Writes the rows; gives the orders that exist. What is older than what is on file adds to its count only.
async fn save(
    tx: &mut Tx<'_>,
    told: &ByOrder,
) -> Result<std::collections::HashSet<Uuid>, sqlx::Error> {
    let tenant = tx.tenant().clone();
    let keys: Vec<_> = told.keys().collect();
    let rows: Vec<_> = told.values().collect();
    let written: Vec<Uuid> = sqlx::query_scalar(
        "insert into clinical.order_sendings as known (tenant_id, order_id, channel, action, answer, reason, occasion, \
             control_id, times, first_at, at, source_event) \
         select $1, told.* from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], \
             $9::integer[], $10::timestamptz[], $11::timestamptz[], $12::uuid[]) as told (order_id, channel, action, answer, \
             reason, occasion, control_id, times, first_at, at, source_event) \
         where exists (select from clinical.orders where orders.id = told.order_id) \
         on conflict (order_id, channel, action) do update set \
             times = known.times + excluded.times, first_at = least(known.first_at, excluded.first_at), \
             answer = case when excluded.at >= known.at then excluded.answer else known.answer end, \
             reason = case when excluded.at >= known.at then excluded.reason else known.reason end, \
             occasion = case when excluded.at >= known.at then excluded.occasion else known.occasion end, \
             control_id = case when excluded.at >= known.at then excluded.control_id else known.control_id end, \
             source_event = case when excluded.at >= known.at then excluded.source_event else known.source_event end, \
             at = greatest(known.at, excluded.at) \
         returning order_id",
    )
    .bind(tenant.as_str())
    .bind(keys.iter().map(|(order, _, _)| *order).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, channel, _)| channel.as_str()).collect::<Vec<_>>())
    .bind(keys.iter().map(|(_, _, action)| *action).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.answer.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.reason.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| occasion(row.occasion)).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.control_id.as_deref()).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.times).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.first_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.at).collect::<Vec<_>>())
    .bind(rows.iter().map(|row| row.source_event).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    Ok(written.into_iter().collect())
}

fn occasion(occasion: SendingOccasion) -> &'static str {
    match occasion {
        SendingOccasion::Query => "query",
        SendingOccasion::Download => "download",
    }
}
