//! Orders: `clinical.order.reported`.

use std::collections::{BTreeMap, HashMap, HashSet};

use hub_core::{Envelope, Refusal, Tx};
use schemas::Body;
use schemas::care::{OrderChanged, OrderReported};
use schemas::ids::care_key;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Batch;
use crate::body;
use crate::specimens::{self, SpecimenRow};

pub(crate) mod complete;
mod stored;
mod transition;

use stored::{Order, Wanted};
use transition::{OrderState, transition};

struct Reported<'a> {
    slot: usize,
    envelope: &'a Envelope,
    order: OrderReported,
    key: Uuid,
    ordered_at: Option<OffsetDateTime>,
}

impl<'a> Reported<'a> {
    fn read(slot: usize, envelope: &'a Envelope) -> Result<Self, Refusal> {
        let order: OrderReported = body::decode(envelope)?;
        let ordered_at = body::time(order.ordered_at.as_deref(), "ordered_at")?;
        Ok(Self {
            slot,
            envelope,
            key: order_key(envelope, &order),
            order,
            ordered_at,
        })
    }

    fn subject(&self) -> Option<Uuid> {
        self.order.subject.as_ref().map(|subject| subject.key.0)
    }
}

fn number(order: &OrderReported) -> Option<&str> {
    [&order.placer_number, &order.filler_number]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .find(|number| !number.is_empty())
}

/// Patient, number (the placer's, else the filler's) and code; without a number every event is its own order.
fn order_key(envelope: &Envelope, order: &OrderReported) -> Uuid {
    let Some(number) = number(order) else {
        return care_key(&envelope.tenant, "order-event", &[&envelope.id.to_string()]);
    };
    let subject = order
        .subject
        .as_ref()
        .map(|subject| subject.key.0.to_string())
        .unwrap_or_default();
    care_key(
        &envelope.tenant,
        "order",
        &[&subject, number, &order.code.code],
    )
}

/// Applies every `clinical.order.reported` of the batch.
pub(crate) async fn apply(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    let mut reported = Vec::new();
    for slot in batch.named(OrderReported::NAME) {
        match Reported::read(slot, &batch.envelopes[slot]) {
            Ok(one) => reported.push(one),
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    if reported.is_empty() {
        return Ok(());
    }
    let wanted: Vec<Wanted<'_>> = reported
        .iter()
        .map(|one| Wanted {
            key: one.key,
            number: number(&one.order),
            code: &one.order.code.code,
            subject: one.subject(),
        })
        .collect();
    let found = stored::load(tx, &wanted).await?;
    // several keys may lead to one order: the rows by id, and the id by key
    let mut id_of: HashMap<Uuid, Uuid> = HashMap::new();
    let mut orders: BTreeMap<Uuid, Order> = BTreeMap::new();
    for (key, order) in found {
        id_of.insert(key, order.id);
        orders.insert(order.id, order);
    }
    let new = answered_before(tx, &reported, &id_of).await?;

    let mut changed = HashSet::new();
    let mut links = Vec::new();
    let mut rows = Vec::new();
    for one in &reported {
        let before = id_of
            .get(&one.key)
            .and_then(|id| orders.get(id))
            .or_else(|| placed_in_this_batch(one, &orders))
            .cloned();
        let mut after = applied(one, before.as_ref());
        if before.is_none() && new.contains(&one.slot) && after.state().is_open() {
            OrderState::Completed.as_str().clone_into(&mut after.status);
        }
        id_of.insert(one.key, after.id);
        for specimen in &one.order.specimens {
            if let Some(row) = SpecimenRow::of(one.envelope, specimen, one.subject()) {
                links.push((after.id, row.key));
                rows.push(row);
            }
        }
        if before.as_ref() == Some(&after) {
            batch.unchanged(one.slot);
            continue;
        }
        after.version = before.map_or(1, |before| before.version + 1);
        changed.insert(after.id);
        batch.changes.orders += 1;
        batch.say(
            one.slot,
            &OrderChanged {
                order_id: after.id,
                status: after.status.clone(),
            },
        );
        orders.insert(after.id, after);
    }
    let changed: Vec<&Order> = changed.iter().filter_map(|id| orders.get(id)).collect();
    stored::save(tx, &changed).await?;
    specimens::keep(tx, rows).await?;
    specimens::link(tx, &links).await
}

/// An answer by filler number alone, or without a patient, to an order that the same batch placed.
fn placed_in_this_batch<'o>(
    one: &Reported<'_>,
    orders: &'o BTreeMap<Uuid, Order>,
) -> Option<&'o Order> {
    let number = number(&one.order)?;
    if one.order.placer_number.is_some() && one.order.subject.is_some() {
        return None;
    }
    orders.values().rev().find(|order| {
        order.code == one.order.code.code
            && (one.subject().is_none() || order.subject_key == one.subject())
            && [&order.placer_number, &order.filler_number]
                .into_iter()
                .any(|known| known.as_deref() == Some(number))
    })
}

/// Slots of new orders whose result was here first.
async fn answered_before(
    tx: &mut Tx<'_>,
    reported: &[Reported<'_>],
    known: &HashMap<Uuid, Uuid>,
) -> Result<HashSet<usize>, sqlx::Error> {
    let (slots, asked): (Vec<usize>, Vec<complete::Placed<'_>>) = reported
        .iter()
        .filter(|one| !known.contains_key(&one.key))
        .filter_map(|one| {
            number(&one.order)?;
            Some((
                one.slot,
                complete::Placed {
                    subject: one.subject()?,
                    placer: one.order.placer_number.as_deref(),
                    filler: one.order.filler_number.as_deref(),
                    code: &one.order.code.code,
                },
            ))
        })
        .unzip();
    Ok(complete::answered(tx, &asked)
        .await?
        .into_iter()
        .map(|place| slots[place])
        .collect())
}

/// The order after the message. A message older than the newest fact fills what is empty and moves nothing.
fn applied(one: &Reported<'_>, before: Option<&Order>) -> Order {
    let said = &one.order;
    let fact_at = one.envelope.occurred_at;
    let Some(before) = before else {
        return Order {
            id: Uuid::now_v7(),
            order_key: one.key,
            subject_key: one.subject(),
            visit_number: said.visit_number.clone(),
            placer_number: said.placer_number.clone(),
            filler_number: said.filler_number.clone(),
            group_number: said.group_number.clone(),
            code: said.code.code.clone(),
            code_system: said.code.system.clone(),
            code_text: said.code.text.clone(),
            status: transition(None, said.control, said.status.as_deref())
                .as_str()
                .to_owned(),
            priority: said.priority.clone(),
            ordered_by: said
                .ordered_by
                .as_ref()
                .and_then(|person| serde_json::to_value(person).ok()),
            ordered_at: one.ordered_at,
            notes: body::lines(&said.notes),
            fact_at,
            version: 1,
            source_event: one.envelope.id,
        };
    };
    let mut after = before.clone();
    let late = fact_at < before.fact_at;
    let keep = |old: &mut Option<String>, new: &Option<String>| fill(old, new.clone(), late);
    keep(&mut after.visit_number, &said.visit_number);
    keep(&mut after.placer_number, &said.placer_number);
    keep(&mut after.filler_number, &said.filler_number);
    keep(&mut after.group_number, &said.group_number);
    keep(&mut after.code_system, &said.code.system);
    keep(&mut after.code_text, &said.code.text);
    keep(&mut after.priority, &said.priority);
    keep(&mut after.notes, &body::lines(&said.notes));
    fill(&mut after.ordered_at, one.ordered_at, late);
    fill(
        &mut after.ordered_by,
        said.ordered_by
            .as_ref()
            .and_then(|person| serde_json::to_value(person).ok()),
        late,
    );
    after.subject_key = after.subject_key.or(one.subject());
    if !late {
        let state = transition(Some(before.state()), said.control, said.status.as_deref());
        state.as_str().clone_into(&mut after.status);
    }
    // a repeat changes nothing, and then its time is no news either
    if after != *before && !late {
        after.fact_at = fact_at;
    }
    after
}

/// What is said replaces; what a late message says only fills.
fn fill<T>(old: &mut Option<T>, new: Option<T>, late: bool) {
    if new.is_some() && (!late || old.is_none()) {
        *old = new;
    }
}
