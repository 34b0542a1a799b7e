//! Who has which bed of the register: computed from the same stays as everything that asks who was in a bed (`beds.rs`), whether a
//! hospital system or staff moved the patient. Exclusion constraints say who gets a bed that two want; this module never looks
//! first and writes then.

use std::collections::{BTreeMap, BTreeSet};

use hub_core::{Envelope, Tx};
use schemas::Body;
use schemas::devices::Bed;
use schemas::house::BedState;
use schemas::stays::{BedAssigned, MoveEncounter, Step};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use super::bed_state::{self, By};
use super::differences::{self, Found, Reason};
use crate::batch::Batch;
use crate::body;

mod stored;

use stored::{Assigned, Claim, Registered};

/// A stay that the register could not follow.
#[derive(Debug, Clone)]
pub(crate) struct Conflict {
    pub(crate) found: Found,
    /// In words for who asked for it.
    pub(crate) detail: String,
}

/// Who speaks of a stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// A hospital system: where its word and the register overlap, the stay is followed from when the bed was free.
    System,
    /// Staff over REST: all or nothing.
    Staff,
}

/// The register after the stays of these encounters changed; `causes`: each key with the message that did it. Answers what it
/// could not follow: another has the bed, the patient has another bed, nobody knows the bed, or it was not ready (then it follows).
pub(crate) async fn follow(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    causes: BTreeMap<Uuid, usize>,
    voice: Voice,
) -> Result<Vec<Conflict>, sqlx::Error> {
    if causes.is_empty() || !stored::is_kept(tx).await? {
        return Ok(Vec::new());
    }
    let (mut conflicts, freed) = round(tx, batch, &causes, voice).await?;
    settle(tx, &causes, &conflicts).await?;
    let slot = causes.values().next_back().copied().unwrap_or_default();
    conflicts.extend(hand_on(tx, batch, slot, freed).await?);
    Ok(conflicts)
}

/// Beds that are free are given to those of whom a hospital system said that they are in them.
pub(crate) async fn hand_on(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    mut freed: Freed,
) -> Result<Vec<Conflict>, sqlx::Error> {
    let mut conflicts = Vec::new();
    for _ in 0..ROUNDS {
        let waiting: BTreeMap<Uuid, usize> =
            differences::waiting_for(tx, &freed.beds, &freed.people)
                .await?
                .into_iter()
                .map(|key| (key, slot))
                .collect();
        if waiting.is_empty() {
            break;
        }
        let (mut found, next) = round(tx, batch, &waiting, Voice::System).await?;
        // who waited was in the bed before it could have been cleaned
        found.retain(|one| one.found.reason != Reason::BedNotReady);
        settle(tx, &waiting, &found).await?;
        conflicts.extend(found);
        freed = next;
    }
    Ok(conflicts)
}

async fn settle(
    tx: &mut Tx<'_>,
    causes: &BTreeMap<Uuid, usize>,
    found: &[Conflict],
) -> Result<(), sqlx::Error> {
    let of_these: BTreeSet<Uuid> = causes.keys().copied().collect();
    differences::settle_others(tx, &of_these, found).await
}

/// Beds that were left, and who left them.
#[derive(Debug, Default)]
pub(crate) struct Freed {
    pub(crate) beds: BTreeSet<Uuid>,
    pub(crate) people: BTreeSet<Uuid>,
}

/// Longest chain of beds that are handed on in one transaction; what is left waits for the next news of its bed.
const ROUNDS: usize = 8;

async fn round(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    causes: &BTreeMap<Uuid, usize>,
    voice: Voice,
) -> Result<(Vec<Conflict>, Freed), sqlx::Error> {
    let keys: Vec<Uuid> = causes.keys().copied().collect();
    let claims = stored::claims(tx, &keys).await?;
    let register = stored::registered(tx, &claims).await?;
    let before = stored::assigned(tx, &keys).await?;
    let mut conflicts = Vec::new();
    let mut wanted: Vec<(&Claim, Uuid)> = Vec::new();
    for claim in &claims {
        match bed_of(claim, &register) {
            Some(bed) => wanted.push((claim, bed)),
            None if claim.to_at.is_none() => conflicts.push(unknown(claim, causes)),
            None => {}
        }
    }
    // what ended or never was goes first, so that nobody stands in his own way
    let mut gone: Vec<&Assigned> = Vec::new();
    for old in &before {
        let twin = wanted.iter().find(|(claim, bed)| {
            claim.encounter_key == old.encounter_key
                && *bed == old.bed_id
                && claim.from_at == old.from_at
        });
        match twin.map(|(claim, _)| claim.to_at) {
            Some(to) if to == old.to_at => {}
            Some(Some(to)) if old.to_at.is_none_or(|end| to < end) => {
                stored::end(tx, old.id, to).await?;
                if old.to_at.is_none() {
                    gone.push(old);
                }
            }
            _ => {
                stored::void(tx, old.id).await?;
                if old.to_at.is_none() {
                    gone.push(old);
                }
            }
        }
    }
    let new: Vec<&(&Claim, Uuid)> = wanted
        .iter()
        .filter(|(claim, bed)| {
            !before.iter().any(|old| {
                old.encounter_key == claim.encounter_key
                    && old.bed_id == *bed
                    && old.from_at == claim.from_at
                    && (old.to_at == claim.to_at
                        || claim
                            .to_at
                            .is_some_and(|to| old.to_at.is_none_or(|end| to < end)))
            })
        })
        .collect();
    let mut came: BTreeMap<Uuid, Uuid> = BTreeMap::new();
    for (claim, bed) in new {
        let slot = causes
            .get(&claim.encounter_key)
            .copied()
            .unwrap_or_default();
        release_own(tx, batch, slot, claim, *bed).await?;
        let source = batch.envelopes[slot].id;
        let given = stored::assign(tx, claim, *bed, claim.from_at, source).await?
            || (voice == Voice::System && assign_rest(tx, claim, *bed, source).await?);
        if !given {
            conflicts.push(taken(tx, claim, *bed, slot).await?);
        } else if claim.to_at.is_none() {
            came.insert(claim.encounter_key, *bed);
        }
    }
    let freed = settle_beds(tx, batch, causes, &gone, &came, &claims, &mut conflicts).await?;
    Ok((conflicts, freed))
}

/// From when the bed was free.
async fn assign_rest(
    tx: &mut Tx<'_>,
    claim: &Claim,
    bed: Uuid,
    source: Uuid,
) -> Result<bool, sqlx::Error> {
    match stored::free_from(tx, claim, bed).await? {
        Some(from) if claim.to_at.is_none_or(|to| from < to) => {
            stored::assign(tx, claim, bed, from, source).await
        }
        _ => Ok(false),
    }
}

/// Beds that somebody came into or left get their state, and it is told. Answers the freed ones.
async fn settle_beds(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    causes: &BTreeMap<Uuid, usize>,
    gone: &[&Assigned],
    came: &BTreeMap<Uuid, Uuid>,
    claims: &[Claim],
    conflicts: &mut Vec<Conflict>,
) -> Result<Freed, sqlx::Error> {
    let mut freed = Freed::default();
    for old in gone {
        let slot = causes.get(&old.encounter_key).copied().unwrap_or_default();
        if came.get(&old.encounter_key) == Some(&old.bed_id) {
            continue;
        }
        freed.beds.insert(old.bed_id);
        freed.people.insert(old.subject_key);
        // who came in the same breath has it already
        if !came.values().any(|bed| *bed == old.bed_id) {
            let _ = bed_state::change(tx, batch, slot, By::Patient, old.bed_id, BedState::Cleaning)
                .await?;
        }
    }
    for (encounter_key, bed) in came {
        let slot = causes.get(encounter_key).copied().unwrap_or_default();
        let was = bed_state::change(tx, batch, slot, By::Patient, *bed, BedState::Occupied).await?;
        let claim = claims
            .iter()
            .rev()
            .find(|claim| claim.encounter_key == *encounter_key);
        if let (Ok(from @ (BedState::Cleaning | BedState::Blocked)), Some(claim)) = (was, claim)
            && !gone.iter().any(|old| old.bed_id == *bed)
        {
            conflicts.push(Conflict {
                found: Found {
                    slot,
                    reason: Reason::BedNotReady,
                    encounter_key: claim.encounter_key,
                    encounter_id: Some(claim.encounter_id),
                    bed_key: claim.bed_key,
                    bed_id: Some(*bed),
                    place: Some(claim.place()),
                },
                detail: format!(
                    "the bed is not ready; from: {}; to: occupied; allowed: vacant",
                    from.as_str()
                ),
            });
        }
    }
    let moved: BTreeSet<Uuid> = gone
        .iter()
        .map(|old| old.encounter_key)
        .chain(came.keys().copied())
        .collect();
    for key in moved {
        let left = gone.iter().find(|old| old.encounter_key == key);
        let to_bed = came.get(&key).copied();
        let from_bed = left.map(|old| old.bed_id);
        let claim = claims.iter().rev().find(|claim| claim.encounter_key == key);
        let whose = left
            .map(|old| (old.encounter_id, old.subject_key))
            .or(claim.map(|claim| (claim.encounter_id, claim.subject_key)));
        let Some((encounter_id, subject_key)) = whose else {
            continue;
        };
        if from_bed == to_bed {
            continue;
        }
        let at = claim.map(|claim| claim.to_at.unwrap_or(claim.from_at));
        let slot = causes.get(&key).copied().unwrap_or_default();
        let body = BedAssigned {
            encounter_id,
            from_bed,
            to_bed,
            at: text(at.unwrap_or(batch.envelopes[slot].occurred_at)),
            reason: reason_of(&batch.envelopes[slot], encounter_id),
        };
        // who got a bed that another left is told of in his own lane
        batch.say_of(slot, subject_key, &body);
    }
    Ok(freed)
}

/// A bed that was kept for this patient is his, or let go, when he is in a bed.
async fn release_own(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    claim: &Claim,
    bed: Uuid,
) -> Result<(), sqlx::Error> {
    for kept in release(tx, claim.encounter_id, claim.from_at).await? {
        if kept != bed {
            let _ =
                bed_state::change(tx, batch, slot, By::Reservation, kept, BedState::Vacant).await?;
        }
    }
    Ok(())
}

/// Keeps a bed for a patient. False: somebody has it, or it is kept for somebody.
pub(crate) async fn reserve(
    tx: &mut Tx<'_>,
    encounter: Uuid,
    subject: Uuid,
    bed: Uuid,
    at: OffsetDateTime,
    source: Uuid,
) -> Result<bool, sqlx::Error> {
    stored::reserve(tx, encounter, subject, bed, at, source).await
}

/// Lets go what is kept for an encounter; answers the beds.
pub(crate) async fn release(
    tx: &mut Tx<'_>,
    encounter: Uuid,
    at: OffsetDateTime,
) -> Result<Vec<Uuid>, sqlx::Error> {
    stored::release(tx, encounter, at).await
}

/// The bed of the register that a stay names: the very one, else the only one it may be.
fn bed_of(claim: &Claim, register: &[Registered]) -> Option<Uuid> {
    let named = claim.bed();
    let may: Vec<&Registered> = register
        .iter()
        .filter(|one| one.bed_key == claim.bed_key && one.bed(&named).may_be(&named))
        .collect();
    may.iter()
        .find(|one| one.bed(&named) == named)
        .or(may.first().filter(|_| may.len() == 1))
        .map(|one| one.bed_id)
}

fn unknown(claim: &Claim, causes: &BTreeMap<Uuid, usize>) -> Conflict {
    Conflict {
        found: Found {
            slot: causes
                .get(&claim.encounter_key)
                .copied()
                .unwrap_or_default(),
            reason: Reason::BedUnknown,
            // one item a bed, not one a patient
            encounter_key: Uuid::nil(),
            encounter_id: None,
            bed_key: claim.bed_key,
            bed_id: None,
            place: Some(claim.place()),
        },
        detail: "the register has no such bed, or several".to_owned(),
    }
}

/// Why the constraint refused.
async fn taken(
    tx: &mut Tx<'_>,
    claim: &Claim,
    bed: Uuid,
    slot: usize,
) -> Result<Conflict, sqlx::Error> {
    let state = stored::who_has(tx, claim, bed).await?;
    let (reason, detail) = match state {
        Some(kind) => (
            Reason::BedOccupied,
            format!("the bed is not free: another patient has it; from: {kind}; to: occupied; allowed: vacant"),
        ),
        None => (
            Reason::SecondBed,
            "the patient is in another bed of the register at that time; from: occupied; to: occupied; allowed: leave"
                .to_owned(),
        ),
    };
    Ok(Conflict {
        found: Found {
            slot,
            reason,
            encounter_key: claim.encounter_key,
            encounter_id: Some(claim.encounter_id),
            bed_key: claim.bed_key,
            bed_id: Some(bed),
            place: Some(claim.place()),
        },
        detail,
    })
}

impl Claim {
    fn bed(&self) -> Bed {
        Bed {
            ward: self.ward.clone(),
            bed: self.bed.clone(),
            room: self.room.clone(),
            facility: self.facility.clone(),
        }
    }

    fn place(&self) -> Value {
        let said = |text: &str| (!text.is_empty()).then(|| Value::from(text));
        json!({
            "point_of_care": said(&self.ward), "room": said(&self.room), "bed": said(&self.bed),
            "facility": said(&self.facility),
        })
    }
}

impl Registered {
    fn bed(&self, named: &Bed) -> Bed {
        Bed {
            room: self.room.to_uppercase(),
            facility: self.facility.to_uppercase(),
            ..named.clone()
        }
    }
}

/// Why staff moved the patient, where they did.
fn reason_of(cause: &Envelope, encounter: Uuid) -> Option<String> {
    if cause.name != MoveEncounter::NAME {
        return None;
    }
    match body::decode::<MoveEncounter>(cause).ok()? {
        MoveEncounter {
            encounter_id,
            step: Step::Transfer { reason, .. },
            ..
        } if encounter_id == encounter => reason,
        _ => None,
    }
}

fn text(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
