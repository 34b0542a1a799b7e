//! The proof that it is still he. Whoever has a token of somebody (a screen left open, a token that was read on its way) may work as
//! him for a quarter of an hour; he must not make himself a way in that lasts, nor take a second factor off. So whatever makes or
//! removes a way in takes [`Proven`], whose body holds one more proof beside the token.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use schemas::sign_in::UsePasskey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::Instrument as _;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries::{self, Account, Factor};

use super::me::{guessing, user_of};
use super::passkeys::{no_ceremony, on_file, recall, remember, settings, use_up, while_signed_in};
use crate::auth::ceremony::Step;
use crate::auth::identity::Identity;
use crate::auth::passkey::{self, DoesNotHold};
use crate::auth::password;
use crate::auth::permission::SignedIn;
use crate::auth::sign_in::{self, Origin, Shown};
use crate::command::Asking;
use crate::extract::Body;
use crate::problem::Problem;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::sign_in::PasskeyCeremony;

pub(crate) fn routes() -> Routes {
    Routes::new().routes(routes!(options))
}

/// That it is still you: one of the four. Who has a second factor shows a code, a recovery code or a passkey: his password alone is
/// not enough.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "current_password": "blue kettle under the stairs" }))]
pub(super) struct Proof {
    #[serde(default)]
    #[schema(max_length = 1024)]
    current_password: Option<String>,
    /// A code of the authenticator app; it is used up.
    #[serde(default)]
    #[schema(max_length = 32)]
    code: Option<String>,
    /// It is used up.
    #[serde(default)]
    #[schema(max_length = 128)]
    recovery_code: Option<String>,
    #[serde(default)]
    passkey: Option<PasskeyProof>,
}

/// What the browser gave to a challenge of `/me/proof/options`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "ceremony": "AWx0c2…", "credential": { "id": "kW7pZ2mXq9RtB4vNcY6dHw", "type": "public-key", "response": {} }
}))]
pub(super) struct PasskeyProof {
    #[schema(max_length = 8192)]
    ceremony: String,
    /// `PublicKeyCredential.toJSON()` of `navigator.credentials.get()`.
    #[schema(value_type = Object)]
    credential: serde_json::Value,
}

/// A body that holds a proof.
pub(super) trait HasProof: DeserializeOwned + Send + Sync {
    fn proof(&self) -> &Proof;
}

/// The proof alone.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "proof": { "current_password": "blue kettle under the stairs" } }))]
pub(super) struct WithProof {
    proof: Proof,
}

impl HasProof for WithProof {
    fn proof(&self) -> &Proof {
        &self.proof
    }
}

/// Proof that the caller is signed in, is a person, and has just shown more than his token. The last among a handler's arguments.
pub(super) struct Proven<T> {
    pub(super) who: Identity,
    pub(super) user: Uuid,
    pub(super) given: T,
}

impl<T: HasProof> FromRequest<ApiState> for Proven<T> {
    type Rejection = Problem;
    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let SignedIn(who) = SignedIn::from_request_parts(&mut parts, state).await?;
        let user = own(&who)?;
        let origin = Origin::from_request_parts(&mut parts, state).await?;
        let trace = Trace::from_request_parts(&mut parts, state).await?;
        let request = Request::from_parts(parts, body);
        let Body(given) = Body::<T>::from_request(request, state).await?;
        let prover = Prover {
            state,
            trace: &trace,
            who: &who,
            user,
        };
        prover.check(&origin, given.proof()).await?;
        Ok(Self { who, user, given })
    }
}

/// The person whose ways in these are. Whoever came in with a password that somebody else made changes it first: else who made it
/// could leave a way in behind.
pub(super) fn own(who: &Identity) -> Result<Uuid, Problem> {
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

/// What is shown, one of the four.
enum Given<'a> {
    Password(&'a str),
    Code(Shown<'a>),
    Passkey(&'a PasskeyProof),
}

impl Proof {
    fn given(&self) -> Result<Given<'_>, Problem> {
        match (
            &self.current_password,
            &self.code,
            &self.recovery_code,
            &self.passkey,
        ) {
            (Some(password), None, None, None) => Ok(Given::Password(password)),
            (None, Some(code), None, None) => Ok(Given::Code(Shown::Code(code))),
            (None, None, Some(code), None) => Ok(Given::Code(Shown::Recovery(code))),
            (None, None, None, Some(passkey)) => Ok(Given::Passkey(passkey)),
            _ => Err(Problem::invalid(
                "proof",
                "give one of current_password, code, recovery_code and passkey",
            )),
        }
    }
}

/// Who is to prove himself.
struct Prover<'a> {
    state: &'a ApiState,
    trace: &'a Trace,
    who: &'a Identity,
    user: Uuid,
}

impl Prover<'_> {
    async fn check(&self, origin: &Origin, proof: &Proof) -> Result<(), Problem> {
        let given = proof.given()?;
        let (account, factor) = {
            let mut tx = self.state.read(&self.who.tenant).await?;
            (
                queries::account_of(tx.conn(), self.user)
                    .await?
                    .ok_or_else(Problem::internal)?,
                queries::factor_of(tx.conn(), self.user, "active").await?,
            )
        };
        // whether it is the right one is not said
        if matches!(given, Given::Password(_)) && account.needs_second_factor() {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "auth.proof_weak",
                "there is a second factor: show a code, a recovery code or a passkey, not the password",
            ));
        }
        let name = guessing(self.who);
        let attempt = origin.attempt(self.state, &name, None)?;
        let holds = match given {
            Given::Password(password) => self.password(&account, password).await?,
            Given::Code(shown) => self.code(factor.as_ref(), shown).await?,
            Given::Passkey(passkey) => self.passkey(passkey).await?,
        };
        if !holds {
            self.record_failure().await;
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "auth.proof",
                "what was shown as proof does not fit, or was used before",
            ));
        }
        self.state.throttle.succeeded(attempt);
        Ok(())
    }

    /// One that somebody else made and that was never changed proves nothing.
    async fn password(&self, account: &Account, password: &str) -> Result<bool, Problem> {
        if account.must_change || password.len() > password::MAX_PASSWORD {
            return Ok(false);
        }
        password::verify(password.to_owned(), Some(account.password_hash.clone()))
            .await
            .map_err(|_| Problem::internal())
    }

    async fn code(&self, factor: Option<&Factor>, shown: Shown<'_>) -> Result<bool, Problem> {
        let Some(factor) = factor else {
            return Ok(false);
        };
        let proved = sign_in::prove(self.state, &self.asking(), factor, shown).await?;
        Ok(proved.is_some())
    }

    async fn passkey(&self, given: &PasskeyProof) -> Result<bool, Problem> {
        let settings = settings(self.state)?;
        let (opened, remembered) =
            recall(self.state, Step::ProveByPasskey, &given.ceremony).map_err(while_signed_in)?;
        if opened.what.user != Some(self.user) || opened.what.tenant != self.who.tenant {
            return Err(while_signed_in(no_ceremony()));
        }
        let shown = passkey::Shown::read(&given.credential)?;
        let found = on_file(self.state, &self.who.tenant, &shown.credential_id()).await?;
        let Some((row, _)) = found.filter(|(row, _)| row.user_id == self.user) else {
            return Ok(false);
        };
        let asserted = match shown.check(&settings, &remembered, &row)? {
            Ok(asserted) => asserted,
            Err(DoesNotHold(why)) => {
                tracing::info!(passkey = %row.id, why, "what a passkey showed does not hold");
                return Ok(false);
            }
        };
        let command = UsePasskey {
            passkey_id: row.id,
            user_id: self.user,
            challenge: opened.challenge,
            sign_count: asserted.sign_count,
            state: asserted.state,
            synced: asserted.synced,
            actor: self.who.username.clone(),
        };
        use_up(self.state, &self.asking(), &command).await
    }

    fn asking(&self) -> Asking<'_> {
        Asking {
            state: self.state,
            trace: self.trace,
            tenant: &self.who.tenant,
            actor: &self.who.username,
        }
    }

    /// Leaves a row: somebody tries with a token of his. In a task of its own, so that it is none of what the request asks under
    /// an `Idempotency-Key`: a proof that did not fit leaves the key free.
    async fn record_failure(&self) {
        let (state, trace, who) = (self.state.clone(), self.trace.clone(), self.who.clone());
        let user = self.user;
        let work = async move {
            let asking = Asking {
                state: &state,
                trace: &trace,
                tenant: &who.tenant,
                actor: &who.username,
            };
            sign_in::record_failure(&asking, Some(user), "auth.proof_failed").await;
        };
        if tokio::spawn(work.in_current_span()).await.is_err() {
            tracing::warn!("a proof that did not fit is not in the audit trail");
        }
    }
}

/// Begin to prove with a passkey that it is me
///
/// A challenge for `navigator.credentials.get()`, good once, for five minutes, for a passkey of this user. What the browser gives
/// goes into `proof.passkey` of the request that needs it.
#[utoipa::path(post, path = "/me/proof/options", tag = "sign-in", security(("bearer" = [])),
    responses(
        (status = 200, description = "for the browser", body = PasskeyCeremony),
        (status = 401, description = "no token, or one that is not valid any more (`auth.token`)"),
        (status = 403, description = "the password must be changed first (`auth.password_change`), or a program asks (`auth.person`)"),
        (status = 409, description = "there are no passkeys here (`auth.passkeys_off`)")))]
async fn options(
    SignedIn(who): SignedIn,
    State(state): State<ApiState>,
) -> Result<Json<PasskeyCeremony>, Problem> {
    let user = own(&who)?;
    let settings = settings(&state)?;
    let begun = passkey::begin_to_use(&settings)?;
    remember(&state, Step::ProveByPasskey, who.tenant, Some(user), begun).map(Json)
}
