//! Searches: from the conditions to the rows that are walked, to the page that is sent.

mod page;
mod scope;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hub_core::Tx;
use hub_fhir::{Bundle, BundleKind, Entry, Issue, Kind, Mode, Outcome};
use time::OffsetDateTime;

use super::answer;
use super::asked::{Asked, CURSOR, Place};
use super::call::{self, Call};
use super::doors::Doors;
use super::include::Visit;
use super::source::{Found, Ground};
use super::table::Wired;
use crate::auth::identity::{Identity, Reach};
use crate::problem::Problem;
use crate::state::ApiState;

/// `GET [type]?…`
pub(crate) async fn by_get(
    state: ApiState,
    wired: &'static Wired,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, _) = Call::begin(request).await?;
    let who = call.enter(&state, wired.kind).await?;
    let pairs = call.query.clone();
    run(&state, &call, &who, wired, &pairs).await
}

/// `POST [type]/_search`: the same, without patients' names in an address.
pub(crate) async fn by_post(
    state: ApiState,
    wired: &'static Wired,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, body) = Call::begin(request).await?;
    let who = call.enter(&state, wired.kind).await?;
    let mut pairs = call.query.clone();
    pairs.extend(call::form(body).await?);
    run(&state, &call, &who, wired, &pairs).await
}

/// What a page of a search is.
pub(crate) struct Page {
    pub(crate) matches: Vec<Found>,
    /// Known only where the walk came to its end.
    pub(crate) total: Option<usize>,
    pub(crate) next: Option<Place>,
}

async fn run(
    state: &ApiState,
    call: &Call,
    who: &Identity,
    wired: &'static Wired,
    pairs: &[(String, String)],
) -> Result<Response, Problem> {
    let mut asked = Asked::read(wired, pairs, call.strict)?;
    let mut tx = state.read(&who.tenant).await?;
    let mut ground = ground(&mut tx, call, who);
    let visit = Visit { state, call, who };
    let mut doors = Doors::default();
    let now = OffsetDateTime::now_utc();

    let way = scope::way(&visit, &mut ground, &mut doors, wired, &mut asked).await?;
    let page = page::of(&visit, &mut ground, &mut doors, wired, &mut asked, way, now).await?;
    let mut others = Vec::new();
    if !asked.number_only {
        let includes = std::mem::take(&mut asked.includes);
        others = visit
            .included(
                &mut ground,
                &mut doors,
                &page.matches,
                &includes,
                &mut asked.remarks,
            )
            .await?;
        if asked.provenance {
            let tenant = ground.tenant();
            others.extend(
                page.matches
                    .iter()
                    .filter_map(|found| found.provenance(&tenant)),
            );
        }
    }
    let self_link = address(call, wired.kind, &asked.understood, None);
    let next = page
        .next
        .as_ref()
        .map(|place| address(call, wired.kind, &asked.understood, Some(place)));
    let elements = asked.elements.clone();
    let bundle = bundle(
        call,
        now,
        &page,
        &others,
        asked.remarks,
        |found| match &elements {
            Some(elements) => found.resource.only(elements, wired.mandatory),
            None => found.resource.clone(),
        },
        (self_link, next),
        asked.number_only,
    );
    Ok(answer::json(StatusCode::OK, &bundle))
}

/// The first two that fit these conditions, so that it is clear whether one is meant. Nothing that could fit is left out: what
/// the caller may not see is his refusal.
pub(super) async fn first_two(
    visit: &Visit<'_>,
    ground: &mut Ground<'_, '_>,
    wired: &'static Wired,
    asked: &mut Asked,
) -> Result<Vec<Found>, Problem> {
    let mut doors = Doors::default();
    let way = scope::way(visit, ground, &mut doors, wired, asked).await?;
    if let Some(suppressed) = asked.remarks.first() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "fhir.partly_seen",
            format!("what fits can't be told: {}", suppressed.words),
        ));
    }
    page::first(visit, ground, &mut doors, wired, asked, way, 2).await
}

/// The façade's ground for this caller.
pub(crate) fn ground<'a, 'tx>(tx: &'a mut Tx<'tx>, call: &Call, who: &Identity) -> Ground<'a, 'tx> {
    let may = |permission: &str| who.reach(permission) != Reach::Nowhere;
    Ground {
        tx,
        may_results: may("results:read"),
        may_vitals: may("vitals:read"),
        origin: call
            .base
            .strip_suffix("/fhir")
            .unwrap_or_default()
            .to_owned(),
    }
}

/// The searchset. What is not valid FHIR is left out with an error in its place: never sent, never silently missing.
#[allow(clippy::too_many_arguments, reason = "the parts of one document")]
pub(crate) fn bundle(
    call: &Call,
    now: OffsetDateTime,
    page: &Page,
    others: &[Found],
    remarks: Vec<Issue>,
    shown: impl Fn(&Found) -> hub_fhir::Resource,
    (self_link, next): (String, Option<String>),
    number_only: bool,
) -> serde_json::Value {
    let mut remarks = remarks;
    let mut entries = Vec::new();
    let matches = page.matches.iter().map(|found| (shown(found), Mode::Match));
    let included = others
        .iter()
        .map(|found| (found.resource.clone(), Mode::Include));
    for (resource, mode) in matches.chain(included) {
        if number_only {
            break;
        }
        if answer::sound(&resource).is_err() {
            remarks.push(Issue::error(
                "exception",
                format!(
                    "{} is not valid FHIR and is left out; the hub's log has the reason",
                    resource.reference()
                ),
            ));
            continue;
        }
        entries.push(Entry {
            full_url: Some(format!("{}/{}", call.base, resource.reference())),
            resource: Some(resource.json().clone()),
            mode: Some(mode),
            ..Entry::default()
        });
    }
    if !remarks.is_empty() {
        entries.push(Entry {
            resource: Some(Outcome { issues: remarks }.json()),
            mode: Some(Mode::Outcome),
            ..Entry::default()
        });
    }
    let mut links = vec![("self", self_link)];
    links.extend(next.map(|next| ("next", next)));
    Bundle {
        kind: BundleKind::Searchset,
        at: now,
        total: page.total,
        links,
        entries,
    }
    .json()
}

/// The address of this page, or of the one after the place.
fn address(
    call: &Call,
    kind: Kind,
    understood: &[(String, String)],
    next: Option<&Place>,
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in understood {
        if next.is_none() || name != CURSOR {
            query.append_pair(name, value);
        }
    }
    if let Some(place) = next {
        query.append_pair(CURSOR, &place.text());
    }
    let query = query.finish();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}/{kind}{mark}{query}", call.base)
}
