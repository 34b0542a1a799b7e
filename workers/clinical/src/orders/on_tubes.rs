//! Which tubes the orders of a batch get, and what a command is told that can't have its own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use hub_core::{Refusal, Tx};
use uuid::Uuid;

use super::reported::Reported;
use super::stored::Order;
use super::transition::OrderState;
use crate::specimens::rejected::{self, Ended};
use crate::tubes::{self, Carried};

/// Why an order that is open is not offered to instruments (`clinical.orders.held`).
const IN_USE: &str = "specimen_in_use";
/// The same: the laboratory rejected its tube, and another is to be collected.
const REJECTED: &str = "specimen_rejected";

/// Its tube was rejected, and no other came so far.
pub(super) fn waits_for_another(order: &Order) -> bool {
    order.held.as_deref() == Some(REJECTED)
}

/// What a command comes to.
pub(super) enum Answer<'o> {
    Place,
    /// It was carried out before: the order stands as it was asked for.
    Stands(&'o Order),
    Refuse(Refusal),
}

/// Numbers on tubes as this batch may use them, and what it puts on them.
#[derive(Default)]
pub(super) struct Tubes<'r> {
    holders: BTreeMap<&'r str, Uuid>,
    claimed: HashSet<String>,
    /// Tubes that the laboratory rejected: orders on them need another one.
    rejected: HashSet<(String, Uuid)>,
    /// The same of late, of tubes that were nobody's then.
    rejected_as_nobody_s: HashSet<String>,
    /// Numbers that orders meant by commands are on already.
    before: HashMap<Uuid, HashSet<String>>,
    rows: BTreeMap<(Uuid, &'r str), Carried>,
    /// The message that spoke last of a number.
    slots: BTreeMap<&'r str, usize>,
}

impl<'r> Tubes<'r> {
    /// Of two patients in one batch the first has the number. Numbers are locked before orders, as everywhere.
    pub(super) async fn claim(
        tx: &mut Tx<'_>,
        reported: &'r [Reported<'_>],
    ) -> Result<Self, sqlx::Error> {
        let mut holders = BTreeMap::new();
        let mut named = Vec::new();
        let mut spoken_of = BTreeSet::new();
        let mut any_rejected = false;
        for one in reported {
            spoken_of.extend(tubes::numbers(&one.order.specimens));
            let mut specimens = one.order.specimens.iter();
            any_rejected |= specimens.any(|specimen| !specimen.rejected_for.is_empty());
            let Some(subject) = one.subject().filter(|_| one.may_open()) else {
                continue;
            };
            for number in tubes::numbers(&one.order.specimens) {
                holders.entry(number).or_insert(subject);
                named.push((number, subject));
            }
        }
        if any_rejected {
            // those of tubes that a message rejects are locked too, with the others and not after the orders
            tubes::lock(tx, &spoken_of).await?;
        }
        let numbers: Vec<&str> = holders.keys().copied().collect();
        Ok(Self {
            claimed: tubes::claim(tx, &holders).await?,
            rejected: rejected::among(tx, &named).await?,
            rejected_as_nobody_s: rejected::as_nobody_s(tx, &numbers).await?,
            before: HashMap::new(),
            holders,
            rows: BTreeMap::new(),
            slots: BTreeMap::new(),
        })
    }

    /// Looks up what the orders that commands mean are on.
    pub(super) async fn know(
        &mut self,
        tx: &mut Tx<'_>,
        reported: &[Reported<'_>],
        known: &HashMap<Uuid, Uuid>,
    ) -> Result<(), sqlx::Error> {
        let asked: Vec<Uuid> = reported
            .iter()
            .filter(|one| one.placing.is_some())
            .filter_map(|one| known.get(&one.key).copied())
            .collect();
        self.before = tubes::of_orders(tx, &asked).await?;
        Ok(())
    }

    /// Another patient's open orders are on it.
    fn in_use(&self, number: &str, subject: Option<Uuid>) -> bool {
        self.holders.get(number).copied() != subject || !self.claimed.contains(number)
    }

    fn is_rejected(&self, number: &str, subject: Option<Uuid>) -> bool {
        // most batches name none
        !self.rejected.is_empty()
            && subject.is_some_and(|subject| self.rejected.contains(&(number.to_owned(), subject)))
    }

    /// A repeat of a command finds its order; a command that says something else under the same number is refused.
    pub(super) fn answer_to<'o>(
        &self,
        one: &Reported<'_>,
        before: Option<&'o Order>,
    ) -> Answer<'o> {
        let standing = before
            .filter(|order| !matches!(order.state(), OrderState::Revoked | OrderState::Unknown));
        if let Some(order) = standing {
            let asked: HashSet<&str> = tubes::numbers(&one.order.specimens).collect();
            return if self.on(order.id) == asked {
                Answer::Stands(order)
            } else {
                Answer::Refuse(Refusal::new(
                    "clinical.order_exists",
                    "this patient has an order with this number and code, on other specimens",
                ))
            };
        }
        let subject = one.subject();
        let mut numbers = tubes::numbers(&one.order.specimens);
        if numbers.any(|number| {
            self.is_rejected(number, subject) || self.rejected_as_nobody_s.contains(number)
        }) {
            return Answer::Refuse(rejected::again());
        }
        let mut numbers = tubes::numbers(&one.order.specimens);
        if numbers.any(|number| self.in_use(number, subject)) {
            return Answer::Refuse(Refusal::new(
                "clinical.specimen_in_use",
                "the specimen number carries open orders of another patient",
            ));
        }
        Answer::Place
    }

    fn on(&self, order: Uuid) -> HashSet<&str> {
        let stored = self.before.get(&order).into_iter().flatten();
        let noted = self.rows.keys().filter(|(id, _)| *id == order);
        stored
            .map(String::as_str)
            .chain(noted.map(|(_, number)| *number))
            .collect()
    }

    /// Takes down what the message puts on tubes. What a source system orders on a number of another patient stands, and is
    /// held: no instrument is told of it. The same of a tube that was rejected; an order that is known may have another by now, and
    /// a repeat of what was said before does not put it back.
    pub(super) fn note(&mut self, one: &'r Reported<'_>, after: &mut Order, is_new: bool) {
        let open = after.state().is_open();
        let named = tubes::numbers(&one.order.specimens).count();
        let (Some(subject), 1..) = (one.subject(), named) else {
            if !open {
                after.held = None;
            }
            return;
        };
        let numbers: Vec<&'r str> = tubes::numbers(&one.order.specimens)
            .filter(|number| !self.is_rejected(number, Some(subject)))
            .collect();
        if open && numbers.is_empty() {
            if is_new {
                after.held = Some(REJECTED.to_owned());
            }
            return;
        }
        if open
            && numbers
                .iter()
                .any(|number| self.in_use(number, Some(subject)))
        {
            after.held = Some(IN_USE.to_owned());
            return;
        }
        after.held = None;
        let state = match after.state() {
            _ if open => "open",
            OrderState::Completed => "done",
            _ => "off",
        };
        for number in numbers {
            self.slots.insert(number, one.slot);
            self.rows
                .insert((after.id, number), Carried { subject, state });
        }
    }

    /// The patient of an order that waited for another tube and does no more, and why: the message names the tube, or closes the order.
    pub(super) fn no_longer_awaited(
        &self,
        one: &'r Reported<'_>,
        before: Option<&Order>,
        after: &Order,
    ) -> Option<(Uuid, Ended<'r>)> {
        if !before.is_some_and(waits_for_another) || after.held.is_some() {
            return None;
        }
        let subject = after.subject_key?;
        let mut numbers = tubes::numbers(&one.order.specimens)
            .filter(|number| !self.is_rejected(number, Some(subject)));
        let ended = match after.state() {
            OrderState::Revoked | OrderState::EnteredInError => Ended::Cancelled,
            _ => numbers.next().map_or(Ended::Closed, Ended::Tube),
        };
        Some((subject, ended))
    }

    /// Numbers that this batch put open orders on, whose they are, and the message that did it.
    pub(super) fn opened(&self) -> BTreeMap<&'r str, (Uuid, usize)> {
        self.rows
            .iter()
            .filter(|(_, row)| row.state == "open")
            .filter_map(|((_, number), row)| {
                Some((*number, (row.subject, *self.slots.get(number)?)))
            })
            .collect()
    }

    /// Those among them that were rejected when they were nobody's.
    pub(super) fn rejected_before(
        &self,
        opened: &BTreeMap<&'r str, (Uuid, usize)>,
    ) -> BTreeMap<&'r str, (Uuid, usize)> {
        opened
            .iter()
            .filter(|(number, _)| self.rejected_as_nobody_s.contains(**number))
            .map(|(number, whose)| (*number, *whose))
            .collect()
    }

    pub(super) async fn carry(&self, tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
        tubes::carry(tx, &self.rows).await
    }
}
