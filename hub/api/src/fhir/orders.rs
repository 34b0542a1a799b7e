//! ServiceRequest: created, it places an order; updated, it revokes one. Both are commands, as in REST.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hub_core::Tx;
use hub_fhir::{Kind, OrderRequest, Resource, Subject, Tube, read_order};
use schemas::IdentifierKey;
use schemas::care::Specimen;
use schemas::commands::{CancelOrder, PlaceOrder};
use schemas::patients::Identifier;
use serde_json::Value;
use uuid::Uuid;
use worker_clinical::queries as clinical;
use worker_patient::queries as index;

use super::call::Call;
use super::doors::Doors;
use super::read::newest;
use super::table::{Wired, wired};
use super::writes::{as_seen, not_supported, pending, resource, written_as};
use crate::auth::identity::Identity;
use crate::auth::permission::{OrdersPlace, Permission as _};
use crate::command::{Sender, Written};
use crate::problem::{FieldProblem, Problem};
use crate::reads::{care, patients};
use crate::routes::orders::fits_number;
use crate::state::ApiState;
use crate::views::care::OrderPlaced;

/// Notes together.
const NOTES_BYTES: usize = 2_000;

fn table() -> Result<&'static Wired, Problem> {
    wired(Kind::ServiceRequest)
        .ok_or_else(|| Problem::unknown("fhir.unknown_type", "this type is not served"))
}

/// `POST ServiceRequest`
pub(crate) async fn create(state: ApiState, request: Request) -> Result<Response, Problem> {
    let (mut call, body) = Call::begin(request).await?;
    let who = call.enter_to_write(&state, Kind::ServiceRequest).await?;
    if call.parts.headers.contains_key("if-none-exist") {
        return Err(not_supported(
            "a conditional create is not supported: an order that is sent again with its placer number is answered with the one that stands",
        ));
    }
    let json = resource(body, Kind::ServiceRequest).await?;
    let asked = read_order(&json).map_err(|issues| {
        let mut problem = Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "fhir.order",
            "the order can't be taken as it is",
        );
        problem.fields = issues
            .into_iter()
            .map(|issue| FieldProblem {
                field: issue.expression.unwrap_or_default(),
                detail: issue.words,
            })
            .collect();
        problem
    })?;
    let command = command(&state, &call, &who, asked).await?;
    let written = Sender::new(&state, &who, &call.trace)
        .send(command.subject.key.0.to_string(), &command)
        .await?;
    let answer = match written {
        Written::Applied(answer) => OrderPlaced::of(answer.as_ref()),
        Written::Pending(id) => return Ok(pending(id)),
    };
    let status = if answer.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let found = {
        let mut tx = state.read(&who.tenant).await?;
        let mut ground = super::search::ground(&mut tx, &call, &who);
        super::source::one(&mut ground, Kind::ServiceRequest, &answer.id.to_string()).await?
    };
    let resource = found.ok_or_else(Problem::internal)?.resource;
    written_as(&call, status, &resource)
}

/// The command, once it is clear for whom and that the caller may.
async fn command(
    state: &ApiState,
    call: &Call,
    who: &Identity,
    asked: OrderRequest,
) -> Result<PlaceOrder, Problem> {
    fits_number("ServiceRequest.code", &asked.code.code)?;
    if let Some(number) = &asked.placer_number {
        fits_number("ServiceRequest.identifier", number)?;
    }
    if asked.notes.iter().map(String::len).sum::<usize>() > NOTES_BYTES {
        return Err(Problem::invalid(
            "ServiceRequest.note",
            format!("have more than {NOTES_BYTES} bytes"),
        ));
    }
    let mut tx = state.read(&who.tenant).await?;
    let (subject, person) = subject(&mut tx, &asked.subject).await?;
    Doors::default()
        .open(state, call, who, &mut tx, OrdersPlace::NAME, Some(person))
        .await?;
    let mut specimens = Vec::with_capacity(asked.tubes.len());
    for tube in asked.tubes {
        let specimen = specimen(&mut tx, tube, person).await?;
        if let Some(number) = &specimen.number {
            fits_number("ServiceRequest.specimen", number)?;
        }
        specimens.push(specimen);
    }
    let visit_number = match asked.encounter {
        None => None,
        Some(id) => Some(visit(&mut tx, id, person).await?),
    };
    Ok(PlaceOrder {
        subject,
        visit_number,
        placer_number: asked.placer_number,
        code: asked.code,
        priority: asked.priority,
        specimens,
        targets: Vec::new(),
        ordered_at: asked.ordered_at,
        ordered_by: asked.ordered_by,
        notes: asked.notes,
        actor: who.username.clone(),
    })
}

/// The identifier that the order is to carry, and the person.
async fn subject(tx: &mut Tx<'_>, asked: &Subject) -> Result<(Identifier, Uuid), Problem> {
    let nobody = || {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "orders.no_patient",
            "ServiceRequest.subject: nobody is meant by it",
        )
    };
    match asked {
        Subject::Identifier(text) => match patients::named(tx, text).await? {
            patients::Named::One(identifier) => {
                let person = patients::person_of(tx, identifier.key)
                    .await?
                    .ok_or_else(nobody)?;
                Ok((identifier, person.patient_id))
            }
            patients::Named::Several => Err(Problem::new(
                StatusCode::CONFLICT,
                "orders.ambiguous_patient",
                "ServiceRequest.subject: several people have this identifier; name its system",
            )),
            patients::Named::Nobody => Err(nobody()),
        },
        Subject::Patient(id) => {
            let person = index::get(tx.conn(), *id).await?.ok_or_else(nobody)?;
            if person.patient.status != "active" {
                return Err(nobody());
            }
            let first = person.patient.identifiers.first().ok_or_else(nobody)?;
            let identifier = Identifier {
                key: IdentifierKey(first.key),
                system: first.system.clone(),
                value: first.value.clone(),
                kind: first.kind.clone(),
            };
            Ok((identifier, person.patient.id))
        }
    }
}

async fn specimen(tx: &mut Tx<'_>, tube: Tube, person: Uuid) -> Result<Specimen, Problem> {
    let (number, kind, collected_at) = match tube {
        Tube::New {
            number,
            kind,
            collected_at,
        } => (number, kind, collected_at),
        Tube::Known(id) => {
            let unknown = || {
                Problem::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "orders.no_specimen",
                    "ServiceRequest.specimen: the patient has no such tube, or it has no number",
                )
            };
            let found = clinical::specimens(tx.conn(), &[id])
                .await?
                .pop()
                .ok_or_else(unknown)?;
            let keys = care::patients_of(tx, [found.specimen.subject_key]).await?;
            if keys.values().flatten().all(|patient| *patient != person) {
                return Err(unknown());
            }
            (found.specimen.number.ok_or_else(unknown)?, None, None)
        }
    };
    Ok(Specimen {
        number: Some(number),
        kind,
        role: Some("P".to_owned()),
        collected_at,
        ..Specimen::default()
    })
}

async fn visit(tx: &mut Tx<'_>, id: Uuid, person: Uuid) -> Result<String, Problem> {
    let unknown = || {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "orders.no_encounter",
            "ServiceRequest.encounter: the patient has no such visit, or it has no number",
        )
    };
    let (row, _) = clinical::encounter(tx.conn(), id)
        .await?
        .ok_or_else(unknown)?;
    let keys = care::patients_of(tx, [Some(row.subject_key)]).await?;
    if keys.values().flatten().all(|patient| *patient != person) {
        return Err(unknown());
    }
    row.visit_number.ok_or_else(unknown)
}

/// `PUT ServiceRequest/[id]`: the status `revoked`, and nothing else that is different.
pub(crate) async fn update(
    state: ApiState,
    id: String,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, body) = Call::begin(request).await?;
    let who = call.enter_to_write(&state, Kind::ServiceRequest).await?;
    let wired = table()?;
    let json = resource(body, Kind::ServiceRequest).await?;
    if json["id"] != id.as_str() {
        return Err(Problem::invalid(
            "ServiceRequest.id",
            "must be the id of the path",
        ));
    }
    let found = newest(&state, &call, &who, wired, &id).await?;
    as_seen(&call, &found)?;
    let reason = revocation(&json, &found.resource)?;
    {
        let mut tx = state.read(&who.tenant).await?;
        Doors::default()
            .open(
                &state,
                &call,
                &who,
                &mut tx,
                OrdersPlace::NAME,
                found.patient,
            )
            .await?;
    }
    let order_id: Uuid = id.parse().map_err(|_| Problem::internal())?;
    if let Some(reason) = reason {
        let command = CancelOrder {
            order_id,
            reason,
            actor: who.username.clone(),
        };
        let aggregate = {
            let mut tx = state.read(&who.tenant).await?;
            care::order_aggregate(&mut tx, order_id)
                .await?
                .ok_or_else(Problem::internal)?
        };
        let written = Sender::new(&state, &who, &call.trace)
            .send(aggregate, &command)
            .await?;
        if let Written::Pending(id) = written {
            return Ok(pending(id));
        }
    }
    let found = newest(&state, &call, &who, wired, &id).await?;
    written_as(&call, StatusCode::OK, &found.resource)
}

/// Why it is revoked; `None`: nothing is different.
fn revocation(sent: &Value, stands: &Resource) -> Result<Option<String>, Problem> {
    // as it went out: what the caller has read and sends back
    let stands: Value = serde_json::from_slice(&hub_fhir::to_bytes(stands.json()))
        .map_err(|_| Problem::internal())?;
    let (Some(new), Some(old)) = (sent.as_object(), stands.as_object()) else {
        return Err(Problem::internal());
    };
    let free = ["meta", "text", "status", "note"];
    let names: std::collections::BTreeSet<&String> = new.keys().chain(old.keys()).collect();
    let changed: Vec<FieldProblem> = names
        .into_iter()
        .filter(|name| !free.contains(&name.as_str()) && new.get(*name) != old.get(*name))
        .map(|name| FieldProblem {
            field: format!("ServiceRequest.{name}"),
            detail: "can't be changed here: revoke the order and place another".to_owned(),
        })
        .collect();
    if !changed.is_empty() {
        let mut problem = not_supported("only the status of an order can be changed here");
        problem.fields = changed;
        return Err(problem);
    }
    let notes = |value: &Value| -> Vec<String> {
        value["note"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|note| note["text"].as_str().map(str::to_owned))
            .collect()
    };
    let before = notes(&stands);
    let added: Vec<String> = notes(sent)
        .into_iter()
        .filter(|note| !before.contains(note))
        .collect();
    match (sent["status"].as_str(), stands["status"].as_str()) {
        (Some("revoked"), Some(old)) if old != "revoked" => {
            let reason = added.join("; ");
            let reason = if reason.trim().is_empty() {
                "revoked over FHIR".to_owned()
            } else {
                reason
            };
            if reason.len() > 500 {
                return Err(Problem::invalid(
                    "ServiceRequest.note",
                    "what is added says why, in 500 bytes at most",
                ));
            }
            Ok(Some(reason))
        }
        (new, old) if new == old => {
            if added.is_empty() {
                Ok(None)
            } else {
                Err(not_supported(
                    "a note is only taken as the reason of a revocation",
                ))
            }
        }
        (_, old) => Err(Problem::new(
            StatusCode::CONFLICT,
            "fhir.status_conflict",
            format!(
                "from {} the status can be changed to: revoked",
                old.unwrap_or("unknown")
            ),
        )),
    }
}
