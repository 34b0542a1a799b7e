//! Who a user is at identity providers: linked by himself while he is signed in, invited and unlinked by an administrator.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::sign_in::{InviteSubject, LinkSubject, Linked, UnlinkSubjects};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries;

use super::account::{Account, OfUser, Own};
use super::federated::{ProviderReturn, begin, no_flow, vouched};
use super::passkeys::while_signed_in;
use super::proof::{self, HasProof, Proof, Proven, WithProof};
use crate::auth::permission::{UsersManage, UsersRead};
use crate::auth::{oidc, secrets};
use crate::command::{Accepted, Placed};
use crate::extract::{Body, Segment};
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::views::integration::Applied;
use crate::views::sign_in::{IdentityInvitation, LinkedIdentity, NewLink, ProviderFlow};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(link_start))
        .routes(routes!(link))
        .routes(routes!(list))
        .routes(routes!(unlink))
        .routes(routes!(of_user))
        .routes(routes!(invite))
        .routes(routes!(unlink_of_user))
}

/// An invitation is good for this long, as a one-time password is.
const INVITATION: time::Duration = time::Duration::hours(72);

/// With which provider, and back to which page.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "provider": "staff", "proof": { "current_password": "blue kettle under the stairs" } }))]
struct LinkStart {
    #[schema(max_length = 32)]
    provider: String,
    /// One of the pages that the configuration names; the first when absent.
    #[serde(default)]
    #[schema(max_length = 2048)]
    redirect_uri: Option<String>,
    proof: Proof,
}

impl HasProof for LinkStart {
    fn proof(&self) -> &Proof {
        &self.proof
    }
}

/// Link myself to an identity provider: begin
///
/// Where the page goes, and what it keeps until it is back; good once, for five minutes, for this user alone. It is given to who
/// proves that it is still he: whoever finds an open screen links nobody.
#[utoipa::path(post, path = "/me/identities/start", tag = "sign-in", request_body = LinkStart, security(("bearer" = [])),
    responses(
        (status = 200, description = "where to go", body = ProviderFlow),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the proof does not fit (`auth.proof`), or is a password where there is a second factor \
            (`auth.proof_weak`); the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 404, description = "no provider has this name here (`oidc.unknown_provider`)"),
        (status = 422, description = "the ceremony of the proof is none any more (`auth.ceremony`)"),
        (status = 429, description = "too many proofs that did not fit (`auth.throttled`); Retry-After tells how long"),
        (status = 503, description = "the provider does not answer (`oidc.unavailable`)")))]
async fn link_start(
    State(state): State<ApiState>,
    Proven { who, user, given }: Proven<LinkStart>,
) -> Result<Json<ProviderFlow>, Problem> {
    let provider = oidc::find(&state.providers, &who.tenant, &given.provider)?;
    begin(
        &state,
        &provider,
        &who.tenant,
        given.redirect_uri.as_deref(),
        Some(user),
        None,
    )
    .await
    .map(Json)
}

/// Link myself to an identity provider
///
/// From now on the person whom the provider vouches for comes in as this user.
#[utoipa::path(post, path = "/me/identities", tag = "sign-in", request_body = ProviderReturn, security(("bearer" = [])),
    responses(
        (status = 201, description = "linked", body = NewLink),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 404, description = "no provider has this name here (`oidc.unknown_provider`)"),
        (status = 409, description = "the flow was used (`challenges.already_used`); the person is linked to a user, or you to another person of the provider (`subjects.exists`)"),
        (status = 422, description = "the flow is none any more (`auth.ceremony`), or what came back does not hold (`oidc.refused`)"),
        (status = 503, description = "the provider does not answer (`oidc.unavailable`)")))]
async fn link(Own(account): Own, Body(given): Body<ProviderReturn>) -> Result<Response, Problem> {
    // the flow was given to who had proved that it was he
    let user = proof::own(&account.who)?;
    let vouched = vouched(&account.state, &given)
        .await
        .map_err(while_signed_in)?;
    if vouched.flow.user != Some(user) || vouched.flow.tenant != account.who.tenant {
        return Err(while_signed_in(no_flow()));
    }
    let id = Uuid::now_v7();
    let provider = vouched.provider.id().to_owned();
    let command = LinkSubject {
        link_id: id,
        user_id: user,
        provider: provider.clone(),
        issuer: vouched.provider.issuer().to_owned(),
        subject: vouched.person.subject.clone(),
        challenge: vouched.challenge,
        linked: Linked::Himself,
        invitation: None,
        actor: account.actor(),
    };
    let written = account.send(&command).await?;
    Ok(written.respond_placed(|_| Placed {
        location: "/api/v1/me/identities".to_owned(),
        created: true,
        view: NewLink { id, provider },
    }))
}

/// List my identities
#[utoipa::path(get, path = "/me/identities", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "who I am at identity providers, oldest first; the list is whole", body = Page<LinkedIdentity>),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "a program asks (`auth.person`)")))]
async fn list(Own(account): Own) -> Result<Json<Page<LinkedIdentity>>, Problem> {
    whole(&account).await
}

async fn whole(account: &Account) -> Result<Json<Page<LinkedIdentity>>, Problem> {
    let mut tx = account.tx().await?;
    let rows = queries::subjects(tx.conn(), account.user).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(LinkedIdentity::of).collect(),
    )))
}

/// Unlink one of my identities
///
/// Sessions that a provider vouched for end, and an invitation of that provider that is open is good for nothing. A claim of the
/// provider does not link anew. Takes a proof that it is still he.
#[utoipa::path(post, path = "/me/identities/{id}/remove", tag = "sign-in", params(("id" = Uuid, Path, description = "the link")),
    request_body = WithProof, security(("bearer" = [])),
    responses(
        (status = 200, description = "it is gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the proof does not fit (`auth.proof`), or is a password where there is a second factor \
            (`auth.proof_weak`); the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 404, description = "no link of yours has this id (`subjects.unknown`)"),
        (status = 422, description = "the ceremony of the proof is none any more (`auth.ceremony`)"),
        (status = 429, description = "too many proofs that did not fit (`auth.throttled`); Retry-After tells how long")))]
async fn unlink(
    Own(account): Own,
    Segment(id): Segment<Uuid>,
    _proven: Proven<WithProof>,
) -> Result<Response, Problem> {
    let command = UnlinkSubjects {
        user_id: account.user,
        link_id: Some(id),
        reason: "removed_by_user".to_owned(),
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}

/// List a user's identities
#[utoipa::path(get, path = "/users/{id}/identities", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "who he is at identity providers, oldest first; the list is whole", body = Page<LinkedIdentity>),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn of_user(
    OfUser { account, .. }: OfUser<UsersRead>,
) -> Result<Json<Page<LinkedIdentity>>, Problem> {
    account.known().await?;
    whole(&account).await
}

/// To which provider.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "provider": "staff" }))]
struct IdentityInvite {
    #[schema(max_length = 32)]
    provider: String,
}

/// Invite a user to come in by an identity provider
///
/// Whoever shows the invitation and is known to the provider is linked to the user: hand it to him in person. It is shown this once,
/// good once, and takes the place of one before it. Nobody invites himself: he links himself at `/me/identities`.
#[utoipa::path(post, path = "/users/{id}/identity-invitations", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = IdentityInvite, security(("bearer" = ["users:manage"])),
    responses(
        (status = 201, description = "the invitation, this once", body = IdentityInvitation),
        (status = 202, description = "accepted, no outcome yet; invite again", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), the user may do more than you (`users.outranked`), or is \
            you (`users.own_not_allowed`)"),
        (status = 404, description = "no user has this id, or he is shut out (`users.unknown`); no provider has this name here (`oidc.unknown_provider`)")))]
async fn invite(
    OfUser { account, .. }: OfUser<UsersManage>,
    Body(given): Body<IdentityInvite>,
) -> Result<Response, Problem> {
    account.outranks_another().await?;
    let id = account.user;
    let provider = oidc::find(
        &account.state.providers,
        &account.who.tenant,
        &given.provider,
    )?;
    let invitation = secrets::invitation();
    let expires_at = OffsetDateTime::now_utc() + INVITATION;
    let command = InviteSubject {
        digest: secrets::hex_digest_of(&invitation),
        user_id: id,
        provider: provider.id().to_owned(),
        expires_at: expires_at
            .format(&Rfc3339)
            .map_err(|_| Problem::internal())?,
        actor: account.actor(),
    };
    let written = account.send(&command).await?;
    Ok(written.respond_placed(|_| Placed {
        location: format!("/api/v1/users/{id}/identities"),
        created: true,
        view: IdentityInvitation {
            id,
            invitation,
            expires_at,
        },
    }))
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "left the hospital" }))]
struct IdentityRemoval {
    #[schema(max_length = 500)]
    reason: String,
}

/// Unlink a user from identity providers
///
/// Sessions that a provider vouched for end, and invitations that are open are good for nothing. No claim of a provider links him
/// anew: that takes another invitation, or himself.
#[utoipa::path(post, path = "/users/{id}/remove-identities", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = IdentityRemoval, security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "they are gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the user may do more than you (`users.outranked`)"),
        (status = 404, description = "no user has this id (`users.unknown`), or he is neither linked nor invited (`subjects.unknown`)")))]
async fn unlink_of_user(
    OfUser { account, .. }: OfUser<UsersManage>,
    Body(why): Body<IdentityRemoval>,
) -> Result<Response, Problem> {
    account.outranks().await?;
    let command = UnlinkSubjects {
        user_id: account.user,
        link_id: None,
        reason: super::reason(why.reason)?,
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}
