//! Passkeys: signed in with, added, renamed and removed by their owner, listed and removed by an administrator.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub_core::config::PasskeySettings;
use schemas::TenantId;
use schemas::sign_in::{AddPasskey, RemovePasskeys, RenamePasskey, UsePasskey};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;
use worker_identity::queries::{self, Account, PasskeyRow};

use super::me::user_of;
use super::second_factor::no_ticket;
use super::users;
use crate::auth::ceremony::{self, LIFETIME, Opened, Step};
use crate::auth::identity::Identity;
use crate::auth::passkey::{self, Begun, DoesNotHold};
use crate::auth::permission::{Can, SignedIn, UsersManage, UsersRead};
use crate::auth::sign_in::{self, Origin, Proved, Tokens, by_password, may_come_in_by};
use crate::auth::throttle::{Try, throttled};
use crate::auth::tokens::{self, Kind, Purpose};
use crate::backbone::CommandOutcome;
use crate::command::{Accepted, Asking, Placed, Sender};
use crate::extract::{Body, Segment};
use crate::page::Page;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::integration::Applied;
use crate::views::sign_in::{NewPasskey, Passkey, PasskeyCeremony};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(sign_in_options))
        .routes(routes!(sign_in_with))
        .routes(routes!(add_options))
        .routes(routes!(add))
        .routes(routes!(list))
        .routes(routes!(rename))
        .routes(routes!(remove))
        .routes(routes!(of_user))
        .routes(routes!(remove_of_user))
}

fn settings(state: &ApiState) -> Result<Arc<PasskeySettings>, Problem> {
    state.passkeys.clone().ok_or_else(|| {
        Problem::new(
            StatusCode::CONFLICT,
            "auth.passkeys_off",
            "[api.passkeys] is not set: there are no passkeys here",
        )
    })
}

/// What is remembered until the browser has answered.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    tenant: TenantId,
    /// Who adds one; nobody is known yet at a sign-in.
    user: Option<Uuid>,
    /// base64, as `webauthn_rp` encodes it.
    state: String,
}

fn remember(
    state: &ApiState,
    step: Step,
    tenant: TenantId,
    user: Option<Uuid>,
    begun: Begun,
) -> Result<PasskeyCeremony, Problem> {
    let what = Remembered {
        tenant,
        user,
        state: STANDARD.encode(begun.state),
    };
    Ok(PasskeyCeremony {
        ceremony: ceremony::seal(state, step, what)?,
        options: begun.options,
        expires_in: LIFETIME.whole_seconds(),
    })
}

fn recall(state: &ApiState, step: Step, text: &str) -> Result<(Opened<Remembered>, Vec<u8>), Problem> {
    let opened: Opened<Remembered> = ceremony::open(state, step, text).ok_or_else(no_ceremony)?;
    let bytes = STANDARD
        .decode(&opened.what.state)
        .map_err(|_| Problem::internal())?;
    Ok((opened, bytes))
}

fn no_ceremony() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "auth.ceremony",
        "the ceremony is not valid or has expired; begin again",
    )
}

fn does_not_fit() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "auth.passkey",
        "the passkey does not fit; sign in in another way, or register it anew",
    )
}

/// Where somebody wants in.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "tenant": "demo" }))]
struct PasskeySignIn {
    /// The hospital; the installation's own when absent.
    #[serde(default)]
    tenant: Option<String>,
}

/// Sign in with a passkey: begin
///
/// A challenge for `navigator.credentials.get()`. It is good once, for five minutes, for any passkey of the hospital.
#[utoipa::path(post, path = "/auth/passkey/options", tag = "sign-in", request_body = PasskeySignIn, security(()),
    responses(
        (status = 200, description = "for the browser", body = PasskeyCeremony),
        (status = 401, description = "no hospital has this name (`auth.login`)"),
        (status = 409, description = "there are no passkeys here (`auth.passkeys_off`)"),
    ))]
async fn sign_in_options(
    State(state): State<ApiState>,
    Body(given): Body<PasskeySignIn>,
) -> Result<Json<PasskeyCeremony>, Problem> {
    let settings = settings(&state)?;
    let tenant = match &given.tenant {
        None => state.default_tenant.clone(),
        Some(text) => TenantId::new(text.as_str()).map_err(|_| sign_in::not_admitted())?,
    };
    let begun = passkey::begin_to_use(&settings)?;
    remember(&state, Step::UsePasskey, tenant, None, begun).map(Json)
}

/// What the browser gave.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "ceremony": "AWx0c2…", "credential": { "id": "kW7pZ2mXq9RtB4vNcY6dHw", "type": "public-key", "response": {} }
}))]
struct PasskeyShown {
    #[schema(max_length = 8192)]
    ceremony: String,
    /// `PublicKeyCredential.toJSON()` of `navigator.credentials.get()`.
    #[schema(value_type = Object)]
    credential: serde_json::Value,
    /// `mfa_ticket` of a sign-in whose second factor it is.
    #[serde(default)]
    #[schema(max_length = 4096)]
    ticket: Option<String>,
}

/// Sign in with a passkey
///
/// Alone it is two factors: the key, and the PIN, finger or face that its authenticator asked for. With `ticket` it is the second
/// factor of a sign-in that began with a password or at an identity provider. A key whose counter does not go on may be a copy: it
/// is refused, and stands in the audit trail.
#[utoipa::path(post, path = "/auth/passkey", tag = "sign-in", request_body = PasskeyShown, security(()),
    responses(
        (status = 200, description = "signed in", body = Tokens),
        (status = 401, description = "the ceremony is none any more (`auth.ceremony`), the ticket is none (`auth.ticket`), or the passkey does not fit (`auth.passkey`)"),
        (status = 409, description = "there are no passkeys here (`auth.passkeys_off`)"),
        (status = 429, description = "too many failures (`auth.throttled`); Retry-After tells how long"),
    ))]
async fn sign_in_with(
    State(state): State<ApiState>,
    origin: Origin,
    trace: Trace,
    Body(given): Body<PasskeyShown>,
) -> Result<Json<Tokens>, Problem> {
    let settings = settings(&state)?;
    let (opened, remembered) = recall(&state, Step::UsePasskey, &given.ceremony)?;
    let tenant = opened.what.tenant.clone();
    let shown = passkey::Shown::read(&given.credential)?;
    let id = shown.credential_id();
    let name = format!("passkey/{tenant}/{}", STANDARD.encode(&id));
    let who = Try {
        user: &name,
        from: origin.peer,
        known: None,
    };
    state
        .throttle
        .attempt(who, Instant::now())
        .map_err(throttled)?;
    let first = match &given.ticket {
        None => None,
        Some(ticket) => Some(
            tokens::verify(&state.keys, &state.pool, ticket, Purpose::SecondFactor)
                .await?
                .filter(|bearer| bearer.kind == Kind::User && bearer.tenant == tenant)
                .ok_or_else(no_ticket)?,
        ),
    };
    let Some((row, account)) = on_file(&state, &tenant, &id).await? else {
        return Err(does_not_fit());
    };
    let amr = match &first {
        None => vec!["pop".to_owned(), "mfa".to_owned()],
        Some(bearer) => bearer.amr.iter().cloned().chain(["pop".to_owned()]).collect(),
    };
    let asking = Asking {
        state: &state,
        trace: &trace,
        tenant: &tenant,
        actor: &account.username,
    };
    let is_other = first.as_ref().is_some_and(|bearer| bearer.id != row.user_id);
    let checked = shown.check(&settings, &remembered, &row)?;
    let asserted = match checked {
        Ok(asserted) if !is_other && may_come_in_by(&account, &amr) => asserted,
        refused => {
            if let Err(DoesNotHold(why)) = refused {
                tracing::info!(passkey = %row.id, why, "what a passkey showed does not hold");
            }
            sign_in::record_failure(&asking, Some(row.user_id), "auth.passkey_failed").await;
            return Err(does_not_fit());
        }
    };
    let command = UsePasskey {
        passkey_id: row.id,
        user_id: row.user_id,
        challenge: opened.challenge,
        sign_count: asserted.sign_count,
        state: asserted.state,
        synced: asserted.synced,
        actor: account.username.clone(),
    };
    if !use_up(&state, &asking, &command).await? {
        sign_in::record_failure(&asking, Some(row.user_id), "auth.passkey_failed").await;
        return Err(does_not_fit());
    }
    state.throttle.succeeded(who);
    let proved = Proved {
        tenant: tenant.clone(),
        user: account.id,
        username: account.username.clone(),
        must_change: account.must_change && by_password(&amr),
        amr,
    };
    sign_in::admit(&state, &trace, &origin, proved)
        .await
        .map(Json)
}

async fn on_file(
    state: &ApiState,
    tenant: &TenantId,
    credential: &[u8],
) -> Result<Option<(PasskeyRow, Account)>, Problem> {
    let mut tx = state.read(tenant).await?;
    let Some(row) = queries::passkey(tx.conn(), credential).await? else {
        return Ok(None);
    };
    let account = queries::account_of(tx.conn(), row.user_id).await?;
    Ok(account.map(|account| (row, account)))
}

/// False: the challenge was answered before, the passkey is gone, or its counter did not go on.
async fn use_up(
    state: &ApiState,
    asking: &Asking<'_>,
    command: &UsePasskey,
) -> Result<bool, Problem> {
    let (_, outcome) = asking
        .ask(
            sign_in::aggregate(command.user_id),
            command,
            state.limits.command_wait,
        )
        .await?;
    match outcome {
        CommandOutcome::Applied { answer } => Ok(answer
            .as_ref()
            .and_then(|answer| answer["outcome"].as_str())
            == Some("used")),
        CommandOutcome::Refused { .. } => Ok(false),
        // whether it was answered before is not known, so it counts for nothing
        CommandOutcome::Pending => Err(Problem::unavailable(
            "auth.factor_pending",
            "the passkey could not be checked in time; begin again",
        )),
    }
}

/// Whoever came in with a password that somebody else made changes it first: else who made it could leave a key behind.
fn may_keep(who: &Identity) -> Result<Uuid, Problem> {
    let user = user_of(who)?;
    if who.must_change_password() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "auth.password_change",
            "the password was made by somebody else: change it first at POST /api/v1/me/password",
        ));
    }
    Ok(user)
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
/// A challenge for `navigator.credentials.create()`, good once, for five minutes. Keys that the user has already are left out.
#[utoipa::path(post, path = "/me/passkeys/options", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "for the browser", body = PasskeyCeremony),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 409, description = "there are no passkeys here (`auth.passkeys_off`)")))]
async fn add_options(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
) -> Result<Json<PasskeyCeremony>, Problem> {
    let user = may_keep(&who)?;
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
    remember(&state, Step::AddPasskey, who.tenant.clone(), Some(user), begun).map(Json)
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
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`); the ceremony is none any more (`auth.ceremony`)"),
        (status = 403, description = "the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 409, description = "there are no passkeys here (`auth.passkeys_off`), it was registered before (`passkeys.exists`), or the challenge was answered (`challenges.already_used`)"),
        (status = 422, description = "what the authenticator says does not hold (`passkeys.refused`), or there are too many (`passkeys.too_many`)")))]
async fn add(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    trace: Trace,
    Body(given): Body<PasskeyMade>,
) -> Result<Response, Problem> {
    let user = may_keep(&who)?;
    let settings = settings(&state)?;
    let name = name_of(&given.name)?;
    let (opened, remembered) = recall(&state, Step::AddPasskey, &given.ceremony)?;
    if opened.what.user != Some(user) || opened.what.tenant != who.tenant {
        return Err(no_ceremony());
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
        keep_session: who.session,
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send_access(sign_in::aggregate(user), &command)
        .await?;
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
async fn list(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
) -> Result<Json<Page<Passkey>>, Problem> {
    let user = user_of(&who)?;
    whole(&state, &who, user).await
}

async fn whole(
    state: &ApiState,
    who: &Identity,
    user: Uuid,
) -> Result<Json<Page<Passkey>>, Problem> {
    let mut tx = state.read(&who.tenant).await?;
    let rows = queries::passkeys(tx.conn(), user).await?;
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
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(given): Body<PasskeyName>,
) -> Result<Response, Problem> {
    let user = user_of(&who)?;
    let command = RenamePasskey {
        passkey_id: id,
        user_id: user,
        name: name_of(&given.name)?,
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Remove one of my passkeys
///
/// The authenticator keeps it, but it opens nothing here any more. A session that was opened with it goes on: end it at
/// `/me/sessions` when the key was stolen.
#[utoipa::path(post, path = "/me/passkeys/{id}/remove", tag = "sign-in", params(("id" = Uuid, Path, description = "the passkey")),
    security(("bearer" = [])),
    responses(
        (status = 200, description = "it is gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "a program asks (`auth.person`)"),
        (status = 404, description = "no passkey of yours has this id (`passkeys.unknown`)")))]
async fn remove(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let user = user_of(&who)?;
    let command = RemovePasskeys {
        user_id: user,
        passkey_id: Some(id),
        reason: "removed_by_user".to_owned(),
        actor: who.username.clone(),
    };
    let written = Sender::new(&state, &who, &trace)
        .send(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// List a user's passkeys
#[utoipa::path(get, path = "/users/{id}/passkeys", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    security(("bearer" = ["users:read"])),
    responses(
        (status = 200, description = "oldest first; the list is whole", body = Page<Passkey>),
        (status = 404, description = "no user has this id (`users.unknown`)")))]
async fn of_user(
    can: Can<UsersRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Page<Passkey>>, Problem> {
    users::known(&state, &can.who, id).await?;
    whole(&state, &can.who, id).await
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
/// For keys that are lost: without them he comes in with his password again.
#[utoipa::path(post, path = "/users/{id}/remove-passkeys", tag = "users", params(("id" = Uuid, Path, description = "the user")),
    request_body = PasskeyRemoval, security(("bearer" = ["users:manage"])),
    responses(
        (status = 200, description = "they are gone", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the user may do more than you (`users.outranked`)"),
        (status = 404, description = "no user has this id (`users.unknown`), or he has none (`passkeys.unknown`)")))]
async fn remove_of_user(
    can: Can<UsersManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    Body(why): Body<PasskeyRemoval>,
) -> Result<Response, Problem> {
    users::outranks(&state, &can.who, id).await?;
    let command = RemovePasskeys {
        user_id: id,
        passkey_id: None,
        reason: super::reason(why.reason)?,
        actor: can.who.username.clone(),
    };
    let written = Sender::new(&state, &can.who, &trace)
        .send_access(sign_in::aggregate(id), &command)
        .await?;
    Ok(written.respond(Applied::with))
}
