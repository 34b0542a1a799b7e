//! Held items: what waits for a person, and what the person decides.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use hub_core::mappings::{is_loinc, is_ucum};
use schemas::ChannelId;
use schemas::commands::{MapCode, ResolveHeld};
use serde::Deserialize;
use utoipa::ToSchema;
use worker_integration::queries::HeldSearch;

use crate::auth::chart::Sight;
use crate::auth::permission::{Can, HeldRead, HeldResolve, Permission as _};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::integration as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::{Applied, HeldItem};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(map))
        .routes(routes!(resolve))
}

fn no_item() -> Problem {
    Problem::unknown("held.unknown", "no held item has this id")
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// `open` (as if absent), `resolved` or `all`.
    state: Option<String>,
    /// `unknown_code` or `unknown_unit`.
    reason: Option<String>,
    channel: Option<String>,
    /// Code as sent.
    code: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List held items
///
/// Of a question whose sample is of a restricted chart the sample is left out for who does not care for the patient.
#[utoipa::path(get, path = "/held", tag = "held", params(Search), security(("bearer" = ["held:read"])),
    responses((status = 200, description = "oldest first: who waits longest is seen first", body = Page<HeldItem>)))]
async fn list(
    can: Can<HeldRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Params(search): Params<Search>,
) -> Result<Json<Page<HeldItem>>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, HeldRead::NAME);
    let wanted = HeldSearch {
        state: super::state_or_open(search.state, &["open", "resolved"])?,
        reason: search.reason,
        channel: search.channel,
        code: search.code,
        ..HeldSearch::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    reads::held(
        &mut tx,
        &sight,
        wanted,
        search.cursor.as_ref(),
        search.limit,
    )
    .await
    .map(Json)
}

/// Read a held item
#[utoipa::path(get, path = "/held/{id}", tag = "held", params(("id" = i64, Path, description = "the item")),
    security(("bearer" = ["held:read"])),
    responses(
        (status = 200, description = "the item", body = HeldItem),
        (status = 404, description = "no held item has this id (`held.unknown`)")))]
async fn read(
    can: Can<HeldRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
) -> Result<Json<HeldItem>, Problem> {
    let sight = Sight::new(&state, &trace, &can.who, HeldRead::NAME);
    item(&sight, id).await.map(Json)
}

async fn item(sight: &Sight<'_>, id: i64) -> Result<HeldItem, Problem> {
    let mut tx = sight.state.read(&sight.who.tenant).await?;
    reads::held_item(&mut tx, sight, id)
        .await?
        .ok_or_else(no_item)
}

/// What the code means.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "loinc": "2345-7", "display": "Glucose [Mass/volume] in Serum or Plasma", "ucum": "mg/dL" }))]
struct Mapping {
    /// LOINC code.
    #[schema(pattern = r"^[0-9]{1,7}-[0-9]$")]
    loinc: String,
    #[serde(default)]
    display: Option<String>,
    /// UCUM unit the value is in after `factor`.
    #[serde(default)]
    ucum: Option<String>,
    /// Decimal text; value in `ucum` = value as sent × factor. 1 when absent.
    #[serde(default)]
    #[schema(pattern = r"^[0-9]{1,12}(\.[0-9]{1,12})?$")]
    factor: Option<String>,
    /// Unit as sent that the mapping is for; the item's own when absent.
    #[serde(default)]
    unit: Option<String>,
}

/// Say what an unknown code means
///
/// Releases every held result of this channel that the mapping explains: `answer.released` tells how many.
#[utoipa::path(post, path = "/held/{id}/map", tag = "held", params(("id" = i64, Path, description = "the item")),
    request_body = Mapping, security(("bearer" = ["held:resolve"])),
    responses(
        (status = 200, description = "mapped; the answer tells how many results were released", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no held item has this id (`held.unknown`)"),
        (status = 409, description = "the item is resolved (`held.resolved`), or does not wait for a code (`held.not_a_code`)"),
        (status = 422, description = "it is not possible; `code` says why")))]
async fn map(
    can: Can<HeldResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(mapping): Body<Mapping>,
) -> Result<Response, Problem> {
    check(&mapping)?;
    let sight = Sight::new(&state, &trace, &can.who, HeldResolve::NAME);
    let item = item(&sight, id).await?;
    if item.state != "open" {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "held.resolved",
            "this item is resolved already",
        ));
    }
    if item.code.is_empty() {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "held.not_a_code",
            "this item does not wait for the meaning of a code; resolve it",
        ));
    }
    let channel = ChannelId::new(item.channel.as_str()).map_err(|_| Problem::internal())?;
    let command = MapCode {
        // one code of one channel is one aggregate: mappings of it keep their order
        channel,
        code_system: item.code_system,
        code: item.code,
        unit: mapping
            .unit
            .or((!item.unit.is_empty()).then_some(item.unit)),
        loinc: mapping.loinc,
        display: mapping.display,
        ucum: mapping.ucum,
        factor: mapping.factor,
        actor: can.who.username.clone(),
    };
    let aggregate = format!(
        "code/{}/{}/{}",
        command.channel, command.code_system, command.code
    );
    let written = Sender::new(&state, &can.who, &trace)
        .send(aggregate, &command)
        .await?;
    Ok(written.respond(Applied::with))
}

fn check(mapping: &Mapping) -> Result<(), Problem> {
    let is_number = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
    };
    if !is_loinc(&mapping.loinc) {
        return Err(Problem::invalid(
            "loinc",
            "must be a LOINC code with its check digit: 2345-7",
        ));
    }
    if mapping.ucum.as_deref().is_some_and(|unit| !is_ucum(unit)) {
        return Err(Problem::invalid(
            "ucum",
            "must be a UCUM unit, without blanks: mg/dL",
        ));
    }
    if let Some(factor) = &mapping.factor {
        let (whole, part) = factor.split_once('.').unwrap_or((factor, "0"));
        let positive = factor.bytes().any(|b| (b'1'..=b'9').contains(&b));
        if !(is_number(whole, 12) && is_number(part, 12) && positive) {
            return Err(Problem::invalid(
                "factor",
                "must be a positive decimal number as text: 0.0555",
            ));
        }
    }
    for (field, value, most) in [
        ("display", &mapping.display, 255),
        ("ucum", &mapping.ucum, 64),
        ("unit", &mapping.unit, 64),
    ] {
        if value.as_ref().is_some_and(|text| text.len() > most) {
            return Err(Problem::invalid(
                field,
                format!("has more than {most} bytes"),
            ));
        }
    }
    Ok(())
}

/// What was decided.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "resolution": "control material, not a patient" }))]
struct Resolution {
    resolution: String,
}

/// Close a held item without a mapping
#[utoipa::path(post, path = "/held/{id}/resolve", tag = "held", params(("id" = i64, Path, description = "the item")),
    request_body = Resolution, security(("bearer" = ["held:resolve"])),
    responses(
        (status = 200, description = "closed", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no held item has this id"),
        (status = 409, description = "the item is resolved already"),
        (status = 422, description = "it is not possible; `code` says why")))]
async fn resolve(
    can: Can<HeldResolve>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<i64>,
    Body(resolution): Body<Resolution>,
) -> Result<Response, Problem> {
    let command = ResolveHeld {
        held_id: id,
        resolution: super::text("resolution", resolution.resolution)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send(format!("held/{id}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_names_a_loinc_code_a_unit_and_a_positive_factor() {
        let mapping = |loinc: &str, ucum: Option<&str>, factor: Option<&str>| Mapping {
            loinc: loinc.to_owned(),
            display: None,
            ucum: ucum.map(str::to_owned),
            factor: factor.map(str::to_owned),
            unit: None,
        };
        for (loinc, ucum, factor, ok) in [
            ("2345-7", None, None, true),
            ("718-7", None, Some("0.0555"), true),
            ("718-7", None, Some("10"), true),
            ("718-7", None, Some("0"), false),
            ("718-7", None, Some("1e3"), false),
            ("718-7", None, Some("-1"), false),
            ("GLU", None, None, false),
            ("-7", None, None, false),
            ("2345-77", None, None, false),
            ("2345-8", None, None, false),
            ("2345-7", Some("mg/dL"), None, true),
            ("2345-7", Some("mg / dl"), None, false),
            ("2345-7", Some(""), None, false),
        ] {
            assert_eq!(
                check(&mapping(loinc, ucum, factor)).is_ok(),
                ok,
                "{loinc} {ucum:?} {factor:?}"
            );
        }
    }
}
