//! Customers of the installation, as those see them who run it.

use std::collections::BTreeMap;

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use worker_identity::queries::{PlanRow, TenantRow};
use worker_identity::tenants::is_near;

/// A customer.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "apollo", "name": "Apollo Clinic", "state": "trial", "allowed_states": ["active", "past_due", "suspended"], "plan": "trial",
    "limits": {}, "limits_in_force": { "users": 25, "api_per_minute": 6000 }, "features": [], "state_reason": "provisioned",
    "state_since": "2026-01-31T08:30:00Z", "version": 3, "created_by": "admin", "created_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Tenant {
    pub id: String,
    pub name: String,
    /// `draft`, `provisioning`, `trial`, `active`, `past_due`, `suspended`, `closed`
    pub state: String,
    /// What may follow.
    pub allowed_states: Vec<&'static str>,
    pub plan: String,
    /// What it has otherwise than its plan says; null takes a limit away.
    pub limits: BTreeMap<String, Option<u32>>,
    pub limits_in_force: BTreeMap<String, u32>,
    pub features: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub state_since: OffsetDateTime,
    /// Newest export of all it has.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub exported_at: Option<OffsetDateTime>,
    pub version: i32,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
}

impl Tenant {
    pub(crate) fn of(row: TenantRow) -> Self {
        Self {
            allowed_states: row.state().allowed().iter().map(|to| to.as_str()).collect(),
            limits_in_force: in_force(&row.in_force.0),
            id: row.tenant_id,
            name: row.name,
            state: row.state,
            plan: row.plan,
            limits: row.limits.0,
            features: row.features,
            state_reason: row.state_reason,
            state_since: row.state_since,
            exported_at: row.exported_at,
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
        }
    }
}

fn in_force(limits: &BTreeMap<String, Option<u32>>) -> BTreeMap<String, u32> {
    limits
        .iter()
        .filter_map(|(name, limit)| Some((name.clone(), (*limit)?)))
        .collect()
}

/// A new customer, and his first person's password.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "apollo", "state": "trial", "created": true, "administrator": "admin", "one_time_password": "kelp-7431-orbit-fern"
}))]
pub(crate) struct NewTenant {
    pub id: String,
    pub state: String,
    /// False: this provisioning key has made it before.
    pub created: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub administrator: Option<String>,
    /// Shown this once, good for 72 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_time_password: Option<String>,
}

/// What a customer may have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "trial", "name": "Trial", "limits": { "users": 25, "api_per_minute": 6000 }, "features": [], "version": 1,
    "updated_by": "hub", "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Plan {
    pub code: String,
    pub name: String,
    pub limits: BTreeMap<String, u32>,
    pub features: Vec<String>,
    pub version: i32,
    pub updated_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

impl Plan {
    pub(crate) fn of(row: PlanRow) -> Self {
        Self {
            limits: in_force(&row.limits.0),
            code: row.code,
            name: row.name,
            features: row.features,
            version: row.version,
            updated_by: row.updated_by,
            updated_at: row.updated_at,
        }
    }
}

/// A limit of a plan, and how much of it is used.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "limit": "users", "used": 33, "most": 40, "near": true }))]
pub(crate) struct PlanLimit {
    /// `users`, `api_per_minute`
    pub limit: &'static str,
    /// Users who are not disabled; requests of the last minute that the process that answers has taken.
    pub used: u32,
    pub most: u32,
    /// Four fifths are used, or more.
    pub near: bool,
}

impl PlanLimit {
    pub(crate) fn of(limit: &'static str, used: u32, most: u32) -> Self {
        Self {
            limit,
            used,
            most,
            near: is_near(used, most),
        }
    }
}
