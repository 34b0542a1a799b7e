//! Sealing: what must lie in the database and must not be read there (private keys, TOTP secrets).
//!
//! AES-256-GCM under a key made of `[api] token_secret` (HKDF-SHA-256), which is not in the database. Each text is bound
//! to where it belongs, so that a sealed secret that was moved to another row does not open. Whoever changes the
//! secret loses what was sealed: keys are made anew, second factors have to be enrolled again.
//!
//! And digests of what may be guessed (a body with a password in it), under another key of the same secret: they tell whether
//! two texts are the same, and tell nothing to who has not the secret.

use std::sync::Arc;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};

/// First byte of whatever is sealed this way.
const FORM: u8 = 1;

/// Seals, opens and digests.
#[derive(Clone)]
pub struct Sealer(Arc<Keys>);

/// One key for each use: what is learned of one says nothing of the other.
struct Keys {
    sealing: LessSafeKey,
    digests: hmac::Key,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

/// The system's generator or the cipher failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealing failed")]
pub struct SealError;

impl Sealer {
    /// From the installation's secret.
    ///
    /// # Panics
    /// Never: the lengths asked for are the keys'.
    #[must_use]
    pub fn new(secret: &[u8]) -> Self {
        let prk = Salt::new(HKDF_SHA256, b"sangam identity").extract(secret);
        let sealing: UnboundKey = prk
            .expand(&[b"sealing v1"], &AES_256_GCM)
            .expect("the length of an AES-256 key is one that HKDF gives")
            .into();
        let digests: hmac::Key = prk
            .expand(&[b"digests v1"], HMAC_SHA256)
            .expect("the length of an HMAC-SHA-256 key is one that HKDF gives")
            .into();
        Self(Arc::new(Keys {
            sealing: LessSafeKey::new(sealing),
            digests,
        }))
    }

    /// Seals `plain` for the place that `belongs` names.
    ///
    /// # Errors
    /// [`SealError`].
    pub fn seal(&self, belongs: &str, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError)?;
        let mut text = plain.to_vec();
        self.0
            .sealing
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(belongs.as_bytes()),
                &mut text,
            )
            .map_err(|_| SealError)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + text.len());
        sealed.push(FORM);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&text);
        Ok(sealed)
    }

    /// What was sealed for that place under this secret; `None` for anything else.
    #[must_use]
    pub fn open(&self, belongs: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let (&form, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let plain = self
            .0
            .sealing
            .open_in_place(nonce, Aad::from(belongs.as_bytes()), &mut text)
            .ok()?;
        (form == FORM).then(|| plain.to_vec())
    }

    /// HMAC-SHA-256 of `text`, for the use that `belongs` names.
    #[must_use]
    pub fn digest(&self, belongs: &str, text: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0.digests);
        // the length keeps the two apart
        context.update(&(belongs.len() as u64).to_be_bytes());
        context.update(belongs.as_bytes());
        context.update(text);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens_it_and_only_at_its_place() {
        let sealer = Sealer::new(&[1; 32]);
        let sealed = sealer.seal("factor a", b"secret").unwrap();
        assert!(!sealed.windows(6).any(|part| part == b"secret"));
        assert_eq!(
            sealer.open("factor a", &sealed).as_deref(),
            Some(&b"secret"[..])
        );
        assert_eq!(sealer.open("factor b", &sealed), None);
        assert_eq!(Sealer::new(&[2; 32]).open("factor a", &sealed), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(sealer.open("factor a", &damaged), None, "{at}");
        }
        assert_eq!(sealer.open("factor a", &[]), None);
        assert_ne!(sealer.seal("x", b"y"), sealer.seal("x", b"y"));
    }

    #[test]
    fn a_digest_is_of_one_text_one_use_and_one_secret() {
        let sealer = Sealer::new(&[1; 32]);
        let digest = sealer.digest("body", b"text");
        assert_eq!(Sealer::new(&[1; 32]).digest("body", b"text"), digest);
        assert_ne!(Sealer::new(&[2; 32]).digest("body", b"text"), digest);
        assert_ne!(sealer.digest("body", b"texts"), digest);
        assert_ne!(sealer.digest("bodyt", b"ext"), digest);
    }
}
