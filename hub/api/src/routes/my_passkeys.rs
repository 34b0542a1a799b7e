//! Passkeys in their owner's hands: added, listed, renamed, removed; and by an administrator, when they are lost.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use schemas::sign_in::{AddPasskey, RemovePasskeys, RenamePasskey};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries;

use super::account::{Account, OfUser, Own};
use super::passkeys::{no_ceremony, recall, remember, settings, while_signed_in};
use super::proof::{self, Proven, WithProof};
use crate::auth::ceremony::Step;
use crate::auth::passkey::{self, DoesNotHold};
use crate::auth::permission::{UsersManage, UsersRead};
use crate::command::{Accepted, Placed};
use crate::extract::{Body, Segment};
use crate::page::Page;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::views::integration::Applied;
use crate::views::sign_in::{NewPasskey, Passkey, PasskeyCeremony};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(add_options))
        .routes(routes!(add))
        .routes(routes!(list))
        .routes(routes!(rename))
        .routes(routes!(remove))
        .routes(routes!(of_user))
        .routes(routes!(remove_of_user))
}

/// A name for a key: 1 to 100 characters, none of them a control character.
fn name_of(text: &str) -> Result<String, Problem> {
    let text = text.trim().to_owned();
    if text.is_empty() || text.chars().count() > 100 || text.chars().any(char::is_control) {
        return Err(Problem::invalid(
            "name",
            "must have from 1 to 100 characters, none of them a control character",
        ));
    }
    Ok(text)
}

/// Begin to add a passkey
///
/// A challenge for `navigator.credentials.create()`, good once, for five minutes. Keys that the user has already are left out. It is
/// given to who proves that it is still he: whoever finds an open screen makes himself no key.
#[utoipa::path(post, path = "/me/passkeys/options", tag = "sign-in", request_body = WithProof, security(("bearer" = [])),
    responses(
        (status = 200, description = "for the browser", body = PasskeyCeremony),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the proof does not fit (`auth.proof`), or is a password where there is a second factor \
            (`auth.proof_weak`); the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 409, description = "there are no passkeys here (`auth.passkeys_off`)"),
        (status = 422, description = "the ceremony of the proof is none any more (`auth.ceremony`)"),
        (status = 429, description = "too many proofs that did not fit (`auth.throttled`); Retry-After tells how long")))]
async fn add_options(
    State(state): State<ApiState>,
    Proven { who, user, .. }: Proven<WithProof>,
) -> Result<Json<PasskeyCeremony>, Problem> {
    let settings = settings(&state)?;
    let (row, held) = {
        let mut tx = state.read(&who.tenant).await?;
        let row = queries::user(tx.conn(), user).await?;
        (
            row.ok_or_else(Problem::internal)?,
            queries::passkeys(tx.conn(), user).await?,
        )
    };
    let begun = passkey::begin_to_add(&settings, user, &row.username, &row.display_name, &held)?;
    remember(
        &state,
        Step::AddPasskey,
        who.tenant.clone(),
        Some(user),
        begun,
    )
    .map(Json)
}

/// What the browser made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "ceremony": "AWx0c2…", "name": "Telephone",
    "credential": { "id": "kW7pZ2mXq9RtB4vNcY6dHw", "type": "public-key", "response": {} }
}))]
struct PasskeyMade {
    #[schema(max_length = 8192)]
    ceremony: String,
    /// How its owner calls it.
    #[schema(max_length = 100)]
    name: String,
    /// `PublicKeyCredential.toJSON()` of `navigator.credentials.create()`.
    #[schema(value_type = Object)]
    credential: serde_json::Value,
}

/// Add a passkey
///
/// From now on a password alone does not let its owner in, and his other sessions end.
#[utoipa::path(post, path = "/me/passkeys", tag = "sign-in", request_body = PasskeyMade, security(("bearer" = [])),
    responses(
        (status = 201, description = "it counts", body = NewPasskey),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 409, description = "there are no passkeys here (`auth.passkeys_off`), it was registered before (`passkeys.exists`), or the challenge was answered (`challenges.already_used`)"),
        (status = 422, description = "the ceremony is none any more (`auth.ceremony`), what the authenticator says does not hold (`passkeys.refused`), or there are too many (`passkeys.too_many`)")))]
async fn add(Own(account): Own, Body(given): Body<PasskeyMade>) -> Result<Response, Problem> {
    // the ceremony was given to who had proved that it was he
    let user = proof::own(&account.who)?;
    let settings = settings(&account.state)?;
    let name = name_of(&given.name)?;
    let (opened, remembered) =
        recall(&account.state, Step::AddPasskey, &given.ceremony).map_err(while_signed_in)?;
    if opened.what.user != Some(user) || opened.what.tenant != account.who.tenant {
        return Err(while_signed_in(no_ceremony()));
    }
    let made = match passkey::add(&settings, &remembered, &given.credential)? {
        Ok(made) => made,
        Err(DoesNotHold(why)) => {
            tracing::info!(why, "the registration of a passkey does not hold");
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "passkeys.refused",
                "what the authenticator says does not hold; begin again, on a page of this hospital",
            ));
        }
    };
    let id = Uuid::now_v7();
    let command = AddPasskey {
        passkey_id: id,
        user_id: user,
        challenge: opened.challenge,
        name: name.clone(),
        credential_id: made.credential_id,
        public_key: made.public_key,
        state: made.state,
        sign_count: made.sign_count,
        transports: made.transports,
        synced: made.synced,
        keep_session: account.who.session,
        actor: account.actor(),
    };
    let written = account.send_access(&command).await?;
    Ok(written.respond_placed(|_| Placed {
        location: "/api/v1/me/passkeys".to_owned(),
        created: true,
        view: NewPasskey { id, name },
    }))
}

/// List my passkeys
#[utoipa::path(get, path = "/me/passkeys", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "oldest first; the list is whole", body = Page<Passkey>),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "a program asks (`auth.person`)")))]
async fn list(Own(account): Own) -> Result<Json<Page<Passkey>>, Problem> {
    whole(&account).await
}

async fn whole(account: &Account) -> Result<Json<Page<Passkey>>, Problem> {
    let mut tx = account.tx().await?;
    let rows = queries::passkeys(tx.conn(), account.user).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(Passkey::of).collect(),
    )))
}

/// How its owner calls it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Old telephone" }))]
struct PasskeyName {
    #[schema(max_length = 100)]
    name: String,
}

/// Rename one of my passkeys
#[utoipa::path(post, path = "/me/passkeys/{id}/rename", tag = "sign-in", params(("id" = Uuid, Path, description = "the passkey")),
    request_body = PasskeyName, security(("bearer" = [])),
    responses(
        (status = 200, description = "it is called so", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "a program asks (`auth.person`)"),
        (status = 404, description = "no passkey of yours has this id (`passkeys.unknown`)")))]
async fn rename(
    Own(account): Own,
    Segment(id): Segment<Uuid>,
    Body(given): Body<PasskeyName>,
) -> Result<Response, Problem> {
    let command = RenamePasskey {
        passkey_id: id,
        user_id: account.user,
        name: name_of(&given.name)?,
        actor: account.actor(),
    };
    Ok(account.send(&command).await?.respond(Applied::with))
}

/// Remove one of my passkeys
///
/// The authenticator keeps it, but it opens nothing here any more. Other sessions that were opened with a passkey end: whoever
/// stole the key may be in one. Takes a proof that it is still he, so that whoever finds an open screen can't take it off; the
/// passkey itself is a good one.
#[utoipa::path(post, path = "/me/passkeys/{id}/remove", tag = "sign-in", params(("id" = Uuid, Path, description = "the passkey")),
    request_body = WithProof, security(("bearer" = [])),
    responses(
        (status = 200, description = "it is gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the proof does not fit (`auth.proof`), or is a password where there is a second factor \
            (`auth.proof_weak`); the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 404, description = "no passkey of yours has this id (`passkeys.unknown`)"),
        (status = 422, description = "the ceremony of the proof is none any more (`auth.ceremony`)"),
        (status = 429, description = "too many proofs that did not fit (`auth.throttled`); Retry-After tells how long")))]
async fn remove(
    Own(account): Own,
    Segment(id): Segment<Uuid>,
    _proven: Proven<WithProof>,
) -> Result<Response, Problem> {
    let command = RemovePasskeys {
        user_id: account.user,
        passkey_id: Some(id),
        reason: "removed_by_user".to_owned(),
        keep_session: account.who.session,
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}

/// List a user's passkeys
#[utoipa::path(get, path = "/users/{id}/passkeys", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "oldest first; the list is whole", body = Page<Passkey>),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn of_user(
    OfUser { account, .. }: OfUser<UsersRead>,
) -> Result<Json<Page<Passkey>>, Problem> {
    account.known().await?;
    whole(&account).await
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "telephone lost, identity checked in person" }))]
struct PasskeyRemoval {
    #[schema(max_length = 500)]
    reason: String,
}

/// Remove all passkeys of a user
///
/// For keys that are lost: without them he comes in with his password again. Sessions that were opened with a passkey end. Nobody
/// does it to himself.
#[utoipa::path(post, path = "/users/{id}/remove-passkeys", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = PasskeyRemoval, security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "they are gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), the user may do more than you (`users.outranked`), or is \
            you (`users.own_not_allowed`)"),
        (status = 404, description = "no user has this id (`users.unknown`), or he has none (`passkeys.unknown`)")))]
async fn remove_of_user(
    OfUser { account, .. }: OfUser<UsersManage>,
    Body(why): Body<PasskeyRemoval>,
) -> Result<Response, Problem> {
    account.outranks_another().await?;
    let command = RemovePasskeys {
        user_id: account.user,
        passkey_id: None,
        reason: super::reason(why.reason)?,
        keep_session: None,
        actor: account.actor(),
    };
    Ok(account.send_access(&command).await?.respond(Applied::with))
}
