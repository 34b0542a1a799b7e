//! Conditional create (`If-None-Exist`, FHIR R4 §3.1.0.8.1): nothing that fits, it is made; one, that is the answer; more, 412.
//!
//! A search and a command can't be one act, so three things together keep two from being made of one condition. Who creates
//! under a condition claims it first, in the bucket that all processes share: of two at once under the same condition, word
//! by word, one is told to ask again (409 with `Retry-After`), and finds then what the other made. Where a worker's constraint
//! refuses what somebody made without such a condition, or under other words for it, the search is made again, and what it
//! finds is the answer. And a command that is on disk and has no outcome keeps its condition claimed until it has one, for as
//! long as the bucket keeps an entry: a day. The name of its entry is a digest that is keyed with `[api] token_secret`: a condition
//! holds numbers of patients, and they are not many. So a claim holds among processes that have the same secret, and ends with it.
//!
//! So two can be made of one condition only where no constraint tells them apart (conditions, drafts of prescriptions, documents,
//! appointments of one patient in several slots), and only if the other one was written without the condition or in other
//! words; or if a process died, or its caller hung up, between the command and its outcome, and the command waited longer than
//! a request may take.

use axum::http::{HeaderName, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use worker_integration::queries;

use super::{Desk, Made};
use crate::backbone::Noted;
use crate::fhir::asked::Asked;
use crate::fhir::call::Call;
use crate::fhir::include::Visit;
use crate::fhir::search::{first_two, ground};
use crate::fhir::table::Wired;
use crate::idempotency::{self, digest, keyed_digest, now};
use crate::problem::Problem;

/// The header, and `ifNoneExist` of an entry.
pub(in crate::fhir) const IF_NONE_EXIST: HeaderName = HeaderName::from_static("if-none-exist");

/// A condition.
pub(super) struct Unless {
    wired: &'static Wired,
    pairs: Vec<(String, String)>,
}

impl Unless {
    /// The condition of the request, if it has one.
    ///
    /// # Errors
    /// It can't be read, or holds what is no condition: what is left out of it would make it another.
    pub(super) fn asked(call: &Call, wired: &'static Wired) -> Result<Option<Self>, Problem> {
        let mut values = call.parts.headers.get_all(IF_NONE_EXIST).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default().trim();
        // a client that sends the address of a search means its conditions
        let query = match text.split_once('?') {
            Some((path, query)) if !path.contains('=') => query,
            _ => text,
        };
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let empty = |(name, value): &(String, String)| {
            name.is_empty() || value.is_empty() || name.contains('\0') || value.contains('\0')
        };
        if values.next().is_some() || pairs.is_empty() || pairs.iter().any(empty) {
            return Err(not_readable());
        }
        let unless = Self { wired, pairs };
        unless.criteria()?;
        Ok(Some(unless))
    }

    /// Read anew for each search, which takes it apart.
    fn criteria(&self) -> Result<Asked, Problem> {
        let asked = Asked::read(self.wired, &self.pairs, true)?;
        if asked.criteria.len() == self.pairs.len() {
            Ok(asked)
        } else {
            Err(not_readable())
        }
    }

    /// Creates it, unless one that fits stands.
    pub(super) async fn create(&self, desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
        let names = self.names();
        let parts: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
        let tenant = &desk.who.tenant;
        // the name that a claim of the day before an update has
        let before = format!("{tenant}.unless-{}", digest(&parts));
        if held(desk, desk.state.backbone.noted(&before).await?.as_ref()).await? {
            return Err(in_flight());
        }
        let keyed = keyed_digest(&desk.state.answers, &parts);
        let claim = Claim::take(desk, format!("{tenant}.unless-{keyed}")).await?;
        let made = self.claimed(desk, json).await;
        claim.end(desk, &made).await;
        made
    }

    async fn claimed(&self, desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
        if let Some(id) = self.standing(desk).await? {
            return Ok(Made::Stood(id));
        }
        match desk.create(json).await {
            // made meanwhile without this condition: its constraint tells
            Err(problem) if problem.status == StatusCode::CONFLICT => {
                let standing = self.standing(desk).await?;
                standing.map(Made::Stood).ok_or(problem)
            }
            made => made,
        }
    }

    /// The one that fits.
    async fn standing(&self, desk: &Desk<'_>) -> Result<Option<String>, Problem> {
        let mut asked = self.criteria()?;
        let mut tx = desk.tx().await?;
        let mut ground = ground(&mut tx, desk.call, desk.who);
        let visit = Visit {
            state: desk.state,
            call: desk.call,
            who: desk.who,
        };
        let found = first_two(&visit, &mut ground, self.wired, &mut asked).await?;
        match found.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some(one.resource.id.clone())),
            _ => Err(Problem::new(
                StatusCode::PRECONDITION_FAILED,
                "fhir.several_fit",
                "more than one fits If-None-Exist: nothing was created",
            )),
        }
    }

    /// What its name is made of: the same for the same conditions in whatever order.
    fn names(&self) -> Vec<&str> {
        let mut pairs: Vec<&(String, String)> = self.pairs.iter().collect();
        pairs.sort_unstable();
        let mut names = vec![self.wired.kind.as_str()];
        for (name, value) in pairs {
            names.extend([name.as_str(), value.as_str()]);
        }
        names
    }
}

fn not_readable() -> Problem {
    Problem::invalid(
        "If-None-Exist",
        "must be one search of this type with conditions alone, none of them empty: identifier=[system]|[value]",
    )
}

/// What stands in the bucket.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Entry {
    /// Whoever comes may create.
    Free,
    /// Somebody creates, until then (milliseconds since 1970) at most.
    Running { until: i64 },
    /// It is on disk how it is to be made.
    Asked { command: Uuid },
}

/// The right to create under a condition.
struct Claim {
    key: String,
    revision: u64,
}

impl Claim {
    async fn take(desk: &Desk<'_>, key: String) -> Result<Self, Problem> {
        let noted = desk.state.backbone.noted(&key).await?;
        let seen = noted.as_ref().map_or(0, |noted| noted.revision);
        if held(desk, noted.as_ref()).await? {
            return Err(in_flight());
        }
        let until = idempotency::until(&desk.state.limits);
        match note(desk, &key, seen, &Entry::Running { until }).await? {
            Some(revision) => Ok(Self { key, revision }),
            // somebody else, at the same moment
            None => Err(in_flight()),
        }
    }

    /// Lets it go, or leaves it with the command that has no outcome. After a failure of ours nobody knows what was done: then
    /// it runs out.
    async fn end(self, desk: &Desk<'_>, made: &Result<Made, Problem>) {
        let entry = match made {
            Ok(Made::Pending(command)) => Entry::Asked { command: *command },
            Err(problem) if problem.status.is_server_error() => return,
            Ok(Made::New(_) | Made::Stood(_)) | Err(_) => Entry::Free,
        };
        if let Err(problem) = note(desk, &self.key, self.revision, &entry).await {
            tracing::warn!(code = %problem.code, "the claim of a conditional create was not let go and runs out");
        }
    }
}

/// Somebody creates under this entry, or it is on disk how it is to be made.
async fn held(desk: &Desk<'_>, noted: Option<&Noted>) -> Result<bool, Problem> {
    let entry = noted.and_then(|noted| serde_json::from_slice::<Entry>(&noted.value).ok());
    Ok(match entry {
        None | Some(Entry::Free) => false,
        Some(Entry::Running { until }) => until > now(),
        Some(Entry::Asked { command }) => {
            let mut tx = desk.tx().await?;
            queries::applied(tx.conn(), &[command]).await?.is_empty()
        }
    })
}

async fn note(
    desk: &Desk<'_>,
    key: &str,
    seen: u64,
    entry: &Entry,
) -> Result<Option<u64>, Problem> {
    let value = serde_json::to_vec(entry).map_err(|_| Problem::internal())?;
    Ok(desk.state.backbone.note(key, seen, value.into()).await?)
}

fn in_flight() -> Problem {
    let mut problem = Problem::new(
        StatusCode::CONFLICT,
        "fhir.create_in_flight",
        "somebody creates under the same If-None-Exist at this moment; ask again in a moment",
    );
    problem.retry_after = Some(1);
    problem
}
