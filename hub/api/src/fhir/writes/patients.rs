//! Patient: registered, with those named who look like it; corrected; one more identifier.

use hub_fhir::{PatientIdentifier, PatientRequest, read_patient};
use schemas::patients::Identifier;
use schemas::registration::{AddIdentifier, ChangePatient, RegisterPatient, Stated};
use schemas::{IdentifierKey, Patch};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;
use worker_patient::queries;

use super::change::Change;
use super::{Desk, Made, compared, not_supported, refused, short};
use crate::command::Written;
use crate::fhir::source::{Found, organization};
use crate::problem::Problem;
use crate::routes::registration::{is_birth_date, naming_lookalikes};

/// Longest identifier, and longest name of its authority, as over REST.
const IDENTIFIER_BYTES: usize = 100;

pub(super) async fn register(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_patient(json).map_err(refused)?;
    if asked.active == Some(false) {
        return Err(desk.wrong("active", "a new patient is active"));
    }
    if asked
        .organization
        .is_some_and(|id| id != organization(&desk.who.tenant))
    {
        return Err(desk.wrong(
            "managingOrganization",
            "must be the Organization of this server, or none",
        ));
    }
    if asked.reason.is_some() {
        return Err(desk.wrong("extension", "a reason goes with an update"));
    }
    let identifiers = asked
        .identifiers
        .iter()
        .map(|one| identifier(desk, one))
        .collect::<Result<Vec<_>, _>>()?;
    let facility = short(desk.place("extension"), asked.facility.clone())?;
    let aggregate = match (identifiers.first(), &facility) {
        // the lane of what sources say of the same identifier
        (Some(first), _) => first.key.0.to_string(),
        (None, Some(facility)) => format!("series {facility}"),
        (None, None) => {
            return Err(desk.wrong(
                "identifier",
                "send one, or the facility whose series gives the number (extension urn:hub:extension:facility)",
            ));
        }
    };
    let force = short(desk.place("extension"), asked.not_a_duplicate.clone())?;
    let command = RegisterPatient {
        identifiers,
        facility,
        stated: new(desk, asked)?,
        force,
        actor: desk.actor(),
    };
    let written = match desk.send(aggregate, &command).await {
        Ok(written) => written,
        Err(problem) => {
            return Err(naming_lookalikes(desk.state, &desk.who.tenant, &command, problem).await);
        }
    };
    match written {
        Written::Pending(command) => Ok(Made::Pending(command)),
        Written::Applied(answer) => answer
            .as_ref()
            .and_then(|answer| answer["id"].as_str())
            .map(|id| Made::New(id.to_owned()))
            .ok_or_else(Problem::internal),
    }
}

/// What is said of somebody of whom nothing was known.
fn new(desk: &Desk<'_>, asked: PatientRequest) -> Result<Stated, Problem> {
    if let Some(text) = &asked.birth_date {
        born(desk, text)?;
    }
    let mut names = asked.names;
    if names.is_empty() {
        return Err(desk.wrong("name", "a patient is registered with a name"));
    }
    let name = names.remove(0);
    Ok(Stated {
        name: Patch::Set(name),
        other_names: said(names),
        birth_date: asked.birth_date.into(),
        sex: asked.sex.into(),
        telecoms: said(asked.telecoms),
        addresses: said(asked.addresses),
        mother_maiden_name: asked.mother_maiden_name.into(),
        marital_status: asked.marital_status.into(),
        deceased: asked.deceased.into(),
    })
}

/// Of an empty list nothing is said.
fn said<T>(list: Vec<T>) -> Patch<Vec<T>> {
    if list.is_empty() {
        Patch::Keep
    } else {
        Patch::Set(list)
    }
}

fn born(desk: &Desk<'_>, text: &str) -> Result<(), Problem> {
    if is_birth_date(text, OffsetDateTime::now_utc().date()) {
        return Ok(());
    }
    Err(desk.wrong(
        "birthDate",
        "is a date that has been: 1980, 1980-05 or 1980-05-17",
    ))
}

fn identifier(desk: &Desk<'_>, asked: &PatientIdentifier) -> Result<Identifier, Problem> {
    for text in [&asked.system, &asked.value] {
        if text.is_empty() || text.len() > IDENTIFIER_BYTES || text.chars().any(char::is_control) {
            return Err(desk.wrong(
                "identifier",
                format!("has a system or a value of more than {IDENTIFIER_BYTES} bytes, or with a control character"),
            ));
        }
    }
    Ok(Identifier {
        key: IdentifierKey::of(&desk.who.tenant, &asked.system, &asked.value),
        system: asked.system.clone(),
        value: asked.value.clone(),
        kind: asked.kind.clone(),
    })
}

const DECEASED: [&str; 2] = ["deceasedBoolean", "deceasedDateTime"];
const FREE: [&str; 10] = [
    "extension",
    "identifier",
    "name",
    "telecom",
    "gender",
    "birthDate",
    DECEASED[0],
    DECEASED[1],
    "address",
    "maritalStatus",
];
/// The hour of birth, as a source sent it.
const BIRTH_TIME: &str = "_birthDate";

pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    let change = Change::of(json, &found.resource)?;
    let mut free = FREE.to_vec();
    free.push(BIRTH_TIME);
    change.only(&free)?;
    // with the day goes the hour: it was of the other day
    let hour_fits = if change.differs(&["birthDate"]) {
        change.sent[BIRTH_TIME].is_null()
    } else {
        !change.differs(&[BIRTH_TIME])
    };
    if !hour_fits {
        return Err(desk.wrong(
            BIRTH_TIME,
            "the hour of birth is a source's: leave it as it is, or out with another birthDate",
        ));
    }
    let otherwise: Vec<&str> = FREE
        .into_iter()
        .filter(|name| change.differs(&[*name]))
        .collect();
    let row = row(desk, found).await?;
    let aggregate = row
        .identifiers
        .first()
        .map_or(row.id, |first| first.key)
        .to_string();
    if otherwise.contains(&"identifier") {
        if otherwise.len() > 1 {
            return Err(not_supported(
                "an identifier is added by an update of its own, that changes nothing else",
            ));
        }
        let command = AddIdentifier {
            patient_id: row.id,
            identifier: added(desk, &change)?,
            actor: desk.actor(),
        };
        return desk.send(aggregate, &command).await.map(Some);
    }
    let asked = read_patient(&change.with_only(&otherwise)).map_err(refused)?;
    if asked.facility.is_some() || asked.not_a_duplicate.is_some() {
        return Err(desk.wrong(
            "extension",
            "facility and not-a-duplicate go with a registration",
        ));
    }
    let reason = short(desk.place("extension"), asked.reason.clone())?;
    let stated = corrected(desk, &change, asked, &row)?;
    if stated == Stated::default() {
        return Ok(None);
    }
    let command = ChangePatient {
        patient_id: row.id,
        seen: Some(row.version),
        stated,
        reason,
        actor: desk.actor(),
    };
    desk.send(aggregate, &command).await.map(Some)
}

/// The record, of the version that was compared.
async fn row(desk: &Desk<'_>, found: &Found) -> Result<queries::Patient, Problem> {
    let id: Uuid = found.resource.id.parse().map_err(|_| Problem::internal())?;
    let mut tx = desk.tx().await?;
    let row = queries::record(tx.conn(), id)
        .await?
        .ok_or_else(Problem::internal)?;
    compared(found, row.version)?;
    Ok(row)
}

/// The one identifier that does not stand yet; those that do must stay.
fn added(desk: &Desk<'_>, change: &Change<'_>) -> Result<Identifier, Problem> {
    let list = |json: &Value| json["identifier"].as_array().cloned().unwrap_or_default();
    let (sent, stands) = (list(change.sent), list(&change.stands));
    let mut new = sent.iter().filter(|one| !stands.contains(one));
    let (Some(one), None, true) = (
        new.next(),
        new.next(),
        stands.iter().all(|one| sent.contains(one)),
    ) else {
        return Err(not_supported(
            "an update adds one identifier to those that stand; one is ended over REST, with a reason: \
             /api/v1/patients/[id]/identifiers/end",
        ));
    };
    // those that stand may be of a record that was merged into this one, and are not read
    let mut json = change.with_only(&[]);
    json["identifier"] = Value::from(vec![one.clone()]);
    let asked = read_patient(&json).map_err(refused)?;
    let one = asked.identifiers.first().ok_or_else(Problem::internal)?;
    identifier(desk, one)
}

/// What is otherwise is set, or, where it is gone, deleted; the rest stays as it is stored.
fn corrected(
    desk: &Desk<'_>,
    change: &Change<'_>,
    asked: PatientRequest,
    row: &queries::Patient,
) -> Result<Stated, Problem> {
    fn set<T>(value: Option<T>) -> Patch<T> {
        value.map_or(Patch::Clear, Patch::Set)
    }
    fn set_list<T>(list: Vec<T>) -> Patch<Vec<T>> {
        if list.is_empty() {
            Patch::Clear
        } else {
            Patch::Set(list)
        }
    }
    let names: Vec<_> = row.name.iter().chain(&row.other_names).collect();
    let asked = asked.keeping(&names, &row.telecoms, &row.addresses);
    let mut stated = Stated::default();
    if change.differs(&["name"]) {
        let mut names = asked.names;
        if names.is_empty() {
            return Err(desk.wrong("name", "a patient keeps a name"));
        }
        let name = names.remove(0);
        if row.name.as_ref() != Some(&name) {
            stated.name = Patch::Set(name);
        }
        if row.other_names != names {
            stated.other_names = set_list(names);
        }
    }
    if change.differs(&["telecom"]) {
        stated.telecoms = set_list(asked.telecoms);
    }
    if change.differs(&["gender"]) {
        stated.sex = set(asked.sex);
    }
    if change.differs(&["birthDate"]) {
        if let Some(text) = &asked.birth_date {
            born(desk, text)?;
        }
        stated.birth_date = set(asked.birth_date);
    }
    if change.differs(&DECEASED) {
        stated.deceased = set(asked.deceased);
    }
    if change.differs(&["address"]) {
        stated.addresses = set_list(asked.addresses);
    }
    if change.differs(&["maritalStatus"]) {
        stated.marital_status = set(asked.marital_status);
    }
    if change.differs(&["extension"]) && asked.mother_maiden_name != row.mother_maiden_name {
        stated.mother_maiden_name = set(asked.mother_maiden_name);
    }
    Ok(stated)
}
