//! Who saw whose data: every look at patients' data is on record before it is shown.
//!
//! The token check notes who looks and by which permission ([`shows_patients`](crate::auth::permission::shows_patients)); the
//! layer here lets the handler work, reads from the answer whose data it is, puts that on record, and only then lets the answer
//! out. So no handler can forget it, and what is recorded is what was shown. Looks that wait at the same moment share one
//! durable write. What can't be recorded is not shown.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use schemas::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;
use worker_integration::reads::{self, PREFIX};

use crate::auth::identity::{Identity, Reach};
use crate::auth::permission::PERMISSIONS;
use crate::problem::Problem;
use crate::state::ApiState;

/// Looks that wait for their record; one more is refused.
const QUEUE: usize = 4_096;
/// Looks of one durable write.
const TOGETHER: usize = 256;
/// A record that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(3);
/// Patients named by one entry; a page has 500 rows at most.
const MOST: usize = 1_000;

/// Who looks, under which permission.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    tenant: TenantId,
    actor: String,
    permission: &'static str,
}

/// Looks of one request: one for each permission that it was answered under.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<Mutex<Vec<Look>>>);

impl Slot {
    fn add(&self, look: Look) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if looks.iter().all(|one| one.permission != look.permission) {
            looks.push(look);
        }
    }

    fn take(&self) -> Vec<Look> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Look {
    /// Notes that what this request is answered shows patients' data.
    pub(crate) fn begin(parts: &Parts, who: &Identity, permission: &'static str) {
        if let Some(slot) = parts.extensions.get::<Slot>() {
            slot.add(Self {
                tenant: who.tenant.clone(),
                actor: who.username.clone(),
                permission,
            });
        }
    }
}

/// What was put on record of an answer. It goes with the answer: whoever is sent that again looks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    permission: String,
    route: Option<String>,
    path: String,
    patients: Vec<Uuid>,
    /// How many there were, of whom `patients` are the first.
    ids: usize,
}

/// All of an answer.
#[derive(Debug, Clone)]
pub(crate) struct OnRecord(pub(crate) Vec<Recorded>);

impl Recorded {
    fn entry(&self, actor: &str, again: bool) -> reads::Look {
        let resource = self.permission.split(':').next();
        let mut detail =
            json!({ "route": self.route, "permission": self.permission, "ids": self.ids });
        if again {
            detail["again"] = json!(true);
        }
        reads::Look {
            actor: actor.to_owned(),
            action: format!("{PREFIX}{}", resource.unwrap_or(&self.permission)),
            object: self.path.clone(),
            objects: self.patients.clone(),
            detail,
        }
    }
}

/// The same answer is shown once more: to who may still see it, and on record as the first time.
///
/// # Errors
/// 403 when the right is gone, 503 when it can't be recorded.
pub(crate) async fn again(
    state: &ApiState,
    who: &Identity,
    seen: &[Recorded],
) -> Result<(), Problem> {
    for one in seen {
        let permission = PERMISSIONS.iter().find(|name| **name == one.permission);
        match permission {
            Some(name) if who.reach(name) == Reach::Nowhere => {
                return Err(Problem::forbidden(name));
            }
            Some(_) => {}
            // one of another version of the program
            None => return Err(not_recorded()),
        }
        let entry = one.entry(&who.username, true);
        if !state.recorder.record(who.tenant.clone(), entry).await {
            return Err(not_recorded());
        }
    }
    Ok(())
}

fn not_recorded() -> Problem {
    metrics::counter!("hub_api_looks_refused_total").increment(1);
    Problem::unavailable(
        "audit.unavailable",
        "the look could not be recorded, so nothing is shown; try again",
    )
}

/// Whose data an answer shows, where it does not say so itself: the bytes of a document, what stands beside an entry of a chart.
/// Goes with the answer as an extension.
#[derive(Debug, Clone)]
pub(crate) struct ShownOf(Vec<Uuid>);

impl ShownOf {
    pub(crate) fn these(patients: impl IntoIterator<Item = Option<Uuid>>) -> Extension<Self> {
        Extension(Self(patients.into_iter().flatten().collect()))
    }
}

struct Waiting {
    tenant: TenantId,
    look: reads::Look,
    answer: oneshot::Sender<bool>,
}

/// The way into the trail; cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder(mpsc::Sender<Waiting>);

impl Recorder {
    /// Starts the task that writes; it ends with the last clone.
    pub(crate) fn start(pool: PgPool) -> Self {
        let (to, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(write(pool, waiting));
        Self(to)
    }

    /// True when it is on disk.
    async fn record(&self, tenant: TenantId, look: reads::Look) -> bool {
        let (answer, written) = oneshot::channel();
        let waiting = Waiting {
            tenant,
            look,
            answer,
        };
        if self.0.try_send(waiting).is_err() {
            return false;
        }
        matches!(tokio::time::timeout(PATIENCE, written).await, Ok(Ok(true)))
    }
}

async fn write(pool: PgPool, mut waiting: mpsc::Receiver<Waiting>) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, TOGETHER).await > 0 {
        let mut tenants: HashMap<TenantId, Vec<Waiting>> = HashMap::new();
        for one in group.drain(..) {
            // who has gone away, or was told no, has seen nothing
            if !one.answer.is_closed() {
                tenants.entry(one.tenant.clone()).or_default().push(one);
            }
        }
        for (tenant, ones) in tenants {
            let (looks, answers): (Vec<_>, Vec<_>) =
                ones.into_iter().map(|one| (one.look, one.answer)).unzip();
            metrics::histogram!("hub_api_looks_together").record(looks.len() as f64);
            let written =
                tokio::time::timeout(PATIENCE, reads::record_looks(&pool, &tenant, &looks)).await;
            if let Ok(Err(error)) = &written {
                tracing::warn!(%error, looks = looks.len(), "looks at patients' data could not be recorded, so nothing was shown");
            }
            let done = matches!(written, Ok(Ok(())));
            for answer in answers {
                let _ = answer.send(done);
            }
        }
    }
}

/// The layer.
pub(crate) async fn on_record(
    State(state): State<ApiState>,
    mut request: Request,
    next: Next,
) -> Response {
    let slot = Slot::default();
    request.extensions_mut().insert(slot.clone());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|route| route.as_str().to_owned());
    let response = next.run(request).await;
    let looks = slot.take();
    if looks.is_empty() {
        return response;
    }
    if !response.status().is_success() || method == Method::OPTIONS {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let is_stream = parts
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    // what flows on and on is on record by its beginning; what is whole is read for whose it is
    let (body, mut patients) = if is_stream {
        (body, Vec::new())
    } else {
        match to_bytes(body, usize::MAX).await {
            Ok(bytes) => {
                let patients = patients_in(&bytes);
                (Body::from(bytes), patients)
            }
            Err(_) => return Problem::internal().into_response(),
        }
    };
    let beside = parts.extensions.get::<ShownOf>();
    for id in beside
        .into_iter()
        .flat_map(|of| of.0.iter().copied())
        .chain(ids_of(&path))
    {
        if !patients.contains(&id) {
            patients.push(id);
        }
    }
    let shown = patients.len();
    patients.truncate(MOST);
    let mut recorded = Vec::with_capacity(looks.len());
    for look in looks {
        let one = Recorded {
            permission: look.permission.to_owned(),
            route: route.clone(),
            path: path.clone(),
            patients: patients.clone(),
            ids: shown,
        };
        let entry = one.entry(&look.actor, false);
        if !state.recorder.record(look.tenant, entry).await {
            return not_recorded().into_response();
        }
        recorded.push(one);
    }
    parts.extensions.insert(OnRecord(recorded));
    Response::from_parts(parts, body)
}

/// Ids in the path: of the patient, or of what is read.
fn ids_of(path: &str) -> impl Iterator<Item = Uuid> + '_ {
    path.split('/')
        .filter(|part| part.len() == 36)
        .filter_map(|part| Uuid::try_parse(part).ok())
}

/// Members of our answers that name a record of a patient, and the references of FHIR.
const NAMED: [&[u8]; 5] = [
    b"\"patient_id\":\"",
    b"\"named_patient_id\":\"",
    b"\"merged_into\":\"",
    b"\"Patient/",
    b"/Patient/",
];
/// Lists of patients name them by `id`, right after the brace.
const RECORD: &[u8] = b"{\"id\":\"";

/// Whose data a body is, in the order in which it names them. It is looked through as text: an answer of 500 results is not
/// parsed for it.
fn patients_in(body: &[u8]) -> Vec<Uuid> {
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let is_list_of_patients = contains(body, b"\"identifiers\":[");
    let mut at = 0;
    while let Some(offset) = body.get(at..).and_then(|rest| {
        rest.iter()
            .position(|b| *b == b'"' || *b == b'/' || *b == b'{')
    }) {
        let here = at + offset;
        at = here + 1;
        let rest = &body[here..];
        let marks = NAMED
            .iter()
            .copied()
            .chain(is_list_of_patients.then_some(RECORD));
        for mark in marks {
            let Some(id) = rest
                .strip_prefix(mark)
                .and_then(|rest| rest.get(..36))
                .and_then(|text| Uuid::try_parse_ascii(text).ok())
            else {
                continue;
            };
            if seen.insert(id) {
                found.push(id);
            }
            at = here + mark.len() + 36;
            break;
        }
        if found.len() > MOST {
            break;
        }
    }
    found
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_look_for_each_permission_that_it_was_answered_under() {
        let slot = Slot::default();
        for permission in ["results:read", "vitals:read", "results:read"] {
            slot.add(Look {
                tenant: TenantId::new("demo").unwrap(),
                actor: "asha".to_owned(),
                permission,
            });
        }
        let noted: Vec<&str> = slot.take().iter().map(|look| look.permission).collect();
        assert_eq!(noted, ["results:read", "vitals:read"]);
        assert!(slot.take().is_empty());
    }

    #[test]
    fn an_answer_tells_whose_data_it_shows() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let body = format!(
            r#"{{"items":[{{"id":"{b}","patient_id":"{a}"}},{{"patient_id":"{a}"}},{{"patient_id":null}}]}}"#
        );
        assert_eq!(patients_in(body.as_bytes()), [a]);
        let list = format!(
            r#"{{"items":[{{"id":"{a}","identifiers":[]}},{{"id":"{b}","identifiers":[]}}]}}"#
        );
        assert_eq!(patients_in(list.as_bytes()), [a, b]);
        let bundle = format!(
            r#"{{"subject":{{"reference":"Patient/{a}"}},"fullUrl":"http://x/fhir/Patient/{b}"}}"#
        );
        assert_eq!(patients_in(bundle.as_bytes()), [a, b]);
        assert!(patients_in(b"\"patient_id\":\"short").is_empty());
        assert!(patients_in(b"").is_empty());
        let path = format!("/api/v1/patients/{a}/results");
        assert_eq!(ids_of(&path).collect::<Vec<_>>(), [a]);
    }
}
