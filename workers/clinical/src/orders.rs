//! Orders: `clinical.order.reported` and `clinical.order.sent`, and the commands `clinical.order.place`,
//! `clinical.order.change` and `clinical.order.cancel`.

use std::collections::{BTreeMap, HashMap, HashSet};

use hub_core::Tx;
use hub_core::mappings::Mappings;
use schemas::Body;
use schemas::care::{OrderChanged, OrderReported};
use schemas::commands::PlaceOrder;
use uuid::Uuid;

use crate::batch::Batch;
use crate::specimens::reported::{Rejection, catch_up, reject};
use crate::specimens::{self, SpecimenRow};
use crate::{audit, body, tubes, unmatched, verification};

pub(crate) mod again;
mod cancel;
mod change;
pub(crate) mod closing;
pub(crate) mod complete;
mod on_tubes;
mod reported;
mod sent;
mod stored;
mod transition;

use on_tubes::{Answer, Tubes};
use reported::{Reported, number};
use stored::{Order, Wanted};
use transition::{OrderState, transition};

/// Applies every `clinical.order.reported` and `clinical.order.place` of the batch, then the changes and the
/// cancellations, then what instruments were told.
pub(crate) async fn apply(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    maps: &Mappings,
) -> Result<(), sqlx::Error> {
    let mut reported = Vec::new();
    for slot in batch.named_either(OrderReported::NAME, PlaceOrder::NAME) {
        match Reported::read(slot, &batch.envelopes[slot]) {
            Ok(one) => reported.push(one),
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    if !reported.is_empty() {
        place(tx, batch, &reported, maps).await?;
    }
    change::apply(tx, batch).await?;
    cancel::apply(tx, batch).await?;
    sent::apply(tx, batch).await
}

async fn place(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    reported: &[Reported<'_>],
    maps: &Mappings,
) -> Result<(), sqlx::Error> {
    let wanted: Vec<Wanted<'_>> = reported
        .iter()
        .map(|one| Wanted {
            key: one.key,
            number: number(&one.order),
            code: &one.order.code.code,
            subject: one.subject(),
            or_open: one.order.or_open,
        })
        .collect();
    let mut tubes_here = Tubes::claim(tx, reported).await?;
    let found = stored::load(tx, &wanted).await?;
    // several keys may lead to one order: the rows by id, and the id by key
    let mut id_of: HashMap<Uuid, Uuid> = HashMap::new();
    let mut orders: BTreeMap<Uuid, Order> = BTreeMap::new();
    for (key, order) in found {
        id_of.insert(key, order.id);
        orders.insert(order.id, order);
    }
    let new = answered_before(tx, reported, &id_of).await?;
    tubes_here.know(tx, reported, &id_of).await?;

    let mut changed = HashSet::new();
    let mut created_here = HashSet::new();
    let mut links = Vec::new();
    let mut rows = Vec::new();
    let mut placed = Vec::new();
    let mut again = BTreeMap::new();
    let mut rejections = Vec::new();
    let mut wanting = Vec::new();
    for one in reported {
        let before = id_of
            .get(&one.key)
            .and_then(|id| orders.get(id))
            .or_else(|| placed_in_this_batch(one, &orders))
            .or_else(|| open_in_this_batch(one, &orders, &created_here))
            .cloned();
        if one.placing.is_some() {
            match tubes_here.answer_to(one, before.as_ref()) {
                Answer::Place => {}
                Answer::Stands(order) => {
                    batch.answer(one.slot, answer(order, false));
                    continue;
                }
                Answer::Refuse(refusal) => {
                    batch.refuse(one.slot, refusal);
                    continue;
                }
            }
        }
        let mut after = applied(one, before.as_ref());
        if before.is_none() && new.contains(&one.slot) && after.state().is_open() {
            OrderState::Completed.as_str().clone_into(&mut after.status);
        }
        tubes_here.note(one, &mut after, before.is_none());
        if let Some((subject, ended)) = tubes_here.no_longer_awaited(one, before.as_ref(), &after) {
            again.insert(subject, (one.slot, ended));
        }
        id_of.insert(one.key, after.id);
        for specimen in &one.order.specimens {
            let reasons = specimen.rejected_for.as_slice();
            // a laboratory that answers by number alone means the tube of the order's patient
            let of_order = after.subject_key.filter(|_| !reasons.is_empty());
            let subject = one.subject().or(of_order);
            if let Some(row) = SpecimenRow::of(one.envelope, specimen, subject) {
                links.push((after.id, row.key));
                if !reasons.is_empty() && one.placing.is_none() {
                    rejections.push(Rejection {
                        slot: one.slot,
                        key: row.key,
                        reasons,
                    });
                }
                rows.push(row);
            }
        }
        if before.as_ref() == Some(&after) {
            batch.unchanged(one.slot);
            continue;
        }
        let created = before.is_none();
        if created {
            created_here.insert(after.id);
            if on_tubes::waits_for_another(&after) {
                wanting.push((one.slot, after.id));
            }
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
        if let Some(placing) = &one.placing {
            batch.answer(one.slot, answer(&after, created));
            placed.push((one.slot, placing, after.id));
        }
        orders.insert(after.id, after);
    }
    let changed: Vec<&Order> = changed.iter().filter_map(|id| orders.get(id)).collect();
    stored::save(tx, &changed).await?;
    specimens::keep(tx, rows).await?;
    specimens::link(tx, &links).await?;
    let known: Vec<Uuid> = changed
        .iter()
        .filter(|order| order.version > 1)
        .map(|order| order.id)
        .collect();
    tubes::settle(tx, &known).await?;
    tubes_here.carry(tx).await?;
    specimens::collected_again(tx, batch, &again).await?;
    ask_for_others(tx, batch, &orders, &wanting).await?;
    let opened = tubes_here.opened();
    let released = unmatched::release(tx, batch, maps, &opened).await?;
    verification::ordered(tx, batch, &opened).await?;
    // what came of a tube until now is in doubt with it, and completes nothing
    catch_up(tx, batch, &tubes_here.rejected_before(&opened)).await?;
    reject(tx, batch, rejections).await?;
    closing::close(tx, batch, maps, &released).await?;
    for (slot, placing, order) in placed {
        let cause = batch.envelopes[slot].id;
        let subject = orders.get(&order).and_then(|one| one.subject_key);
        audit::about(
            tx,
            &placing.actor,
            PlaceOrder::NAME,
            &format!("order:{order}"),
            &[cause],
            None,
            subject.as_slice(),
        )
        .await?;
    }
    Ok(())
}

/// New orders on tubes that were rejected before they came: somebody collects others, as where the order was first.
async fn ask_for_others(
    tx: &mut Tx<'_>,
    batch: &Batch<'_>,
    orders: &BTreeMap<Uuid, Order>,
    wanting: &[(usize, Uuid)],
) -> Result<(), sqlx::Error> {
    let mut by_patient: BTreeMap<Uuid, (usize, Vec<Uuid>)> = BTreeMap::new();
    for (slot, id) in wanting {
        // one that the same batch took back waits for nothing
        let order = orders
            .get(id)
            .filter(|one| on_tubes::waits_for_another(one));
        if let Some(subject) = order.and_then(|one| one.subject_key) {
            let (_, ids) = by_patient.entry(subject).or_insert((*slot, Vec::new()));
            ids.push(*id);
        }
    }
    for (subject, (slot, ids)) in by_patient {
        specimens::ask_for_another(tx, &batch.envelopes[slot], subject, &ids).await?;
    }
    Ok(())
}

/// What a waiting REST call is told.
fn answer(order: &Order, created: bool) -> serde_json::Value {
    serde_json::json!({
        "order_id": order.id, "placer_number": order.placer_number, "status": order.status, "created": created,
    })
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

/// The oldest open order that the same batch placed, for a result that looks for one on its code.
fn open_in_this_batch<'o>(
    one: &Reported<'_>,
    orders: &'o BTreeMap<Uuid, Order>,
    created: &HashSet<Uuid>,
) -> Option<&'o Order> {
    let subject = one.subject().filter(|_| one.order.or_open)?;
    orders.values().find(|order| {
        created.contains(&order.id)
            && order.subject_key == Some(subject)
            && order.code == one.order.code.code
            && order.filler_number.is_none()
            && matches!(order.state(), OrderState::Active | OrderState::Unknown)
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
            targets: targets(one),
            held: None,
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
    if one.placing.is_some() {
        after.targets = targets(one);
    }
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

/// Null: every channel that knows the test.
fn targets(one: &Reported<'_>) -> Option<Vec<String>> {
    let targets = &one.placing.as_ref()?.targets;
    (!targets.is_empty()).then(|| targets.iter().map(ToString::to_string).collect())
}

/// What is said replaces; what a late message says only fills.
fn fill<T>(old: &mut Option<T>, new: Option<T>, late: bool) {
    if new.is_some() && (!late || old.is_none()) {
        *old = new;
    }
}
