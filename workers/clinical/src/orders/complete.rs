//! Final results complete the orders they answer, whichever of the two comes first.

use std::collections::HashMap;

use hub_core::Tx;
use schemas::care::OrderChanged;
use time::OffsetDateTime;
use uuid::Uuid;

use super::transition::OrderState;
use crate::batch::Batch;

/// A final report, by the numbers it shares with an order.
pub(crate) struct Done<'d> {
    pub(crate) slot: usize,
    pub(crate) placer: Option<&'d str>,
    pub(crate) filler: Option<&'d str>,
    pub(crate) code: &'d str,
    pub(crate) subject: Option<Uuid>,
    pub(crate) fact_at: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct OpenOrder {
    id: Uuid,
    placer_number: Option<String>,
    filler_number: Option<String>,
    code: String,
    subject_key: Option<Uuid>,
}

/// Completes the open orders that share a number and the code with a final report, and do not name another
/// patient. One index look-up a batch when there is none.
pub(crate) async fn by_results(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    reports: &[Done<'_>],
) -> Result<(), sqlx::Error> {
    let mut placers: Vec<&str> = reports.iter().filter_map(|done| done.placer).collect();
    let mut fillers: Vec<&str> = reports.iter().filter_map(|done| done.filler).collect();
    if placers.is_empty() && fillers.is_empty() {
        return Ok(());
    }
    for numbers in [&mut placers, &mut fillers] {
        numbers.sort_unstable();
        numbers.dedup();
    }
    let open: Vec<OpenOrder> = sqlx::query_as(
        "select id, placer_number, filler_number, code, subject_key from clinical.orders \
         where (placer_number = any($1) or filler_number = any($2)) \
         and status in ('active', 'on_hold', 'cancel_requested', 'unknown') order by id for update",
    )
    .bind(placers)
    .bind(fillers)
    .fetch_all(tx.conn())
    .await?;
    if open.is_empty() {
        return Ok(());
    }
    let mut by_placer: HashMap<&str, Vec<&Done<'_>>> = HashMap::new();
    let mut by_filler: HashMap<&str, Vec<&Done<'_>>> = HashMap::new();
    for done in reports {
        if let Some(number) = done.placer {
            by_placer.entry(number).or_default().push(done);
        }
        if let Some(number) = done.filler {
            by_filler.entry(number).or_default().push(done);
        }
    }
    let (mut ids, mut facts) = (Vec::new(), Vec::new());
    for order in &open {
        let numbered = |index: &HashMap<&str, Vec<&Done<'_>>>, number: &Option<String>| {
            number
                .as_deref()
                .and_then(|number| index.get(number))
                .and_then(|reports| {
                    reports
                        .iter()
                        .find(|done| {
                            done.code == order.code
                                && (done.subject == order.subject_key
                                    || done.subject.is_none()
                                    || order.subject_key.is_none())
                        })
                        .map(|done| (done.slot, done.fact_at))
                })
        };
        if let Some((slot, fact_at)) = numbered(&by_placer, &order.placer_number)
            .or_else(|| numbered(&by_filler, &order.filler_number))
        {
            ids.push(order.id);
            facts.push(fact_at);
            batch.say(
                slot,
                &OrderChanged {
                    order_id: order.id,
                    status: OrderState::Completed.as_str().to_owned(),
                },
            );
            batch.changes.orders += 1;
        }
    }
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.orders as orders set status = 'completed', held = null, version = version + 1, \
         fact_at = greatest(orders.fact_at, done.fact_at), updated_at = now() \
         from unnest($1::uuid[], $2::timestamptz[]) as done (id, fact_at) where orders.id = done.id",
    )
    .bind(&ids)
    .bind(facts)
    .execute(tx.conn())
    .await?;
    crate::tubes::settle(tx, &ids).await
}

/// A new order, by what its report would share with it.
pub(crate) struct Placed<'p> {
    pub(crate) subject: Uuid,
    pub(crate) placer: Option<&'p str>,
    pub(crate) filler: Option<&'p str>,
    pub(crate) code: &'p str,
}

/// Places of the orders whose final report is already on file.
pub(crate) async fn answered(
    tx: &mut Tx<'_>,
    orders: &[Placed<'_>],
) -> Result<Vec<usize>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<i64> = (0..orders.len() as i64).collect();
    let found: Vec<(i64,)> = sqlx::query_as(
        "select place from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::text[]) \
         as placed (place, subject_key, placer_number, filler_number, code) \
         where exists (select from clinical.reports as report \
         where report.subject_key = placed.subject_key and report.code = placed.code \
         and (report.placer_number = placed.placer_number or report.filler_number = placed.filler_number) \
         and report.status in ('F', 'C'))",
    )
    .bind(places)
    .bind(orders.iter().map(|order| order.subject).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.placer).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.filler).collect::<Vec<_>>())
    .bind(orders.iter().map(|order| order.code).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    Ok(found
        .into_iter()
        .filter_map(|(place,)| usize::try_from(place).ok())
        .collect())
}
