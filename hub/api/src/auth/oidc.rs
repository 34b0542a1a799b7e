//! An OpenID provider that vouches for people of a tenant: its metadata and keys, where people are sent, and what it says of them
//! when they come back (authorization code with PKCE, state and nonce). It decides nothing of users: who a person is here is told
//! by issuer and subject alone, and `routes/federated.rs` looks that up.
//!
//! Built of `jsonwebtoken`, which checks our own tokens too, on `ring`: the crate `openidconnect` would be a second library that
//! checks tokens, on other cryptography, and bring `oauth2`, `chrono` and more for two requests.

mod id_token;
mod known;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hub_core::config::{GroupRole, OidcSettings};
use jsonwebtoken::Algorithm;
use schemas::TenantId;
use schemas::sign_in::MappedRole;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use id_token::Person;
use id_token::{Expected, Unbelieved};
use known::{FRESH, Known, Metadata};
use wire::{Wire, WireError};

use super::secrets;
use crate::problem::Problem;

/// A provider of one tenant.
pub struct Provider {
    settings: OidcSettings,
    secret: Option<String>,
    algorithms: Vec<Algorithm>,
    wire: Wire,
    known: Mutex<Option<Arc<Known>>>,
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("id", &self.settings.id)
            .field("issuer", &self.settings.issuer)
            .finish_non_exhaustive()
    }
}

/// Providers of all tenants.
pub(crate) type Providers = HashMap<TenantId, Vec<Arc<Provider>>>;

/// OpenID Connect Core §3.1.3.3; the access token is for nothing here.
#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

/// What is remembered while somebody is at the provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) tenant: TenantId,
    pub(crate) provider: String,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    /// Somebody who is signed in links himself.
    pub(crate) user: Option<Uuid>,
    /// SHA-256 (hex) of the invitation that was shown.
    pub(crate) invitation: Option<String>,
}

/// What the provider sent back with somebody.
pub(crate) struct Returned<'a> {
    pub(crate) code: &'a str,
    pub(crate) state: &'a str,
    /// RFC 9207.
    pub(crate) issuer: Option<&'a str>,
}

impl Provider {
    /// Of its settings, which `hub check` has looked at.
    ///
    /// # Errors
    /// The secret or the certificates can't be had.
    pub fn new(settings: OidcSettings) -> Result<Self, String> {
        let secret = settings
            .client_secret
            .as_ref()
            .map(hub_core::config::Secret::resolve)
            .transpose()?;
        let algorithms = settings
            .algorithms
            .iter()
            .map(|name| match name.as_str() {
                "RS256" => Ok(Algorithm::RS256),
                "ES256" => Ok(Algorithm::ES256),
                other => Err(format!("algorithm {other} is not known here")),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            wire: Wire::new(settings.ca_file.as_deref())?,
            secret,
            algorithms,
            settings,
            known: Mutex::default(),
        })
    }

    pub(crate) fn id(&self) -> &str {
        &self.settings.id
    }

    pub(crate) fn name(&self) -> &str {
        &self.settings.name
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    pub(crate) fn link_by(&self) -> Option<&str> {
        self.settings.link_by.as_deref()
    }

    /// The provider asks for a second factor itself.
    pub(crate) fn second_factor_there(&self) -> bool {
        self.settings.second_factor_there
    }

    /// How long a session lasts that it vouched for.
    pub(crate) fn session_lifetime(&self) -> time::Duration {
        time::Duration::hours(self.settings.session_hours.into())
    }

    /// What a person's groups stand for; `None`: groups count for nothing.
    pub(crate) fn roles_of(&self, person: &Person) -> Option<Vec<MappedRole>> {
        let mapped = &self.settings.roles;
        if mapped.is_empty() {
            return None;
        }
        let groups = person.groups(&self.settings.groups_claim);
        let stands = |one: &&GroupRole| groups.contains(&one.group.as_str());
        Some(
            mapped
                .iter()
                .filter(stands)
                .map(|one| MappedRole {
                    role: one.role.clone(),
                    facility: one.facility.clone(),
                    department: one.department.clone(),
                })
                .collect(),
        )
    }

    /// Where somebody is sent, and what must be remembered until he is back.
    ///
    /// # Errors
    /// The page is none of the configuration's (400), or the provider does not answer (503).
    pub(crate) async fn begin(
        &self,
        tenant: &TenantId,
        redirect_uri: Option<&str>,
        user: Option<Uuid>,
        invitation: Option<&str>,
    ) -> Result<(String, Flow), Problem> {
        let redirect_uri = match redirect_uri {
            None => self.settings.redirect_uris.first(),
            Some(given) => self.settings.redirect_uris.iter().find(|one| *one == given),
        }
        .ok_or_else(|| {
            Problem::invalid(
                "redirect_uri",
                "is none of the pages that the configuration names",
            )
        })?
        .clone();
        let known = self.known(FRESH).await?;
        let flow = Flow {
            tenant: tenant.clone(),
            provider: self.settings.id.clone(),
            state: secrets::random_text(),
            nonce: secrets::random_text(),
            verifier: secrets::random_text(),
            redirect_uri,
            user,
            invitation: invitation.map(secrets::hex_digest_of),
        };
        let mut scope = "openid".to_owned();
        for more in &self.settings.scopes {
            scope.push(' ');
            scope.push_str(more);
        }
        // RFC 7636 §4.2
        let challenge = URL_SAFE_NO_PAD.encode(secrets::digest_of(&flow.verifier));
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &flow.redirect_uri)
            .append_pair("scope", &scope)
            .append_pair("state", &flow.state)
            .append_pair("nonce", &flow.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256")
            .finish();
        let there = &known.metadata.authorization_endpoint;
        let joint = if there.contains('?') { '&' } else { '?' };
        Ok((format!("{there}{joint}{query}"), flow))
    }

    /// Whom the provider vouches for.
    ///
    /// # Errors
    /// What came back does not hold (401 `oidc.refused`), or the provider does not answer (503).
    pub(crate) async fn finish(
        &self,
        flow: &Flow,
        returned: &Returned<'_>,
    ) -> Result<Person, Problem> {
        if !is_same(returned.state, &flow.state) {
            return Err(self.refused("the state is not that of this sign-in"));
        }
        if returned
            .issuer
            .is_some_and(|issuer| issuer != self.settings.issuer)
        {
            return Err(self.refused("the answer came from another issuer"));
        }
        let known = self.known(FRESH).await?;
        let answer = self.exchange(&known.metadata, flow, returned.code).await?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client_id: &self.settings.client_id,
            nonce: &flow.nonce,
            algorithms: &self.algorithms,
        };
        let mut checked = id_token::check(&answer.id_token, &known.keys, &expected);
        if checked.as_ref().err() == Some(&Unbelieved::Key) {
            // it may have changed its keys. Nobody makes the hub ask by inventing tokens: this one the provider itself gave
            let newer = self.known(Duration::ZERO).await?;
            checked = id_token::check(&answer.id_token, &newer.keys, &expected);
        }
        checked.map_err(|why| self.refused(&why.to_string()))
    }

    /// OpenID Connect Core §3.1.3.1.
    async fn exchange(
        &self,
        metadata: &Metadata,
        flow: &Flow,
        code: &str,
    ) -> Result<TokenAnswer, Problem> {
        let (form, authorization) = self.token_request(metadata, flow, code);
        let sent = self
            .wire
            .send_form(&metadata.token_endpoint, form, authorization.as_deref())
            .await;
        sent.map_err(|error| match error {
            // RFC 6749 §5.2: the code is none, was used, or belongs to another
            WireError::Status(StatusCode::BAD_REQUEST) => {
                self.refused("the provider does not take the code")
            }
            other => self.away("its token endpoint", &other),
        })
    }

    /// The form, and the header that goes with it where the client authenticates by one.
    fn token_request(
        &self,
        metadata: &Metadata,
        flow: &Flow,
        code: &str,
    ) -> (String, Option<String>) {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &flow.redirect_uri)
            .append_pair("code_verifier", &flow.verifier);
        // §9: where the provider says nothing, it is client_secret_basic
        let by_header = metadata
            .token_endpoint_auth_methods_supported
            .as_ref()
            .is_none_or(|methods| methods.iter().any(|one| one == "client_secret_basic"));
        let mut authorization = None;
        match &self.secret {
            Some(secret) if by_header => {
                // RFC 6749 §2.3.1: both are form-encoded first
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", encoded(&self.settings.client_id), encoded(secret));
                authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
            }
            Some(secret) => {
                form.append_pair("client_id", &self.settings.client_id)
                    .append_pair("client_secret", secret);
            }
            None => {
                form.append_pair("client_id", &self.settings.client_id);
            }
        }
        (form.finish(), authorization)
    }

    fn away(&self, what: &str, error: &WireError) -> Problem {
        tracing::warn!(provider = self.settings.id, what, %error, "an identity provider can't be asked");
        self.unavailable()
    }

    fn unavailable(&self) -> Problem {
        metrics::counter!("hub_api_oidc_total", "outcome" => "unavailable").increment(1);
        Problem::unavailable(
            "oidc.unavailable",
            format!(
                "{} can't be asked now; try again, or sign in with a password",
                self.settings.name
            ),
        )
    }

    /// The caller is not told why: the log of an operator is.
    fn refused(&self, why: &str) -> Problem {
        metrics::counter!("hub_api_oidc_total", "outcome" => "refused").increment(1);
        tracing::warn!(
            provider = self.settings.id,
            why,
            "what came back from an identity provider does not hold"
        );
        Problem::new(
            StatusCode::UNAUTHORIZED,
            "oidc.refused",
            "what came back from the provider does not hold; begin again",
        )
    }
}

/// All is compared, whichever differs: time tells nothing.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len()
        && one
            .bytes()
            .zip(other.bytes())
            .fold(0, |differs, (a, b)| differs | (a ^ b))
            == 0
}

/// The tenant's provider of that name.
pub(crate) fn find(
    providers: &Providers,
    tenant: &TenantId,
    id: &str,
) -> Result<Arc<Provider>, Problem> {
    providers
        .get(tenant)
        .into_iter()
        .flatten()
        .find(|provider| provider.id() == id)
        .cloned()
        .ok_or_else(|| {
            Problem::unknown(
                "oidc.unknown_provider",
                "no identity provider has this name here",
            )
        })
}
