//! The answer to a device whose lists are due: operators from the mapping files, patients from ADT.

use std::collections::{HashMap, HashSet};

use hub_core::Tx;
use hub_core::mappings::Mappings;
use schemas::ChannelId;
use schemas::rosters::{RosterAnswer, RosterPatient, RosterQuestion};
use uuid::Uuid;
use worker_clinical::queries as clinical;
use worker_patient::queries::{self as patients, PersonOfKey};

/// More patients than any question may ask for: no device holds as many.
const MOST: u32 = 10_000;

pub(super) async fn answer(
    tx: &mut Tx<'_>,
    maps: &Mappings,
    question: &RosterQuestion,
) -> Result<RosterAnswer, sqlx::Error> {
    match question {
        RosterQuestion::Operators { channel, on } => Ok(RosterAnswer::Operators {
            operators: maps.operators(channel, on),
        }),
        RosterQuestion::Patients {
            channel,
            ward,
            facility,
            limit,
        } => {
            let ward = Some(ward.as_str()).filter(|ward| *ward != "*");
            in_ward(tx, maps, channel, ward, facility.as_deref(), *limit).await
        }
        RosterQuestion::Person { channel, number } => Ok(RosterAnswer::Patients {
            patients: person(tx, maps, channel, number)
                .await?
                .into_iter()
                .collect(),
        }),
    }
}

async fn in_ward(
    tx: &mut Tx<'_>,
    maps: &Mappings,
    channel: &ChannelId,
    ward: Option<&str>,
    facility: Option<&str>,
    limit: u32,
) -> Result<RosterAnswer, sqlx::Error> {
    let limit = limit.min(MOST);
    // a person may have two encounters in a ward: the limit is on people
    let rows = i64::from(limit) * 2 + 1;
    let here = clinical::in_ward(tx.conn(), ward, facility, rows).await?;
    let full = i64::try_from(here.len()).is_ok_and(|found| found >= rows);
    let keys: Vec<Uuid> = here.iter().map(|one| one.subject_key).collect();
    let system = maps.assigner(channel, "");
    let people: HashMap<Uuid, PersonOfKey> = patients::people_in_system(tx.conn(), &keys, system)
        .await?
        .into_iter()
        .map(|person| (person.key, person))
        .collect();
    let mut seen = HashSet::new();
    let mut patients: Vec<RosterPatient> = here
        .into_iter()
        .filter_map(|one| {
            let person = people.get(&one.subject_key)?;
            seen.insert(person.patient_id).then(|| RosterPatient {
                place: one
                    .location
                    .and_then(|place| serde_json::from_value(place).ok()),
                ..patient(person)
            })
        })
        .collect();
    if full || patients.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
        return Ok(RosterAnswer::TooMany { limit });
    }
    patients.sort_by(|one, two| one.number.cmp(&two.number));
    Ok(RosterAnswer::Patients { patients })
}

/// By the patient's number, else by that of a specimen with something open. Who was only mentioned by a result is nobody who was
/// registered: the operator typed his number once before.
async fn person(
    tx: &mut Tx<'_>,
    maps: &Mappings,
    channel: &ChannelId,
    number: &str,
) -> Result<Option<RosterPatient>, sqlx::Error> {
    let named = format!("{}|{number}", maps.assigner(channel, ""));
    let mut keys: Vec<Uuid> = patients::identifiers_named(tx.conn(), &named)
        .await?
        .into_iter()
        .filter(|one| !one.provisional)
        .map(|one| one.key)
        .collect();
    if keys.is_empty() {
        let numbers = [number.to_owned()];
        let pending = clinical::pending_on(tx.conn(), channel.as_str(), &numbers).await?;
        keys.extend(
            pending
                .iter()
                .rev()
                .find(|test| !test.cancelled)
                .map(|test| test.subject_key),
        );
    }
    let people = patients::people_of_keys(tx.conn(), &keys).await?;
    // the device shows whom it asked for, and its result comes back under the same number
    Ok(people.first().map(|person| RosterPatient {
        number: number.to_owned(),
        ..patient(person)
    }))
}

fn patient(person: &PersonOfKey) -> RosterPatient {
    let sex = person.sex.as_deref().map(|sex| match sex {
        "male" => "M",
        "female" => "F",
        "other" => "O",
        _ => "U",
    });
    RosterPatient {
        number: person.value.clone(),
        name: person
            .name
            .clone()
            .and_then(|name| serde_json::from_value(name).ok()),
        birth_date: person.birth_date.clone(),
        sex: sex.map(str::to_owned),
        place: None,
    }
}
