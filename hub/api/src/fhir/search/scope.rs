//! Which rows a search walks. A list of everybody's charts has no index to walk, and no right to it: a search of what stands in
//! charts names a patient, or a number.

use axum::http::StatusCode;
use hub_fhir::{Issue, Kind, identifier_asked};
use uuid::Uuid;
use worker_clinical::queries as clinical;
use worker_identity::queries as staff;
use worker_patient::queries as index;

use super::super::asked::{Asked, Criterion, Modifier, split};
use super::super::dates::{self, Prefix};
use super::super::doors::Doors;
use super::super::fits::target;
use super::super::include::Visit;
use super::super::source::{Ground, Hints, Person, Scope};
use super::super::table::Wired;
use crate::problem::Problem;
use crate::reads::patients;

/// How the matches are come by.
pub(crate) enum Way {
    /// One by one, by their ids.
    Ids(Vec<String>),
    Walk {
        scope: Scope,
        hints: Box<Hints>,
        /// Each one found still has to be asked at the door of its chart.
        ask_each: bool,
    },
}

/// Persons that one search may name.
const MOST_PEOPLE: usize = 20;

pub(crate) async fn way(
    visit: &Visit<'_>,
    ground: &mut Ground<'_, '_>,
    doors: &mut Doors,
    wired: &'static Wired,
    asked: &mut Asked,
) -> Result<Way, Problem> {
    let plain = |criterion: &&Criterion| criterion.modifier.is_none();
    let ids = asked
        .of("_id")
        .find(plain)
        .map(|criterion| criterion.values.clone());
    let mut hints = hints(asked);
    if let Some(ids) = ids {
        // whom an entry of the trail is about, and who did it, only the trail can tell
        if wired.kind == Kind::AuditEvent {
            hints.entries = Some(ids.iter().filter_map(|id| id.parse().ok()).collect());
            return of_trail(ground, asked, hints).await;
        }
        return Ok(Way::Ids(ids));
    }
    match wired.kind {
        Kind::Patient => return of_patients(ground, asked, hints).await,
        Kind::Slot => return of_slots(asked, hints),
        Kind::AuditEvent => return of_trail(ground, asked, hints).await,
        Kind::Organization | Kind::Location | Kind::Practitioner | Kind::Schedule => {
            return Ok(Way::Walk {
                scope: Scope::Whole,
                hints: Box::new(hints),
                ask_each: false,
            });
        }
        Kind::Provenance => {
            // each resource has one, of its own name
            let ids = asked
                .take_out(&["target"])
                .into_iter()
                .flat_map(|criterion| criterion.values)
                .filter_map(|value| match target(&value) {
                    (Some(kind), id) => Some(format!("{kind}.{id}")),
                    (None, _) => None,
                })
                .collect::<Vec<_>>();
            if ids.is_empty() {
                return Err(too_costly("Provenance needs target or _id"));
            }
            return Ok(Way::Ids(ids));
        }
        _ => {}
    }
    let named = asked.take_out(&["patient", "subject"]);
    if !named.is_empty() {
        let people = people(ground, &named).await?;
        for person in &people {
            let category = hints.category.as_deref();
            open(
                visit,
                ground,
                doors,
                (wired.kind, category),
                person.id,
                asked,
            )
            .await?;
        }
        return Ok(Way::Walk {
            scope: Scope::People(people),
            hints: Box::new(hints),
            ask_each: false,
        });
    }
    let scope = match wired.kind {
        Kind::Encounter | Kind::ServiceRequest => numbers(asked, &["identifier"]),
        Kind::Specimen => numbers(asked, &["identifier", "accession"]),
        Kind::DiagnosticReport | Kind::Observation => tubes(ground, asked).await?,
        _ => None,
    };
    let scope = scope.ok_or_else(|| too_costly(wired.words))?;
    // a measurement has no tube
    hints.category = None;
    Ok(Way::Walk {
        scope,
        hints: Box::new(hints),
        ask_each: true,
    })
}

pub(crate) fn too_costly(words: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "fhir.too_costly",
        format!("this search would read everybody's rows: {words}"),
    )
}

/// Opens the chart for what the type shows. Of the two kinds of observations, those that may not be seen are left out, and it
/// is said.
async fn open(
    visit: &Visit<'_>,
    ground: &mut Ground<'_, '_>,
    doors: &mut Doors,
    (kind, category): (Kind, Option<&str>),
    patient: Uuid,
    asked: &mut Asked,
) -> Result<(), Problem> {
    let permissions: &[&'static str] = match (kind, category) {
        (Kind::Encounter, _) => &["encounters:read"],
        (Kind::ServiceRequest | Kind::Specimen, _) => &["orders:read"],
        (Kind::Observation, Some("vital-signs")) => &["vitals:read"],
        (Kind::Observation, category) if category != Some("laboratory") => {
            &["results:read", "vitals:read"]
        }
        (
            Kind::Condition
            | Kind::AllergyIntolerance
            | Kind::MedicationRequest
            | Kind::DocumentReference,
            _,
        ) => &["charts:read"],
        (Kind::Appointment, _) => &["appointments:read"],
        _ => &["results:read"],
    };
    let mut refused: Option<Problem> = None;
    let mut opened = false;
    for permission in permissions {
        let answer = doors
            .open(
                visit.state,
                visit.call,
                visit.who,
                ground.tx,
                permission,
                Some(patient),
            )
            .await;
        match answer {
            Ok(()) => opened = true,
            Err(problem) if problem.status == StatusCode::FORBIDDEN => {
                match *permission {
                    "results:read" => ground.may_results = false,
                    _ => ground.may_vitals = false,
                }
                asked.remarks.push(Issue::warning(
                    "suppressed",
                    format!("what {permission} shows is left out: {}", problem.detail),
                ));
                // that the chart is closed says more than that a permission is missing
                if refused.is_none() || problem.code != "auth.permission" {
                    refused = Some(problem);
                }
            }
            Err(problem) => return Err(problem),
        }
    }
    match refused {
        Some(problem) if !opened => Err(problem),
        _ => Ok(()),
    }
}

/// The persons whom references and identifiers mean; all conditions must mean them.
async fn people(ground: &mut Ground<'_, '_>, named: &[Criterion]) -> Result<Vec<Person>, Problem> {
    let mut wanted: Option<Vec<Uuid>> = None;
    for criterion in named {
        let mut of = Vec::new();
        for value in &criterion.values {
            if criterion.by_identifier {
                of.extend(identified(ground, value).await?);
            } else {
                of.extend(referred(ground, criterion, value).await?);
            }
        }
        of.sort_unstable();
        of.dedup();
        wanted = Some(match wanted {
            None => of,
            Some(before) => before.into_iter().filter(|id| of.contains(id)).collect(),
        });
    }
    let wanted = wanted.unwrap_or_default();
    if wanted.len() > MOST_PEOPLE {
        return Err(Problem::invalid(
            "patient",
            format!("names more than {MOST_PEOPLE} persons"),
        ));
    }
    let mut people = Vec::with_capacity(wanted.len());
    for id in wanted {
        let keys = patients::keys_of_patient(ground.tx, id)
            .await?
            .unwrap_or_default();
        people.push(Person { id, keys });
    }
    Ok(people)
}

/// The standing record of a reference; of one that was merged, the one that stands for it.
async fn referred(
    ground: &mut Ground<'_, '_>,
    criterion: &Criterion,
    value: &str,
) -> Result<Option<Uuid>, Problem> {
    let (kind, id) = target(value);
    let typed = match criterion.modifier {
        Some(Modifier::Type(kind)) => Some(kind.as_str()),
        _ => kind,
    };
    if typed.is_some_and(|kind| kind != Kind::Patient.as_str()) {
        return Ok(None);
    }
    let Ok(id) = id.parse::<Uuid>() else {
        return Ok(None);
    };
    let person = index::get(ground.tx.conn(), id).await?;
    Ok(person.map(|person| person.patient.id))
}

async fn identified(ground: &mut Ground<'_, '_>, value: &str) -> Result<Vec<Uuid>, Problem> {
    let parts = split(value, '|');
    let asked = match parts.as_slice() {
        [system, value] if !system.is_empty() => {
            format!("{}|{value}", identifier_asked(system))
        }
        // an empty system means whichever, as REST has it
        [_, value] | [value] => format!("|{value}"),
        _ => return Ok(Vec::new()),
    };
    let found = index::identifiers_named(ground.tx.conn(), &asked).await?;
    Ok(found.into_iter().map(|one| one.patient_id).collect())
}

fn hints(asked: &Asked) -> Hints {
    let single = |name: &'static str| {
        asked
            .of(name)
            .filter(|criterion| criterion.modifier.is_none())
            .find_map(|criterion| match criterion.values.as_slice() {
                [value] => Some(value.clone()),
                _ => None,
            })
    };
    let code_of = |value: String| {
        let code = split(&value, '|').pop().unwrap_or_default();
        (!code.is_empty()).then_some(code)
    };
    let mut hints = Hints {
        code: single("code").and_then(code_of),
        category: single("category").and_then(code_of),
        action: single("subtype").and_then(code_of),
        service: single("service-type").and_then(code_of),
        free: single("status").and_then(code_of).as_deref() == Some("free"),
        ..Hints::default()
    };
    // `start` is the time of a slot
    for criterion in asked.of("date").chain(asked.of("start")) {
        let ([value], None) = (criterion.values.as_slice(), criterion.modifier) else {
            continue;
        };
        let Some((prefix, interval)) = dates::asked(value) else {
            continue;
        };
        match prefix {
            Prefix::Eq => {
                hints.from = Some(interval.from);
                hints.to = Some(interval.to);
            }
            Prefix::Gt | Prefix::Ge | Prefix::Sa => hints.from = Some(interval.from),
            Prefix::Lt | Prefix::Le | Prefix::Eb => hints.to = Some(interval.to),
            Prefix::Ne | Prefix::Ap => {}
        }
    }
    hints
}

/// What one person did, and what was done with one patient's data. An entry names neither by a reference, so what is asked for by one
/// is asked of the trail itself.
async fn of_trail(
    ground: &mut Ground<'_, '_>,
    asked: &mut Asked,
    mut hints: Hints,
) -> Result<Way, Problem> {
    let nothing = || Ok(Way::Ids(Vec::new()));
    let named = asked.take_out(&["patient"]);
    if !named.is_empty() {
        let mut records = Vec::new();
        for person in people(ground, &named).await? {
            let family = patients::family(ground.tx, person.id).await?;
            records.extend(family.unwrap_or_default());
            hints.subjects.extend(person.keys.into_keys());
        }
        if records.is_empty() {
            return nothing();
        }
        hints.records = Some(records);
    }
    for mut criterion in asked.take_out(&["agent"]) {
        let mut names = Vec::new();
        for value in &criterion.values {
            let (kind, id) = target(value);
            let is_one = kind.is_none_or(|kind| kind == Kind::Practitioner.as_str());
            let Some(id) = id.parse::<Uuid>().ok().filter(|_| is_one) else {
                continue;
            };
            if let Some(user) = staff::user(ground.tx.conn(), id).await? {
                names.push(format!("urn:hub:user|{}", user.username));
            }
        }
        if names.is_empty() {
            return nothing();
        }
        criterion.values = names;
        criterion.modifier = Some(Modifier::Identifier);
        asked.criteria.push(criterion);
    }
    hints.actor = asked
        .of("agent")
        .filter(|criterion| criterion.modifier == Some(Modifier::Identifier))
        .find_map(|criterion| match criterion.values.as_slice() {
            [value] => split(value, '|').pop(),
            _ => None,
        })
        .filter(|name| !name.is_empty());
    Ok(Way::Walk {
        scope: Scope::Whole,
        hints: Box::new(hints),
        ask_each: false,
    })
}

/// Of one schedule, or of a time: all that there ever were is no answer to anybody.
fn of_slots(asked: &Asked, mut hints: Hints) -> Result<Way, Problem> {
    let named = asked
        .of("schedule")
        .find(|criterion| matches!(criterion.modifier, None | Some(Modifier::Type(_))));
    if let Some([value]) = named.map(|criterion| criterion.values.as_slice()) {
        let Ok(id) = target(value).1.parse::<Uuid>() else {
            return Ok(Way::Ids(Vec::new()));
        };
        hints.schedule = Some(id);
    }
    if hints.schedule.is_none() && hints.from.is_none() && hints.to.is_none() {
        return Err(too_costly("Slot needs one schedule, start or _id"));
    }
    Ok(Way::Walk {
        scope: Scope::Whole,
        hints: Box::new(hints),
        ask_each: false,
    })
}

/// Patients are found by what has an index; the rest is compared with those.
async fn of_patients(
    ground: &mut Ground<'_, '_>,
    asked: &mut Asked,
    mut hints: Hints,
) -> Result<Way, Problem> {
    let walk = |scope, hints| Way::Walk {
        scope,
        hints: Box::new(hints),
        ask_each: false,
    };
    let by_identifier: Option<Vec<String>> = asked
        .of("identifier")
        .find(|criterion| criterion.modifier.is_none())
        .map(|criterion| criterion.values.clone());
    if let Some(values) = by_identifier {
        let mut ids = Vec::new();
        for value in values {
            ids.extend(identified(ground, &value).await?);
        }
        ids.sort_unstable();
        ids.dedup();
        let people = ids
            .into_iter()
            .map(|id| Person {
                id,
                keys: patients::Keys::new(),
            })
            .collect();
        return Ok(walk(Scope::People(people), hints));
    }
    let mut words = Vec::new();
    for name in ["name", "family", "given"] {
        for criterion in asked.of(name) {
            if let ([value], None | Some(Modifier::Exact)) =
                (criterion.values.as_slice(), criterion.modifier)
            {
                words.push(value.clone());
            }
        }
    }
    if !words.is_empty() {
        hints.name = Some(words.join(" "));
        // which parts `name` looks at is the server's to say: words in any order, as in REST
        for criterion in asked.take_out(&["name"]) {
            if criterion.values.len() != 1 {
                asked.criteria.push(criterion);
            }
        }
    }
    let phones = asked.take_out(&["phone"]);
    if let Some(criterion) = phones.first() {
        let ([value], 1) = (criterion.values.as_slice(), phones.len()) else {
            return Err(Problem::invalid("phone", "give one number"));
        };
        hints.phone = split(value, '|').pop();
    }
    let found_by = hints.name.is_some() || hints.phone.is_some();
    let asks_for = asked
        .criteria
        .iter()
        .any(|criterion| !criterion.param.name.starts_with('_'));
    if asks_for && !found_by {
        return Err(too_costly(
            "Patient needs identifier, name, family, given or phone beside these conditions",
        ));
    }
    Ok(walk(Scope::Whole, hints))
}

/// The values of identifiers; their systems are compared afterwards.
fn numbers(asked: &Asked, names: &[&'static str]) -> Option<Scope> {
    let numbers: Vec<String> = names.iter().find_map(|name| {
        asked
            .of(name)
            .find(|criterion| criterion.modifier.is_none())
            .map(|criterion| {
                criterion
                    .values
                    .iter()
                    .filter_map(|value| split(value, '|').pop())
                    .filter(|value| !value.is_empty())
                    .collect()
            })
    })?;
    (!numbers.is_empty()).then_some(Scope::Numbers(numbers))
}

/// The numbers of the tubes that are asked for.
async fn tubes(ground: &mut Ground<'_, '_>, asked: &Asked) -> Result<Option<Scope>, Problem> {
    let Some(criterion) = asked
        .of("specimen")
        .find(|criterion| criterion.modifier.is_none())
    else {
        return Ok(None);
    };
    let ids: Vec<Uuid> = criterion
        .values
        .iter()
        .filter_map(|value| target(value).1.parse().ok())
        .collect();
    let numbers = clinical::specimens(ground.tx.conn(), &ids)
        .await?
        .into_iter()
        .filter_map(|row| row.specimen.number)
        .collect();
    Ok(Some(Scope::Tubes(numbers)))
}
