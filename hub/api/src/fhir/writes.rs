//! Creates and updates: a resource becomes the command that REST would send. What the hub would not keep is refused by its
//! place, and an update is one command or none: two could not be kept together.

mod allergies;
mod appointments;
mod change;
mod charts;
mod conditions;
mod documents;
mod patients;
mod prescriptions;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hub_core::Tx;
use hub_fhir::{Issue, Kind, Outcome, Resource, Severity, Subject};
use serde_json::Value;
use uuid::Uuid;
use worker_clinical::queries as clinical;

use super::answer;
use super::call::{self, Call};
use super::doors::Doors;
use super::orders;
use super::read::newest;
use super::source::{self, Found};
use super::table::Wired;
use crate::auth::identity::Identity;
use crate::command::{Sender, Written};
use crate::problem::{FieldProblem, Problem};
use crate::reads::{care, chart, patients as people};
use crate::state::ApiState;

/// Who writes, and in which request.
pub(super) struct Desk<'a> {
    state: &'a ApiState,
    call: &'a Call,
    who: &'a Identity,
    kind: Kind,
}

/// What came of a create.
enum Made {
    /// The id of the resource.
    Done(String),
    Pending(Uuid),
}

/// `POST [type]`
pub(crate) async fn create(
    state: ApiState,
    wired: &'static Wired,
    request: Request,
) -> Result<Response, Problem> {
    if wired.kind == Kind::ServiceRequest {
        return orders::create(state, request).await;
    }
    let (mut call, body) = Call::begin(request).await?;
    let who = call.enter_to_write(&state, wired.kind).await?;
    if call.parts.headers.contains_key("if-none-exist") {
        return Err(not_supported("a conditional create is not supported"));
    }
    let json = resource(body, wired.kind).await?;
    let desk = Desk {
        state: &state,
        call: &call,
        who: &who,
        kind: wired.kind,
    };
    let made = match wired.kind {
        Kind::Patient => patients::register(&desk, &json).await?,
        Kind::Condition => conditions::record(&desk, &json).await?,
        Kind::AllergyIntolerance => allergies::record(&desk, &json).await?,
        Kind::MedicationRequest => prescriptions::draft(&desk, &json).await?,
        Kind::Appointment => appointments::book(&desk, &json).await?,
        Kind::DocumentReference => documents::file(&desk, &json).await?,
        _ => return Err(not_served()),
    };
    let id = match made {
        Made::Done(id) => id,
        Made::Pending(command) => return Ok(pending(command)),
    };
    let found = {
        let mut tx = state.read(&who.tenant).await?;
        let mut ground = super::search::ground(&mut tx, &call, &who);
        source::one(&mut ground, wired.kind, &id).await?
    };
    let resource = found.ok_or_else(Problem::internal)?.resource;
    written_as(&call, StatusCode::CREATED, &resource)
}

/// `PUT [type]/[id]`
pub(crate) async fn update(
    state: ApiState,
    wired: &'static Wired,
    id: String,
    request: Request,
) -> Result<Response, Problem> {
    if wired.kind == Kind::ServiceRequest {
        return orders::update(state, id, request).await;
    }
    let (mut call, body) = Call::begin(request).await?;
    let who = call.enter_to_write(&state, wired.kind).await?;
    // what stands is compared and shown: that is a look too, and is on record as one
    call.enter(&state, wired.kind).await?;
    let json = resource(body, wired.kind).await?;
    if json["id"] != id.as_str() {
        return Err(Problem::invalid(
            format!("{}.id", wired.kind),
            "must be the id of the path",
        ));
    }
    let found = newest(&state, &call, &who, wired, &id).await?;
    as_seen(&call, &found)?;
    let desk = Desk {
        state: &state,
        call: &call,
        who: &who,
        kind: wired.kind,
    };
    let written = match wired.kind {
        Kind::Patient => patients::change(&desk, &json, &found).await?,
        Kind::Condition => conditions::change(&desk, &json, &found).await?,
        Kind::AllergyIntolerance => allergies::change(&desk, &json, &found).await?,
        Kind::MedicationRequest => prescriptions::change(&desk, &json, &found).await?,
        Kind::Appointment => appointments::change(&desk, &json, &found).await?,
        _ => return Err(not_served()),
    };
    if let Some(Written::Pending(command)) = written {
        return Ok(pending(command));
    }
    let found = newest(&state, &call, &who, wired, &id).await?;
    written_as(&call, StatusCode::OK, &found.resource)
}

fn not_served() -> Problem {
    Problem::unknown("fhir.unknown_type", "this type is not written here")
}

impl Desk<'_> {
    fn actor(&self) -> String {
        self.who.username.clone()
    }

    async fn tx(&self) -> Result<Tx<'static>, Problem> {
        self.state.read(&self.who.tenant).await
    }

    /// Sends the command. That the version is not the one that `If-Match` named is 412, also when it is the worker that sees it.
    async fn send<B: schemas::Body>(
        &self,
        aggregate: impl Into<String>,
        command: &B,
    ) -> Result<Written, Problem> {
        let sent = Sender::new(self.state, self.who, &self.call.trace)
            .send(aggregate, command)
            .await;
        sent.map_err(|problem| {
            let stale = problem.code.ends_with("stale");
            if stale && self.call.header(header::IF_MATCH).is_some() {
                return Problem {
                    status: StatusCode::PRECONDITION_FAILED,
                    ..problem
                };
            }
            problem
        })
    }

    /// The same of what makes a thing: its id is the worker's word, or the one that was sent.
    async fn make<B: schemas::Body>(
        &self,
        aggregate: impl Into<String>,
        command: &B,
        (member, id): (&str, Uuid),
    ) -> Result<MadeId, Problem> {
        Ok(match self.send(aggregate, command).await? {
            Written::Pending(command) => MadeId::Pending(command),
            Written::Applied(answer) => MadeId::Done(
                answer
                    .as_ref()
                    .and_then(|answer| answer.get(member)?.as_str()?.parse().ok())
                    .unwrap_or(id),
            ),
        })
    }

    /// A member of the resource, as it is named in a refusal.
    fn place(&self, member: &str) -> String {
        format!("{}.{member}", self.kind)
    }

    /// The patient whose chart it goes into, opened under the permission to write there.
    async fn patient(
        &self,
        tx: &mut Tx<'_>,
        asked: &Subject,
        permission: &'static str,
    ) -> Result<chart::Subject, Problem> {
        let nobody = || {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "fhir.no_patient",
                "nobody is meant by the reference to the patient",
            )
        };
        let id = match asked {
            Subject::Patient(id) => *id,
            Subject::Identifier(text) => match people::named(tx, text).await? {
                people::Named::One(identifier) => {
                    people::person_of(tx, identifier.key)
                        .await?
                        .ok_or_else(nobody)?
                        .patient_id
                }
                people::Named::Several => {
                    return Err(Problem::new(
                        StatusCode::CONFLICT,
                        "fhir.ambiguous_patient",
                        "several people have this identifier; name its system",
                    ));
                }
                people::Named::Nobody => return Err(nobody()),
            },
        };
        let subject = chart::subject(tx, id).await?.ok_or_else(nobody)?;
        Doors::default()
            .open(
                self.state,
                self.call,
                self.who,
                tx,
                permission,
                Some(subject.patient),
            )
            .await?;
        Ok(subject)
    }

    /// The number of the visit that it belongs to.
    async fn visit(
        &self,
        tx: &mut Tx<'_>,
        encounter: Option<Uuid>,
        patient: Uuid,
    ) -> Result<Option<String>, Problem> {
        let Some(id) = encounter else {
            return Ok(None);
        };
        let unknown = || {
            Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "fhir.no_encounter",
                "the patient has no such encounter, or it has no visit number",
            )
        };
        let (row, _) = clinical::encounter(tx.conn(), id)
            .await?
            .ok_or_else(unknown)?;
        let keys = care::patients_of(tx, [Some(row.subject_key)]).await?;
        if keys.values().flatten().all(|one| *one != patient) {
            return Err(unknown());
        }
        row.visit_number.map(Some).ok_or_else(unknown)
    }

    /// What can't be taken as it is, each with its place.
    fn refused(&self, issues: Vec<Issue>) -> Problem {
        let mut problem = Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "fhir.content",
            "the resource can't be taken as it is",
        );
        problem.fields = issues
            .into_iter()
            .map(|issue| FieldProblem {
                field: issue.expression.unwrap_or_default(),
                detail: issue.words,
            })
            .collect();
        problem
    }

    /// The same of one member.
    fn wrong(&self, member: &str, words: impl Into<String>) -> Problem {
        let mut problem = self.refused(Vec::new());
        problem.fields.push(FieldProblem {
            field: self.place(member),
            detail: words.into(),
        });
        problem
    }
}

/// What came of making something that has one id.
enum MadeId {
    Done(Uuid),
    Pending(Uuid),
}

impl MadeId {
    fn named(self, name: impl FnOnce(Uuid) -> String) -> Made {
        match self {
            Self::Done(id) => Made::Done(name(id)),
            Self::Pending(command) => Made::Pending(command),
        }
    }
}

/// It is the version that the caller saw, where he says which.
pub(super) fn as_seen(call: &Call, found: &Found) -> Result<(), Problem> {
    let Some(tag) = call.header(header::IF_MATCH) else {
        return Ok(());
    };
    let version = &found.resource.meta.version;
    let tag = tag.trim().trim_start_matches("W/").trim_matches('"');
    if tag == "*" || tag == version {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "fhir.stale",
        format!("it is at version {version} now: read it again"),
    ))
}

/// A body that is a resource of this type.
pub(super) async fn resource(request: Request, kind: Kind) -> Result<Value, Problem> {
    let json = call::json(request).await?;
    if json["resourceType"] != kind.as_str() {
        return Err(Problem::invalid(
            "resourceType",
            format!("must be {kind} at this path"),
        ));
    }
    hub_fhir::check(&json).map_err(|unfit| {
        let mut problem = Problem::new(
            StatusCode::BAD_REQUEST,
            "fhir.structure",
            format!("the body is no valid {kind} of FHIR R4"),
        );
        problem.fields.push(FieldProblem {
            field: match &unfit {
                hub_fhir::Unfit::Lost(place) => place.clone(),
                hub_fhir::Unfit::Form(_) => kind.to_string(),
            },
            detail: unfit.to_string(),
        });
        problem
    })?;
    Ok(json)
}

pub(super) fn not_supported(words: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "fhir.not_supported",
        words,
    )
}

/// Longest words that a command takes, as over REST.
const WORDS_BYTES: usize = 500;

/// A person's words, if there are any: not long.
fn short(field: String, words: Option<String>) -> Result<Option<String>, Problem> {
    match words {
        Some(words) if words.len() > WORDS_BYTES => Err(Problem::invalid(
            field,
            format!("has more than {WORDS_BYTES} bytes"),
        )),
        words => Ok(words),
    }
}

/// What was written, in the form that the caller prefers (FHIR R4 §3.1.0.1.9).
pub(super) fn written_as(
    call: &Call,
    status: StatusCode,
    resource: &Resource,
) -> Result<Response, Problem> {
    let mut response = if call.prefers("return=minimal") {
        status.into_response()
    } else if call.prefers("return=OperationOutcome") {
        let issue = Issue {
            severity: Severity::Information,
            ..Issue::error("informational", "done")
        };
        answer::json(status, &Outcome::of(issue).json())
    } else {
        answer::sound(resource)?;
        answer::json(status, resource.json())
    };
    answer::version_of(resource, response.headers_mut());
    let location = format!(
        "{}/{}/_history/{}",
        call.base,
        resource.reference(),
        resource.meta.version
    );
    if let Ok(location) = HeaderValue::from_str(&location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Stored, and no outcome yet.
pub(super) fn pending(command: Uuid) -> Response {
    let status_url = format!("/api/v1/commands/{command}");
    let issue = Issue {
        severity: Severity::Information,
        ..Issue::error(
            "informational",
            format!("accepted, no outcome yet; {status_url} tells what becomes of it"),
        )
    };
    let mut response = answer::json(StatusCode::ACCEPTED, &Outcome::of(issue).json());
    if let Ok(location) = HeaderValue::from_str(&status_url) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
