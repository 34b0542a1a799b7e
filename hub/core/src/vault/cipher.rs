//! Sealing and opening of one record or object: AES-256-GCM, a random nonce in front, bound to the place that it belongs to.
//!
//! A nonce is 96 random bits: a key may seal 2^32 records before two alike become likely (NIST SP 800-38D §8.3), which is more
//! than a year at a hundred records a second; `hub keys rotate-data` begins anew.

use async_nats::HeaderMap;
use bytes::{Bytes, BytesMut};
use ring::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use ring::rand::{SecureRandom as _, SystemRandom};

use super::{HEADER, VaultError};

/// Of AES-GCM.
const TAG_LEN: usize = 16;

/// Goes to one of our four streams.
pub(super) fn is_ours(subject: &str) -> bool {
    ["raw.", "event.", "command.", "dead."]
        .iter()
        .any(|stream| subject.starts_with(stream))
}

pub(super) fn without_key(headers: &HeaderMap) -> HeaderMap {
    let mut rest = HeaderMap::new();
    for (name, values) in headers.iter() {
        if name.as_ref() as &str == HEADER {
            continue;
        }
        for value in values {
            rest.append(name.clone(), value.clone());
        }
    }
    rest
}

pub(super) fn sealed(key: &LessSafeKey, belongs: &str, plain: &[u8]) -> Result<Bytes, VaultError> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new()
        .fill(&mut nonce)
        .map_err(|_| VaultError::Cipher)?;
    let mut out = BytesMut::with_capacity(NONCE_LEN + plain.len() + TAG_LEN);
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let tag = key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(belongs.as_bytes()),
            &mut out[NONCE_LEN..],
        )
        .map_err(|_| VaultError::Cipher)?;
    out.extend_from_slice(tag.as_ref());
    Ok(out.freeze())
}

pub(super) fn opened(key: &LessSafeKey, belongs: &str, sealed: &[u8]) -> Option<Bytes> {
    let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut text = text.to_vec();
    let length = key
        .open_in_place(nonce, Aad::from(belongs.as_bytes()), &mut text)
        .ok()?
        .len();
    text.truncate(length);
    Some(text.into())
}
