//! What becomes of orders when their tube is rejected, and when they get another one: by `lis.specimen.accession`, or by a message of a
//! source system that names it for an order.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::mappings::Mappings;
use hub_core::{Envelope, Refusal, Tx};
use schemas::Body as _;
use schemas::care::{OrderChanged, Specimen};
use schemas::specimens::{AccessionSpecimen, SpecimenAccessioned};
use serde_json::json;
use time::Duration;
use uuid::Uuid;

use super::rejected::{self, Ended};
use super::{SpecimenRow, keep, key_of, link};
use crate::batch::Batch;
use crate::orders::closing;
use crate::tubes::{self, Carried};
use crate::{audit, unmatched, verification};

/// Orders of one command: a tube has a panel on it, not a year.
const MOST: usize = 100;
/// How soon somebody goes and collects again.
const AGAIN: Duration = Duration::hours(1);
/// How soon where an order is urgent.
const AGAIN_URGENT: Duration = Duration::minutes(15);

/// What is true of a report, with its row of `clinical.report_releases`, of which something may be acted on already. One that is open,
/// because results of it still wait or are corrected, has others out where each goes out by itself, or had them before.
pub(super) const IS_OUT: &str = "(release.report_id is null or release.releases > 0 \
    or exists (select from clinical.verifications as standing \
        where standing.report_id = report.id and standing.state = 'released'))";

/// Takes the open orders off a tube. Those without another one wait for it, or are revoked; answers which. To be collected again are
/// also those that are completed by what was measured of it, where nobody may act on any of that.
pub(super) async fn lose(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    (number, subject): (&str, Uuid),
    recollect: bool,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let mut off: Vec<Uuid> = sqlx::query_scalar(
        "update clinical.order_tubes set state = 'off', settled_at = now(), rejected_at = now() \
         where number = $1 and subject_key = $2 and state = 'open' returning order_id",
    )
    .bind(number)
    .bind(subject)
    .fetch_all(tx.conn())
    .await?;
    if recollect {
        off.extend(done_in_vain(tx, number, subject).await?);
    }
    let at = batch.envelopes[slot].occurred_at;
    let mut changed: Vec<(Uuid, String)> = sqlx::query_as(
        "update clinical.orders as ordered set held = case when $2 then 'specimen_rejected' end, \
         status = case when not $2 then 'revoked' when ordered.status = 'completed' then 'active' else ordered.status end, \
         version = ordered.version + 1, \
         fact_at = case when $2 then ordered.fact_at else greatest(ordered.fact_at, $3) end, updated_at = now() \
         where ordered.id = any($1) and not exists (select from clinical.order_tubes as other \
             where other.order_id = ordered.id and other.state = 'open') \
         returning ordered.id, ordered.status",
    )
    .bind(&off)
    .bind(recollect)
    .bind(at)
    .fetch_all(tx.conn())
    .await?;
    changed.sort_unstable();
    let lost: Vec<Uuid> = changed.iter().map(|(id, _)| *id).collect();
    tubes::settle(tx, &lost).await?;
    for (order_id, status) in changed {
        batch.say(slot, &OrderChanged { order_id, status });
    }
    Ok(lost)
}

/// Takes the orders off a tube that results of it completed, when none of these is out: results complete an order before anybody has
/// verified them. Those whose other tube was measured, too, stay as they are, and so does what was completed longer ago than a number
/// may be another tube's.
async fn done_in_vain(
    tx: &mut Tx<'_>,
    number: &str,
    subject: Uuid,
) -> Result<Vec<Uuid>, sqlx::Error> {
    let query = format!(
        "update clinical.order_tubes as carried set state = 'off', settled_at = now(), rejected_at = now() \
         where carried.number = $1 and carried.subject_key = $2 and carried.state = 'done' \
         and carried.settled_at > now() - interval '7 days' \
         and not exists (select from clinical.order_tubes as other where other.order_id = carried.order_id \
             and other.number <> carried.number and other.state = 'done') \
         and exists (select from clinical.reports as report \
             where report.specimen_number = $1 and report.subject_key = $2) \
         and not exists (select from clinical.reports as report \
             left join clinical.report_releases as release on release.report_id = report.id \
             where report.specimen_number = $1 and report.subject_key = $2 and {IS_OUT}) \
         returning carried.order_id"
    );
    sqlx::query_scalar(sqlx::AssertSqlSafe(query))
        .bind(number)
        .bind(subject)
        .fetch_all(tx.conn())
        .await
}

/// Somebody must collect again: one open task a patient.
pub(crate) async fn ask_for_another(
    tx: &mut Tx<'_>,
    envelope: &Envelope,
    subject: Uuid,
    lost: &[Uuid],
) -> Result<Uuid, sqlx::Error> {
    let (urgent, visit_number): (bool, Option<String>) = sqlx::query_as(
        "select coalesce(bool_or(priority in ('stat', 'asap', 'urgent', 'S', 'A')), false), max(visit_number) \
         from clinical.orders where id = any($1)",
    )
    .bind(lost)
    .fetch_one(tx.conn())
    .await?;
    let due_at = envelope.recorded_at + if urgent { AGAIN_URGENT } else { AGAIN };
    let tenant = tx.tenant().clone();
    sqlx::query_scalar(
        "insert into clinical.tasks as task (tenant_id, id, kind, subject_key, visit_number, trigger, rank, due_at, \
         source_event) values ($1, $2, 'recollection', $3, $4, 'specimen_rejected', $5, $6, $7) \
         on conflict (subject_key, kind) where state = 'open' do update set times = task.times + 1, \
         due_at = least(task.due_at, excluded.due_at), rank = greatest(task.rank, excluded.rank) returning task.id",
    )
    .bind(tenant.as_str())
    .bind(schemas::event_id(envelope.id, u32::MAX))
    .bind(subject)
    .bind(visit_number)
    .bind(i16::from(urgent))
    .bind(due_at)
    .bind(envelope.id)
    .fetch_one(tx.conn())
    .await
}

#[derive(sqlx::FromRow)]
struct Ordered {
    id: Uuid,
    subject_key: Option<Uuid>,
    status: String,
    held: Option<String>,
}

/// The one patient of these orders, all of them open.
fn whose(wanted: &[Uuid], found: &[Ordered]) -> Result<Uuid, Refusal> {
    if wanted
        .iter()
        .any(|id| found.iter().all(|one| one.id != *id))
    {
        return Err(Refusal::new(
            "clinical.order_unknown",
            "no order has one of these ids",
        ));
    }
    let subject = found.first().and_then(|one| one.subject_key);
    let Some(subject) = subject.filter(|_| found.iter().all(|one| one.subject_key == subject))
    else {
        return Err(several());
    };
    let open = |one: &Ordered| matches!(one.status.as_str(), "active" | "on_hold" | "unknown");
    if !found.iter().all(open) {
        return Err(Refusal::new(
            "clinical.order_closed",
            "one of the orders is not open any more",
        ));
    }
    Ok(subject)
}

fn several() -> Refusal {
    Refusal::new(
        "clinical.specimen_patients",
        "the orders of one tube are one patient's",
    )
}

async fn ordered(
    tx: &mut Tx<'_>,
    ids: &[Uuid],
    lock: &'static str,
) -> Result<Vec<Ordered>, sqlx::Error> {
    let query = format!(
        "select id, subject_key, status, held from clinical.orders where id = any($1) order by id {lock}"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(ids)
        .fetch_all(tx.conn())
        .await
}

/// A tube with this number is for these orders.
pub(super) async fn accession(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    maps: &Mappings,
    command: &AccessionSpecimen,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let number = command.number.trim();
    let mut wanted = command.orders.clone();
    wanted.sort_unstable();
    wanted.dedup();
    if number.is_empty() || wanted.is_empty() || wanted.len() > MOST {
        return Ok(Err(Refusal::new(
            "clinical.specimen_incomplete",
            format!("a specimen has a number and 1 to {MOST} orders"),
        )));
    }
    // the number before the orders, as who rejects the tube locks them; they are looked at again when nobody can change them any more
    let subject = match whose(&wanted, &ordered(tx, &wanted, "").await?) {
        Ok(subject) => subject,
        Err(refusal) => return Ok(Err(refusal)),
    };
    tubes::lock(tx, &BTreeSet::from([number])).await?;
    let found = ordered(tx, &wanted, "for update").await?;
    match whose(&wanted, &found) {
        Ok(same) if same == subject => {}
        Ok(_) => return Ok(Err(several())),
        Err(refusal) => return Ok(Err(refusal)),
    }
    if !rejected::among(tx, &[(number, subject)]).await?.is_empty()
        || !rejected::as_nobody_s(tx, &[number]).await?.is_empty()
    {
        return Ok(Err(rejected::again()));
    }
    let claimed = tubes::claim(tx, &BTreeMap::from([(number, subject)])).await?;
    if !claimed.contains(number) {
        return Ok(Err(Refusal::new(
            "clinical.specimen_in_use",
            "the specimen number carries open orders of another patient",
        )));
    }
    let envelope = &batch.envelopes[slot];
    let cause = envelope.id;
    let tube = Specimen {
        number: Some(number.to_owned()),
        kind: command.kind.clone(),
        body_site: command.body_site.clone(),
        container: command.container.clone(),
        role: Some("P".to_owned()),
        ..Specimen::default()
    };
    let Some(row) = SpecimenRow::of(envelope, &tube, Some(subject)) else {
        return Ok(Err(Refusal::new(
            "clinical.specimen_incomplete",
            "a specimen has a number",
        )));
    };
    let key = row.key;
    let stood: bool = sqlx::query_scalar(
        "select exists (select from clinical.specimens where specimen_key = $1)",
    )
    .bind(key)
    .fetch_one(tx.conn())
    .await?;
    keep(tx, vec![row]).await?;
    let links: Vec<(Uuid, Uuid)> = wanted.iter().map(|order| (*order, key)).collect();
    link(tx, &links).await?;
    let (specimen_id, version): (Uuid, i32) =
        sqlx::query_as("select id, version from clinical.specimens where specimen_key = $1")
            .bind(key)
            .fetch_one(tx.conn())
            .await?;

    let carried = Carried {
        subject,
        state: "open",
    };
    let rows = wanted.iter().map(|order| ((*order, number), carried));
    tubes::carry(tx, &rows.collect()).await?;
    let released = release(tx, &wanted).await?;
    tubes::settle(tx, &wanted).await?;
    batch.say(
        slot,
        &SpecimenAccessioned {
            specimen_id,
            orders: wanted.clone(),
        },
    );
    for (order_id, status) in released {
        batch.say(slot, &OrderChanged { order_id, status });
    }
    if found.iter().any(|one| one.held.is_some()) {
        rejected::no_longer_awaited(tx, subject, &command.actor, Ended::Tube(number)).await?;
    }
    // what instruments said of it before
    let opened = BTreeMap::from([(number, (subject, slot))]);
    let matched = unmatched::release(tx, batch, maps, &opened).await?;
    verification::ordered(tx, batch, &opened).await?;
    closing::close(tx, batch, maps, &matched).await?;
    batch.answer(
        slot,
        json!({ "specimen_id": specimen_id, "version": version, "created": !stood }),
    );
    audit::about(
        tx,
        &command.actor,
        AccessionSpecimen::NAME,
        &format!("specimen:{specimen_id}"),
        &[cause],
        Some(json!({ "orders": wanted })),
        &[subject],
    )
    .await?;
    Ok(Ok(()))
}

/// Offers orders to instruments again that were held; answers them with their status.
async fn release(tx: &mut Tx<'_>, orders: &[Uuid]) -> Result<Vec<(Uuid, String)>, sqlx::Error> {
    sqlx::query_as(
        "update clinical.orders set held = null, version = version + 1, updated_at = now() \
         where id = any($1) and held is not null returning id, status",
    )
    .bind(orders)
    .fetch_all(tx.conn())
    .await
}

/// A result of an order that waited for another tube.
pub(crate) struct Brought<'t> {
    /// The message that brought it.
    pub(crate) slot: usize,
    pub(crate) order: Uuid,
    pub(crate) subject: Uuid,
    /// On the tube, if it says so.
    pub(crate) number: Option<&'t str>,
    /// It completed the order.
    pub(crate) is_final: bool,
}

/// Puts orders on the tubes that their results name, in place of those that were rejected, and ends the tasks to collect them. Answers the
/// numbers that carry open orders now, each with its message.
pub(crate) async fn brought(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    all: &[Brought<'_>],
) -> Result<BTreeMap<String, usize>, sqlx::Error> {
    let mut opened = BTreeMap::new();
    if all.is_empty() {
        return Ok(opened);
    }
    let tenant = tx.tenant().clone();
    let mut wanted: BTreeMap<&str, Uuid> = BTreeMap::new();
    for one in all {
        if let Some(number) = one.number {
            wanted.entry(number).or_insert(one.subject);
        }
    }
    let claimed = tubes::claim(tx, &wanted).await?;
    let mut rows = BTreeMap::new();
    let mut links = Vec::new();
    let mut again: BTreeMap<Uuid, (usize, Ended<'_>)> = BTreeMap::new();
    let mut waiting = Vec::new();
    for one in all {
        let number = one
            .number
            .filter(|number| claimed.contains(*number) && wanted.get(number) == Some(&one.subject));
        if let Some(number) = number {
            let state = if one.is_final { "done" } else { "open" };
            let subject = one.subject;
            rows.insert((one.order, number), Carried { subject, state });
            links.push((one.order, key_of(&tenant, number, Some(subject))));
        }
        match (number, one.is_final) {
            (Some(number), false) => {
                waiting.push(one.order);
                opened.insert(number.to_owned(), one.slot);
            }
            (_, true) => {}
            (None, false) => continue,
        }
        again.insert(
            one.subject,
            (one.slot, number.map_or(Ended::Result, Ended::Tube)),
        );
    }
    tubes::carry(tx, &rows).await?;
    link(tx, &links).await?;
    for (order_id, status) in release(tx, &waiting).await? {
        if let Some(one) = all.iter().find(|one| one.order == order_id) {
            batch.say(one.slot, &OrderChanged { order_id, status });
            batch.changes.orders += 1;
        }
    }
    collected_again(tx, batch, &again).await?;
    Ok(opened)
}

/// Ends the tasks to collect again of patients whose orders wait no longer; each with the message that says so.
pub(crate) async fn collected_again(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    subjects: &BTreeMap<Uuid, (usize, Ended<'_>)>,
) -> Result<(), sqlx::Error> {
    for (subject, (slot, ended)) in subjects {
        let source = &batch.envelopes[*slot].source;
        rejected::no_longer_awaited(tx, *subject, source, *ended).await?;
    }
    Ok(())
}
