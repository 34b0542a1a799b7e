//! The key that signs the roots of audit chains: Ed25519, the installation's own, made once and kept sealed.
//!
//! Whoever can write the database can neither sign with it nor put another in its place: only what opens under
//! `[api] token_secret` counts. Its public half is meant to be kept elsewhere, with the roots.

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};

use hub_core::Tx;
use schemas::platform::platform;

use crate::keys::KeyError;
use crate::sealing::Sealer;

/// One process at a time makes a key.
const LOCK: i64 = 5_426_716;

/// A key pair.
pub struct RootKey {
    /// First 16 hex digits of the public key's SHA-256.
    pub kid: String,
    pair: Ed25519KeyPair,
}

impl std::fmt::Debug for RootKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootKey")
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl RootKey {
    fn of(private: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(private).ok()?;
        Some(Self {
            kid: kid_of(pair.public_key().as_ref()),
            pair,
        })
    }

    /// The public half, 32 bytes (RFC 8032).
    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// 64 bytes (RFC 8032).
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.pair.sign(text).as_ref().to_vec()
    }
}

/// True when `signature` is that of `text` under a public key.
#[must_use]
pub fn is_signed(public: &[u8], text: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(text, signature)
        .is_ok()
}

/// How a key is called.
#[must_use]
pub fn kid_of(public: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(public)
        .iter()
        .take(8)
        .fold(String::with_capacity(16), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn belongs(kid: &str) -> String {
    format!("audit root key {kid}")
}

/// Keys that open, oldest first: those whose signatures count.
///
/// # Errors
/// The database is out of reach.
pub async fn load(pool: &PgPool, sealer: &Sealer) -> Result<Vec<RootKey>, sqlx::Error> {
    let mut tx = Tx::begin(pool, &platform()).await?;
    let keys = opened(tx.conn(), sealer).await?;
    tx.rollback().await?;
    Ok(keys)
}

async fn opened(conn: &mut PgConnection, sealer: &Sealer) -> Result<Vec<RootKey>, sqlx::Error> {
    let rows: Vec<(String, Vec<u8>)> =
        sqlx::query_as("select kid, sealed from audit.root_keys order by created_at, kid")
            .fetch_all(conn)
            .await?;
    Ok(rows
        .into_iter()
        .filter_map(|(kid, sealed)| {
            let key = sealer
                .open(&belongs(&kid), &sealed)
                .and_then(|private| RootKey::of(&private));
            if key.is_none() {
                tracing::warn!(kid, "a key of audit roots does not open under this [api] token_secret and does not count");
            }
            key
        })
        .collect())
}

/// The newest key that opens; makes one when there is none.
///
/// # Errors
/// See [`KeyError`].
pub async fn ensure(pool: &PgPool, sealer: &Sealer) -> Result<RootKey, KeyError> {
    if let Some(key) = load(pool, sealer).await?.pop() {
        return Ok(key);
    }
    let private =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Generate)?;
    let key = RootKey::of(private.as_ref()).ok_or(KeyError::Generate)?;
    let mut tx = Tx::begin(pool, &platform()).await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(tx.conn())
        .await?;
    if let Some(first) = opened(tx.conn(), sealer).await?.pop() {
        return Ok(first);
    }
    let sealed = sealer.seal(&belongs(&key.kid), private.as_ref())?;
    sqlx::query(
        "insert into audit.root_keys (tenant_id, kid, public, sealed) values ('platform', $1, $2, $3)",
    )
    .bind(&key.kid)
    .bind(key.public())
    .bind(sealed)
    .execute(tx.conn())
    .await?;
    tx.commit().await?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_text_and_its_key_only() {
        let make = || {
            let private = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
            RootKey::of(private.as_ref()).unwrap()
        };
        let (key, other) = (make(), make());
        let signature = key.sign(b"root");
        assert!(is_signed(key.public(), b"root", &signature));
        assert!(!is_signed(key.public(), b"roof", &signature));
        assert!(!is_signed(other.public(), b"root", &signature));
        assert_eq!(key.kid, kid_of(key.public()));
        assert_eq!(key.kid.len(), 16);
    }
}
