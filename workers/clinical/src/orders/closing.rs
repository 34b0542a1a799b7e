//! Results close the orders on their tube: when every code that the tables have for the ordered test on the instrument has a
//! final result, or, where they have none, when a final result has the ordered code itself.
//!
//! Only reports that came or changed since the order was placed count: a test ordered again on one tube is a new test.

use std::collections::{BTreeMap, HashMap};

use hub_core::Tx;
use hub_core::mappings::Mappings;
use schemas::ChannelId;
use schemas::care::OrderChanged;
use time::OffsetDateTime;
use uuid::Uuid;

use super::transition::OrderState;
use crate::batch::Batch;
use crate::reports::is_final;
use crate::tubes;

#[derive(sqlx::FromRow)]
struct Awaiting {
    number: String,
    id: Uuid,
    subject_key: Uuid,
    code: String,
    code_system: Option<String>,
    created_at: OffsetDateTime,
}

#[derive(sqlx::FromRow)]
struct Measured {
    number: String,
    report_id: Uuid,
    subject_key: Uuid,
    channel: String,
    updated_at: OffsetDateTime,
    report_code: String,
    code: String,
    loinc: Option<String>,
    status: Option<String>,
}

impl Measured {
    /// Links without a status (Beckman AU, Siemens Dimension) carry measurements that are over; as everywhere else, what says nothing
    /// of its status is final.
    fn is_final(&self) -> bool {
        is_final(self.status.as_deref().unwrap_or("F"))
    }
}

/// Completes the open orders on these numbers that are done; each number comes with the message that brought its report.
pub(crate) async fn close(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    maps: &Mappings,
    awaited: &BTreeMap<String, usize>,
) -> Result<(), sqlx::Error> {
    if awaited.is_empty() {
        return Ok(());
    }
    let numbers: Vec<&str> = awaited.keys().map(String::as_str).collect();
    let orders: Vec<Awaiting> = sqlx::query_as(
        "select carried.number, orders.id, carried.subject_key, orders.code, orders.code_system, orders.created_at \
         from clinical.order_tubes as carried join clinical.orders as orders on orders.id = carried.order_id \
         where carried.number = any($1) and carried.state = 'open' order by orders.id for update of orders",
    )
    .bind(&numbers)
    .fetch_all(tx.conn())
    .await?;
    if orders.is_empty() {
        return Ok(());
    }
    let results: Vec<Measured> = sqlx::query_as(
        "select report.specimen_number as number, report.id as report_id, report.subject_key, report.channel, \
         report.updated_at, report.code as report_code, result.code, result.loinc, \
         coalesce(result.status, report.status) as status \
         from clinical.reports as report join clinical.results as result on result.report_id = report.id \
         where report.specimen_number = any($1) and report.subject_key is not null and result.superseded_at is null",
    )
    .bind(&numbers)
    .fetch_all(tx.conn())
    .await?;
    let mut done = Vec::new();
    for order in &orders {
        let its: Vec<&Measured> = results
            .iter()
            .filter(|result| {
                result.number == order.number
                    && result.subject_key == order.subject_key
                    && result.updated_at >= order.created_at
            })
            .collect();
        if is_done(order, &its, maps)
            && let Some(&slot) = awaited.get(&order.number)
            && !done.contains(&order.id)
        {
            done.push(order.id);
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
    if done.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.orders set status = 'completed', held = null, version = version + 1, updated_at = now() \
         where id = any($1)",
    )
    .bind(&done)
    .execute(tx.conn())
    .await?;
    tubes::settle(tx, &done).await
}

fn is_done(order: &Awaiting, results: &[&Measured], maps: &Mappings) -> bool {
    let system = order.code_system.as_deref().unwrap_or_default();
    let mut by_channel: BTreeMap<&str, Vec<&Measured>> = BTreeMap::new();
    for result in results {
        by_channel.entry(&result.channel).or_default().push(result);
    }
    by_channel.iter().any(|(channel, results)| {
        let names = ChannelId::new(*channel)
            .map(|channel| maps.instrument_codes(&channel, system, &order.code))
            .unwrap_or_default();
        if names.is_empty() {
            return has_the_code(order, results);
        }
        names.iter().all(|name| {
            results
                .iter()
                .any(|result| result.code == *name && result.is_final())
        })
    })
}

/// A final result with the ordered code, as sent or in LOINC; or a report of it of which every result is final.
fn has_the_code(order: &Awaiting, results: &[&Measured]) -> bool {
    let one = results.iter().any(|result| {
        result.is_final()
            && (result.code == order.code || result.loinc.as_ref() == Some(&order.code))
    });
    let mut reports: HashMap<Uuid, bool> = HashMap::new();
    for result in results
        .iter()
        .filter(|result| result.report_code == order.code)
    {
        *reports.entry(result.report_id).or_insert(true) &= result.is_final();
    }
    one || reports.values().any(|all| *all)
}
