//! Creates and updates: a resource becomes the command that REST would send. What the hub would not keep is refused by its
//! place, and an update is one command or none: two could not be kept together.

mod allergies;
mod appointments;
mod change;
mod charts;
mod conditions;
mod desk;
mod documents;
mod encounters;
mod observations;
mod orders;
mod patients;
mod prescriptions;
mod unless;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hub_fhir::{Issue, Kind, Outcome, Resource, Severity};
use serde_json::Value;
use uuid::Uuid;

use super::answer;
use super::call::{self, Call};
use super::read::newest;
use super::source::{self, Found};
use super::table::Wired;
use crate::auth::identity::Identity;
use crate::command::Written;
use crate::if_match::must_match;
use crate::problem::{FieldProblem, Problem};
use crate::state::ApiState;
use desk::{compared, named};
use unless::Unless;

pub(super) use unless::IF_NONE_EXIST;

/// Who writes, and in which request.
pub(super) struct Desk<'a> {
    state: &'a ApiState,
    call: &'a Call,
    who: &'a Identity,
    wired: &'static Wired,
}

/// What came of a create. Ids are the resource's.
enum Made {
    New(String),
    /// It stood already, as it was sent or as the condition says.
    Stood(String),
    /// The command.
    Pending(Uuid),
}

/// `POST [type]`
pub(crate) async fn create(
    state: ApiState,
    wired: &'static Wired,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, body) = Call::begin(request).await?;
    let who = call.enter_to_create(&state, wired.kind).await?;
    let unless = Unless::asked(&call, wired)?;
    if unless.is_some() {
        // what stands is searched and shown: that is a look too, and is on record as one
        call.enter(&state, wired.kind).await?;
    }
    let json = resource(body, wired.kind).await?;
    let desk = Desk {
        state: &state,
        call: &call,
        who: &who,
        wired,
    };
    let made = match unless {
        Some(unless) => unless.create(&desk, &json).await?,
        None => desk.create(&json).await?,
    };
    let (status, id) = match made {
        Made::New(id) => (StatusCode::CREATED, id),
        Made::Stood(id) => (StatusCode::OK, id),
        Made::Pending(command) => return Ok(pending(command)),
    };
    let found = {
        let mut tx = state.read(&who.tenant).await?;
        let mut ground = super::search::ground(&mut tx, &call, &who);
        source::one(&mut ground, wired.kind, &id).await?
    };
    let resource = found.ok_or_else(Problem::internal)?.resource;
    written_as(&call, status, &resource)
}

/// `PUT [type]/[id]`
pub(crate) async fn update(
    state: ApiState,
    wired: &'static Wired,
    id: String,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, body) = Call::begin(request).await?;
    let who = call.enter_to_update(&state, wired.kind).await?;
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
    as_seen(&call, &json, &found)?;
    let desk = Desk {
        state: &state,
        call: &call,
        who: &who,
        wired,
    };
    if let Some(Written::Pending(command)) = desk.change(&json, &found).await? {
        return Ok(pending(command));
    }
    let found = newest(&state, &call, &who, wired, &id).await?;
    written_as(&call, StatusCode::OK, &found.resource)
}

fn not_served() -> Problem {
    Problem::unknown("fhir.unknown_type", "this type is not written here")
}

impl Desk<'_> {
    async fn create(&self, json: &Value) -> Result<Made, Problem> {
        match self.wired.kind {
            Kind::Patient => patients::register(self, json).await,
            Kind::Encounter => encounters::open(self, json).await,
            Kind::ServiceRequest => orders::place(self, json).await,
            Kind::Observation => observations::enter(self, json).await,
            Kind::Condition => conditions::record(self, json).await,
            Kind::AllergyIntolerance => allergies::record(self, json).await,
            Kind::MedicationRequest => prescriptions::draft(self, json).await,
            Kind::Appointment => appointments::book(self, json).await,
            Kind::DocumentReference => documents::file(self, json).await,
            _ => Err(not_served()),
        }
    }

    /// `None`: nothing was to be otherwise.
    async fn change(&self, json: &Value, found: &Found) -> Result<Option<Written>, Problem> {
        match self.wired.kind {
            Kind::Patient => patients::change(self, json, found).await,
            Kind::Encounter => encounters::change(self, json, found).await,
            Kind::ServiceRequest => orders::change(self, json, found).await,
            Kind::Observation => observations::change(self, json, found).await,
            Kind::Condition => conditions::change(self, json, found).await,
            Kind::AllergyIntolerance => allergies::change(self, json, found).await,
            Kind::MedicationRequest => prescriptions::change(self, json, found).await,
            Kind::Appointment => appointments::change(self, json, found).await,
            _ => Err(not_served()),
        }
    }
}

/// What can't be taken as it is, each with its place.
fn refused(issues: Vec<Issue>) -> Problem {
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

/// It is the version that the caller saw: that of `If-Match`, or of the body as he read it. Nobody shall overwrite without a
/// thought what he did not see, so who says neither is refused, as over REST.
fn as_seen(call: &Call, body: &Value, found: &Found) -> Result<(), Problem> {
    let version = &found.resource.meta.version;
    let seen = match call.header(header::IF_MATCH) {
        Some(tag) => tag.trim().trim_start_matches("W/").trim_matches('"'),
        None => body["meta"]["versionId"].as_str().ok_or_else(must_match)?,
    };
    if seen == "*" || seen == version {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::PRECONDITION_FAILED,
        "fhir.stale",
        format!("it is at version {version} now: read it again"),
    ))
}

/// A body that is a resource of this type.
async fn resource(request: Request, kind: Kind) -> Result<Value, Problem> {
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

fn not_supported(words: impl Into<String>) -> Problem {
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
fn written_as(call: &Call, status: StatusCode, resource: &Resource) -> Result<Response, Problem> {
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
fn pending(command: Uuid) -> Response {
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
