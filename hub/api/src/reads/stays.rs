//! Whose encounter it is and whether the caller may open it; boards, lists and bed-days.

use std::collections::HashMap;

use hub_core::Tx;
use time::{Duration, Time};
use uuid::Uuid;
use worker_clinical::bed_days::{self, InBed, Moment, Policy};
use worker_clinical::queries;
use worker_patient::queries::PersonOfKey;

use crate::auth::chart;
use crate::auth::identity::{Identity, Reach};
use crate::problem::{FieldProblem, Problem};
use crate::reads::patients::{self, Keys};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::house::{Board, BoardBed, Occupant, Ward};
use crate::views::stays::{BedDay, BedDays};

/// An encounter whose chart the caller has open.
pub(crate) struct Known {
    pub(crate) row: queries::EncounterRow,
    /// All identifiers' keys of its patient.
    pub(crate) keys: Keys,
}

impl Known {
    /// What decides the lane of a command about it: its patient, as for the messages about it.
    pub(crate) fn aggregate(&self) -> String {
        self.row.subject_key.to_string()
    }
}

pub(crate) fn no_encounter() -> Problem {
    Problem::unknown("encounters.unknown", "no encounter has this id")
}

/// Opens the chart of an encounter's patient for what `permission` shows or changes.
pub(crate) async fn open(
    state: &ApiState,
    trace: &Trace,
    who: &Identity,
    permission: &str,
    tx: &mut Tx<'_>,
    id: Uuid,
) -> Result<Known, Problem> {
    let (row, _) = queries::encounter(tx.conn(), id)
        .await?
        .ok_or_else(no_encounter)?;
    let (patient, keys) = person(tx, row.subject_key).await?;
    chart::open(state, trace, who, permission, tx, patient, &keys).await?;
    Ok(Known { row, keys })
}

/// The person behind a key, and all his keys. Clinical rows may be ahead of the patient index: then the key is all there is.
async fn person(tx: &mut Tx<'_>, key: Uuid) -> Result<(Uuid, Keys), Problem> {
    let standing = worker_patient::queries::patients_of_keys(tx.conn(), &[key])
        .await?
        .into_iter()
        .find_map(|(_, patient)| patient);
    let keys = match standing {
        Some(patient) => patients::keys_of_patient(tx, patient).await?,
        None => None,
    };
    Ok((
        standing.unwrap_or_default(),
        keys.unwrap_or_else(|| Keys::from([(key, None)])),
    ))
}

/// May the caller do this at the place? A grant names a whole facility, a department, or a ward of it.
pub(crate) fn may_at(
    who: &Identity,
    permission: &'static str,
    facility: &str,
    names: &[&str],
) -> Result<(), Problem> {
    let allowed = match who.reach(permission) {
        Reach::Everywhere => true,
        Reach::Places(places) => places.iter().any(|place| {
            place.facility == facility
                && place
                    .department
                    .as_deref()
                    .is_none_or(|department| names.contains(&department))
        }),
        Reach::Nowhere => false,
    };
    if allowed {
        Ok(())
    } else {
        Err(Problem::new(
            axum::http::StatusCode::FORBIDDEN,
            "auth.scope",
            format!("this is none of the places where you have {permission}"),
        )
        .lacking(permission))
    }
}

/// The refusal with each open gate in its `errors`, and the link to it.
pub(crate) async fn with_gates(
    tx: &mut Tx<'_>,
    encounter: Uuid,
    mut problem: Problem,
) -> Result<Problem, Problem> {
    let open = queries::gates(tx.conn(), encounter)
        .await?
        .into_iter()
        .filter(|gate| gate.state == "open");
    problem.fields.extend(open.map(|gate| FieldProblem {
        detail: format!("/api/v1/encounters/{encounter}/gates/{}", gate.gate),
        field: gate.gate,
    }));
    Ok(problem)
}

/// The places to which a list is narrowed for the caller; `None`: none.
pub(crate) fn narrowed(
    who: &Identity,
    permission: &str,
    demanded: bool,
) -> Option<(Vec<String>, Vec<String>)> {
    if who.reach(permission) == Reach::Everywhere && !demanded {
        return None;
    }
    Some(
        who.places(permission)
            .into_iter()
            .map(|place| (place.facility, place.department.unwrap_or_default()))
            .unzip(),
    )
}

/// A ward with its beds and who has them.
pub(crate) async fn board(tx: &mut Tx<'_>, ward: queries::WardRow) -> Result<Board, Problem> {
    let rows = queries::board(tx.conn(), ward.id).await?;
    let elsewhere = queries::in_ward_elsewhere(tx.conn(), &ward.facility, &ward.code).await?;
    let keys: Vec<Uuid> = rows
        .iter()
        .chain(&elsewhere)
        .filter_map(|row| row.subject_key)
        .collect();
    let people: HashMap<Uuid, PersonOfKey> =
        worker_patient::queries::people_of_keys(tx.conn(), &keys)
            .await?
            .into_iter()
            .map(|person| (person.key, person))
            .collect();
    let count = |state: &str| {
        rows.iter()
            .filter(|row| row.state.as_deref() == Some(state))
            .count()
    };
    Ok(Board {
        vacant: count("vacant"),
        reserved: count("reserved"),
        occupied: count("occupied"),
        cleaning: count("cleaning"),
        blocked: count("blocked"),
        elsewhere: elsewhere
            .into_iter()
            .filter_map(|row| occupant(row, &people, true))
            .collect(),
        beds: rows
            .into_iter()
            .filter_map(|row| {
                Some(BoardBed {
                    id: row.bed_id?,
                    code: row.code.clone().unwrap_or_default(),
                    room: row.room.clone().filter(|room| !room.is_empty()),
                    state: row.state.clone().unwrap_or_default(),
                    state_reason: row.state_reason.clone(),
                    state_at: row.state_at,
                    patient: occupant(row, &people, false),
                })
            })
            .collect(),
        ward: Ward::of(ward),
    })
}

fn occupant(
    row: queries::BoardBed,
    people: &HashMap<Uuid, PersonOfKey>,
    with_place: bool,
) -> Option<Occupant> {
    let person = row.subject_key.and_then(|key| people.get(&key));
    Some(Occupant {
        encounter_id: row.encounter_id?,
        patient_id: person.map(|person| person.patient_id),
        identifier: person.map(|person| person.value.clone()),
        name: person
            .and_then(|person| person.name.clone())
            .and_then(|name| serde_json::from_value(name).ok()),
        birth_date: person.and_then(|person| person.birth_date.clone()),
        sex: person.and_then(|person| person.sex.clone()),
        visit_number: row.visit_number,
        stage: row.stage,
        attending: row
            .attending
            .and_then(|attending| serde_json::from_value(attending).ok()),
        place: row
            .location
            .filter(|_| with_place)
            .and_then(|place| serde_json::from_value(place).ok()),
        since: row.since,
        expected_at: row.expected_at,
        open_orders: row.open_orders,
    })
}

/// Days of one stay that are listed; how many they are is said whatever they are.
const MOST_DAYS: u32 = 3_660;

/// How bed-days are counted, as callers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PolicyName {
    /// Midnight census.
    Census,
    /// 24 hours from the admission.
    Rolling,
    /// Calendar days, that of the discharge free.
    Calendar,
    /// A day ends at a fixed hour.
    Checkout,
}

impl PolicyName {
    fn as_str(self) -> &'static str {
        match self {
            Self::Census => "census",
            Self::Rolling => "rolling",
            Self::Calendar => "calendar",
            Self::Checkout => "checkout",
        }
    }

    fn policy(self, grace: Duration, hour: Time) -> Policy {
        match self {
            Self::Census => Policy::Census,
            Self::Rolling => Policy::Rolling { grace },
            Self::Calendar => Policy::Calendar,
            Self::Checkout => Policy::Checkout { hour, grace },
        }
    }
}

/// The days of a stay; `None`: the patient was in no bed.
pub(crate) async fn days(
    tx: &mut Tx<'_>,
    encounter: Uuid,
    name: PolicyName,
    grace: Duration,
    hour: Time,
    zone: Option<&str>,
) -> Result<Option<BedDays>, Problem> {
    let rows = match queries::stays_in_beds(tx.conn(), encounter, zone).await {
        Ok(rows) => rows,
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("22023") => {
            return Err(Problem::invalid("zone", "is none of the IANA time zones"));
        }
        Err(error) => return Err(error.into()),
    };
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(None);
    };
    let policy = name.policy(grace, hour);
    let beds: Vec<InBed<usize>> = rows
        .iter()
        .enumerate()
        .map(|(place, row)| InBed {
            bed: place,
            from: Moment {
                at: row.from_at,
                local: row.from_local,
            },
            to: Moment {
                at: row.to_at,
                local: row.to_local,
            },
        })
        .collect();
    let days = match (beds.first(), beds.last()) {
        (Some(first), Some(last)) => bed_days::count(policy, first.from, last.to),
        _ => 0,
    };
    let by_day: Vec<BedDay> = bed_days::last_days(policy, &beds, MOST_DAYS)
        .into_iter()
        .filter_map(|day| {
            let row = rows.get(day.bed)?;
            Some(BedDay {
                date: day.date.to_string(),
                bed_id: row.bed_id,
                ward: row.ward.clone(),
                room: row.room.clone(),
                bed: row.bed.clone(),
            })
        })
        .collect();
    Ok(Some(BedDays {
        policy: name.as_str(),
        days,
        minutes: (last.to_at - first.from_at).whole_minutes(),
        from: first.from_at,
        to: last.to_at,
        open: last.open,
        zone: first.zone.clone(),
        by_day,
    }))
}
