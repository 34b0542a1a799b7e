//! Users, roles, grants, sessions, API clients and broken glass. Nothing here is a secret, but what is shown once.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries;
use worker_identity::roles::BuiltInRole;

use super::tenants::PlanLimit;
use crate::auth::identity::Place;

/// A user.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "username": "asha.sharma", "display_name": "Asha Sharma", "state": "active",
    "must_change_password": false, "second_factor": true, "permissions": [], "version": 3, "created_by": "admin",
    "created_at": "2026-01-31T08:30:00Z", "updated_at": "2026-01-31T08:30:00Z", "last_sign_in": "2026-02-01T07:58:11Z"
}))]
pub(crate) struct User {
    pub id: Uuid,
    /// Never changed, never given to another person.
    pub username: String,
    pub display_name: String,
    /// `active`, `locked`, `disabled`
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    pub must_change_password: bool,
    /// A second factor is enrolled.
    pub second_factor: bool,
    /// Given without a role: the first administrator's.
    pub permissions: Vec<String>,
    /// For `If-Match`.
    pub version: i32,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_sign_in: Option<OffsetDateTime>,
}

impl User {
    pub(crate) fn of(row: queries::UserRow) -> Self {
        Self {
            id: row.id,
            username: row.username,
            display_name: row.display_name,
            state: row.state,
            state_reason: row.state_reason,
            must_change_password: row.must_change,
            second_factor: row.has_factor,
            permissions: row.permissions,
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_sign_in: row.last_sign_in,
        }
    }
}

/// A user with the password for the first sign-in, which is shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "one_time_password": "kW7pZ2mXq9RtB4vNcY6d", "expires_at": "2026-02-03T08:30:00Z"
}))]
pub(crate) struct OneTimePassword {
    /// The user.
    pub id: Uuid,
    pub one_time_password: String,
    /// It is no good after this.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}

/// A role.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "night_nurse", "name": "Nurse, night", "permissions": ["patients:read", "results:read"], "built_in": false,
    "state": "active", "version": 2
}))]
pub(crate) struct Role {
    pub code: String,
    pub name: String,
    /// `*` stands for every permission, present and to come.
    pub permissions: Vec<String>,
    /// It comes with the program and can't be changed.
    pub built_in: bool,
    /// `active` or `retired`
    pub state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
}

impl Role {
    pub(crate) fn built_in(role: &BuiltInRole) -> Self {
        Self {
            code: role.code.clone(),
            name: role.name.clone(),
            permissions: role.permissions.clone(),
            built_in: true,
            state: "active".to_owned(),
            version: None,
        }
    }

    pub(crate) fn own(row: queries::RoleRow) -> Self {
        Self {
            code: row.code,
            name: row.name,
            permissions: row.permissions,
            built_in: false,
            state: row.state,
            version: Some(row.version),
        }
    }
}

/// A role of a user, at a place, for a time.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8d", "user_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "role": "nurse",
    "facility": "MAIN", "department": "ICU", "starts_at": "2026-01-31T08:30:00Z", "granted_by": "admin", "in_force": true
}))]
pub(crate) struct Grant {
    pub id: Uuid,
    pub user_id: Uuid,
    /// Code of the role.
    pub role: String,
    /// Absent: the whole hospital.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    /// Absent: the whole facility.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub starts_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ends_at: Option<OffsetDateTime>,
    pub granted_by: String,
    /// When somebody ended it.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// It gives something now.
    pub in_force: bool,
}

impl Grant {
    pub(crate) fn of(row: queries::GrantRow) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            in_force: row.ended_at.is_none()
                && row.starts_at <= now
                && row.ends_at.is_none_or(|end| end > now),
            id: row.id,
            user_id: row.user_id,
            role: row.role,
            facility: row.facility,
            department: row.department,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            granted_by: row.granted_by,
            ended_at: row.ended_at,
            ended_by: row.ended_by,
            end_reason: row.end_reason,
        }
    }
}

/// One sign-in and what followed from it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8e", "amr": ["pwd", "otp"], "peer": "10.1.4.22", "agent": "Mozilla/5.0",
    "created_at": "2026-01-31T08:30:00Z", "last_used_at": "2026-01-31T11:15:00Z", "expires_at": "2026-02-07T08:30:00Z", "current": true
}))]
pub(crate) struct Session {
    pub id: Uuid,
    /// How it was proved (RFC 8176): `pwd`, `otp`, `kba` (a recovery code), `pop` and `mfa` (a passkey); `federated`: an
    /// identity provider vouched for him.
    pub amr: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub last_used_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub ended_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<String>,
    /// The one that asks.
    pub current: bool,
}

impl Session {
    pub(crate) fn of(row: queries::SessionRow, current: Option<Uuid>) -> Self {
        Self {
            current: current == Some(row.id),
            id: row.id,
            amr: row.amr,
            peer: row.peer,
            agent: row.agent,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
            end_reason: row.end_reason,
        }
    }
}

/// Who asks, and what he may do now.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "username": "asha.sharma", "tenant": "demo", "amr": ["pwd"],
    "must_change_password": false, "permissions": [{ "permission": "results:read", "facility": "MAIN", "department": "ICU" }],
    "features": ["appointments", "pharmacy"], "plan_limits": [{ "limit": "users", "used": 33, "most": 40, "near": true }]
}))]
pub(crate) struct Me {
    pub id: Uuid,
    pub username: String,
    pub tenant: String,
    pub amr: Vec<String>,
    pub must_change_password: bool,
    pub permissions: Vec<HeldPermission>,
    /// Parts of the product that the hospital's plan names, for apps: what to show and what not. The hub refuses nothing for them: a
    /// plan never stands between a patient and his care.
    pub features: Vec<String>,
    /// For who may see users in the whole hospital: what the plan limits, and how much of it is used.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plan_limits: Vec<PlanLimit>,
}

/// A permission, and where it holds.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "permission": "results:read", "facility": "MAIN", "department": "ICU" }))]
pub(crate) struct HeldPermission {
    pub permission: String,
    /// Absent: the whole hospital.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
}

impl HeldPermission {
    pub(crate) fn of((permission, place): (String, Option<Place>)) -> Self {
        let (facility, department) = place.map_or((None, None), |place| {
            (Some(place.facility), place.department)
        });
        Self {
            permission,
            facility,
            department,
        }
    }
}

/// A secret for an authenticator app, which is shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
    "uri": "otpauth://totp/Sangam:demo%2Fasha?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Sangam&algorithm=SHA1&digits=6&period=30"
}))]
pub(crate) struct TotpSecret {
    /// base32
    pub secret: String,
    /// For a QR code.
    pub uri: String,
}

/// Codes for the day the telephone is lost; each good once, shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "recovery_codes": ["kW7p-Z2mX-q9Rt", "B4vN-cY6d-Hs3f"] }))]
pub(crate) struct RecoveryCodes {
    pub recovery_codes: Vec<String>,
}

/// A program.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f", "client_id": "demo.018f3c1e7a5c7c3e9b1a2f4d5e6a7b8f", "name": "ward-board",
    "permissions": ["encounters:read"], "allowed_from": ["10.1.0.0/16"], "rate_per_minute": 600, "state": "active",
    "secrets": [{ "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90", "created_at": "2026-01-31T08:30:00Z" }],
    "version": 1, "created_by": "admin", "created_at": "2026-01-31T08:30:00Z", "updated_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct Client {
    pub id: Uuid,
    /// What the program calls itself at the token endpoint.
    pub client_id: String,
    pub name: String,
    /// Its scopes.
    pub permissions: Vec<String>,
    /// Networks; empty: from anywhere.
    pub allowed_from: Vec<String>,
    pub rate_per_minute: i32,
    /// `active` or `disabled`
    pub state: String,
    /// Those that hold now; only when one client is read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<ClientSecret>,
    pub version: i32,
    pub created_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// That there is a secret, not the secret.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b90", "created_at": "2026-01-31T08:30:00Z" }))]
pub(crate) struct ClientSecret {
    pub id: Uuid,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// A newer one took its place; it holds until then.
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<OffsetDateTime>,
}

impl Client {
    pub(crate) fn of(
        tenant: &schemas::TenantId,
        row: queries::ClientRow,
        secrets: Vec<queries::ClientSecret>,
    ) -> Self {
        Self {
            client_id: crate::auth::secrets::client_name(tenant, row.id),
            id: row.id,
            name: row.name,
            permissions: row.permissions,
            allowed_from: row.allowed_from,
            rate_per_minute: row.rate_per_minute,
            state: row.state,
            secrets: secrets
                .into_iter()
                .map(|secret| ClientSecret {
                    id: secret.id,
                    created_at: secret.created_at,
                    expires_at: secret.expires_at,
                })
                .collect(),
            version: row.version,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A program's secret, which is shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8f", "client_id": "demo.018f3c1e7a5c7c3e9b1a2f4d5e6a7b8f", "client_secret": "hs.mZ0v…"
}))]
pub(crate) struct NewSecret {
    /// The client.
    pub id: Uuid,
    pub client_id: String,
    pub client_secret: String,
}

/// A chart that was opened in an emergency.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b91", "user_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "username": "asha.sharma",
    "patient_id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b92", "reason": "unconscious, allergies unknown",
    "opened_at": "2026-01-31T02:11:00Z", "expires_at": "2026-01-31T06:11:00Z", "state": "open"
}))]
pub(crate) struct BrokenGlass {
    pub id: Uuid,
    pub user_id: Uuid,
    pub username: String,
    pub patient_id: Uuid,
    pub reason: String,
    #[serde(with = "time::serde::rfc3339")]
    pub opened_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
    /// `open` until somebody else has looked at it, then `reviewed`.
    pub state: &'static str,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub reviewed_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reviewed_by: Option<String>,
    /// `justified` or `not_justified`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl BrokenGlass {
    pub(crate) fn of(row: queries::GlassRow) -> Self {
        Self {
            state: if row.reviewed_at.is_some() {
                "reviewed"
            } else {
                "open"
            },
            id: row.id,
            user_id: row.user_id,
            username: row.username,
            patient_id: row.patient_id,
            reason: row.reason,
            opened_at: row.opened_at,
            expires_at: row.expires_at,
            reviewed_at: row.reviewed_at,
            reviewed_by: row.reviewed_by,
            finding: row.finding,
            note: row.note,
        }
    }
}
