//! Secrets, given in the open or by reference. Never shown, not even by `{:?}`.

use serde::Deserialize;

/// A secret, or where it is.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// A secret given in the open (tests, `hub dev`).
    pub fn literal(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: `env:NAME` and `file:/path` are followed.
    ///
    /// # Errors
    /// A sentence that names the reference, never the value.
    pub fn resolve(&self) -> Result<String, String> {
        if let Some(name) = self.0.strip_prefix("env:") {
            std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))
        } else if let Some(path) = self.0.strip_prefix("file:") {
            std::fs::read_to_string(path)
                .map(|text| text.trim_end().to_owned())
                .map_err(|error| format!("secret file {path}: {error}"))
        } else {
            Ok(self.0.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::literal("hunter2")), "Secret(…)");
        assert!(
            Secret::literal("env:HUB_TEST_NO_SUCH")
                .resolve()
                .unwrap_err()
                .contains("HUB_TEST_NO_SUCH")
        );
    }
}
