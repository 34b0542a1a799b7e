//! Who was in which bed when: what hospital systems say of places is kept, and stays are computed from all of it.
//!
//! Beside the places of an encounter (`encounters/stay.rs`), which tell where a patient is, these tell whose a measurement is that
//! names a bed only; therefore they must be right for the past too, under late and cancelled movements. When they change,
//! `clinical.bed.changed` makes what came from that bed be looked at again, in the lane of the bed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hub_core::Tx;
use schemas::care::{EncounterAction, Location};
use schemas::devices::{Bed, BedChanged};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::batch::Batch;
use crate::encounters::Reported;
use crate::stays::assignments::{self, Conflict, Voice};

mod history;
mod stored;

use history::{Movement, Place, Stay};

/// One stay of one patient, as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    stay: Stay,
    bed_key: Uuid,
    subject_key: Uuid,
    subject_value: String,
}

/// Records what was said, computes the stays of its encounters anew, says which beds changed, and has the register of beds follow;
/// answers where it could not.
pub(crate) async fn apply(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    reported: &[Reported<'_>],
) -> Result<Vec<Conflict>, sqlx::Error> {
    let telling: Vec<&Reported<'_>> = reported.iter().filter(|one| tells(one)).collect();
    if telling.is_empty() {
        return Ok(Vec::new());
    }
    stored::record(tx, &telling).await?;
    // the newest message of an encounter causes what follows
    let cause: BTreeMap<Uuid, usize> = telling.iter().map(|one| (one.key, one.slot)).collect();
    let encounters: Vec<Uuid> = cause.keys().copied().collect();
    let movements = stored::movements(tx, &encounters).await?;
    let before = stored::stays(tx, &encounters).await?;
    let tenant = tx.tenant().clone();
    let mut after: HashMap<Uuid, Vec<Held>> = HashMap::new();
    for (encounter, said) in &movements {
        let Some(newest) = said.last() else { continue };
        let moved: Vec<Movement> = said.iter().map(|row| row.movement.clone()).collect();
        let held = history::stays(&moved)
            .into_iter()
            .map(|stay| Held {
                bed_key: stay.bed.key(&tenant),
                subject_key: newest.subject_key,
                subject_value: newest.subject_value.clone(),
                stay,
            })
            .collect();
        after.insert(*encounter, held);
    }
    let mut changed = Vec::new();
    for encounter in &encounters {
        let old = before.get(encounter).map(Vec::as_slice).unwrap_or_default();
        let new = after.get(encounter).map(Vec::as_slice).unwrap_or_default();
        if old == new {
            continue;
        }
        changed.push((*encounter, new));
        for (bed_key, since) in differences(old, new) {
            let body = BedChanged {
                bed_key,
                since: since.format(&Rfc3339).unwrap_or_default(),
            };
            if let Some(slot) = cause.get(encounter) {
                batch.say_of(*slot, bed_key, &body);
            }
        }
    }
    stored::save(tx, &changed).await?;
    let moved = changed
        .iter()
        .filter_map(|(encounter, _)| Some((*encounter, *cause.get(encounter)?)))
        .collect();
    let voice = if reported.iter().any(|one| one.desk.is_some()) {
        Voice::Staff
    } else {
        Voice::System
    };
    assignments::follow(tx, batch, moved, voice).await
}

/// False for what says nothing of a bed.
fn tells(one: &Reported<'_>) -> bool {
    match one.said.action {
        EncounterAction::Preadmitted => false,
        EncounterAction::Updated => {
            one.said.location.as_set().is_some() || one.discharged_at.as_set().is_some()
        }
        _ => true,
    }
}

/// The place that a message names.
fn place_of(location: Option<&Location>) -> Place {
    match location {
        None => Place::Unsaid,
        Some(location) => Bed::of(location).map_or(Place::NoBed, Place::Bed),
    }
}

/// The beds whose stays differ, each with the first moment at which they do.
fn differences(old: &[Held], new: &[Held]) -> BTreeMap<Uuid, OffsetDateTime> {
    let mut since: BTreeMap<Uuid, OffsetDateTime> = BTreeMap::new();
    for (one, others) in [(old, new), (new, old)] {
        for held in one.iter().filter(|held| !others.contains(held)) {
            let twin = others.iter().find(|other| {
                other.bed_key == held.bed_key
                    && other.stay.bed == held.stay.bed
                    && other.stay.from == held.stay.from
                    && other.subject_key == held.subject_key
            });
            let at = match twin.map(|twin| (twin.stay.to, held.stay.to)) {
                None => held.stay.from,
                Some((Some(one), Some(two))) => one.min(two),
                Some((one, two)) => one.or(two).unwrap_or(held.stay.from),
            };
            let first = since.entry(held.bed_key).or_insert(at);
            *first = at.min(*first);
        }
    }
    since
}

/// A question: who was in this bed at this time?
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    pub(crate) bed: Bed,
    pub(crate) at: OffsetDateTime,
    /// The patient that the message names: key and value of the identifier.
    pub(crate) named: Option<(Uuid, String)>,
}

/// What is known of a bed at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Occupancy {
    /// No place was ever named that this bed could be.
    pub(crate) unknown: bool,
    /// Two places were, which are not the same: another room, another facility.
    pub(crate) ambiguous: bool,
    /// Everybody who was in it.
    pub(crate) occupants: BTreeSet<Uuid>,
    /// The patient named, by the key under which he is in the bed. The value of the identifier is enough for that: monitors
    /// leave the authority out.
    pub(crate) named: Option<Uuid>,
}

/// Answers all questions, in their order.
pub(crate) async fn occupancy(
    tx: &mut Tx<'_>,
    questions: &Questions,
) -> Result<Vec<Occupancy>, sqlx::Error> {
    stored::occupancy(tx, &questions.asked).await
}

/// Distinct questions in the order in which they were first asked.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    asked: Vec<Question>,
    place: HashMap<Question, usize>,
}

impl Questions {
    /// The place of its answer.
    pub(crate) fn ask(&mut self, question: Question) -> usize {
        *self.place.entry(question).or_insert_with_key(|question| {
            self.asked.push(question.clone());
            self.asked.len() - 1
        })
    }
}

/// The JSON of a place as it is kept.
pub(crate) fn json_of(location: Option<&Location>) -> Option<Value> {
    location.and_then(|location| serde_json::to_value(location).ok())
}
