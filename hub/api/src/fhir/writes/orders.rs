//! ServiceRequest: created, it places an order; updated, it revokes one. Both are commands, as in REST.

use axum::http::StatusCode;
use hub_core::Tx;
use hub_fhir::{OrderRequest, Subject, Tube, read_order};
use schemas::IdentifierKey;
use schemas::care::Specimen;
use schemas::commands::{CancelOrder, PlaceOrder};
use schemas::patients::Identifier;
use serde_json::Value;
use uuid::Uuid;
use worker_clinical::queries as clinical;
use worker_patient::queries as index;

use super::change::Change;
use super::{Desk, Made, named, not_supported, refused};
use crate::auth::chart;
use crate::auth::permission::{OrdersPlace, Permission as _};
use crate::command::Written;
use crate::fhir::source::Found;
use crate::problem::Problem;
use crate::reads::care;
use crate::routes::orders::fits_number;
use crate::views::care::OrderPlaced;

/// Notes together.
const NOTES_BYTES: usize = 2_000;

pub(super) async fn place(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_order(json).map_err(|issues| Problem {
        code: "fhir.order".into(),
        ..refused(issues)
    })?;
    let command = command(desk, asked).await?;
    let written = desk
        .send(command.subject.key.0.to_string(), &command)
        .await?;
    Ok(match written {
        Written::Pending(id) => Made::Pending(id),
        Written::Applied(answer) => {
            let placed = OrderPlaced::of(answer.as_ref());
            let id = placed.id.to_string();
            // an order that is sent again with its placer number is the one that stands
            if placed.created {
                Made::New(id)
            } else {
                Made::Stood(id)
            }
        }
    })
}

/// The command, once it is clear for whom and that the caller may.
async fn command(desk: &Desk<'_>, asked: OrderRequest) -> Result<PlaceOrder, Problem> {
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
    let mut tx = desk.tx().await?;
    let (subject, person) = subject(&mut tx, &asked.subject).await?;
    desk.opened(&mut tx, OrdersPlace::NAME, Some(person))
        .await?;
    let mut specimens = Vec::with_capacity(asked.tubes.len());
    for tube in asked.tubes {
        let specimen = specimen(&mut tx, tube, person).await?;
        if let Some(number) = &specimen.number {
            fits_number("ServiceRequest.specimen", number)?;
        }
        specimens.push(specimen);
    }
    Ok(PlaceOrder {
        subject,
        visit_number: desk.visit(&mut tx, asked.encounter, person).await?,
        placer_number: asked.placer_number,
        code: asked.code,
        priority: asked.priority,
        specimens,
        targets: Vec::new(),
        ordered_at: asked.ordered_at,
        ordered_by: asked.ordered_by,
        notes: asked.notes,
        actor: desk.actor(),
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
        // as it was named: whoever reads the order knows the patient by it
        Subject::Identifier(text) => named(tx, text, "orders.ambiguous_patient")
            .await?
            .ok_or_else(nobody),
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

/// The status `revoked`, and nothing else that is different.
pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    let change = Change::of(json, &found.resource)?;
    change.only(&["status", "note"])?;
    let reason = revocation(&change)?;
    let mut tx = desk.tx().await?;
    // as in REST: who works on specimens comes to an order by its tube
    if !chart::works_on_tubes(desk.state, desk.who, OrdersPlace::NAME) {
        desk.opened(&mut tx, OrdersPlace::NAME, found.patient)
            .await?;
    }
    let Some(reason) = reason else {
        return Ok(None);
    };
    let order_id: Uuid = found.resource.id.parse().map_err(|_| Problem::internal())?;
    let aggregate = care::order_aggregate(&mut tx, order_id)
        .await?
        .ok_or_else(Problem::internal)?;
    drop(tx);
    let command = CancelOrder {
        order_id,
        reason,
        actor: desk.actor(),
    };
    desk.send(aggregate, &command).await.map(Some)
}

/// Why it is revoked; `None`: nothing is different.
fn revocation(change: &Change<'_>) -> Result<Option<String>, Problem> {
    let added = change.reason_in_notes()?;
    match (
        change.sent["status"].as_str(),
        change.stands["status"].as_str(),
    ) {
        (Some("revoked"), Some(old)) if old != "revoked" => Ok(Some(
            added.unwrap_or_else(|| "revoked over FHIR".to_owned()),
        )),
        (new, old) if new == old => match added {
            None => Ok(None),
            Some(_) => Err(not_supported(
                "a note is only taken as the reason of a revocation",
            )),
        },
        (_, old) => Err(change.conflict(format!(
            "from {} the status can be changed to: revoked",
            old.unwrap_or("unknown")
        ))),
    }
}
