//! `GET Patient/[id]/$everything`: all that the caller may see of one person, type by type, page by page.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use hub_fhir::{Issue, Kind};
use time::OffsetDateTime;

use super::answer;
use super::asked::CURSOR;
use super::call::Call;
use super::dates;
use super::doors::Doors;
use super::include::Visit;
use super::search::{Page, bundle, ground};
use super::source::{self, Hints, Person, Scope};
use super::table::{WIRED, wired};
use crate::auth::identity::{Identity, Reach};
use crate::page::{Cursor, encode};
use crate::problem::Problem;
use crate::reads::patients;
use crate::state::ApiState;

/// Types of a chart, in the order in which they are walked.
const OF_A_CHART: [Kind; 10] = [
    Kind::Encounter,
    Kind::Condition,
    Kind::AllergyIntolerance,
    Kind::MedicationRequest,
    Kind::Appointment,
    Kind::ServiceRequest,
    Kind::Specimen,
    Kind::DiagnosticReport,
    Kind::DocumentReference,
    Kind::Observation,
];

/// Resources on a page when the caller does not say, and at most.
const DEFAULT_COUNT: u16 = 100;
const MAX_COUNT: u16 = 500;
/// Rows that one page looks at.
const MOST_ROWS: usize = 2_000;

struct Asked {
    kinds: Vec<Kind>,
    since: Option<OffsetDateTime>,
    count: u16,
    /// Type and place in its walk.
    after: (usize, Option<String>),
    first: bool,
    understood: Vec<(String, String)>,
    remarks: Vec<Issue>,
}

impl Asked {
    fn read(call: &Call) -> Result<Self, Problem> {
        let mut asked = Self {
            kinds: OF_A_CHART
                .into_iter()
                .filter(|kind| wired(*kind).is_some())
                .collect(),
            since: None,
            count: DEFAULT_COUNT,
            after: (0, None),
            first: true,
            understood: Vec::new(),
            remarks: Vec::new(),
        };
        for (name, value) in &call.query {
            match name.as_str() {
                "_type" => {
                    let wanted: Vec<&str> = value.split(',').map(str::trim).collect();
                    let unknown = wanted
                        .iter()
                        .find(|kind| WIRED.iter().all(|one| one.kind.as_str() != **kind));
                    if unknown.is_some() {
                        return Err(Problem::invalid("_type", "names a type that is not served"));
                    }
                    asked.kinds.retain(|kind| wanted.contains(&kind.as_str()));
                    asked.first &= wanted.contains(&"Patient");
                }
                "_since" => {
                    let since = dates::interval(value)
                        .ok_or_else(|| Problem::invalid("_since", "must be an instant"))?;
                    asked.since = Some(since.from);
                }
                "_count" => {
                    let count: u16 = value.parse().unwrap_or(0);
                    if count == 0 {
                        return Err(Problem::invalid("_count", "must be 1 or more"));
                    }
                    asked.count = count.min(MAX_COUNT);
                }
                CURSOR => {
                    let cursor = serde_json::from_value(value.as_str().into()).ok();
                    asked.after = Cursor::key(cursor.as_ref())?.ok_or_else(Cursor::refused)?;
                    asked.first = false;
                    continue;
                }
                "_format" | "_pretty" => {}
                name if call.strict => {
                    return Err(Problem::invalid(
                        name,
                        "is not a parameter of $everything (Prefer: handling=strict)",
                    ));
                }
                name => {
                    asked.remarks.push(
                        Issue::warning(
                            "not-supported",
                            format!("{name} is not a parameter of $everything, and was ignored"),
                        )
                        .at(name),
                    );
                    continue;
                }
            }
            asked.understood.push((name.clone(), value.clone()));
        }
        Ok(asked)
    }
}

pub(crate) async fn of_patient(
    state: ApiState,
    id: String,
    request: Request,
) -> Result<Response, Problem> {
    let (mut call, _) = Call::begin(request).await?;
    let who = call.enter(&state, Kind::Patient).await?;
    let mut asked = Asked::read(&call)?;
    let mut tx = state.read(&who.tenant).await?;
    let mut ground = ground(&mut tx, &call, &who);
    let patient = source::one(&mut ground, Kind::Patient, &id)
        .await?
        .ok_or_else(|| Problem::unknown("fhir.unknown", "no patient has this id"))?;
    let patient_id = patient.patient.unwrap_or_default();
    let keys = patients::keys_of_patient(ground.tx, patient_id)
        .await?
        .unwrap_or_default();
    let scope = Scope::People(vec![Person {
        id: patient_id,
        keys,
    }]);
    let visit = Visit {
        state: &state,
        call: &call,
        who: &who,
    };
    let mut doors = Doors::default();
    let now = OffsetDateTime::now_utc();

    let mut matches = Vec::new();
    if asked.first
        && asked
            .since
            .is_none_or(|since| patient.resource.meta.updated >= since)
    {
        matches.push(patient);
    }
    let (mut at, mut place) = asked.after.clone();
    let mut looked_at = 0;
    let mut next = None;
    let mut refused = None;
    'types: while let Some(kind) = asked.kinds.get(at).copied() {
        if shows_nothing(&who, kind) {
            if place.is_none() {
                asked.remarks.push(Issue::warning(
                    "suppressed",
                    format!("{kind} is left out: the permission for it is missing"),
                ));
            }
            at += 1;
            place = None;
            continue;
        }
        if kind == Kind::Observation && place.is_none() && ground.may_results != ground.may_vitals {
            asked.remarks.push(Issue::warning(
                "suppressed",
                "Observation: results or vital signs are left out: the permission for them is missing",
            ));
        }
        let stretch = source::walk(
            &mut ground,
            kind,
            &scope,
            &Hints::default(),
            place.as_deref(),
            asked.count,
        )
        .await?;
        for found in stretch.found {
            if matches.len() >= usize::from(asked.count) || looked_at >= MOST_ROWS {
                next = Some((at, place));
                break 'types;
            }
            looked_at += 1;
            place = Some(found.place.clone());
            let since = asked
                .since
                .is_none_or(|since| found.resource.meta.updated >= since);
            if since {
                match visit
                    .admitted_by_chart(&mut ground, &mut doors, &found)
                    .await
                {
                    Ok(()) => matches.push(found),
                    Err(problem) if problem.status == StatusCode::FORBIDDEN => {
                        let words = format!("{kind}: some or all is left out: {}", problem.detail);
                        let remark = Issue::warning("suppressed", words);
                        if !asked.remarks.contains(&remark) {
                            asked.remarks.push(remark);
                        }
                        refused = Some(problem);
                    }
                    Err(problem) => return Err(problem),
                }
            }
        }
        match stretch.next {
            Some(after) => place = Some(after),
            None => {
                at += 1;
                place = None;
            }
        }
    }
    // a chart that is closed as a whole: the reason is the answer
    let nothing = matches
        .iter()
        .all(|found: &source::Found| found.resource.kind == Kind::Patient);
    if let (Some(problem), true) = (refused, nothing) {
        return Err(problem);
    }
    let link = |after: Option<String>| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&asked.understood);
        if let Some(after) = after {
            query.append_pair(CURSOR, &after);
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}/Patient/{id}/$everything{mark}{query}", call.base)
    };
    let links = (link(None), next.map(|next| link(Some(encode(&next)))));
    let page = Page {
        matches,
        total: None,
        next: None,
    };
    let remarks = std::mem::take(&mut asked.remarks);
    let bundle = bundle(
        &call,
        now,
        &page,
        &[],
        remarks,
        |found| found.resource.clone(),
        links,
        false,
    );
    Ok(answer::json(StatusCode::OK, &bundle))
}

/// The caller may see none of this anywhere.
fn shows_nothing(who: &Identity, kind: Kind) -> bool {
    let permissions: &[&str] = match kind {
        Kind::Encounter => &["encounters:read"],
        Kind::ServiceRequest | Kind::Specimen => &["orders:read"],
        Kind::DiagnosticReport => &["results:read"],
        Kind::Observation => &["results:read", "vitals:read"],
        Kind::Condition
        | Kind::AllergyIntolerance
        | Kind::MedicationRequest
        | Kind::DocumentReference => &["charts:read"],
        Kind::Appointment => &["appointments:read"],
        _ => return true,
    };
    permissions
        .iter()
        .all(|permission| who.reach(permission) == Reach::Nowhere)
}
