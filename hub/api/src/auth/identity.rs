//! The caller, as his token tells.

use axum::http::{header, request::Parts};
use schemas::TenantId;

use super::permission::ALL;
use crate::observe::ActorSlot;
use crate::problem::Problem;
use crate::state::ApiState;

/// A signed-in caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) tenant: TenantId,
    /// Name that audit rows and log lines carry.
    pub(crate) username: String,
    pub(crate) permissions: Vec<String>,
}

impl Identity {
    /// Reads and checks the bearer token.
    pub(crate) fn of(parts: &Parts, state: &ApiState) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all(header::AUTHORIZATION).iter();
        let value = values
            .next()
            .ok_or_else(|| Problem::unauthenticated("this needs a bearer token"))?;
        if values.next().is_some() {
            return Err(Problem::unauthenticated(
                "more than one authorization header",
            ));
        }
        let token = value
            .to_str()
            .ok()
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim())
            .ok_or_else(|| Problem::unauthenticated("this needs a bearer token"))?;
        let identity = state
            .keys
            .verify(token)
            .ok_or_else(|| Problem::unauthenticated("the token is not valid or has expired"))?;
        if let Some(slot) = parts.extensions.get::<ActorSlot>() {
            let _ = slot.0.set(identity.username.clone());
        }
        Ok(identity)
    }

    /// True when the caller has the permission.
    pub(crate) fn may(&self, permission: &str) -> bool {
        self.permissions
            .iter()
            .any(|held| held == permission || held == ALL)
    }
}
