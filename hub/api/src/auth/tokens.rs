//! Access tokens: JWT, HS256 and nothing else, made and checked by the hub alone.

use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemas::TenantId;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::identity::Identity;
use super::mac;

/// Life of an access token. There is no refresh yet, so it is a working hour and not fifteen minutes.
pub const TOKEN_LIFETIME: Duration = Duration::from_secs(60 * 60);

const ISSUER: &str = "hub";
const AUDIENCE: &str = "hub-api";
/// Clocks of two hub processes may differ by this much.
const LEEWAY_SECONDS: u64 = 5;
/// HS256 wants a key of at least the digest's length (RFC 7518 §3.2).
const MIN_SECRET: usize = 32;

/// The keys that sign and check tokens. The secret is random, per installation, the same for all its
/// processes; the caller keeps it.
#[derive(Clone)]
pub struct TokenKeys {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

/// The secret is shorter than 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token secret has fewer than 32 bytes")]
pub struct WeakSecret;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    tenant: TenantId,
    permissions: Vec<String>,
    iat: i64,
    nbf: i64,
    exp: i64,
    jti: Uuid,
}

impl TokenKeys {
    /// Keys from a secret of at least 32 random bytes.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        if secret.len() < MIN_SECRET {
            return Err(WeakSecret);
        }
        mac::install();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_SECONDS;
        validation.validate_nbf = true;
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        Ok(Self {
            signing: EncodingKey::from_secret(secret),
            checking: DecodingKey::from_secret(secret),
            validation,
        })
    }

    /// A secret for [`TokenKeys::new`], from the system's generator.
    #[must_use]
    pub fn generate_secret() -> [u8; MIN_SECRET] {
        rand::random()
    }

    /// A token for this caller.
    pub(crate) fn issue(&self, identity: &Identity) -> Option<String> {
        self.issue_at(identity, OffsetDateTime::now_utc())
    }

    fn issue_at(&self, identity: &Identity, now: OffsetDateTime) -> Option<String> {
        let now = now.unix_timestamp();
        let lifetime = i64::try_from(TOKEN_LIFETIME.as_secs()).ok()?;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: identity.username.clone(),
            tenant: identity.tenant.clone(),
            permissions: identity.permissions.clone(),
            iat: now,
            nbf: now,
            exp: now + lifetime,
            jti: Uuid::now_v7(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signing).ok()
    }

    /// Whose token this is; `None` when it is not ours, altered or out of date.
    pub(crate) fn verify(&self, token: &str) -> Option<Identity> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checking, &self.validation)
            .ok()?
            .claims;
        Some(Identity {
            tenant: claims.tenant,
            username: claims.sub,
            permissions: claims.permissions,
        })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn admin() -> Identity {
        Identity {
            tenant: TenantId::new("demo").unwrap(),
            username: "admin".to_owned(),
            permissions: vec!["*".to_owned()],
        }
    }

    #[test]
    fn a_token_tells_who_it_was_made_for() {
        let keys = TokenKeys::new(&[7; 32]).unwrap();
        let token = keys.issue(&admin()).unwrap();
        assert_eq!(keys.verify(&token), Some(admin()));
    }

    #[test]
    fn a_token_of_another_key_or_time_or_algorithm_is_refused() {
        let keys = TokenKeys::new(&[7; 32]).unwrap();
        let other = TokenKeys::new(&[8; 32]).unwrap();
        assert_eq!(other.verify(&keys.issue(&admin()).unwrap()), None);
        let now = OffsetDateTime::now_utc();
        for seconds in [-3_610, 60] {
            let token = keys
                .issue_at(&admin(), now + time::Duration::seconds(seconds))
                .unwrap_or_default();
            assert_eq!(keys.verify(&token), None, "{seconds}");
        }
        let token = keys.issue(&admin()).unwrap();
        let body = token.split('.').nth(1).unwrap();
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"HS512"}"#,
            r#"{"alg":"RS256"}"#,
        ] {
            let header = URL_SAFE_NO_PAD.encode(header);
            for signature in ["", token.split('.').nth(2).unwrap()] {
                assert_eq!(keys.verify(&format!("{header}.{body}.{signature}")), None);
            }
        }
        for junk in ["", ".", "..", "a.b.c", "é"] {
            assert_eq!(keys.verify(junk), None, "{junk}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(TokenKeys::new(&[1; 31]).err(), Some(WeakSecret));
    }
}
