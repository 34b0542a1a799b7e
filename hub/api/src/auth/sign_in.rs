//! From a proof to tokens: a session is opened and carried on.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, StatusCode, header, request::Parts};
use schemas::TenantId;
use schemas::commands::RecordAccess;
use schemas::identity::{OpenSession, ProveFactor, RotateSession};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, Account, Factor};

use super::identity::peer_of;
use super::throttle::{Try, throttled};
use super::tokens::{self, Bearer, Kind, Purpose, TOKEN_LIFETIME};
use super::{secrets, totp};
use crate::backbone::CommandOutcome;
use crate::command::Asking;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::trace::Trace;

/// A refresh token that is not used in this time is no good: a shift.
const REFRESH_LIFETIME: time::Duration = time::Duration::hours(12);
/// How sessions say that a provider vouched for somebody; RFC 8176 has no word for it.
pub(crate) const FEDERATED: &str = "federated";
/// No session is longer, however often it is refreshed.
const SESSION_LIFETIME: time::Duration = time::Duration::days(7);
/// A sign-in waits this long for its session to be on file. It goes on without: the command is on disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tokens for the `Authorization` header of what follows, and for the time after.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "access_token": "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsImtpZCI6…", "token_type": "Bearer", "expires_in": 900,
    "refresh_token": "hr.demo.mZ0v…", "refresh_expires_in": 43200, "must_change_password": false
}))]
pub(crate) struct Tokens {
    pub access_token: String,
    /// `Bearer`
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// Good once, at `POST /auth/refresh`. Absent when the session could not be put on file: sign in again then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_expires_in: Option<i64>,
    /// Nothing but `POST /me/password` is allowed until it is done.
    pub must_change_password: bool,
}

/// Somebody whose proof is complete.
pub(crate) struct Proved {
    pub(crate) tenant: TenantId,
    pub(crate) user: Uuid,
    pub(crate) username: String,
    pub(crate) amr: Vec<String>,
    pub(crate) must_change: bool,
}

/// Where a sign-in comes from.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) peer: Option<IpAddr>,
    agent: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self {
            peer: peer_of(parts),
            agent: agent_of(&parts.headers),
        })
    }
}

impl Origin {
    /// One more try of a name from here, counted before what it shows is looked at. `known` is an earlier session of that very
    /// user, proved.
    ///
    /// # Errors
    /// 429: too many of them failed.
    pub(crate) fn attempt<'a>(
        &self,
        state: &ApiState,
        user: &'a str,
        known: Option<Uuid>,
    ) -> Result<Try<'a>, Problem> {
        let attempt = Try {
            user,
            from: self.peer,
            known,
        };
        state
            .throttle
            .attempt(attempt, Instant::now())
            .map_err(throttled)?;
        Ok(attempt)
    }
}

/// What the caller's program calls itself; printable, and no longer than a line.
fn agent_of(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::USER_AGENT)?.to_str().ok()?;
    Some(text.chars().filter(|c| !c.is_control()).take(160).collect())
}

fn text_of(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// How long a session lasts that is opened so. Who was shut out at a provider, or taken out of a group there, is known here when the
/// provider is asked again: so a session that one vouched for is short. It does not say which one: the shortest of the hospital's.
fn session_lifetime(state: &ApiState, tenant: &TenantId, amr: &[String]) -> time::Duration {
    if !amr.iter().any(|way| way == FEDERATED) {
        return SESSION_LIFETIME;
    }
    state
        .providers
        .get(tenant)
        .into_iter()
        .flatten()
        .map(|provider| provider.session_lifetime())
        .min()
        // it is no provider of ours any more
        .unwrap_or(REFRESH_LIFETIME)
}

/// Opens a session.
pub(crate) async fn admit(
    state: &ApiState,
    trace: &Trace,
    origin: &Origin,
    proved: Proved,
) -> Result<Tokens, Problem> {
    let session = Uuid::now_v7();
    let refresh = secrets::refresh_token(&proved.tenant);
    let now = OffsetDateTime::now_utc();
    let lifetime = session_lifetime(state, &proved.tenant, &proved.amr);
    let refresh_for = REFRESH_LIFETIME.min(lifetime);
    let command = OpenSession {
        session_id: session,
        user_id: proved.user,
        amr: proved.amr.clone(),
        peer: origin.peer.map(|peer| peer.to_string()),
        agent: origin.agent.clone(),
        refresh_digest: secrets::hex_digest_of(&refresh),
        refresh_until: text_of(now + refresh_for),
        expires_at: text_of(now + lifetime),
        actor: proved.username.clone(),
    };
    let asking = Asking {
        state,
        trace,
        tenant: &proved.tenant,
        actor: &proved.username,
    };
    let wait = state.limits.command_wait.min(PATIENCE);
    let on_file = match asking.ask(aggregate(proved.user), &command, wait).await {
        Ok((_, CommandOutcome::Applied { .. } | CommandOutcome::Pending)) => true,
        Ok((_, CommandOutcome::Refused { .. })) => return Err(not_admitted()),
        // an operator must be able to come in while NATS is down and see what is wrong
        Err(error) => {
            metrics::counter!("hub_api_audit_lost_total").increment(1);
            tracing::warn!(%error, "a sign-in is not in the audit trail and has no session");
            false
        }
    };
    metrics::counter!("hub_api_logins_total", "outcome" => "accepted").increment(1);
    state.access.forget();
    let must_change = proved.must_change;
    let token = access_token(state, proved, on_file.then_some(session)).await?;
    let refresh = on_file.then_some((refresh, refresh_for));
    Ok(pair(token, refresh, must_change))
}

async fn access_token(
    state: &ApiState,
    proved: Proved,
    session: Option<Uuid>,
) -> Result<String, Problem> {
    let bearer = Bearer {
        tenant: proved.tenant,
        kind: Kind::User,
        id: proved.user,
        name: proved.username,
        session,
        amr: proved.amr,
        scope: Vec::new(),
    };
    tokens::issue(&state.keys, &state.pool, &bearer, Purpose::Access).await
}

/// `refresh`: the token, and how long it is good.
fn pair(
    access_token: String,
    refresh: Option<(String, time::Duration)>,
    must_change_password: bool,
) -> Tokens {
    let (refresh_token, refresh_for) = refresh.unzip();
    Tokens {
        access_token,
        token_type: "Bearer",
        expires_in: TOKEN_LIFETIME.as_secs(),
        refresh_expires_in: refresh_for.map(time::Duration::whole_seconds),
        refresh_token,
        must_change_password,
    }
}

/// The lane of everything about a user: a session is opened before it is ended.
pub(crate) fn aggregate(user: Uuid) -> String {
    format!("user/{user}")
}

/// Carries a session on. A token that was used before ends it.
pub(crate) async fn carry_on(
    state: &ApiState,
    trace: &Trace,
    origin: &Origin,
    presented: &str,
) -> Result<Tokens, Problem> {
    let tenant = secrets::tenant_of_refresh(presented).ok_or_else(no_refresh)?;
    let found = {
        let mut tx = state.read(&tenant).await?;
        queries::session_of_token(tx.conn(), &secrets::digest_of(presented)).await?
    }
    .ok_or_else(no_refresh)?;
    let next = secrets::refresh_token(&tenant);
    let now = OffsetDateTime::now_utc();
    let refresh_for = REFRESH_LIFETIME.min(found.expires_at - now);
    let command = RotateSession {
        session_id: found.session_id,
        presented: secrets::hex_digest_of(presented),
        next: secrets::hex_digest_of(&next),
        next_until: text_of(now + refresh_for),
        peer: origin.peer.map(|peer| peer.to_string()),
        actor: found.username.clone(),
    };
    let asking = Asking {
        state,
        trace,
        tenant: &tenant,
        actor: &found.username,
    };
    let (_, outcome) = asking
        .ask(
            aggregate(found.user_id),
            &command,
            state.limits.command_wait,
        )
        .await?;
    match outcome {
        CommandOutcome::Applied { answer } => {
            let outcome = answer
                .as_ref()
                .and_then(|answer| answer["outcome"].as_str());
            if outcome != Some("rotated") {
                state.access.forget();
                metrics::counter!("hub_api_refresh_refused_total").increment(1);
                return Err(no_refresh());
            }
        }
        // it may be a stolen token: no access before the worker has looked at it. The command is on disk, so the token that
        // was shown is as good as used, and showing it again would end the session
        CommandOutcome::Pending => {
            return Err(Problem::unavailable(
                "auth.refresh_pending",
                "the session could not be carried on in time; sign in again",
            ));
        }
        CommandOutcome::Refused { .. } => return Err(no_refresh()),
    }
    let must_change = found.must_change && by_password(&found.amr);
    let proved = Proved {
        tenant,
        user: found.user_id,
        username: found.username,
        amr: found.amr,
        must_change,
    };
    let token = access_token(state, proved, Some(found.session_id)).await?;
    Ok(pair(token, Some((next, refresh_for)), must_change))
}

fn no_refresh() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "auth.refresh",
        "the refresh token is not valid, was used, or its session has ended; sign in again",
    )
}

/// Active, and the password is not a one-time one that is out of date.
pub(crate) fn may_come_in(account: &Account) -> bool {
    account.state == "active"
        && account
            .one_time_until
            .is_none_or(|until| until > OffsetDateTime::now_utc())
}

/// He came in with a password: one that somebody else made must be changed.
pub(crate) fn by_password(amr: &[String]) -> bool {
    amr.iter().any(|way| way == "pwd")
}

/// The same for who proves himself in another way: the age of a password that he does not use says nothing.
pub(crate) fn may_come_in_by(account: &Account, amr: &[String]) -> bool {
    account.state == "active" && (!by_password(amr) || may_come_in(account))
}

/// User name and password do not fit, or the user may not come in: nobody is told which.
pub(crate) fn not_admitted() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "auth.login",
        "user name and password do not fit",
    )
}

/// What somebody shows as second factor.
pub(crate) enum Shown<'a> {
    Code(&'a str),
    Recovery(&'a str),
}

impl<'a> Shown<'a> {
    /// The one of the two that was given.
    pub(crate) fn either(
        code: Option<&'a str>,
        recovery_code: Option<&'a str>,
    ) -> Result<Self, Problem> {
        match (code, recovery_code) {
            (Some(code), None) => Ok(Self::Code(code)),
            (None, Some(code)) => Ok(Self::Recovery(code)),
            _ => Err(Problem::invalid(
                "code",
                "give either code or recovery_code",
            )),
        }
    }
}

/// Uses up a code. What it proves is `otp`, or `kba` for a recovery code; `None`: it proves nothing.
pub(crate) async fn prove(
    state: &ApiState,
    asking: &Asking<'_>,
    factor: &Factor,
    shown: Shown<'_>,
) -> Result<Option<&'static str>, Problem> {
    let mut command = ProveFactor {
        factor_id: factor.id,
        step: None,
        recovery: None,
        actor: asking.actor.to_owned(),
    };
    let amr = match shown {
        Shown::Code(code) => {
            let secret = open_secret(state, factor)?;
            let now = OffsetDateTime::now_utc().unix_timestamp();
            let Some(step) = totp::step_of(&secret, code, now, factor.last_step) else {
                return Ok(None);
            };
            command.step = Some(step);
            "otp"
        }
        Shown::Recovery(code) => {
            command.recovery = Some(secrets::hex_digest_of(code.trim()));
            "kba"
        }
    };
    let (_, outcome) = asking
        .ask(
            aggregate(factor.user_id),
            &command,
            state.limits.command_wait,
        )
        .await?;
    match outcome {
        CommandOutcome::Applied { .. } => Ok(Some(amr)),
        CommandOutcome::Refused { .. } => Ok(None),
        // whether it was used before is not known, so it counts for nothing
        CommandOutcome::Pending => Err(Problem::unavailable(
            "auth.factor_pending",
            "the code could not be checked in time; try again with the next one",
        )),
    }
}

/// The TOTP secret of a factor.
pub(crate) fn open_secret(state: &ApiState, factor: &Factor) -> Result<Vec<u8>, Problem> {
    state
        .keys
        .sealer()
        .and_then(|sealer| sealer.open(&belongs(factor.id), &factor.sealed))
        .ok_or_else(|| {
            tracing::error!(factor = %factor.id, "a second factor does not open under this [api] token_secret; it has to be enrolled again");
            Problem::internal()
        })
}

/// What a factor's secret is bound to.
pub(crate) fn belongs(factor: Uuid) -> String {
    format!("factor {factor}")
}

/// Leaves a row of a failure. A name that nobody has stays out: people type passwords into the wrong field.
pub(crate) async fn record_failure(asking: &Asking<'_>, user: Option<Uuid>, what: &str) {
    metrics::counter!("hub_api_logins_total", "outcome" => "refused").increment(1);
    let access = RecordAccess {
        action: what.to_owned(),
        object: user.map_or_else(|| "nobody".to_owned(), |user| format!("user {user}")),
        actor: asking.actor.to_owned(),
        reason: None,
    };
    if let Err(error) = asking.ask("auth/failures", &access, Duration::ZERO).await {
        metrics::counter!("hub_api_audit_lost_total").increment(1);
        tracing::warn!(%error, "a refused sign-in is not in the audit trail");
    }
}
