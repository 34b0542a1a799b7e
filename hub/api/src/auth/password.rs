//! Passwords: argon2id, off the async threads, never more than two at once (19 MiB and a core each).

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use tokio::sync::Semaphore;

/// Memory and processor time of sign-ins have a bound, whatever the number of callers.
static SLOTS: Semaphore = Semaphore::const_new(2);

/// Longest password that is hashed; longer ones are no password (NIST 800-63B asks for at least 64).
pub(crate) const MAX_PASSWORD: usize = 1_024;

/// Hash of no one's password, with the parameters of the real ones: an unknown user takes as long as a known one.
static DECOY: LazyLock<String> =
    LazyLock::new(|| hash_now("no one has this password").unwrap_or_default());

/// Hashes a password into a PHC string (argon2id, the crate's parameters: 19 MiB, two passes).
pub(crate) async fn hash(password: String) -> Result<String, HashError> {
    let _slot = SLOTS.acquire().await.map_err(|_| HashError)?;
    tokio::task::spawn_blocking(move || hash_now(&password))
        .await
        .map_err(|_| HashError)?
}

/// True when the password fits the hash; with `None` it takes the same time and is false.
pub(crate) async fn verify(password: String, hash: Option<String>) -> Result<bool, HashError> {
    let _slot = SLOTS.acquire().await.map_err(|_| HashError)?;
    tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let phc = hash.unwrap_or_else(|| DECOY.clone());
        let fits = PasswordHash::new(&phc).is_ok_and(|parsed| {
            Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok()
        });
        fits && known
    })
    .await
    .map_err(|_| HashError)
}

/// Makes the decoy ahead of the first sign-in.
pub(crate) fn prepare() {
    LazyLock::force(&DECOY);
}

fn hash_now(password: &str) -> Result<String, HashError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|phc| phc.to_string())
        .map_err(|_| HashError)
}

/// The hash could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashError;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_itself_fits_its_hash() {
        let phc = hash("correct horse".to_owned()).await.unwrap();
        assert!(phc.starts_with("$argon2id$"), "{phc}");
        assert!(
            verify("correct horse".to_owned(), Some(phc.clone()))
                .await
                .unwrap()
        );
        assert!(!verify("correct horsf".to_owned(), Some(phc)).await.unwrap());
        assert!(
            !verify("no one has this password".to_owned(), None)
                .await
                .unwrap()
        );
        assert!(
            !verify("x".to_owned(), Some("not a hash".to_owned()))
                .await
                .unwrap()
        );
    }
}
