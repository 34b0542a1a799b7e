//! Patients: search, read, their care, duplicates, merge and unmerge.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::commands::{MergePatients, UnmergePatient};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::care::{self, Listing};
use crate::auth::chart::{self, Sight};
use crate::auth::identity::Identity;
use crate::auth::permission::{
    Can, CanSomewhere, EncountersRead, OrdersRead, PatientsMerge, PatientsRead, Permission,
    ResultsRead,
};
use crate::command::{Accepted, Sender};
use crate::extract::{Body, Params, Segment};
use crate::if_match::tagged;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::care::{OrderFilter, ResultFilter, Scope};
use crate::reads::patients::{self as reads, Keys, PatientFilter};
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::care::{Encounter, LabResult, Order, Report};
use crate::views::integration::Applied;
use crate::views::patients::{Duplicate, Patient};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(search))
        .routes(routes!(read))
        .routes(routes!(encounters))
        .routes(routes!(orders))
        .routes(routes!(results))
        .routes(routes!(reports))
        .routes(routes!(duplicates))
        .routes(routes!(merge))
        .routes(routes!(unmerge))
}

pub(super) fn no_patient() -> Problem {
    Problem::unknown("patients.unknown", "no patient has this id")
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Search {
    /// Beginnings of names, in any order: `sha as` finds Asha Sharma.
    name: Option<String>,
    /// Any identifier: its value, the whole CX text (`12345^^^HOSP^MR`), or `system|value`.
    identifier: Option<String>,
    /// Medical record number: an identifier's value.
    mrn: Option<String>,
    /// Mobile number; the last ten digits count.
    mobile: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search patients
///
/// All conditions must hold. Without any, all patients are listed. A record that was merged into another is
/// shown as the one that stands.
#[utoipa::path(get, path = "/patients", tag = "patients", params(Search), security(("bearer" = ["patients:read"])),
    responses((status = 200, description = "patients; by name where nothing but a name is asked for", body = Page<Patient>)))]
async fn search(
    can: CanSomewhere<PatientsRead>,
    State(state): State<ApiState>,
    Params(search): Params<Search>,
) -> Result<Json<Page<Patient>>, Problem> {
    if search.mrn.is_some() && search.identifier.is_some() {
        return Err(Problem::invalid("mrn", "give either mrn or identifier"));
    }
    let mut tx = state.read(&can.who.tenant).await?;
    let filter = PatientFilter {
        name: search.name,
        identifier: search.identifier.or(search.mrn),
        mobile: search.mobile,
    };
    let page = reads::search(&mut tx, &filter, search.cursor.as_ref(), search.limit).await?;
    Ok(Json(page))
}

/// Read a patient
///
/// A record that was merged is shown as it is, with `merged_into`.
#[utoipa::path(get, path = "/patients/{id}", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    security(("bearer" = ["patients:read"])),
    responses(
        (status = 200, description = "the patient; ETag is the version", body = Patient),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn read(
    can: CanSomewhere<PatientsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let patient = reads::one(&mut tx, id).await?.ok_or_else(no_patient)?;
    Ok(tagged(&patient, patient.version))
}

/// All identifier keys of the person, once it is clear that the caller may open the chart.
async fn chart_of<P: Permission>(
    state: &ApiState,
    trace: &Trace,
    can: &CanSomewhere<P>,
    tx: &mut hub_core::Tx<'_>,
    id: Uuid,
) -> Result<Keys, Problem> {
    let keys = keys(tx, id).await?;
    chart::open(state, trace, &can.who, P::NAME, tx, id, &keys).await?;
    Ok(keys)
}

/// All identifier keys of the person, those of merged records included.
async fn keys(tx: &mut hub_core::Tx<'_>, id: Uuid) -> Result<Keys, Problem> {
    reads::keys_of_patient(tx, id).await?.ok_or_else(no_patient)
}

/// A patient's encounters
#[utoipa::path(get, path = "/patients/{id}/encounters", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), Listing), security(("bearer" = ["encounters:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Encounter>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn encounters(
    can: CanSomewhere<EncountersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Encounter>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let keys = chart_of(&state, &trace, &can, &mut tx, id).await?;
    let sight = Sight::new(&state, &trace, &can.who, EncountersRead::NAME);
    care::list_encounters(&mut tx, &sight, Some(&keys), None, &listing).await
}

/// A patient's orders
#[utoipa::path(get, path = "/patients/{id}/orders", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), Listing), security(("bearer" = ["orders:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Order>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn orders(
    can: CanSomewhere<OrdersRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Order>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let keys = chart_of(&state, &trace, &can, &mut tx, id).await?;
    let sight = Sight::new(&state, &trace, &can.who, OrdersRead::NAME);
    let all = OrderFilter::default();
    care::list_orders(&mut tx, &sight, Some(&keys), &all, &listing).await
}

/// A patient's results
///
/// Current versions; `GET /api/v1/results` has more conditions and old versions.
#[utoipa::path(get, path = "/patients/{id}/results", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), Listing), security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "newest report first", body = Page<LabResult>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn results(
    can: CanSomewhere<ResultsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<LabResult>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let scope = Scope::Person(chart_of(&state, &trace, &can, &mut tx, id).await?);
    let sight = Sight::new(&state, &trace, &can.who, ResultsRead::NAME);
    let all = ResultFilter::default();
    care::list_results(&mut tx, &sight, &scope, &all, &listing).await
}

/// A patient's reports
#[utoipa::path(get, path = "/patients/{id}/reports", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), Listing), security(("bearer" = ["results:read"])),
    responses(
        (status = 200, description = "newest first", body = Page<Report>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn reports(
    can: CanSomewhere<ResultsRead>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Params(listing): Params<Listing>,
) -> Result<Json<Page<Report>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let keys = chart_of(&state, &trace, &can, &mut tx, id).await?;
    let sight = Sight::new(&state, &trace, &can.who, ResultsRead::NAME);
    care::list_reports(&mut tx, &sight, Some(&keys), None, &listing).await
}

/// Records that may be the same person
#[utoipa::path(get, path = "/patients/{id}/duplicates", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    security(("bearer" = ["patients:read"])),
    responses(
        (status = 200, description = "likeliest first; the list is whole", body = Page<Duplicate>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn duplicates(
    can: Can<PatientsRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Page<Duplicate>>, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let duplicates = reads::duplicates(&mut tx, id)
        .await?
        .ok_or_else(no_patient)?;
    Ok(Json(Page::whole(duplicates)))
}

/// Which record to retire, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "retired": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "reason": "registered twice at the desk" }))]
struct Merge {
    /// The record that shall lead to this one.
    retired: Uuid,
    reason: String,
}

/// Whoever joins records or parts them decides whose chart is whose, and who has a log-in of one of them sees what they are together:
/// so where a chart is restricted, it is for who can open it. What is not there the worker tells.
async fn may_join(
    state: &ApiState,
    trace: &Trace,
    who: &Identity,
    people: &[Uuid],
) -> Result<(), Problem> {
    let mut tx = state.read(&who.tenant).await?;
    for &id in people {
        let Some(keys) = reads::keys_of_patient(&mut tx, id).await? else {
            continue;
        };
        let mut records: Vec<Uuid> = keys.values().copied().flatten().collect();
        records.push(id);
        if worker_patient::queries::is_restricted(tx.conn(), &records).await? {
            chart::open(state, trace, who, PatientsMerge::NAME, &mut tx, id, &keys).await?;
        }
    }
    Ok(())
}

/// Merge two records of one person
///
/// The path names the record that stays. Both keep their identifiers; it can be taken back. Where both have a log-in of the patient's
/// own, that of the record that stays survives; one alone goes along. Where the chart of one of them is restricted, only who can open
/// it merges it.
#[utoipa::path(post, path = "/patients/{id}/merge", tag = "patients", params(("id" = Uuid, Path, description = "the record that stays")),
    request_body = Merge, security(("bearer" = ["patients:merge"])),
    responses(
        (status = 200, description = "merged", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or one of the charts is restricted and closed to you (`auth.relationship`)"),
        (status = 404, description = "one of the records is unknown"),
        (status = 409, description = "they are merged already, or one leads to the other"),
        (status = 422, description = "it is not possible; `code` says why")))]
async fn merge(
    can: Can<PatientsMerge>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(merge): Body<Merge>,
) -> Result<Response, Problem> {
    let command = MergePatients {
        survivor: id,
        retired: merge.retired,
        reason: super::reason(merge.reason)?,
        actor: can.who.username.clone(),
    };
    may_join(&state, &trace, &can.who, &[id, command.retired]).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(id.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "two people with the same name" }))]
struct Unmerge {
    reason: String,
}

/// Take a merge back
///
/// The path names the record that was retired; it stands on its own again, and a log-in that went along with it comes home. One that
/// the merge ended stays ended: `GET /patients/{id}/login` says so, and a desk gives another.
#[utoipa::path(post, path = "/patients/{id}/unmerge", tag = "patients", params(("id" = Uuid, Path, description = "the record that was retired")),
    request_body = Unmerge, security(("bearer" = ["patients:merge"])),
    responses(
        (status = 200, description = "the record stands on its own again", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is restricted and closed to you (`auth.relationship`)"),
        (status = 404, description = "no patient has this id"),
        (status = 409, description = "the record is not merged"),
        (status = 422, description = "it is not possible; `code` says why")))]
async fn unmerge(
    can: Can<PatientsMerge>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(unmerge): Body<Unmerge>,
) -> Result<Response, Problem> {
    let command = UnmergePatient {
        retired: id,
        reason: super::reason(unmerge.reason)?,
        actor: can.who.username.clone(),
    };
    may_join(&state, &trace, &can.who, &[id]).await?;
    let written = Sender::new(&state, &can.who, &trace)
        .send(id.to_string(), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
