//! Encounters: `adt.encounter.reported`.
//!
//! Two clocks stand on each encounter, because an update (A08) says nothing of the status: `fact_at` is the newest
//! fact about its fields, `status_at` the newest about its status. What is older fills gaps and history, and
//! overrules nothing; so an A01 that arrives after its A03 gives the finished encounter its beginning.

use std::collections::HashMap;

use hub_core::{Envelope, Refusal, Tx};
use schemas::care::{EncounterAction, EncounterChanged, EncounterReported, Location};
use schemas::ids::care_key;
use schemas::{Body, Patch};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::batch::Batch;
use crate::body;
use crate::stays::differences::{self, Found, Reason};
use crate::stays::stage::{self, Stage};

mod desk;
mod replay;
mod stay;
mod stored;
mod told;
mod transition;

pub(crate) use desk::Desk;
use replay::{History, Moved};
use stay::Stay;
pub(crate) use stored::Encounter;
use told::InHouse;
pub(crate) use transition::EncounterState;
use transition::{Visit, transition};

pub(crate) struct Reported<'a> {
    pub(crate) slot: usize,
    pub(crate) envelope: &'a Envelope,
    pub(crate) said: EncounterReported,
    pub(crate) key: Uuid,
    /// When it happened.
    pub(crate) at: OffsetDateTime,
    pub(crate) admitted_at: Patch<OffsetDateTime>,
    pub(crate) discharged_at: Patch<OffsetDateTime>,
    /// What staff say over REST beside it; `None`: a hospital system speaks.
    pub(crate) desk: Option<Desk>,
}

impl<'a> Reported<'a> {
    fn read(slot: usize, envelope: &'a Envelope) -> Result<Self, Refusal> {
        let said: EncounterReported = body::decode(envelope)?;
        let admitted_at = time_patch(&said.admitted_at, "admitted_at")?;
        let discharged_at = time_patch(&said.discharged_at, "discharged_at")?;
        Ok(Self {
            slot,
            envelope,
            key: encounter_key(envelope, &said, admitted_at.as_set().copied()),
            said,
            at: envelope.occurred_at,
            admitted_at,
            discharged_at,
            desk: None,
        })
    }
}

fn time_patch(
    patch: &Patch<String>,
    field: &'static str,
) -> Result<Patch<OffsetDateTime>, Refusal> {
    Ok(match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(text) => body::time(Some(text), field)?.map_or(Patch::Keep, Patch::Set),
    })
}

/// The visit number, else patient and admit time.
pub(crate) fn encounter_key(
    envelope: &Envelope,
    said: &EncounterReported,
    admitted_at: Option<OffsetDateTime>,
) -> Uuid {
    match said
        .visit_number
        .as_deref()
        .filter(|visit| !visit.is_empty())
    {
        Some(visit) => care_key(&envelope.tenant, "encounter", &[visit]),
        None => care_key(
            &envelope.tenant,
            "encounter-admit",
            &[
                &said.subject.key.0.to_string(),
                &admitted_at.map_or(String::new(), |at| at.unix_timestamp().to_string()),
            ],
        ),
    }
}

/// Applies every `adt.encounter.reported` of the batch, and answers them.
pub(crate) async fn apply<'a>(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'a>,
) -> Result<Vec<Reported<'a>>, sqlx::Error> {
    let mut reported = Vec::new();
    for slot in batch.named(EncounterReported::NAME) {
        match Reported::read(slot, &batch.envelopes[slot]) {
            Ok(one) => reported.push(one),
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for found in desk::kept_where_staff_say(tx, &mut reported).await? {
        differences::found(tx, batch, &found).await?;
    }
    file(tx, batch, &reported).await?;
    Ok(reported)
}

/// Files what was said, and says what follows.
pub(crate) async fn file(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    reported: &[Reported<'_>],
) -> Result<(), sqlx::Error> {
    if reported.is_empty() {
        return Ok(());
    }
    let keys: Vec<Uuid> = reported.iter().map(|one| one.key).collect();
    let mut encounters = stored::load(tx, &keys).await?;
    let mut history = History::load(tx, reported, &encounters).await?;
    let mut changed: HashMap<Uuid, ()> = HashMap::new();
    let mut contradicted = Vec::new();
    let mut came: HashMap<Uuid, (usize, Uuid)> = HashMap::new();
    let mut went = Vec::new();
    for one in reported {
        let before = encounters.get(&one.key);
        let (mut encounter, stay) = applied(one, before, history.with(one));
        if before.is_some_and(|(old, places)| *old == encounter && *places == stay) {
            batch.unchanged(one.slot);
            continue;
        }
        encounter.version = before.map_or(1, |(old, _)| old.version + 1);
        batch.changes.encounters += 1;
        batch.say(
            one.slot,
            &EncounterChanged {
                encounter_id: encounter.id,
                action: one.said.action,
                status: encounter.status.clone(),
            },
        );
        told::stages(batch, one, before.map(|(old, _)| old), &encounter);
        contradicted.extend(told::contradiction(
            one,
            before.map(|(old, _)| old),
            &encounter,
        ));
        match told::in_house(before.map(|(old, _)| old), &encounter) {
            Some(InHouse::Came) if one.desk.is_none() => {
                came.insert(encounter.id, (one.slot, one.key));
            }
            Some(InHouse::Went) => went.push(encounter.subject_key),
            _ => {}
        }
        changed.insert(one.key, ());
        encounters.insert(one.key, (encounter, stay));
    }
    let rows: Vec<&(Encounter, Stay)> = changed
        .keys()
        .filter_map(|key| encounters.get(key))
        .collect();
    let changed: Vec<&Encounter> = rows.iter().map(|(encounter, _)| encounter).collect();
    let stays: Vec<(Uuid, &Stay)> = rows.iter().map(|(one, stay)| (one.id, stay)).collect();
    stored::save(tx, &changed).await?;
    stored::save_places(tx, &stays).await?;
    let admitted: Vec<Uuid> = came.keys().copied().collect();
    for id in differences::admitted_twice(tx, &admitted).await? {
        contradicted.extend(came.get(&id).map(|(slot, key)| Found {
            slot: *slot,
            reason: Reason::SecondAdmission,
            encounter_key: *key,
            encounter_id: Some(id),
            bed_key: Uuid::nil(),
            bed_id: None,
            place: None,
        }));
    }
    for found in contradicted {
        differences::found(tx, batch, &found).await?;
    }
    differences::settle_admissions(tx, &went).await
}

/// The encounter as it stands, and its key.
pub(crate) async fn by_id(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Encounter>, sqlx::Error> {
    let key: Option<Uuid> =
        sqlx::query_scalar("select encounter_key from clinical.encounters where id = $1")
            .bind(id)
            .fetch_optional(tx.conn())
            .await?;
    let Some(key) = key else { return Ok(None) };
    let mut found = stored::load(tx, &[key]).await?;
    Ok(found.remove(&key).map(|(encounter, _)| encounter))
}

/// The encounter after the message.
fn applied(
    one: &Reported<'_>,
    before: Option<&(Encounter, Stay)>,
    said: Option<&[Moved]>,
) -> (Encounter, Stay) {
    let at = one.at;
    let visit = Visit {
        class: one.said.class.as_set().map(String::as_str),
        discharged: one.discharged_at.as_set().is_some(),
    };
    let (mut encounter, mut stay) = before.cloned().unwrap_or_else(|| {
        let state = transition(None, one.said.action, visit);
        (new_encounter(one, state), Stay::default())
    });
    // what staff do is the newest word, whatever the clock of a hospital system says
    let desk = one.desk.is_some();
    let late = !desk && before.is_some_and(|(old, _)| at < old.fact_at);
    let overtaken = before.is_some_and(|(old, _)| is_overtaken(one.said.action, old.state()));
    fields(one, &mut encounter, late, overtaken);
    if !desk && before.is_some_and(|(old, _)| at < old.status_at) {
        // out of order: history only
        if let Some(location) = location(&one.said.location)
            && begins_a_place(one.said.action)
            && one.said.action != EncounterAction::Discharged
        {
            stay.was_at(&location, at, encounter.fact_at, one.envelope.id);
        }
        begins(one, &mut encounter);
    } else {
        let from = before.map(|(old, _)| old.state());
        let to = transition(from, one.said.action, visit);
        to.as_str().clone_into(&mut encounter.status);
        moves(one, &mut encounter, &mut stay, to, late);
        periods(one, &mut encounter, from, to);
    }
    if let (Some((old, places)), Some(said)) = (before, said)
        && !old.desk
        && at < old.fact_at.max(old.status_at)
        && replay::is_needed(said)
    {
        stay = replay::settled(places, replay::places(said, encounter.started_at));
        encounter.location = stay.now().cloned().or(encounter.location.take());
    }
    let derived = stage::after_fact(
        encounter.stage.as_deref().and_then(Stage::stored),
        encounter.class.as_deref(),
        encounter.state(),
    );
    encounter.stage = derived.map(|stage| stage.as_str().to_owned());
    if let Some(desk) = &one.desk {
        desk.apply_to(&mut encounter);
    }
    // a repeat changes nothing, and then its time is no news either; a cancellation without anything to take back came before what it
    // takes back, which must find that it is late
    let takes_back = matches!(
        one.said.action,
        EncounterAction::TransferCancelled | EncounterAction::DischargeCancelled
    );
    if let Some((old, places)) = before
        && (takes_back || encounter != *old || stay != *places)
    {
        encounter.fact_at = encounter.fact_at.max(at);
        if one.said.action != EncounterAction::Updated && !overtaken {
            encounter.status_at = encounter.status_at.max(at);
        }
    }
    (encounter, stay)
}

fn new_encounter(one: &Reported<'_>, state: EncounterState) -> Encounter {
    Encounter {
        id: one
            .desk
            .as_ref()
            .map_or_else(Uuid::now_v7, |desk| desk.encounter_id),
        encounter_key: one.key,
        subject_key: one.said.subject.key.0,
        visit_number: one.said.visit_number.clone(),
        class: (one.said.action == EncounterAction::Preadmitted).then(|| "P".to_owned()),
        status: state.as_str().to_owned(),
        location: None,
        prior_location: None,
        attending: None,
        referring: None,
        service: None,
        disposition: None,
        started_at: None,
        ended_at: None,
        fact_at: one.at,
        status_at: one.at,
        version: 1,
        source_event: one.envelope.id,
        stage: None,
        desk: false,
        subject_value: Some(one.said.subject.value.clone()),
        department_id: None,
        token_day: None,
        token: None,
        reason: None,
        priority: None,
        payer: None,
        ward_class: None,
        medico_legal: None,
        expected_at: None,
        ending: None,
    }
}

/// A plan (A05) for what has begun already: it says neither where the patient is nor what he is now.
fn is_overtaken(action: EncounterAction, state: EncounterState) -> bool {
    let nothing_more = Visit::default();
    action == EncounterAction::Preadmitted
        && transition(Some(state), action, nothing_more) != EncounterState::Planned
}

/// False where the place named is none that the patient came to at the time of the message: it is planned, or it was an error.
fn begins_a_place(action: EncounterAction) -> bool {
    !matches!(
        action,
        EncounterAction::Preadmitted | EncounterAction::AdmitCancelled
    )
}

/// What is said replaces, `""` deletes; what a late or overtaken message says only fills.
fn fields(one: &Reported<'_>, encounter: &mut Encounter, late: bool, overtaken: bool) {
    let said = &one.said;
    if !overtaken {
        apply_patch(&json(&said.location), &mut encounter.location, late);
    }
    let late = late || overtaken;
    apply_patch(&said.class, &mut encounter.class, late);
    apply_patch(&said.service, &mut encounter.service, late);
    apply_patch(&said.disposition, &mut encounter.disposition, late);
    apply_patch(&json(&said.attending), &mut encounter.attending, late);
    apply_patch(&json(&said.referring), &mut encounter.referring, late);
    apply_patch(
        &json(&said.prior_location),
        &mut encounter.prior_location,
        late,
    );
    apply_patch(&one.admitted_at, &mut encounter.started_at, late);
}

fn apply_patch<T: Clone>(patch: &Patch<T>, stored: &mut Option<T>, late: bool) {
    match (late, patch) {
        (false, patch) => patch.apply_to(stored),
        (true, Patch::Set(value)) if stored.is_none() => *stored = Some(value.clone()),
        (true, _) => {}
    }
}

fn json<T: serde::Serialize>(patch: &Patch<T>) -> Patch<Value> {
    match patch {
        Patch::Keep => Patch::Keep,
        Patch::Clear => Patch::Clear,
        Patch::Set(value) => serde_json::to_value(value).map_or(Patch::Keep, Patch::Set),
    }
}

fn location(patch: &Patch<Location>) -> Option<Value> {
    json(patch).as_set().cloned()
}

/// Places follow the trigger; a planned encounter has none yet.
fn moves(
    one: &Reported<'_>,
    encounter: &mut Encounter,
    stay: &mut Stay,
    state: EncounterState,
    late: bool,
) {
    let at = one.at;
    let event = one.envelope.id;
    let named = location(&one.said.location);
    if late
        && begins_a_place(one.said.action)
        && let Some(named) = &named
    {
        stay.was_at(named, at, encounter.fact_at, event);
    }
    let takes_back = matches!(
        one.said.action,
        EncounterAction::TransferCancelled | EncounterAction::DischargeCancelled
    );
    let named = named.filter(|_| takes_back || !late);
    let left = stay.now().cloned();
    let acted = stay.follow(
        one.said.action,
        named.as_ref(),
        state,
        (at, event),
        encounter.started_at,
    );
    if !acted {
        return;
    }
    match one.said.action {
        EncounterAction::Admitted
        | EncounterAction::Registered
        | EncounterAction::Transferred
        | EncounterAction::Updated => {
            if left.is_some() && left != named && one.said.prior_location.is_keep() {
                encounter.prior_location = left;
            }
        }
        EncounterAction::TransferCancelled => {
            encounter.location = stay.now().cloned().or(encounter.location.take());
            if one.said.prior_location.is_keep() {
                encounter.prior_location = None;
            }
        }
        EncounterAction::Preadmitted
        | EncounterAction::Discharged
        | EncounterAction::AdmitCancelled
        | EncounterAction::DischargeCancelled => {}
    }
}

/// An admission begins the encounter, where PV1-44 did not.
fn begins(one: &Reported<'_>, encounter: &mut Encounter) {
    if matches!(
        one.said.action,
        EncounterAction::Admitted | EncounterAction::Registered
    ) {
        encounter.started_at = encounter.started_at.or(Some(one.at));
    }
}

fn periods(
    one: &Reported<'_>,
    encounter: &mut Encounter,
    from: Option<EncounterState>,
    to: EncounterState,
) {
    let at = one.at;
    begins(one, encounter);
    match to {
        EncounterState::Finished => {
            one.discharged_at.apply_to(&mut encounter.ended_at);
            if one.said.action == EncounterAction::Discharged {
                encounter.ended_at = encounter.ended_at.or(Some(at));
            }
        }
        EncounterState::InProgress if from == Some(EncounterState::Finished) => {
            encounter.ended_at = None;
            encounter.disposition = None;
        }
        _ => {}
    }
}
