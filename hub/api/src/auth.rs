//! Who asks, and what he may do: passwords, access tokens, permissions, and the brake on guessing.
//!
//! A token carries the user's permissions and lives for [`TOKEN_LIFETIME`]; a right that is taken away
//! therefore ends with the token. Sessions, refresh and key rotation come with the identity issue.

pub mod bootstrap;
pub(crate) mod identity;
mod mac;
pub(crate) mod password;
pub mod permission;
pub(crate) mod throttle;
pub mod tokens;

pub use bootstrap::{BootstrapError, bootstrap_admin};
pub use permission::PERMISSIONS;
pub use tokens::{TOKEN_LIFETIME, TokenKeys, WeakSecret};
