//! The keys that sign and check tokens: read from the database, opened, and kept for a few seconds.
//!
//! Nothing is made or stored here: `worker_identity::keys` does that, and `hub/cli` calls it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::{Value, json};
use sqlx::PgPool;
use time::OffsetDateTime;
use worker_identity::keys::{self, SigningKey};
use worker_identity::sealing::Sealer;

use super::rs256;

/// The token secret may not be shorter: 256 bits of it make the sealing key.
const MIN_SECRET: usize = 32;
/// How long what was read is believed. A key is published ten minutes before it signs, so this is no race.
const FRESH: Duration = Duration::from_secs(20);
/// A token of a key that is not known makes the keys be read again, but no more often than this.
const AGAIN: Duration = Duration::from_secs(2);

/// The installation's token keys; cheap to clone.
#[derive(Clone)]
pub struct TokenKeys(Arc<Inner>);

struct Inner {
    /// `None`: this process has a key of its own, which ends with it.
    sealer: Option<Sealer>,
    ring: RwLock<Arc<Ring>>,
    reading: tokio::sync::Mutex<()>,
}

/// The secret is shorter than 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token secret has fewer than 32 bytes")]
pub struct WeakSecret;

/// Keys of a moment, newest first.
#[derive(Default)]
pub(crate) struct Ring {
    keys: Vec<Key>,
    read: Option<Instant>,
}

struct Key {
    kid: String,
    checking: DecodingKey,
    signing: EncodingKey,
    signs_from: OffsetDateTime,
    verify_until: OffsetDateTime,
    jwk: Value,
}

impl TokenKeys {
    /// Keys that lie in the database, sealed under this secret of at least 32 random bytes. The same for all processes.
    ///
    /// # Errors
    /// [`WeakSecret`] when it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, WeakSecret> {
        if secret.len() < MIN_SECRET {
            return Err(WeakSecret);
        }
        rs256::install();
        Ok(Self(Arc::new(Inner {
            sealer: Some(Sealer::new(secret)),
            ring: RwLock::default(),
            reading: tokio::sync::Mutex::default(),
        })))
    }

    /// One key that no other process knows: tokens end with this one.
    #[must_use]
    pub fn of_this_process(key: SigningKey) -> Self {
        rs256::install();
        Self(Arc::new(Inner {
            sealer: None,
            ring: RwLock::new(Arc::new(Ring {
                keys: vec![Key::of(key)],
                read: None,
            })),
            reading: tokio::sync::Mutex::default(),
        }))
    }

    /// A secret for [`TokenKeys::new`], from the system's generator.
    #[must_use]
    pub fn generate_secret() -> [u8; MIN_SECRET] {
        rand::random()
    }

    /// Seals what must not be read in the database; `None` without a secret that outlives the process.
    #[must_use]
    pub fn sealer(&self) -> Option<&Sealer> {
        self.0.sealer.as_ref()
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.0.ring.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The keys of now. When they can't be read, those of before, which were good keys.
    ///
    /// # Errors
    /// The database is out of reach and there are no keys of before.
    pub(crate) async fn current(&self, pool: &PgPool) -> Result<Arc<Ring>, sqlx::Error> {
        self.read_if_older(pool, FRESH).await
    }

    /// The keys, after another look for one that was not there.
    pub(crate) async fn look_again(&self, pool: &PgPool) -> Result<Arc<Ring>, sqlx::Error> {
        self.read_if_older(pool, AGAIN).await
    }

    async fn read_if_older(&self, pool: &PgPool, age: Duration) -> Result<Arc<Ring>, sqlx::Error> {
        let Some(sealer) = &self.0.sealer else {
            return Ok(self.ring());
        };
        let is_young = |ring: &Ring| ring.read.is_some_and(|read| read.elapsed() < age);
        let ring = self.ring();
        if is_young(&ring) {
            return Ok(ring);
        }
        // one reads, the others wait for it
        let _reading = self.0.reading.lock().await;
        let ring = self.ring();
        if is_young(&ring) {
            return Ok(ring);
        }
        let found = async {
            let mut connection = pool.acquire().await?;
            keys::load(&mut connection, sealer).await
        };
        match found.await {
            Ok(found) => {
                let ring = Arc::new(Ring {
                    // an installation without a key looks again at the next request
                    read: (!found.is_empty()).then(Instant::now),
                    keys: found.into_iter().map(Key::of).collect(),
                });
                *self.0.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&ring);
                Ok(ring)
            }
            Err(_) if !ring.keys.is_empty() => Ok(ring),
            Err(error) => Err(error),
        }
    }
}

impl Key {
    fn of(key: SigningKey) -> Self {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        Self {
            jwk: json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": key.kid,
                "n": URL_SAFE_NO_PAD.encode(&key.modulus), "e": URL_SAFE_NO_PAD.encode(&key.exponent),
            }),
            checking: DecodingKey::from_rsa_raw_components(&key.modulus, &key.exponent),
            signing: EncodingKey::from_rsa_der(&key.private),
            kid: key.kid,
            signs_from: key.signs_from,
            verify_until: key.verify_until,
        }
    }
}

impl Ring {
    /// The newest key whose time has come.
    pub(crate) fn signing(&self) -> Option<(&str, &EncodingKey)> {
        let now = OffsetDateTime::now_utc();
        self.keys
            .iter()
            .find(|key| key.signs_from <= now)
            .map(|key| (key.kid.as_str(), &key.signing))
    }

    /// The key of that id, while it verifies.
    pub(crate) fn checking(&self, kid: &str) -> Option<&DecodingKey> {
        let now = OffsetDateTime::now_utc();
        self.keys
            .iter()
            .find(|key| key.kid == kid && key.verify_until > now)
            .map(|key| &key.checking)
    }

    /// RFC 7517 §5.
    pub(crate) fn jwks(&self) -> Vec<Value> {
        self.keys.iter().map(|key| key.jwk.clone()).collect()
    }
}
