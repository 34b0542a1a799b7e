//! Access tokens: JWT, RS256 and nothing else, with the id of their key. Also the ticket between password and second factor.
//!
//! A token says who somebody is and how he proved it, and nothing of what he may do: that is looked up (`access`), so that
//! a right that is taken away is gone within seconds.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemas::TenantId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use time::OffsetDateTime;
use uuid::Uuid;

use super::keyring::TokenKeys;
use crate::problem::Problem;

/// Life of an access token.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Life of a ticket: long enough to find the telephone.
pub(crate) const TICKET_LIFETIME: Duration = Duration::from_secs(5 * 60);

const ISSUER: &str = "hub";
/// Clocks of two machines may differ by this much.
const LEEWAY_SECONDS: u64 = 30;

/// What a token is for: its audience, so that a ticket is never taken for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Access,
    /// The password was right, or a provider vouched for him; the second factor is to come.
    SecondFactor,
}

impl Purpose {
    fn audience(self) -> &'static str {
        match self {
            Self::Access => "hub-api",
            Self::SecondFactor => "hub-mfa",
        }
    }

    fn lifetime(self) -> Duration {
        match self {
            Self::Access => TOKEN_LIFETIME,
            Self::SecondFactor => TICKET_LIFETIME,
        }
    }
}

/// Person or program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    User,
    Client,
}

/// Whom a token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) tenant: TenantId,
    pub(crate) kind: Kind,
    pub(crate) id: Uuid,
    /// As audit rows have it.
    pub(crate) name: String,
    pub(crate) session: Option<Uuid>,
    /// RFC 8176.
    pub(crate) amr: Vec<String>,
    /// Clients: the permissions that were asked for; empty: all of the client's.
    pub(crate) scope: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    name: String,
    tenant: TenantId,
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    amr: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    scope: Vec<String>,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
}

/// Signs a token.
pub(crate) async fn issue(
    keys: &TokenKeys,
    pool: &PgPool,
    bearer: &Bearer,
    purpose: Purpose,
) -> Result<String, Problem> {
    let ring = keys.current(pool).await?;
    let (kid, key) = ring.signing().ok_or_else(no_key)?;
    sign(kid, key, bearer, purpose, OffsetDateTime::now_utc()).ok_or_else(Problem::internal)
}

fn no_key() -> Problem {
    tracing::error!("there is no key that signs tokens; `hub keys list` says which there are");
    Problem::unavailable(
        "auth.no_key",
        "the hub has no key that signs tokens yet; try again",
    )
}

fn sign(
    kid: &str,
    key: &EncodingKey,
    bearer: &Bearer,
    purpose: Purpose,
    now: OffsetDateTime,
) -> Option<String> {
    let now = now.unix_timestamp();
    let lifetime = i64::try_from(purpose.lifetime().as_secs()).ok()?;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: purpose.audience().to_owned(),
        sub: bearer.id,
        name: bearer.name.clone(),
        tenant: bearer.tenant.clone(),
        kind: bearer.kind,
        sid: bearer.session,
        amr: bearer.amr.clone(),
        scope: bearer.scope.clone(),
        iat: now,
        nbf: now,
        exp: now + lifetime,
        jti: Uuid::now_v7(),
    };
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, &claims, key).ok()
}

/// Whose token this is; `None` when it is not ours, altered, out of date or for something else.
pub(crate) async fn verify(
    keys: &TokenKeys,
    pool: &PgPool,
    token: &str,
    purpose: Purpose,
) -> Result<Option<Bearer>, Problem> {
    let Some(kid) = jsonwebtoken::decode_header(token)
        .ok()
        .filter(|header| header.alg == Algorithm::RS256)
        .and_then(|header| header.kid)
    else {
        return Ok(None);
    };
    let mut ring = keys.current(pool).await?;
    if ring.checking(&kid).is_none() {
        ring = keys.look_again(pool).await?;
    }
    Ok(ring
        .checking(&kid)
        .and_then(|key| check(key, token, purpose)))
}

fn check(key: &DecodingKey, token: &str, purpose: Purpose) -> Option<Bearer> {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[purpose.audience()]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    let claims = jsonwebtoken::decode::<Claims>(token, key, &validation)
        .ok()?
        .claims;
    Some(Bearer {
        tenant: claims.tenant,
        kind: claims.kind,
        id: claims.sub,
        name: claims.name,
        session: claims.sid,
        amr: claims.amr,
        scope: claims.scope,
    })
}
