//! Keys that sign access tokens: made, kept sealed, published ahead of their use, replaced every month.
//!
//! They belong to the installation, not to a tenant. Only a key that opens under `[api] token_secret` counts: whoever can
//! write the table but does not have the secret can add no key that anybody trusts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPrivateKey;
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};
use time::{Duration, OffsetDateTime};

use crate::sealing::{SealError, Sealer};

/// A key signs this long.
const ROTATE_AFTER: Duration = Duration::days(30);
/// A new key is published this long before it signs, so that who keeps the JWKS for a while knows it in time.
const AHEAD: Duration = Duration::minutes(10);
/// A key that signs no more is good for verifying this long: four lives of a token.
const VERIFIES_ON: Duration = Duration::hours(1);
/// A key that nobody has replaced verifies without end.
const NO_END: OffsetDateTime = time::macros::datetime!(9999-01-01 00:00 UTC);
/// RFC 7518 §3.3: 2048 or larger. Signing with 3072 takes three times as long and buys nothing for tokens of 15 minutes.
const BITS: usize = 2048;
/// One process at a time makes a key.
const LOCK: i64 = 5_426_715;

/// A key pair.
#[derive(Clone)]
pub struct SigningKey {
    /// RFC 7638 thumbprint.
    pub kid: String,
    /// Big-endian.
    pub modulus: Vec<u8>,
    pub exponent: Vec<u8>,
    /// PKCS#8, DER.
    pub private: Vec<u8>,
    pub signs_from: OffsetDateTime,
    pub verify_until: OffsetDateTime,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("signs_from", &self.signs_from)
            .field("verify_until", &self.verify_until)
            .finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("a key pair could not be made")]
    Generate,
}

impl SigningKey {
    /// A new pair, good from now. Takes some tenths of a second on a thread of its own.
    ///
    /// # Errors
    /// [`KeyError::Generate`].
    pub async fn generate() -> Result<Self, KeyError> {
        tokio::task::spawn_blocking(|| {
            let pair = RsaPrivateKey::new(&mut rand_core::OsRng, BITS).ok()?;
            let private = pair.to_pkcs8_der().ok()?.as_bytes().to_vec();
            let (modulus, exponent) = (pair.n().to_bytes_be(), pair.e().to_bytes_be());
            Some(Self {
                kid: thumbprint(&modulus, &exponent),
                modulus,
                exponent,
                private,
                signs_from: OffsetDateTime::now_utc(),
                verify_until: NO_END,
            })
        })
        .await
        .ok()
        .flatten()
        .ok_or(KeyError::Generate)
    }

    fn belongs(kid: &str) -> String {
        format!("signing key {kid}")
    }
}

/// RFC 7638 §3: SHA-256 of the required members in their order.
fn thumbprint(modulus: &[u8], exponent: &[u8]) -> String {
    let members = format!(
        r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#,
        URL_SAFE_NO_PAD.encode(exponent),
        URL_SAFE_NO_PAD.encode(modulus)
    );
    URL_SAFE_NO_PAD.encode(Sha256::digest(members.as_bytes()))
}

#[derive(sqlx::FromRow)]
struct Row {
    kid: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    sealed: Vec<u8>,
    signs_from: OffsetDateTime,
    verify_until: OffsetDateTime,
}

/// Keys that verify now, newest first; those that do not open are passed over.
///
/// # Errors
/// The database is out of reach.
pub async fn load(
    conn: &mut PgConnection,
    sealer: &Sealer,
) -> Result<Vec<SigningKey>, sqlx::Error> {
    let rows: Vec<Row> = sqlx::query_as(
        "select kid, modulus, exponent, sealed, signs_from, verify_until from users.signing_keys
         where verify_until > now() order by signs_from desc, kid",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let private = sealer.open(&SigningKey::belongs(&row.kid), &row.sealed);
            if private.is_none() {
                tracing::warn!(
                    kid = row.kid,
                    "a signing key does not open under this [api] token_secret and is not used"
                );
            }
            Some(SigningKey {
                private: private?,
                kid: row.kid,
                modulus: row.modulus,
                exponent: row.exponent,
                signs_from: row.signs_from,
                verify_until: row.verify_until,
            })
        })
        .collect())
}

/// Keeps a key.
///
/// # Errors
/// The database is out of reach, or sealing failed.
pub async fn store(
    conn: &mut PgConnection,
    sealer: &Sealer,
    key: &SigningKey,
) -> Result<(), KeyError> {
    let sealed = sealer.seal(&SigningKey::belongs(&key.kid), &key.private)?;
    sqlx::query(
        "insert into users.signing_keys (kid, modulus, exponent, sealed, signs_from, verify_until)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&key.kid)
    .bind(&key.modulus)
    .bind(&key.exponent)
    .bind(sealed)
    .bind(key.signs_from)
    .bind(key.verify_until)
    .execute(conn)
    .await?;
    Ok(())
}

/// Makes the first key, or the next one when the newest has signed for a month. Returns the new key's id.
///
/// # Errors
/// See [`KeyError`].
pub async fn ensure(pool: &PgPool, sealer: &Sealer) -> Result<Option<String>, KeyError> {
    let due = |keys: &[SigningKey]| {
        let now = OffsetDateTime::now_utc();
        keys.first()
            .is_none_or(|newest| now - newest.signs_from > ROTATE_AFTER)
    };
    // the usual case costs one query and no lock
    let mut connection = pool.acquire().await?;
    if !due(&load(&mut connection, sealer).await?) {
        return Ok(None);
    }
    drop(connection);
    let mut key = SigningKey::generate().await?;
    let mut tx = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *tx)
        .await?;
    let keys = load(&mut tx, sealer).await?;
    if !due(&keys) {
        return Ok(None);
    }
    if !keys.is_empty() {
        key.signs_from = OffsetDateTime::now_utc() + AHEAD;
    }
    succeed(&mut tx, sealer, &key, key.signs_from + VERIFIES_ON).await?;
    tx.commit().await?;
    Ok(Some(key.kid))
}

/// A new key that signs from now. The old ones verify on for an hour; with `distrust` (one was stolen) no longer, and
/// everybody has to sign in again.
///
/// # Errors
/// See [`KeyError`].
pub async fn rotate(pool: &PgPool, sealer: &Sealer, distrust: bool) -> Result<String, KeyError> {
    let key = SigningKey::generate().await?;
    let now = OffsetDateTime::now_utc();
    let mut tx = pool.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *tx)
        .await?;
    let until = if distrust { now } else { now + VERIFIES_ON };
    succeed(&mut tx, sealer, &key, until).await?;
    tx.commit().await?;
    Ok(key.kid)
}

async fn succeed(
    conn: &mut PgConnection,
    sealer: &Sealer,
    key: &SigningKey,
    others_until: OffsetDateTime,
) -> Result<(), KeyError> {
    sqlx::query("update users.signing_keys set verify_until = least(verify_until, $1)")
        .bind(others_until)
        .execute(&mut *conn)
        .await?;
    store(conn, sealer, key).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 §3.1, the example of the standard.
    #[test]
    fn the_id_of_a_key_is_its_thumbprint() {
        let modulus = URL_SAFE_NO_PAD
            .decode(
                "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs\
                 tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5haj\
                 rn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            )
            .unwrap();
        assert_eq!(
            thumbprint(&modulus, &[1, 0, 1]),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
