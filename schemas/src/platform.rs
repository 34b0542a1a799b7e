//! Customers of an installation: commands of its operators, and what follows from them. They travel under the tenant
//! [`PLATFORM`], which belongs to no customer.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::TenantId;

/// The tenant of those who run the installation. No customer can have this name.
pub const PLATFORM: &str = "platform";

/// [`PLATFORM`] as a tenant.
///
/// # Panics
/// Never: the name has the form.
#[must_use]
pub fn platform() -> TenantId {
    TenantId::new(PLATFORM).expect("the name has the form of a tenant's")
}

/// Where a customer is in his life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Noted; nobody can sign in.
    Draft,
    /// What he needs is being made.
    Provisioning,
    Trial,
    Active,
    /// Something is not paid: everything works.
    PastDue,
    /// Reads and what instruments send; nothing else is written.
    Suspended,
    /// Over. Nobody can sign in; what instruments send is still kept.
    Closed,
}

/// What may follow what. Anything else is refused.
pub const TRANSITIONS: &[(TenantState, &[TenantState])] = {
    use TenantState::{Active, Closed, Draft, PastDue, Provisioning, Suspended, Trial};
    &[
        (Draft, &[Provisioning, Closed]),
        (Provisioning, &[Trial, Active, Closed]),
        (Trial, &[Active, PastDue, Suspended]),
        (Active, &[PastDue, Suspended]),
        (PastDue, &[Active, Suspended]),
        (Suspended, &[Trial, Active, PastDue, Closed]),
        (Closed, &[]),
    ]
};

impl TenantState {
    /// Every state, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Draft,
        Self::Provisioning,
        Self::Trial,
        Self::Active,
        Self::PastDue,
        Self::Suspended,
        Self::Closed,
    ];

    /// As rows and JSON have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Provisioning => "provisioning",
            Self::Trial => "trial",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// What may follow.
    #[must_use]
    pub fn allowed(self) -> &'static [Self] {
        TRANSITIONS
            .iter()
            .find(|(from, _)| *from == self)
            .map_or(&[], |(_, to)| to)
    }

    /// People may sign in and read.
    #[must_use]
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Draft | Self::Provisioning | Self::Closed)
    }

    /// People may write.
    #[must_use]
    pub fn takes_writes(self) -> bool {
        matches!(self, Self::Trial | Self::Active | Self::PastDue)
    }
}

/// Limits by name: `users`, `api_per_minute`. `null` takes one away that the plan has.
pub type Limits = BTreeMap<String, Option<u32>>;

/// Limits that there are.
pub const LIMITS: [&str; 2] = ["users", "api_per_minute"];

bodies! {
    CreateTenant = "platform.tenant.create",
    ChangeTenant = "platform.tenant.change",
    SetTenantState = "platform.tenant.set_state",
    RecordTenantExport = "platform.tenant.record_export",
    DefinePlan = "platform.plan.define",
    TenantProvisioned = "platform.tenant.provisioned",
    TenantStateChanged = "platform.tenant.state_changed",
}

/// The first person of a new tenant, who makes the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirstAdministrator {
    pub user_id: Uuid,
    pub username: String,
    pub display_name: String,
    /// argon2id, PHC string, of a one-time password.
    pub password_hash: String,
    /// RFC 3339; the one-time password is no good after it.
    pub one_time_until: String,
}

/// `platform.tenant.create`: note a customer, and with an administrator make all he needs. The same provisioning key again
/// makes nothing again; one that was noted only is completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateTenant {
    pub tenant: TenantId,
    pub name: String,
    pub plan: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: Limits,
    pub provisioning_key: String,
    /// Absent: a draft.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administrator: Option<FirstAdministrator>,
    pub actor: String,
}

/// `platform.tenant.change`: what is given replaces what stood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeTenant {
    pub tenant: TenantId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// The version that the caller saw; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

/// `platform.tenant.set_state`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetTenantState {
    pub tenant: TenantId,
    pub state: TenantState,
    pub reason: String,
    pub actor: String,
}

/// `platform.tenant.record_export`: all that a customer has was written to files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordTenantExport {
    pub tenant: TenantId,
    /// SHA-256 (hex) of its manifest.
    pub manifest: String,
    pub rows: u64,
    pub bodies: u64,
    pub actor: String,
}

/// `platform.plan.define`: make or change a plan. It holds for all who have it, at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefinePlan {
    pub code: String,
    pub name: String,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub features: Vec<String>,
    /// The version that the caller saw, 0 when he saw none; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

/// `platform.tenant.provisioned`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantProvisioned {
    pub tenant: TenantId,
    pub plan: String,
}

/// `platform.tenant.state_changed`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TenantStateChanged {
    pub tenant: TenantId,
    pub from: TenantState,
    pub to: TenantState,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_row_and_a_closed_one_stays_closed() {
        for state in TenantState::ALL {
            assert_eq!(
                TRANSITIONS
                    .iter()
                    .filter(|(from, _)| *from == state)
                    .count(),
                1,
                "{state:?}"
            );
            assert_eq!(TenantState::parse(state.as_str()), Some(state));
            assert!(!state.allowed().contains(&state));
        }
        assert_eq!(TenantState::Closed.allowed(), []);
        assert!(!TenantState::Active.allowed().contains(&TenantState::Closed));
        assert!(TenantState::Suspended.is_open() && !TenantState::Suspended.takes_writes());
        assert!(TenantState::PastDue.takes_writes());
    }
}
