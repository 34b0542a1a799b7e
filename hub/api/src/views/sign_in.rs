//! Passkeys, and people at identity providers. Nothing here is a secret, but what is shown once.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries;

/// A passkey of a user.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b93", "name": "Telephone", "synced": true,
    "created_at": "2026-01-31T08:30:00Z", "last_used_at": "2026-02-01T07:58:11Z"
}))]
pub(crate) struct Passkey {
    pub id: Uuid,
    /// As its owner calls it.
    pub name: String,
    /// It exists on more than one device.
    pub synced: bool,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_used_at: Option<OffsetDateTime>,
}

impl Passkey {
    pub(crate) fn of(row: queries::PasskeyRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            synced: row.synced,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// What the page hands to the browser.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "ceremony": "AWx0c2…", "expires_in": 300,
    "options": { "challenge": "kW7pZ2mXq9RtB4vNcY6dHw", "rpId": "hospital.example", "userVerification": "required", "timeout": 300000 }
}))]
pub(crate) struct PasskeyCeremony {
    /// Comes back with the answer; good once.
    pub ceremony: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON()` or `parseRequestOptionsFromJSON()` (WebAuthn Level 3 §5.1).
    #[schema(value_type = Object)]
    pub options: serde_json::Value,
    /// Seconds.
    pub expires_in: i64,
}

/// That a passkey was added.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b93", "name": "Telephone" }))]
pub(crate) struct NewPasskey {
    pub id: Uuid,
    pub name: String,
}

/// A way in beside the password.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": "staff", "name": "Staff account", "issuer": "https://sso.hospital.example/realms/staff" }))]
pub(crate) struct IdentityProvider {
    /// For `POST /auth/oidc/start`.
    pub id: String,
    /// What the button says.
    pub name: String,
    pub issuer: String,
}

/// Where somebody is sent to prove who he is.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "authorization_url": "https://sso.hospital.example/realms/staff/auth?response_type=code&client_id=hub&state=…",
    "flow": "AWx0c2…", "expires_in": 300
}))]
pub(crate) struct ProviderFlow {
    /// The page goes there.
    pub authorization_url: String,
    /// The page keeps it (sessionStorage) until he is back; good once.
    pub flow: String,
    /// Seconds.
    pub expires_in: i64,
}

/// A person at an identity provider who is this user.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b94", "provider": "staff", "issuer": "https://sso.hospital.example/realms/staff",
    "subject": "24400320", "linked": "invitation", "linked_by": "asha.sharma", "created_at": "2026-01-31T08:30:00Z"
}))]
pub(crate) struct LinkedIdentity {
    pub id: Uuid,
    pub provider: String,
    pub issuer: String,
    /// The provider's name for the person, which never changes.
    pub subject: String,
    /// `self`, `invitation` or `claim`
    pub linked: String,
    pub linked_by: String,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    pub last_used_at: Option<OffsetDateTime>,
}

impl LinkedIdentity {
    pub(crate) fn of(row: queries::SubjectRow) -> Self {
        Self {
            id: row.id,
            provider: row.provider,
            issuer: row.issuer,
            subject: row.subject,
            linked: row.linked,
            linked_by: row.linked_by,
            created_at: row.created_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// That a person at a provider is this user from now on.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b94", "provider": "staff" }))]
pub(crate) struct NewLink {
    pub id: Uuid,
    pub provider: String,
}

/// What somebody shows once to become known, which is shown this once.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({ "id": "018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c", "invitation": "hi.mZ0v…", "expires_at": "2026-02-03T08:30:00Z" }))]
pub(crate) struct IdentityInvitation {
    /// The user.
    pub id: Uuid,
    /// For `POST /auth/oidc/start`.
    pub invitation: String,
    /// It is no good after this.
    #[serde(with = "time::serde::rfc3339")]
    pub expires_at: OffsetDateTime,
}
