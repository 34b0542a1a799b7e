//! Placing, changing and cancelling orders. Reading them is with the rest of care.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hub_core::Tx;
use schemas::care::{Code, Practitioner, Specimen};
use schemas::commands::{CancelOrder, ChangeOrder, PlaceOrder};
use schemas::patients::Identifier;
use schemas::{ChannelId, Patch};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::step::Stepping;
use crate::auth::chart::{self, Sight};
use crate::auth::permission::{Can, CanSomewhere, OrdersPlace, Permission as _};
use crate::command::{Accepted, Placed, Sender};
use crate::extract::{Body, Segment};
use crate::page::Moment;
use crate::problem::Problem;
use crate::reads::{care as reads, integration, patients};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::canonical;
use crate::views::care::OrderPlaced;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(place))
        .routes(routes!(change))
        .routes(routes!(cancel))
}

/// Longest number or code that the smallest peers can hold without cutting it (HL7 v2.3.1 EI.1, ASTM E1394 field O.3).
const NUMBER_BYTES: usize = 50;

/// How soon.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Priority {
    Routine,
    Urgent,
    Stat,
    Asap,
}

impl Priority {
    fn as_str(self) -> &'static str {
        match self {
            Self::Routine => "routine",
            Self::Urgent => "urgent",
            Self::Stat => "stat",
            Self::Asap => "asap",
        }
    }
}

/// A tube.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Tube {
    /// As it stands on the label: analyzers find the order by exactly this text.
    number: String,
    /// HL7 table 0487.
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    kind: Option<Code>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    collected_at: Option<Moment>,
}

/// A test to be done.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "patient_identifier": "12345", "code": { "code": "2345-7", "system": "LN", "text": "Glucose" },
    "specimen": { "number": "A-778", "kind": { "code": "SER" } }, "priority": "stat", "placer_number": "ORD-9"
}))]
struct NewOrder {
    /// PID-3: its value (`12345`), the whole CX text (`12345^^^HOSP^MR`), or `system|value`. Must lead to one person.
    patient_identifier: String,
    /// LOINC (system `LN`), or a code of your own.
    #[schema(schema_with = canonical::code)]
    code: Code,
    /// The tube it is to be done from. Without one no instrument finds it.
    #[serde(default)]
    specimen: Option<Tube>,
    /// Your number. Patient, number and code together are one order: sent again it is answered with 200 and the same id.
    /// Absent: the hub makes one.
    #[serde(default)]
    placer_number: Option<String>,
    #[serde(default)]
    #[schema(inline, value_type = Option<Priority>)]
    priority: Option<Priority>,
    #[serde(default)]
    visit_number: Option<String>,
    /// Channels whose instruments may do it. Empty: every one that knows the test.
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    ordered_at: Option<Moment>,
    #[serde(default)]
    #[schema(schema_with = canonical::practitioner)]
    ordered_by: Option<Practitioner>,
    #[serde(default)]
    notes: Vec<String>,
}

/// Place an order
///
/// Instruments that ask for the specimen are told of it at once; final results close it. One call orders one test:
/// several tests of a tube are several calls with the same specimen.
#[utoipa::path(post, path = "/orders", tag = "results", request_body = NewOrder, security(("bearer" = ["orders:place"])),
    responses(
        (status = 201, description = "placed; Location is the order", body = OrderPlaced),
        (status = 200, description = "this order stands already, as asked for", body = OrderPlaced),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 409, description = "the specimen number carries open orders of another patient (`clinical.specimen_in_use`), the \
            number is on another order (`clinical.order_exists`), the laboratory rejected the specimen with this number \
            (`clinical.specimen_rejected_conflict`), or the identifier is that of several people (`orders.ambiguous_patient`)"),
        (status = 422, description = "nobody has the identifier (`orders.no_patient`), or it is not possible; `code` says why")))]
async fn place(
    can: CanSomewhere<OrdersPlace>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(order): Body<NewOrder>,
) -> Result<Response, Problem> {
    check(&order)?;
    let (subject, targets) = {
        let mut tx = state.read(&can.who.tenant).await?;
        let subject = patient(&mut tx, &order.patient_identifier).await?;
        let person = patients::person_of(&mut tx, subject.key)
            .await?
            .map(|person| person.patient_id)
            .ok_or_else(no_patient)?;
        let keys = patients::keys_of_patient(&mut tx, person)
            .await?
            .unwrap_or_default();
        chart::open(
            &state,
            &trace,
            &can.who,
            OrdersPlace::NAME,
            &mut tx,
            person,
            &keys,
        )
        .await?;
        (subject, channels(&mut tx, &order.targets).await?)
    };
    let aggregate = subject.key.0.to_string();
    let command = PlaceOrder {
        subject,
        visit_number: said(order.visit_number),
        placer_number: said(order.placer_number),
        code: order.code,
        priority: order.priority.map(|priority| priority.as_str().to_owned()),
        specimens: order.specimen.into_iter().map(Tube::specimen).collect(),
        targets,
        ordered_at: order.ordered_at.and_then(Moment::text),
        ordered_by: order.ordered_by,
        notes: order.notes,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond_placed(|answer| {
        let view = OrderPlaced::of(answer.as_ref());
        Placed {
            location: format!("/api/v1/orders/{}", view.id),
            created: view.created,
            view,
        }
    }))
}

impl Tube {
    fn specimen(self) -> Specimen {
        Specimen {
            number: Some(self.number.trim().to_owned()),
            kind: self.kind,
            role: Some("P".to_owned()),
            collected_at: self.collected_at.and_then(Moment::text),
            ..Specimen::default()
        }
    }
}

fn said(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}

/// A number or a code that every peer can hold.
pub(crate) fn fits_number(field: &'static str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        Err(Problem::invalid(field, "must not be empty"))
    } else if text.len() > NUMBER_BYTES || text.chars().any(char::is_control) {
        Err(Problem::invalid(
            field,
            format!("has more than {NUMBER_BYTES} bytes or a control character"),
        ))
    } else {
        Ok(())
    }
}

fn check(order: &NewOrder) -> Result<(), Problem> {
    fits_number("code.code", &order.code.code)?;
    if let Some(tube) = &order.specimen {
        fits_number("specimen.number", &tube.number)?;
        Moment::plausible(tube.collected_at, "specimen.collected_at")?;
    }
    if let Some(text) = &order.placer_number {
        fits_number("placer_number", text)?;
    }
    Moment::plausible(order.ordered_at, "ordered_at")?;
    check_notes(&order.notes)
}

fn check_notes(notes: &[String]) -> Result<(), Problem> {
    if notes.iter().map(String::len).sum::<usize>() > 2_000 {
        return Err(Problem::invalid("notes", "have more than 2000 bytes"));
    }
    Ok(())
}

/// The one person whom the identifier means.
async fn patient(tx: &mut Tx<'_>, text: &str) -> Result<Identifier, Problem> {
    match patients::named(tx, text).await? {
        patients::Named::One(identifier) => Ok(identifier),
        patients::Named::Several => Err(Problem::new(
            StatusCode::CONFLICT,
            "orders.ambiguous_patient",
            "several people have this identifier; name its system: `system|value`",
        )),
        patients::Named::Nobody => Err(no_patient()),
    }
}

fn no_patient() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "orders.no_patient",
        "nobody has this identifier",
    )
}

/// A channel that does not exist would never do the test, and nobody would notice.
async fn channels(tx: &mut Tx<'_>, names: &[String]) -> Result<Vec<ChannelId>, Problem> {
    let mut targets = Vec::with_capacity(names.len());
    for name in names {
        let unknown = || Problem::invalid("targets", "names a channel that does not exist");
        let id = ChannelId::new(name.as_str()).map_err(|_| unknown())?;
        integration::channel(tx, name).await?.ok_or_else(unknown)?;
        targets.push(id);
    }
    Ok(targets)
}

/// What changes of an order: absent members stay, null deletes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "priority": "urgent", "notes": ["fasting since midnight"] }))]
struct OrderChange {
    #[serde(default)]
    #[schema(inline, value_type = Option<Priority>)]
    priority: Patch<Priority>,
    /// Clinical information, line by line. Only before a specimen of the order is collected, as what follows.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    notes: Patch<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    ordered_at: Patch<Moment>,
    #[serde(default)]
    #[schema(schema_with = canonical::practitioner)]
    ordered_by: Patch<Practitioner>,
}

/// Change an order
///
/// While it is open. How urgent it is may change until its results are there; the rest goes with the specimen and is fixed when that
/// is collected. Another test, patient or tube is another order. Only as it was seen: `If-Match` names the version. An instrument
/// that asks afterwards is told the new priority; one that was told already is not told again.
#[utoipa::path(patch, path = "/orders/{id}", tag = "results",
    params(("id" = Uuid, Path, description = "the order"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = OrderChange, security(("bearer" = ["orders:place"])),
    responses(
        (status = 200, description = "changed; the answer has the version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no order has this id (`orders.unknown`)"),
        (status = 409, description = "the order is not open any more (`clinical.order_closed`), or its specimen is collected \
            (`clinical.order_collected_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.order_stale`)"),
        (status = 422, description = "it is not possible; `code` says why")))]
async fn change(
    stepping: Stepping<OrdersPlace>,
    Body(change): Body<OrderChange>,
) -> Result<Response, Problem> {
    let Stepping { desk, id, version } = stepping;
    if let Patch::Set(notes) = &change.notes {
        check_notes(notes)?;
    }
    if let Patch::Set(at) = &change.ordered_at {
        Moment::plausible(Some(*at), "ordered_at")?;
    }
    let aggregate = {
        let mut tx = desk.tx().await?;
        reads::open_order(&mut tx, &desk.sight(), id)
            .await?
            .ok_or_else(|| Problem::unknown("orders.unknown", "no order has this id"))?
    };
    let command = ChangeOrder {
        order_id: id,
        priority: match change.priority {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(priority) => Patch::Set(priority.as_str().to_owned()),
        },
        notes: change.notes,
        ordered_at: match change.ordered_at {
            Patch::Keep => Patch::Keep,
            Patch::Clear => Patch::Clear,
            Patch::Set(at) => at.text().into(),
        },
        ordered_by: change.ordered_by,
        version,
        actor: desk.actor(),
    };
    desk.apply(aggregate, &command).await
}

/// Why it is cancelled.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "ordered twice" }))]
struct Cancellation {
    reason: String,
}

/// Cancel an order
///
/// An instrument that asks for the specimen afterwards is told that the test is cancelled.
#[utoipa::path(post, path = "/orders/{id}/cancel", tag = "results", params(("id" = Uuid, Path, description = "the order")),
    request_body = Cancellation, security(("bearer" = ["orders:place"])),
    responses(
        (status = 200, description = "revoked", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no order has this id (`orders.unknown`)"),
        (status = 409, description = "the order is not open any more (`clinical.order_closed`)"),
        (status = 422, description = "it is not possible; `code` says why")))]
async fn cancel(
    can: Can<OrdersPlace>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(cancellation): Body<Cancellation>,
) -> Result<Response, Problem> {
    let command = CancelOrder {
        order_id: id,
        reason: super::reason(cancellation.reason)?,
        actor: can.who.username.clone(),
    };
    let aggregate = {
        let sight = Sight::new(&state, &trace, &can.who, OrdersPlace::NAME);
        let mut tx = state.read(&can.who.tenant).await?;
        reads::open_order(&mut tx, &sight, id)
            .await?
            .ok_or_else(|| Problem::unknown("orders.unknown", "no order has this id"))?
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}
