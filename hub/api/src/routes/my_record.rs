//! What a patient sees with a log-in of his own: his record, his released results, his appointments.
//!
//! Whose they are is said by his log-in and by nothing that he sends: no id stands in a path or a query here. No chart is opened
//! for it, so that no relationship is asked for and a restricted chart is open to whom it is about. His looks are on record like
//! anybody's.

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use hub_core::Tx;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use worker_identity::queries::own_record;
use worker_scheduling::queries::AppointmentFilter;

use super::asking::Desk;
use super::care::Listing;
use super::me::user_of;
use crate::auth::permission::OwnRecordRead;
use crate::extract::Params;
use crate::looks::ShownOf;
use crate::page::{Cursor, Limit, Moment, Page};
use crate::problem::Problem;
use crate::reads::patients::{Keys, keys_of_patient};
use crate::reads::portal::own_results;
use crate::reads::scheduling;
use crate::routing::{Routes, routes};
use crate::views::portal::{OwnAppointment, OwnRecord, OwnResult};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(record))
        .routes(routes!(results))
        .routes(routes!(appointments))
}

fn no_record() -> Problem {
    Problem::unknown(
        "me.no_record",
        "you have no record here as a patient: a desk gives patients their log-in",
    )
}

/// The caller's own record, as it stands at this moment.
async fn own(desk: &Desk<OwnRecordRead>, tx: &mut Tx<'_>) -> Result<Uuid, Problem> {
    let user = user_of(desk.who())?;
    own_record(tx.conn(), user).await?.ok_or_else(no_record)
}

/// The same with all his identifiers, those of merged records included.
async fn own_keys(desk: &Desk<OwnRecordRead>, tx: &mut Tx<'_>) -> Result<(Uuid, Keys), Problem> {
    let patient = own(desk, tx).await?;
    let keys = keys_of_patient(tx, patient).await?;
    Ok((patient, keys.ok_or_else(no_record)?))
}

/// A list of his. His look is on record also where there is nothing in it: that was told of him.
fn shown<T: Serialize>(patient: Uuid, page: Page<T>) -> Response {
    (ShownOf::these([Some(patient)]), Json(page)).into_response()
}

/// Read my record
///
/// Who I am here, and which numbers are mine. Also when my chart is restricted.
#[utoipa::path(get, path = "/me/record", tag = "portal", security(("bearer" = ["own_record:read"])),
    responses(
        (status = 200, description = "my record", body = OwnRecord),
        (status = 404, description = "I am no patient here, or my log-in has ended (`me.no_record`)")))]
async fn record(desk: Desk<OwnRecordRead>) -> Result<Json<OwnRecord>, Problem> {
    let mut tx = desk.tx().await?;
    let patient = own(&desk, &mut tx).await?;
    let person = worker_patient::queries::get(tx.conn(), patient)
        .await?
        .ok_or_else(no_record)?;
    Ok(Json(OwnRecord::of(person)))
}

/// List my results
///
/// Those that a report released, in their current versions: never one that waits for its verification or for a person, that is
/// preliminary, or that was rejected or taken back. Documents and images in them are not given out here. A page may have fewer
/// results than its limit.
#[utoipa::path(get, path = "/me/results", tag = "portal", params(Listing), security(("bearer" = ["own_record:read"])),
    responses(
        (status = 200, description = "newest report first", body = Page<OwnResult>),
        (status = 404, description = "I am no patient here, or my log-in has ended (`me.no_record`)")))]
async fn results(
    desk: Desk<OwnRecordRead>,
    Params(listing): Params<Listing>,
) -> Result<Response, Problem> {
    let mut tx = desk.tx().await?;
    let (patient, keys) = own_keys(&desk, &mut tx).await?;
    let page = own_results(
        &mut tx,
        patient,
        &keys,
        listing.cursor.as_ref(),
        listing.limit,
    )
    .await?;
    Ok(shown(patient, page))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Mine {
    /// Starting at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Moment>,
    /// Starting before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Moment>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// List my appointments
#[utoipa::path(get, path = "/me/appointments", tag = "portal", params(Mine), security(("bearer" = ["own_record:read"])),
    responses(
        (status = 200, description = "by time", body = Page<OwnAppointment>),
        (status = 404, description = "I am no patient here, or my log-in has ended (`me.no_record`)")))]
async fn appointments(
    desk: Desk<OwnRecordRead>,
    Params(mine): Params<Mine>,
) -> Result<Response, Problem> {
    let mut tx = desk.tx().await?;
    let (patient, keys) = own_keys(&desk, &mut tx).await?;
    let filter = AppointmentFilter {
        subjects: Some(keys.keys().copied().collect()),
        from: mine.from.map(|moment| moment.0),
        to: mine.to.map(|moment| moment.0),
        ..AppointmentFilter::default()
    };
    let page = scheduling::appointments(&mut tx, filter, mine.cursor.as_ref(), mine.limit).await?;
    Ok(shown(
        patient,
        page.map(|one| OwnAppointment::of(one, patient)),
    ))
}
