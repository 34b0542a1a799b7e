//! One resource: as it is, as it was, and all that it was.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hub_fhir::{Bundle, BundleKind, Entry, is_id};
use time::OffsetDateTime;

use super::answer;
use super::call::Call;
use super::doors::Doors;
use super::include::Visit;
use super::search::ground;
use super::source::{self, Found};
use super::table::Wired;
use crate::auth::identity::Identity;
use crate::problem::Problem;
use crate::state::ApiState;

fn unknown() -> Problem {
    Problem::unknown("fhir.unknown", "no resource of this type has this id")
}

/// `GET [type]/[id]`
pub(crate) async fn read(
    state: ApiState,
    wired: &'static Wired,
    id: String,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, _) = Call::begin(request).await?;
    let who = call.enter(&state, wired.kind).await?;
    let found = newest(&state, &call, &who, wired, &id).await?;
    answer::one(&call, wired, &found.resource)
}

/// The newest version, once it is clear that the caller may see it.
pub(super) async fn newest(
    state: &ApiState,
    call: &Call,
    who: &Identity,
    wired: &'static Wired,
    id: &str,
) -> Result<Found, Problem> {
    versions(state, call, who, wired, id, false)
        .await?
        .pop()
        .ok_or_else(unknown)
}

async fn versions(
    state: &ApiState,
    call: &Call,
    who: &Identity,
    wired: &'static Wired,
    id: &str,
    all: bool,
) -> Result<Vec<Found>, Problem> {
    if !is_id(id) {
        return Err(unknown());
    }
    let mut tx = state.read(&who.tenant).await?;
    let mut ground = ground(&mut tx, call, who);
    let found = if all {
        source::versions(&mut ground, wired.kind, id).await?
    } else {
        source::one(&mut ground, wired.kind, id)
            .await?
            .into_iter()
            .collect()
    };
    let Some(newest) = found.last() else {
        return Err(unknown());
    };
    let visit = Visit { state, call, who };
    visit
        .admitted(&mut ground, &mut Doors::default(), newest)
        .await?;
    Ok(found)
}

/// `GET [type]/[id]/_history/[version]`
pub(crate) async fn vread(
    state: ApiState,
    wired: &'static Wired,
    id: String,
    version: String,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, _) = Call::begin(request).await?;
    let who = call.enter(&state, wired.kind).await?;
    let found = versions(&state, &call, &who, wired, &id, true)
        .await?
        .into_iter()
        .find(|found| found.resource.meta.version == version)
        .ok_or_else(|| {
            Problem::unknown(
                "fhir.unknown_version",
                if wired.keeps_versions {
                    "the resource has no such version"
                } else {
                    "the resource is at another version now, and the ones before are not kept"
                },
            )
        })?;
    answer::one(&call, wired, &found.resource)
}

/// `GET [type]/[id]/_history`: the versions that are kept, newest first.
pub(crate) async fn history(
    state: ApiState,
    wired: &'static Wired,
    id: String,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, _) = Call::begin(request).await?;
    let who = call.enter(&state, wired.kind).await?;
    let found = versions(&state, &call, &who, wired, &id, true).await?;
    let mut entries = Vec::with_capacity(found.len());
    let total = found.len();
    for one in found.into_iter().rev() {
        answer::sound(&one.resource)?;
        let created = one.made.as_ref().is_some_and(|made| made.created);
        let (method, url, status) = if created {
            ("POST", wired.kind.to_string(), "201 Created")
        } else {
            ("PUT", one.resource.reference(), "200 OK")
        };
        entries.push(Entry {
            full_url: Some(format!("{}/{}", call.base, one.resource.reference())),
            request: Some((method, url)),
            status: Some(status.to_owned()),
            etag: Some(answer::etag(&one.resource.meta.version)),
            modified: Some(one.resource.meta.updated),
            resource: Some(one.resource.json().clone()),
            ..Entry::default()
        });
    }
    let bundle = Bundle {
        kind: BundleKind::History,
        at: OffsetDateTime::now_utc(),
        total: Some(total),
        links: vec![(
            "self",
            format!("{}/{}/{id}/_history", call.base, wired.kind),
        )],
        entries,
    };
    Ok(answer::json(StatusCode::OK, &bundle.json()))
}
