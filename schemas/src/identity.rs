//! Commands of identity and access, and what follows from them.
//!
//! No body carries a secret in the clear: passwords as argon2id, tokens and codes as SHA-256 of what was random, shared
//! secrets sealed. Each names who acts, so that the worker can refuse a checker who is the maker.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

bodies! {
    CreateUser = "users.user.create",
    ChangeUser = "users.user.change",
    SetUserState = "users.user.set_state",
    SetPassword = "users.password.set",
    DefineRole = "users.role.define",
    GiveGrant = "users.grant.give",
    EndGrant = "users.grant.end",
    OpenSession = "auth.session.open",
    RotateSession = "auth.session.rotate",
    EndSessions = "auth.session.end",
    EnrolFactor = "auth.factor.enrol",
    ConfirmFactor = "auth.factor.confirm",
    ProveFactor = "auth.factor.prove",
    RemoveFactor = "auth.factor.remove",
    CreateClient = "auth.client.create",
    ChangeClient = "auth.client.change",
    RotateClientSecret = "auth.client.rotate_secret",
    BreakGlass = "auth.glass.break",
    ReviewGlass = "auth.glass.review",
    GrantChanged = "auth.grant.changed",
    GlassBroken = "auth.glass.broken",
}

/// `users.user.create`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateUser {
    pub user_id: Uuid,
    /// Lower case; never changed and never given to another person.
    pub username: String,
    pub display_name: String,
    /// argon2id, PHC string, of a one-time password.
    pub password_hash: String,
    /// RFC 3339; the one-time password is no good after it.
    pub one_time_until: String,
    pub actor: String,
}

/// `users.user.change`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeUser {
    pub user_id: Uuid,
    pub display_name: String,
    /// The version that the caller saw; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

/// May a user come in?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserState {
    Active,
    /// Shut out for a while, by a person; nobody's guessing leads here.
    Locked,
    /// No longer works here.
    Disabled,
}

impl UserState {
    /// As rows and JSON have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Disabled => "disabled",
        }
    }
}

/// `users.user.set_state`: lock, unlock, disable, enable. Whatever is not `active` ends all sessions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetUserState {
    pub user_id: Uuid,
    pub state: UserState,
    pub reason: String,
    pub actor: String,
}

/// `users.password.set`: ends all sessions of the user but the one that asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetPassword {
    pub user_id: Uuid,
    /// argon2id, PHC string.
    pub password_hash: String,
    /// SHA-256 (hex) of the stored hash that was checked: of two changes at once one is refused. Absent: a reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// RFC 3339; set for a one-time password: it must be changed, and is no good after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_time_until: Option<String>,
    /// The session that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_session: Option<Uuid>,
    pub actor: String,
}

/// `users.role.define`: make, change or retire a role of the tenant's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DefineRole {
    pub code: String,
    pub name: String,
    /// `resource:action`.
    pub permissions: Vec<String>,
    /// True: grants of it give nothing any more.
    #[serde(default)]
    pub retired: bool,
    /// The version that the caller saw, 0 when he saw none; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

/// `users.grant.give`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GiveGrant {
    pub grant_id: Uuid,
    pub user_id: Uuid,
    /// Code of a built-in or own role.
    pub role: String,
    /// Absent: the whole tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    /// Absent: the whole facility.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
    /// RFC 3339; absent: from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<String>,
    /// RFC 3339; absent: until it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<String>,
    pub actor: String,
}

/// `users.grant.end`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndGrant {
    pub grant_id: Uuid,
    pub reason: String,
    pub actor: String,
}

/// `auth.session.open`: somebody signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenSession {
    pub session_id: Uuid,
    pub user_id: Uuid,
    /// RFC 8176: `pwd`, `otp`, `kba` (a recovery code), `pop` and `mfa` (a passkey); `federated`: an identity provider.
    pub amr: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// SHA-256 (hex) of the first refresh token.
    pub refresh_digest: String,
    /// RFC 3339.
    pub refresh_until: String,
    /// RFC 3339: no token outlives it.
    pub expires_at: String,
    pub actor: String,
}

/// `auth.session.rotate`: a refresh token is used up for the next one. The answer's `outcome` is `rotated`, `reused`
/// (an old one came again: the session is ended) or `ended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotateSession {
    pub session_id: Uuid,
    /// SHA-256 (hex) of the token that was shown.
    pub presented: String,
    /// SHA-256 (hex) of the next one.
    pub next: String,
    /// RFC 3339.
    pub next_until: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    pub actor: String,
}

/// `auth.session.end`: sign out, or have somebody signed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndSessions {
    pub user_id: Uuid,
    /// Absent: all of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<Uuid>,
    pub reason: String,
    pub actor: String,
}

/// `auth.factor.enrol`: a TOTP secret that waits for its first code. One that waited before is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EnrolFactor {
    pub factor_id: Uuid,
    pub user_id: Uuid,
    /// base64 of the sealed secret.
    pub sealed: String,
    pub actor: String,
}

/// `auth.factor.confirm`: the first code was right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfirmFactor {
    pub factor_id: Uuid,
    pub user_id: Uuid,
    /// The step of the code (RFC 6238); it can't be used again.
    pub step: i64,
    /// SHA-256 (hex) of each recovery code.
    pub recovery: Vec<String>,
    /// The session that goes on; the others were opened without it and end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_session: Option<Uuid>,
    pub actor: String,
}

/// `auth.factor.prove`: a code is used up. Refused when it, or a later one, was used before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProveFactor {
    pub factor_id: Uuid,
    /// Step of a TOTP code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
    /// SHA-256 (hex) of a recovery code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<String>,
    pub actor: String,
}

/// `auth.factor.remove`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemoveFactor {
    pub user_id: Uuid,
    pub reason: String,
    pub actor: String,
}

/// `auth.client.create`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreateClient {
    pub client_id: Uuid,
    pub name: String,
    pub permissions: Vec<String>,
    /// CIDR networks; empty: from anywhere.
    #[serde(default)]
    pub allowed_from: Vec<String>,
    pub rate_per_minute: i32,
    pub secret_id: Uuid,
    /// SHA-256 (hex).
    pub secret_digest: String,
    pub actor: String,
}

/// `auth.client.change`: what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeClient {
    pub client_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_from: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_per_minute: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

/// `auth.client.rotate_secret`: a new secret; those before it hold until `others_until`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotateClientSecret {
    pub client_id: Uuid,
    pub secret_id: Uuid,
    /// SHA-256 (hex).
    pub secret_digest: String,
    /// RFC 3339.
    pub others_until: String,
    pub actor: String,
}

/// `auth.glass.break`: open a chart in an emergency, without a relationship with the patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BreakGlass {
    pub id: Uuid,
    pub user_id: Uuid,
    pub patient_id: Uuid,
    pub reason: String,
    /// RFC 3339.
    pub expires_at: String,
    pub actor: String,
}

/// What a review of broken glass came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    Justified,
    NotJustified,
}

impl Finding {
    /// As rows and JSON have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Justified => "justified",
            Self::NotJustified => "not_justified",
        }
    }
}

/// `auth.glass.review`: by somebody else than who broke it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReviewGlass {
    pub id: Uuid,
    pub finding: Finding,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub actor: String,
}

/// `auth.grant.changed`: what a user may do is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GrantChanged {
    pub user_id: Uuid,
    pub grant_id: Uuid,
    pub role: String,
    /// False: it ended.
    pub given: bool,
    pub by: String,
}

/// `auth.glass.broken`: the privacy officer is to look at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GlassBroken {
    pub id: Uuid,
    pub user_id: Uuid,
    pub patient_id: Uuid,
    /// RFC 3339.
    pub expires_at: String,
}
