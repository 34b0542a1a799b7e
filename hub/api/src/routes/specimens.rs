//! Specimens: found, labelled, collected, received, rejected.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::Patch;
use schemas::care::Code;
use schemas::specimens::{
    AccessionSpecimen, ChangeSpecimen, MoveSpecimen, RejectReason, SpecimenStep,
};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{SpecimenFilter, SpecimenState};

use super::asking::{Desk, Stepping};
use super::orders::fits_number;
use super::visit_steps::StepTime;
use crate::auth::chart::Sight;
use crate::auth::identity::Reach;
use crate::auth::permission::{
    Can, OrdersRead, Permission, SpecimensCollect, SpecimensReceive, no_relationship,
};
use crate::command::{Accepted, Placed};
use crate::extract::{Body, Params, Segment};
use crate::if_match::tagged;
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::specimens::{self as reads, By};
use crate::reads::{care, patients};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::canonical;
use crate::views::integration::Applied;
use crate::views::specimens::{SpecimenAccessioned, SpecimenRecord};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(accession))
        .routes(routes!(change))
        .routes(routes!(collect))
        .routes(routes!(receive))
        .routes(routes!(reject))
}

/// Orders that one call puts on a tube.
const MOST_ORDERS: usize = 100;

fn no_specimen() -> Problem {
    Problem::unknown("specimens.unknown", "no specimen has this id")
}

/// Where specimens stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Accessioned,
    Collected,
    Received,
    Rejected,
}

impl Standing {
    fn wanted(self) -> SpecimenState {
        match self {
            Self::Accessioned => SpecimenState::Accessioned,
            Self::Collected => SpecimenState::Collected,
            Self::Received => SpecimenState::Received,
            Self::Rejected => SpecimenState::Rejected,
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Accession or container number, exactly.
    number: Option<String>,
    /// PID-3 as sent: its value (`12345`), the whole CX text (`12345^^^HOSP^MR`), or `system|value`.
    patient_identifier: Option<String>,
    /// Id of an order: the specimens that it is, or was, to be done from.
    order: Option<Uuid>,
    /// `accessioned`, `collected`, `received` or `rejected`. Without any of the above, `accessioned` and `collected` are those that
    /// carry open orders: what is to be collected, and what is on its way to the laboratory.
    #[param(inline, value_type = Option<Standing>)]
    state: Option<Standing>,
    /// Collected at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    collected_from: Option<Moment>,
    /// Collected before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    collected_to: Option<Moment>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search specimens
///
/// By number, patient or order; or those of the house in one state: what is to be collected, what is on its way, what was rejected.
/// Specimens of restricted charts are left out of lists for who does not care for the patient; whoever works on specimens
/// (`specimens:all`) sees all.
#[utoipa::path(get, path = "/specimens", tag = "results", params(Search), security(("bearer" = ["orders:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<SpecimenRecord>),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)")))]
async fn list(
    can: Can<OrdersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<SpecimenRecord>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, OrdersRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    let by = match (
        &search.patient_identifier,
        &search.number,
        search.order,
        search.state,
    ) {
        (Some(_), ..) => By::Patient,
        (None, None, None, None | Some(Standing::Received)) => {
            return Err(Problem::invalid(
                "number",
                "give number, patient_identifier or order; or a state other than `received`",
            ));
        }
        (None, None, None, Some(_)) => By::List,
        (None, ..) => By::Tube,
    };
    let subjects = match &search.patient_identifier {
        None => None,
        Some(text) => {
            let keys = patients::keys_of_identifier(&mut tx, text).await?;
            let keys = sight.narrowed(&mut tx, keys).await?;
            Some(keys.into_keys().collect())
        }
    };
    let filter = SpecimenFilter {
        number: search.number,
        subjects,
        order: search.order,
        state: search.state.map(Standing::wanted),
        awaited: by == By::List && search.state != Some(Standing::Rejected),
        collected_from: search.collected_from.map(|moment| moment.0),
        collected_to: search.collected_to.map(|moment| moment.0),
        ..SpecimenFilter::default()
    };
    let cursor = search.cursor.as_ref();
    reads::list(&mut tx, &sight, by, filter, cursor, search.limit)
        .await
        .map(Json)
}

/// Read a specimen
///
/// With its orders, and the steps that are possible from where it stands.
#[utoipa::path(get, path = "/specimens/{id}", tag = "results", params(("id" = Uuid, Path, description = "the specimen")),
    security(("bearer" = ["orders:read"])),
    responses(
        (status = 200, description = "the specimen", body = SpecimenRecord),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no specimen has this id (`specimens.unknown`)")))]
async fn read(
    can: Can<OrdersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, OrdersRead::NAME);
    let mut tx = state.read(&can.who.tenant).await?;
    let specimen = reads::one(&mut tx, &sight, id)
        .await?
        .ok_or_else(no_specimen)?;
    Ok(tagged(&specimen, specimen.specimen.version))
}

/// A tube for orders of one patient.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "number": "A-779", "kind": { "code": "SER" }, "orders": ["018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c"]
}))]
struct NewSpecimen {
    /// As it stands on the label: analyzers find the orders by exactly this text. A number that was rejected is not used again.
    number: String,
    /// HL7 table 0487.
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    kind: Option<Code>,
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    body_site: Option<Code>,
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    container: Option<Code>,
    /// Ids of open orders, all of one patient.
    #[schema(min_items = 1, max_items = 100)]
    orders: Vec<Uuid>,
}

/// Label a specimen
///
/// A tube with this number is for these orders: the first one, one more, or another in place of one that the laboratory rejected.
/// Instruments that ask for it are told of the orders at once. A number that the patient has already gets the orders, too.
#[utoipa::path(post, path = "/specimens", tag = "results", request_body = NewSpecimen, security(("bearer" = ["specimens:collect"])),
    responses(
        (status = 201, description = "labelled; Location is the specimen", body = SpecimenAccessioned),
        (status = 200, description = "the tube was known, and has these orders now", body = SpecimenAccessioned),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no order has one of these ids (`orders.unknown`)"),
        (status = 409, description = "the number carries open orders of another patient (`clinical.specimen_in_use`), it was rejected \
            (`clinical.specimen_rejected_conflict`), or an order is not open (`clinical.order_closed`)"),
        (status = 422, description = "the orders are several patients' or nobody's (`clinical.specimen_patients`)")))]
async fn accession(
    desk: Desk<SpecimensCollect>,
    Body(tube): Body<NewSpecimen>,
) -> Result<Response, Problem> {
    fits_number("number", &tube.number)?;
    if tube.orders.is_empty() || tube.orders.len() > MOST_ORDERS {
        return Err(Problem::invalid(
            "orders",
            format!("must name 1 to {MOST_ORDERS} orders"),
        ));
    }
    let mut aggregate = String::new();
    {
        let mut tx = desk.tx().await?;
        let sight = desk.sight();
        for order in &tube.orders {
            // all of one patient, which the worker sees to: one lane
            aggregate = care::open_order(&mut tx, &sight, *order)
                .await?
                .ok_or_else(|| {
                    Problem::unknown("orders.unknown", "no order has one of these ids")
                })?;
        }
    }
    let command = AccessionSpecimen {
        number: tube.number.trim().to_owned(),
        kind: tube.kind,
        body_site: tube.body_site,
        container: tube.container,
        orders: tube.orders,
        actor: desk.actor(),
    };
    let written = desk.sender().send(aggregate, &command).await?;
    Ok(written.respond_placed(|answer| {
        let view = SpecimenAccessioned::of(answer.as_ref());
        Placed {
            location: format!("/api/v1/specimens/{}", view.id),
            created: view.created,
            view,
        }
    }))
}

/// The lane of a specimen, once it is clear that the caller may see it.
async fn opened<P: Permission>(desk: &Desk<P>, id: Uuid) -> Result<String, Problem> {
    let mut tx = desk.tx().await?;
    let row = reads::kept(&mut tx, id).await?.ok_or_else(no_specimen)?;
    let subject = row.specimen.subject_key;
    // what is nobody's is in no place
    if subject.is_none() && desk.who().reach(P::NAME) != Reach::Everywhere {
        return Err(no_relationship());
    }
    desk.sight().open_tube(&mut tx, subject).await?;
    Ok(subject.unwrap_or(id).to_string())
}

/// What changes of a specimen: absent members stay, null deletes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "container": { "code": "RT", "text": "red top" } }))]
struct SpecimenChange {
    /// HL7 table 0487.
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    kind: Patch<Code>,
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    body_site: Patch<Code>,
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    container: Patch<Code>,
    /// HL7 table 0493.
    #[serde(default)]
    #[schema(schema_with = canonical::code)]
    condition: Patch<Code>,
}

/// Change a specimen
///
/// What it is and in what, while it is not rejected. A wrong number or patient is another specimen: reject this one. Only as it was
/// seen: `If-Match` names the version.
#[utoipa::path(patch, path = "/specimens/{id}", tag = "results",
    params(("id" = Uuid, Path, description = "the specimen"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = SpecimenChange, security(("bearer" = ["specimens:collect"])),
    responses(
        (status = 200, description = "changed; the answer has the version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no specimen has this id (`specimens.unknown`)"),
        (status = 409, description = "it is rejected (`clinical.specimen_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.specimen_stale`)")))]
async fn change(
    stepping: Stepping<SpecimensCollect>,
    Body(change): Body<SpecimenChange>,
) -> Result<Response, Problem> {
    let Stepping { desk, id, version } = stepping;
    let aggregate = opened(&desk, id).await?;
    let command = ChangeSpecimen {
        specimen_id: id,
        kind: change.kind,
        body_site: change.body_site,
        container: change.container,
        condition: change.condition,
        version,
        actor: desk.actor(),
    };
    let written = desk.sender().send(aggregate, &command).await?;
    Ok(written.respond(Applied::with))
}

/// Takes a step of a specimen, once the caller may see it.
async fn take<P: Permission>(
    stepping: Stepping<P>,
    at: Option<Moment>,
    late_reason: Option<String>,
    step: SpecimenStep,
) -> Result<Response, Problem> {
    let Stepping { desk, id, version } = stepping;
    let aggregate = opened(&desk, id).await?;
    let command = MoveSpecimen {
        specimen_id: id,
        step,
        at: at.and_then(Moment::text),
        late_reason: super::optional("late_reason", late_reason)?,
        version,
        actor: desk.actor(),
    };
    let written = desk.sender().send(aggregate, &command).await?;
    Ok(written.respond(Applied::with))
}

/// When it was taken, and by whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "collector": "m.das" }))]
struct Collection {
    /// Who took it; absent: who says so.
    #[serde(default)]
    #[schema(max_length = 500)]
    collector: Option<String>,
    /// Absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Say that a specimen was collected
#[utoipa::path(post, path = "/specimens/{id}/collect", tag = "results",
    params(("id" = Uuid, Path, description = "the specimen"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Collection, security(("bearer" = ["specimens:collect"])),
    responses(
        (status = 200, description = "done; the answer has state and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no specimen has this id (`specimens.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`clinical.specimen_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.specimen_stale`)"),
        (status = 422, description = "it lies in the future (`clinical.time_ahead`), or too far back (`clinical.time_late`)")))]
async fn collect(
    stepping: Stepping<SpecimensCollect>,
    Body(told): Body<Collection>,
) -> Result<Response, Problem> {
    let collector = super::optional("collector", told.collector)?;
    let step = SpecimenStep::Collect { collector };
    take(stepping, told.at, told.late_reason, step).await
}

/// Receive a specimen in the laboratory
///
/// Also one that nobody scanned when it was collected.
#[utoipa::path(post, path = "/specimens/{id}/receive", tag = "results",
    params(("id" = Uuid, Path, description = "the specimen"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = StepTime, security(("bearer" = ["specimens:receive"])),
    responses(
        (status = 200, description = "done; the answer has state and version", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no specimen has this id (`specimens.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`clinical.specimen_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.specimen_stale`)"),
        (status = 422, description = "it lies in the future (`clinical.time_ahead`), too far back (`clinical.time_late`), or before it was \
            collected (`clinical.specimen_time`)")))]
async fn receive(
    stepping: Stepping<SpecimensReceive>,
    Body(told): Body<StepTime>,
) -> Result<Response, Problem> {
    take(stepping, told.at, told.late_reason, SpecimenStep::Receive).await
}

/// Why the laboratory can't use it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "haemolysed", "text": "plasma red" }))]
struct Rejecting {
    /// `expired`, `quantity_not_sufficient`, `broken_container`, `clotted`, `collection_date_missing`, `patient_number_missing`,
    /// `patient_name_missing`, `haemolysed`, `wrong_identification`, `wrong_label`, `contaminated`, `collector_missing`,
    /// `wrongly_stored`, `name_misspelt` (HL7 table 0490), or `other`.
    #[schema(value_type = String)]
    reason: RejectReason,
    /// What else is to be said of it; needed where the reason is `other`.
    #[serde(default)]
    #[schema(max_length = 500)]
    text: Option<String>,
    /// false: its orders are revoked. Absent or true: they wait for another specimen, and somebody gets the task to collect it.
    #[serde(default)]
    recollect: Option<bool>,
    /// Absent: now.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Moment>,
    /// Why it is told so late; needed where `at` lies more than a day back.
    #[serde(default)]
    #[schema(max_length = 500)]
    late_reason: Option<String>,
}

/// Reject a specimen
///
/// Its open orders lose it: they wait for another one (`POST /specimens`), and instruments that were told of them are told that they
/// are taken back. What was measured of it and is not released, or comes later, waits for verification with the reason;
/// `answer.reports_out` tells how many reports of it are out already, which only a correction takes back.
#[utoipa::path(post, path = "/specimens/{id}/reject", tag = "results",
    params(("id" = Uuid, Path, description = "the specimen"), ("If-Match" = Option<String>, Header, description = "ETag of what was read")),
    request_body = Rejecting, security(("bearer" = ["specimens:receive"])),
    responses(
        (status = 200, description = "done; the answer has state, version, the orders that lost it, and the task to collect again", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)"),
        (status = 404, description = "no specimen has this id (`specimens.unknown`)"),
        (status = 409, description = "not possible from where it stands; the detail names from, to and allowed (`clinical.specimen_conflict`)"),
        (status = 412, description = "somebody changed it meanwhile (`clinical.specimen_stale`)"),
        (status = 422, description = "the reason `other` needs a text (`clinical.specimen_reason`), it lies in the future \
            (`clinical.time_ahead`), too far back (`clinical.time_late`), or before the step that it follows (`clinical.specimen_time`)")))]
async fn reject(
    stepping: Stepping<SpecimensReceive>,
    Body(told): Body<Rejecting>,
) -> Result<Response, Problem> {
    let step = SpecimenStep::Reject {
        reason: told.reason,
        text: super::optional("text", told.text)?,
        recollect: told.recollect.unwrap_or(true),
    };
    take(stepping, told.at, told.late_reason, step).await
}
