//! Who asks, and what he may do: passwords, second factors, tokens, permissions, and the brake on guessing.
//!
//! Reads and proves; writes nothing (the first administrator aside): what changes is a command to `worker_identity`.

mod access;
pub mod bootstrap;
pub(crate) mod ceremony;
pub(crate) mod chart;
pub(crate) mod clinic;
pub(crate) mod identity;
pub(crate) mod keyring;
pub(crate) mod oidc;
pub(crate) mod passkey;
pub(crate) mod password;
pub mod permission;
pub(crate) mod policy;
mod rs256;
pub(crate) mod secrets;
pub(crate) mod sign_in;
pub(crate) mod throttle;
pub(crate) mod tokens;
pub(crate) mod totp;

pub(crate) use access::Access;
pub use bootstrap::{BootstrapError, bootstrap_admin, one_time_password};
pub use keyring::{TokenKeys, WeakSecret};
pub use oidc::Provider;
pub use permission::PERMISSIONS;
pub use tokens::TOKEN_LIFETIME;
