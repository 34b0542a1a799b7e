//! The master key: it wraps data keys and nothing else. Here what one is, and one that the configuration gives (environment,
//! file); `transit.rs` has one that never leaves a key service.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom as _, SystemRandom};
use schemas::TenantId;
use sha2::{Digest as _, Sha256};

/// Why a key was not wrapped or unwrapped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterError {
    #[error("a master key is 32 bytes, in base64 or hex: openssl rand -base64 32")]
    Form,
    #[error("it was wrapped under another master key")]
    NotMine,
    /// The key service is not there, sealed, does not believe us, or answers nonsense: asked again it may answer otherwise.
    #[error("{0}")]
    Away(String),
    /// The key service answers, and says no to this key: asked again it says no again.
    #[error("{0}")]
    Refused(String),
    #[error("the system's generator or the cipher failed")]
    Cipher,
}

/// Wraps data keys.
#[async_trait]
pub trait MasterKey: Send + Sync {
    /// Names it without telling it: stands with what it wrapped.
    fn name(&self) -> String;

    /// Which version of it wrapped this. A key of a file has none: a new one is another key, with another name.
    fn version(&self, _wrapped: &[u8]) -> Option<u32> {
        None
    }

    /// It is asked over a network, so it may be away tomorrow.
    fn is_remote(&self) -> bool {
        false
    }

    /// Does what keeps the right to ask alive. Whether it helped shows with the next question.
    async fn stay(&self) {}

    /// Wraps a tenant's key, under the newest version.
    async fn wrap(&self, tenant: &TenantId, key: &[u8; 32]) -> Result<Vec<u8>, MasterError>;

    /// The key that was wrapped for that tenant.
    async fn unwrap(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<[u8; 32], MasterError>;

    /// The same key of that tenant, wrapped under the newest version.
    async fn rewrap(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<Vec<u8>, MasterError> {
        let key = self.unwrap(tenant, wrapped).await?;
        self.wrap(tenant, &key).await
    }
}

/// A master key in this process.
pub struct LocalMaster {
    key: LessSafeKey,
    name: String,
}

impl LocalMaster {
    /// Reads 32 bytes in base64 or hex.
    ///
    /// # Errors
    /// [`MasterError::Form`].
    pub fn parse(text: &str) -> Result<Self, MasterError> {
        let text = text.trim();
        let bytes = if text.len() == 64 {
            (0..32)
                .map(|at| {
                    text.get(at * 2..at * 2 + 2)
                        .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                })
                .collect::<Option<Vec<u8>>>()
        } else {
            BASE64.decode(text).ok()
        };
        let bytes: [u8; 32] = bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or(MasterError::Form)?;
        let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| MasterError::Cipher)?;
        let digest = Sha256::new()
            .chain_update(b"sangam master key")
            .chain_update(bytes)
            .finalize();
        Ok(Self {
            key: LessSafeKey::new(key),
            name: crate::claim::hex(&digest[..8]),
        })
    }
}

/// What binds a wrapped key to its tenant: put at another's place it does not open.
pub(super) fn belongs(tenant: &TenantId) -> Vec<u8> {
    format!("sangam data key of {tenant}").into_bytes()
}

#[async_trait]
impl MasterKey for LocalMaster {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn wrap(&self, tenant: &TenantId, key: &[u8; 32]) -> Result<Vec<u8>, MasterError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| MasterError::Cipher)?;
        let mut text = key.to_vec();
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(belongs(tenant)),
                &mut text,
            )
            .map_err(|_| MasterError::Cipher)?;
        Ok([&nonce[..], &text].concat())
    }

    async fn unwrap(&self, tenant: &TenantId, wrapped: &[u8]) -> Result<[u8; 32], MasterError> {
        let (nonce, text) = wrapped
            .split_at_checked(NONCE_LEN)
            .ok_or(MasterError::NotMine)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| MasterError::NotMine)?;
        let mut text = text.to_vec();
        self.key
            .open_in_place(nonce, Aad::from(belongs(tenant)), &mut text)
            .ok()
            .and_then(|key| <[u8; 32]>::try_from(&*key).ok())
            .ok_or(MasterError::NotMine)
    }
}
