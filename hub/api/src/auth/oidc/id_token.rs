//! What an identity token must say to be believed (OpenID Connect Core §3.1.3.7). Pure: the clock aside, which `jsonwebtoken` reads.

use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;

/// Clocks of two hospitals' machines may differ by this much.
const LEEWAY_SECONDS: u64 = 60;
/// A token of a sign-in that ends now was not made earlier than this.
const OLDEST_SECONDS: i64 = 10 * 60;
/// OpenID Connect Core §2: a subject has no more than 255 characters.
const LONGEST_SUBJECT: usize = 255;

/// What a token is held against.
pub(crate) struct Expected<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) algorithms: &'a [Algorithm],
}

/// Why it is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unbelieved {
    #[error("it is no token, or its algorithm is not one that is allowed")]
    Algorithm,
    /// Perhaps of a newer key than those that are known here.
    #[error("its key is not among the provider's")]
    Key,
    #[error("{0}")]
    Content(String),
}

/// Whom a believed token is about.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) subject: String,
    claims: Map<String, Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: Value,
    iat: i64,
    #[serde(default)]
    nonce: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

impl Person {
    /// The user name that a claim gives, where the provider answers for it.
    pub(crate) fn name_by(&self, claim: &str) -> Option<String> {
        let verified =
            claim != "email" || self.claims.get("email_verified") == Some(&Value::Bool(true));
        let name = self.claims.get(claim)?.as_str()?;
        verified.then(|| name.to_lowercase())
    }

    /// Groups that a claim lists.
    pub(crate) fn groups(&self, claim: &str) -> Vec<&str> {
        match self.claims.get(claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(group)) => vec![group],
            _ => Vec::new(),
        }
    }
}

/// Checks a token against the provider's keys.
///
/// # Errors
/// [`Unbelieved`].
pub(crate) fn check(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
) -> Result<Person, Unbelieved> {
    // `none` and whatever else `jsonwebtoken` does not know are no headers to it
    let header = jsonwebtoken::decode_header(token).map_err(|_| Unbelieved::Algorithm)?;
    if !expected.algorithms.contains(&header.alg) {
        return Err(Unbelieved::Algorithm);
    }
    let key = choose(keys, header.kid.as_deref(), header.alg).ok_or(Unbelieved::Key)?;
    let mut validation = Validation::new(header.alg);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation)
        .map_err(|error| Unbelieved::Content(error.to_string()))?
        .claims;
    let content = |text: &str| Err(Unbelieved::Content(text.to_owned()));
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return content("its nonce is not that of this sign-in");
    }
    let several = claims.aud.as_array().is_some_and(|all| all.len() > 1);
    let party = claims.azp.as_deref();
    if party.is_some_and(|party| party != expected.client_id) || (several && party.is_none()) {
        return content("it was made for another party");
    }
    let age = OffsetDateTime::now_utc()
        .unix_timestamp()
        .saturating_sub(claims.iat);
    if age > OLDEST_SECONDS || age < -LEEWAY_SECONDS.cast_signed() {
        return content("it was not made now");
    }
    if claims.sub.is_empty() || claims.sub.len() > LONGEST_SUBJECT {
        return content("its subject is empty or too long");
    }
    Ok(Person {
        subject: claims.sub,
        claims: claims.rest,
    })
}

/// The key that a header names; where it names none, the only one that fits.
fn choose(keys: &[Jwk], kid: Option<&str>, algorithm: Algorithm) -> Option<DecodingKey> {
    let mut fitting = keys.iter().filter_map(|jwk| {
        let named = kid.is_none() || jwk.common.key_id.as_deref() == kid;
        let signs = !matches!(
            jwk.common.public_key_use,
            Some(PublicKeyUse::Encryption | PublicKeyUse::Other(_))
        );
        let key = DecodingKey::from_jwk(jwk).ok()?;
        (named && signs && key.family() == algorithm.family()).then_some(key)
    });
    let first = fitting.next()?;
    fitting.next().is_none().then_some(first)
}
