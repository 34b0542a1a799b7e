//! What stands in the bucket for a request, for its body and for its condition. A body may hold a password, a condition the number of a
//! patient: of them there stands nothing that tells, to who has not the secret of the installation, whether a guess is right.

use ring::digest::{Context, SHA256};
use worker_identity::sealing::Sealer;

use crate::auth::identity::Identity;

/// Lower-case hex SHA-256 of parts that stay apart: names of entries, which are the same under every secret, so that what was
/// done is found whatever became of the secret. No part may be one that has to stay unknown.
pub(crate) fn digest(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        // lengths keep parts apart
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    hex(context.finish().as_ref())
}

/// Lower-case hex HMAC-SHA-256 of parts that stay apart: names of entries of which a part may be guessed, as the number of a patient in
/// a condition. Under another secret the entry has another name.
pub(crate) fn keyed_digest(sealer: &Sealer, parts: &[&[u8]]) -> String {
    let mut text = Vec::new();
    for part in parts {
        // lengths keep parts apart
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    hex(&sealer.digest("idempotency condition", &text))
}

pub(super) fn digest_of_scope(who: &Identity, route: &str, key: &str) -> String {
    digest(&[
        who.tenant.as_str().as_bytes(),
        who.id.as_bytes(),
        route.as_bytes(),
        key.as_bytes(),
    ])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// How a digest on record stands to a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    Other,
    /// It was made under another secret: nobody can tell.
    Unknown,
}

/// A body as it is compared with one that came before: HMAC-SHA-256 in hex, after a name of the secret.
pub(super) struct BodyDigest<'a> {
    body: &'a [u8],
    text: String,
}

impl<'a> BodyDigest<'a> {
    pub(super) fn of(sealer: &Sealer, body: &'a [u8]) -> Self {
        // enough of it to tell secrets apart
        let secret = &sealer.digest("idempotency secret", b"")[..8];
        let body_digest = sealer.digest("idempotency body", body);
        Self {
            body,
            text: format!("{}.{}", hex(secret), hex(&body_digest)),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Entries of the day before an update have a digest without a key. They are compared by it, so that what is sent again over
    /// an update is answered as it was. (A process of the release before takes a digest of this one for another body's: it
    /// refuses, and does nothing twice.)
    pub(super) fn compared(&self, noted: &str) -> Compared {
        let is_same = match secret_of(noted) {
            None => noted == digest(&[self.body]),
            of if of == secret_of(&self.text) => noted == self.text,
            Some(_) => return Compared::Unknown,
        };
        if is_same {
            Compared::Same
        } else {
            Compared::Other
        }
    }
}

/// The name of the secret that a digest was made under; one of before has none.
fn secret_of(digest: &str) -> Option<&str> {
    digest.split_once('.').map(|(secret, _)| secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_digest_do_not_run_into_each_other() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"ab"]).len(), 64);
    }

    #[test]
    fn a_name_that_could_be_guessed_is_of_its_parts_and_of_the_secret() {
        let (sealer, changed) = (Sealer::new(&[1; 32]), Sealer::new(&[2; 32]));
        let name = keyed_digest(&sealer, &[b"ab", b"c"]);
        assert_eq!(name, keyed_digest(&sealer, &[b"ab", b"c"]));
        assert_eq!(name.len(), 64);
        for other in [
            keyed_digest(&sealer, &[b"a", b"bc"]),
            keyed_digest(&changed, &[b"ab", b"c"]),
            digest(&[b"ab", b"c"]),
        ] {
            assert_ne!(name, other);
        }
    }

    #[test]
    fn a_body_is_known_again_under_its_secret_and_by_a_digest_of_before() {
        let (sealer, changed) = (Sealer::new(&[1; 32]), Sealer::new(&[2; 32]));
        let body = BodyDigest::of(&sealer, b"body");
        let other = BodyDigest::of(&sealer, b"other");
        assert_eq!(body.compared(body.text()), Compared::Same);
        assert_eq!(other.compared(body.text()), Compared::Other);
        let before = digest(&[b"body"]);
        assert_eq!(body.compared(&before), Compared::Same);
        assert_eq!(other.compared(&before), Compared::Other);
        let elsewhere = BodyDigest::of(&changed, b"body");
        assert_eq!(elsewhere.compared(body.text()), Compared::Unknown);
        assert!(!body.text().contains(&before));
    }
}
