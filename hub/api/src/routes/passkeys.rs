//! Sign-in with a passkey, alone or as second factor; and what is remembered between a challenge and its answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hub_core::config::PasskeySettings;
use schemas::TenantId;
use schemas::sign_in::UsePasskey;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, Account, PasskeyRow};

use super::second_factor::{no_ticket, proved_before};
use crate::auth::ceremony::{self, LIFETIME, Opened, Step};
use crate::auth::passkey::{self, Begun, DoesNotHold};
use crate::auth::sign_in::{self, Origin, Proved, Tokens, by_password, may_come_in_by};
use crate::backbone::CommandOutcome;
use crate::command::Asking;
use crate::extract::Body;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::sign_in::PasskeyCeremony;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(sign_in_options))
        .routes(routes!(sign_in_with))
}

pub(super) fn settings(state: &ApiState) -> Result<Arc<PasskeySettings>, Problem> {
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
pub(super) struct Remembered {
    pub(super) tenant: TenantId,
    /// Who adds one; nobody is known yet at a sign-in.
    pub(super) user: Option<Uuid>,
    /// base64, as `webauthn_rp` encodes it.
    state: String,
}

pub(super) fn remember(
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

/// What was remembered, and the state of `webauthn_rp` in it.
pub(super) fn recall(
    state: &ApiState,
    step: Step,
    text: &str,
) -> Result<(Opened<Remembered>, Vec<u8>), Problem> {
    let opened: Opened<Remembered> = ceremony::open(state, step, text).ok_or_else(no_ceremony)?;
    let bytes = STANDARD
        .decode(&opened.what.state)
        .map_err(|_| Problem::internal())?;
    Ok((opened, bytes))
}

pub(super) fn no_ceremony() -> Problem {
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
    let who = origin.attempt(&state, &name, None)?;
    let first = match &given.ticket {
        None => None,
        Some(ticket) => {
            let bearer = proved_before(&state, ticket).await?;
            if bearer.tenant != tenant {
                return Err(no_ticket());
            }
            Some(bearer)
        }
    };
    let Some((row, account)) = on_file(&state, &tenant, &id).await? else {
        return Err(does_not_fit());
    };
    let amr = match &first {
        None => vec!["pop".to_owned(), "mfa".to_owned()],
        Some(bearer) => bearer
            .amr
            .iter()
            .cloned()
            .chain(["pop".to_owned()])
            .collect(),
    };
    let asking = Asking {
        state: &state,
        trace: &trace,
        tenant: &tenant,
        actor: &account.username,
    };
    let is_other = first
        .as_ref()
        .is_some_and(|bearer| bearer.id != row.user_id);
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

pub(super) async fn on_file(
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
pub(super) async fn use_up(
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

/// What does not hold is no reason for somebody who is signed in to sign in again.
pub(super) fn while_signed_in(problem: Problem) -> Problem {
    if problem.status != StatusCode::UNAUTHORIZED {
        return problem;
    }
    Problem {
        status: StatusCode::UNPROCESSABLE_ENTITY,
        ..problem
    }
}
