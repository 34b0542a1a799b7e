//! Specimens, found and read.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_clinical::queries::{SpecimenFilter, SpecimenState};

use super::no_specimen;
use crate::auth::chart::Sight;
use crate::auth::permission::{Can, OrdersRead, Permission as _};
use crate::extract::{Params, Segment};
use crate::if_match::tagged;
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::patients;
use crate::reads::specimens::{self as reads, By};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::specimens::SpecimenRecord;

pub(super) fn routes() -> Routes {
    Routes::new().routes(routes!(list)).routes(routes!(read))
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
