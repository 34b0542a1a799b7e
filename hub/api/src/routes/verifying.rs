//! What people decide of results of analyzers.

use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use schemas::verification::{CommentResult, DecideResults, Decision, RerunResult, Seen};
use serde::Deserialize;
use utoipa::ToSchema;

use super::verification::no_item;
use crate::auth::chart::Sight;
use crate::auth::identity::Identity;
use crate::auth::permission::{Can, Permission as _, ResultsVerify};
use crate::command::{Accepted, Sender, Written};
use crate::extract::{Body, Segment};
use crate::problem::Problem;
use crate::reads::verification as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(verify))
        .routes(routes!(reject))
        .routes(routes!(reopen))
        .routes(routes!(rerun))
        .routes(routes!(comment))
        .routes(routes!(verify_many))
}

/// One item, before somebody who may decide about it.
struct Item {
    state: ApiState,
    trace: Trace,
    who: Identity,
    id: i64,
    headers: HeaderMap,
}

impl FromRequestParts<ApiState> for Item {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Problem> {
        let who = Can::<ResultsVerify>::from_request_parts(parts, state)
            .await?
            .who;
        let Segment(id) = Segment::<i64>::from_request_parts(parts, state).await?;
        Ok(Self {
            trace: Trace::from_request_parts(parts, state).await?,
            state: state.clone(),
            who,
            id,
            headers: parts.headers.clone(),
        })
    }
}

impl Item {
    async fn decide(self, decision: Decision, said: Deciding) -> Result<Response, Problem> {
        let command = DecideResults {
            items: vec![said.seen(self.id, &self.headers)?],
            decision,
            comment: remark(said.comment)?,
            item_by_item: false,
            actor: self.who.username.clone(),
        };
        // one item: its outcome is the answer
        Ok(self.send(&command).await?.respond(|answer| {
            let item = answer
                .as_ref()
                .and_then(|answer| answer.pointer("/items/0"))
                .cloned();
            Applied::with(item.or(answer))
        }))
    }

    async fn send<B: schemas::Body>(&self, command: &B) -> Result<Written, Problem> {
        let aggregate = {
            let sight = Sight::new(&self.state, &self.trace, &self.who, ResultsVerify::NAME);
            let mut tx = self.state.read(&self.who.tenant).await?;
            reads::aggregate(&mut tx, &sight, self.id)
                .await?
                .ok_or_else(no_item)?
        };
        Sender::new(&self.state, &self.who, &self.trace)
            .send(aggregate, command)
            .await
    }
}

/// What was seen, and what is to be said of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "revision": 1, "comment": "agrees with the clinic" }))]
struct Deciding {
    /// Of the item when it was looked at; `If-Match` says it too. One of them must be given.
    #[serde(default)]
    revision: Option<i32>,
    /// Needed to reject and to reopen, and to verify what the instrument flagged as not to be used.
    #[serde(default)]
    comment: Option<String>,
}

impl Deciding {
    fn seen(&self, id: i64, headers: &HeaderMap) -> Result<Seen, Problem> {
        let header = headers
            .get(header::IF_MATCH)
            .and_then(|value| value.to_str().ok())
            .map(|text| text.trim().trim_matches('"').parse::<i32>());
        let revision = match (self.revision, header) {
            (Some(said), Some(Ok(header))) if said != header => {
                return Err(Problem::invalid("revision", "is another than in If-Match"));
            }
            (_, Some(Err(_))) => {
                return Err(Problem::invalid("If-Match", "is no revision of an item"));
            }
            (Some(revision), _) | (None, Some(Ok(revision))) => revision,
            (None, None) => {
                return Err(Problem::invalid(
                    "revision",
                    "say which revision of the item you saw",
                ));
            }
        };
        Ok(Seen {
            verification_id: id,
            revision,
        })
    }
}

fn remark(comment: Option<String>) -> Result<Option<String>, Problem> {
    comment
        .map(|comment| super::text("comment", comment))
        .transpose()
}

/// Verify a result
///
/// It may be acted on: at once, or with its report, as the rule pack has it. Other runs of the test on the sample no longer
/// count. The same again, from whoever did it, is answered as before.
#[utoipa::path(post, path = "/worklists/verification/{id}/verify", tag = "worklists",
    params(("id" = i64, Path, description = "the item"), ("If-Match" = Option<String>, Header, description = "the revision that was seen")),
    request_body = Deciding, security(("bearer" = ["results:verify"])),
    responses(
        (status = 200, description = "verified; the answer has the new state and revision", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "who entered or edited it can't verify it (`clinical.verification_not_allowed`), or the chart is closed to you \
            (`auth.relationship`)"),
        (status = 404, description = "no result to verify has this id (`clinical.verification_unknown`)"),
        (status = 409, description = "it has changed since (`clinical.verification_stale`), or is decided (`clinical.verification_not_open`)"),
        (status = 422, description = "its meaning or its patient is not known (`clinical.verification_held`), or a comment is missing (`clinical.verification_comment`)")))]
async fn verify(item: Item, Body(said): Body<Deciding>) -> Result<Response, Problem> {
    item.decide(Decision::Verify, said).await
}

/// Reject a result
///
/// It must not be acted on; it stays visible, marked. Say why.
#[utoipa::path(post, path = "/worklists/verification/{id}/reject", tag = "worklists",
    params(("id" = i64, Path, description = "the item"), ("If-Match" = Option<String>, Header, description = "the revision that was seen")),
    request_body = Deciding, security(("bearer" = ["results:verify"])),
    responses(
        (status = 200, description = "rejected; the answer has the new state and revision", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no result to verify has this id (`clinical.verification_unknown`)"),
        (status = 409, description = "it has changed since (`clinical.verification_stale`), or is decided (`clinical.verification_not_open`)"),
        (status = 422, description = "a comment is missing (`clinical.verification_comment`)")))]
async fn reject(item: Item, Body(said): Body<Deciding>) -> Result<Response, Problem> {
    item.decide(Decision::Reject, said).await
}

/// Take a rejection back
///
/// It waits for a person again; the rules do not look at it any more. Also for a run that gave way to another. Say why.
#[utoipa::path(post, path = "/worklists/verification/{id}/reopen", tag = "worklists",
    params(("id" = i64, Path, description = "the item"), ("If-Match" = Option<String>, Header, description = "the revision that was seen")),
    request_body = Deciding, security(("bearer" = ["results:verify"])),
    responses(
        (status = 200, description = "open; the answer has the new state and revision", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no result to verify has this id (`clinical.verification_unknown`)"),
        (status = 409, description = "it has changed since (`clinical.verification_stale`), or is not rejected (`clinical.verification_not_open`)"),
        (status = 422, description = "a comment is missing (`clinical.verification_comment`)")))]
async fn reopen(item: Item, Body(said): Body<Deciding>) -> Result<Response, Problem> {
    item.decide(Decision::Reopen, said).await
}

/// Have a result measured again
///
/// The instrument of its channel is told through an order of its own; the answer has its id, or none where nothing ordered leads
/// to the test: then it is started by hand. The result waits on. Which run counts, the rule of the device says.
#[utoipa::path(post, path = "/worklists/verification/{id}/rerun", tag = "worklists",
    params(("id" = i64, Path, description = "the item"), ("If-Match" = Option<String>, Header, description = "the revision that was seen")),
    request_body = Deciding, security(("bearer" = ["results:verify"])),
    responses(
        (status = 200, description = "asked for; the answer has the order", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no result to verify has this id (`clinical.verification_unknown`)"),
        (status = 409, description = "it has changed since (`clinical.verification_stale`), or is decided (`clinical.verification_not_open`)")))]
async fn rerun(item: Item, Body(said): Body<Deciding>) -> Result<Response, Problem> {
    let command = RerunResult {
        item: said.seen(item.id, &item.headers)?,
        comment: remark(said.comment)?,
        actor: item.who.username.clone(),
    };
    Ok(item.send(&command).await?.respond(Applied::with))
}

/// A remark.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResultRemark, example = json!({ "comment": "sample was lipaemic" }))]
struct Words {
    comment: String,
}

/// Comment a result
///
/// Changes nothing of its state.
#[utoipa::path(post, path = "/worklists/verification/{id}/comment", tag = "worklists", params(("id" = i64, Path, description = "the item")),
    request_body = Words, security(("bearer" = ["results:verify"])),
    responses(
        (status = 200, description = "on record", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no result to verify has this id (`clinical.verification_unknown`)")))]
async fn comment(item: Item, Body(words): Body<Words>) -> Result<Response, Problem> {
    let command = CommentResult {
        verification_id: item.id,
        comment: super::text("comment", words.comment)?,
        actor: item.who.username.clone(),
    };
    Ok(item.send(&command).await?.respond(Applied::with))
}

/// One item of several.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "id": 17, "revision": 1 }))]
struct Chosen {
    id: i64,
    /// Of the item when it was looked at.
    revision: i32,
}

/// Items to verify together.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "items": [{ "id": 17, "revision": 1 }, { "id": 18, "revision": 2 }] }))]
struct Many {
    /// 1 to 200.
    items: Vec<Chosen>,
    #[serde(default)]
    comment: Option<String>,
}

/// Verify several results
///
/// Each by itself: the answer lists the outcome of every item, and one that is refused stops no other.
#[utoipa::path(post, path = "/worklists/verification/verify", tag = "worklists", request_body = Many, security(("bearer" = ["results:verify"])),
    responses(
        (status = 200, description = "`answer.items`: `id`, `outcome` (`applied` or `refused`), `state` and `revision`, or `code` and `detail`", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart of one is closed to you (`auth.relationship`)"),
        (status = 422, description = "no items, too many, or one twice (`clinical.verification_items`)")))]
async fn verify_many(
    can: Can<ResultsVerify>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(many): Body<Many>,
) -> Result<Response, Problem> {
    let command = DecideResults {
        items: many
            .items
            .iter()
            .map(|item| Seen {
                verification_id: item.id,
                revision: item.revision,
            })
            .collect(),
        decision: Decision::Verify,
        comment: remark(many.comment)?,
        item_by_item: true,
        actor: can.who.username.clone(),
    };
    {
        let ids: Vec<i64> = many.items.iter().map(|item| item.id).collect();
        let sight = Sight::new(&state, &trace, &can.who, ResultsVerify::NAME);
        let mut tx = state.read(&can.who.tenant).await?;
        reads::all_listed(&mut tx, &sight, &ids).await?;
    }
    let written = Sender::new(&state, &can.who, &trace)
        .send(format!("verification/{}", can.who.username), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
