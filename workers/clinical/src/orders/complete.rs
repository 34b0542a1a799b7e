//! Final results complete the orders they answer, whichever of the two comes first.

use std::collections::{BTreeMap, HashMap};

use hub_core::Tx;
use schemas::care::OrderChanged;
use time::OffsetDateTime;
use uuid::Uuid;

use super::transition::OrderState;
use crate::batch::Batch;
use crate::specimens::{self, Brought};
use crate::tubes;

/// A report, by the numbers it shares with an order.
pub(crate) struct Done<'d> {
    pub(crate) slot: usize,
    pub(crate) placer: Option<&'d str>,
    pub(crate) filler: Option<&'d str>,
    pub(crate) code: &'d str,
    pub(crate) subject: Option<Uuid>,
    pub(crate) fact_at: OffsetDateTime,
    /// The number on its tube.
    pub(crate) tube: Option<&'d str>,
    /// Others complete nothing: they may bring the tube that an order waits for.
    pub(crate) is_final: bool,
}

#[derive(sqlx::FromRow)]
struct OpenOrder {
    id: Uuid,
    placer_number: Option<String>,
    filler_number: Option<String>,
    code: String,
    subject_key: Option<Uuid>,
    /// Its tube was rejected, and no other came so far.
    waits: bool,
}

type ByNumber<'i, 'd> = HashMap<&'d str, Vec<&'i Done<'d>>>;

impl OpenOrder {
    /// The report of it among those with a number.
    fn among<'i, 'd>(
        &self,
        index: &ByNumber<'i, 'd>,
        number: Option<&String>,
        is_final: bool,
    ) -> Option<&'i Done<'d>> {
        let reports = index.get(number?.as_str())?;
        reports.iter().copied().find(|done| {
            done.is_final == is_final
                && done.code == self.code
                && (done.subject == self.subject_key
                    || done.subject.is_none()
                    || self.subject_key.is_none())
        })
    }
}

/// Completes the open orders that share a number and the code with a final report, and do not name another
/// patient. Those that waited for another tube are on the one of their report, final or not. One index look-up a batch when there is none.
/// Answers the numbers that orders were put on, each with its message.
pub(crate) async fn by_results(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    reports: &[Done<'_>],
) -> Result<BTreeMap<String, usize>, sqlx::Error> {
    let mut placers: Vec<&str> = reports.iter().filter_map(|done| done.placer).collect();
    let mut fillers: Vec<&str> = reports.iter().filter_map(|done| done.filler).collect();
    if placers.is_empty() && fillers.is_empty() {
        return Ok(BTreeMap::new());
    }
    for numbers in [&mut placers, &mut fillers] {
        numbers.sort_unstable();
        numbers.dedup();
    }
    let open: Vec<OpenOrder> = sqlx::query_as(
        "select id, placer_number, filler_number, code, subject_key, \
         coalesce(held = 'specimen_rejected', false) as waits from clinical.orders \
         where (placer_number = any($1) or filler_number = any($2)) \
         and status in ('active', 'on_hold', 'cancel_requested', 'unknown') order by id for update",
    )
    .bind(placers)
    .bind(fillers)
    .fetch_all(tx.conn())
    .await?;
    if open.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut by_placer: ByNumber<'_, '_> = HashMap::new();
    let mut by_filler: ByNumber<'_, '_> = HashMap::new();
    for done in reports {
        if let Some(number) = done.placer {
            by_placer.entry(number).or_default().push(done);
        }
        if let Some(number) = done.filler {
            by_filler.entry(number).or_default().push(done);
        }
    }
    let (mut ids, mut facts, mut brought) = (Vec::new(), Vec::new(), Vec::new());
    for order in &open {
        let report = |is_final| {
            order
                .among(&by_placer, order.placer_number.as_ref(), is_final)
                .or_else(|| order.among(&by_filler, order.filler_number.as_ref(), is_final))
        };
        let answer = report(true);
        if let Some(done) = answer {
            ids.push(order.id);
            facts.push(done.fact_at);
            batch.say(
                done.slot,
                &OrderChanged {
                    order_id: order.id,
                    status: OrderState::Completed.as_str().to_owned(),
                },
            );
            batch.changes.orders += 1;
        }
        if order.waits
            && let Some(subject) = order.subject_key
            && let Some(done) = answer.or_else(|| report(false))
        {
            brought.push(Brought {
                slot: done.slot,
                order: order.id,
                subject,
                number: done.tube,
                is_final: done.is_final,
            });
        }
    }
    if !ids.is_empty() {
        sqlx::query(
            "update clinical.orders as orders set status = 'completed', held = null, version = version + 1, \
             fact_at = greatest(orders.fact_at, done.fact_at), updated_at = now() \
             from unnest($1::uuid[], $2::timestamptz[]) as done (id, fact_at) where orders.id = done.id",
        )
        .bind(&ids)
        .bind(facts)
        .execute(tx.conn())
        .await?;
        tubes::settle(tx, &ids).await?;
    }
    specimens::brought(tx, batch, &brought).await
}

/// A new order, by what its report would share with it.
pub(crate) struct Placed<'p> {
    pub(crate) subject: Uuid,
    pub(crate) placer: Option<&'p str>,
    pub(crate) filler: Option<&'p str>,
    pub(crate) code: &'p str,
}

/// Places of the orders whose final report is already on file. What was measured of a rejected tube is nobody's answer.
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
         and report.status in ('F', 'C') \
         and not exists (select from clinical.specimens as tube \
             where coalesce(tube.number, tube.filler_number) = report.specimen_number \
             and tube.subject_key = report.subject_key and tube.rejected_at is not null))",
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
