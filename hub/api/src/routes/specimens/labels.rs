//! What a tube is, and for which orders.

use axum::response::Response;
use schemas::Patch;
use schemas::care::Code;
use schemas::specimens::{AccessionSpecimen, ChangeSpecimen};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{StepRefusals, opened};
use crate::auth::permission::SpecimensCollect;
use crate::command::{Accepted, Placed};
use crate::extract::Body;
use crate::problem::Problem;
use crate::reads::care;
use crate::routes::asking::Desk;
use crate::routes::orders::fits_number;
use crate::routes::step::Stepping;
use crate::routing::{Routes, routes};
use crate::views::canonical;
use crate::views::integration::Applied;
use crate::views::specimens::SpecimenAccessioned;

pub(super) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(accession))
        .routes(routes!(change))
}

/// Orders that one call puts on a tube.
const MOST_ORDERS: usize = 100;

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
        StepRefusals,
        (status = 409, description = "it is rejected (`clinical.specimen_conflict`)")))]
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
    desk.apply(aggregate, &command).await
}
