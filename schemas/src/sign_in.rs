//! Commands of passkeys (WebAuthn) and of people whom an identity provider vouches for (OpenID Connect).
//!
//! What comes here is proved already; no body carries a secret. What is good once (a challenge, an invitation) is used up by
//! the worker in the transaction of what it was used for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

bodies! {
    AddPasskey = "auth.passkey.add",
    RenamePasskey = "auth.passkey.rename",
    RemovePasskeys = "auth.passkey.remove",
    UsePasskey = "auth.passkey.use",
    InviteSubject = "auth.subject.invite",
    LinkSubject = "auth.subject.link",
    UseSubject = "auth.subject.use",
    UnlinkSubjects = "auth.subject.unlink",
}

/// What was asked, and may be answered once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Challenge {
    /// SHA-256 (hex).
    pub digest: String,
    /// RFC 3339; no answer is taken after it.
    pub until: String,
}

/// `auth.passkey.add`: a credential whose registration was verified. Other sessions of the user were opened without it and end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AddPasskey {
    pub passkey_id: Uuid,
    pub user_id: Uuid,
    pub challenge: Challenge,
    pub name: String,
    /// base64.
    pub credential_id: String,
    /// base64.
    pub public_key: String,
    /// base64.
    pub state: String,
    pub sign_count: u32,
    pub transports: u8,
    pub synced: bool,
    /// The session that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_session: Option<Uuid>,
    pub actor: String,
}

/// `auth.passkey.rename`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RenamePasskey {
    pub passkey_id: Uuid,
    pub user_id: Uuid,
    pub name: String,
    pub actor: String,
}

/// `auth.passkey.remove`: sessions that were opened with a passkey end, whichever of the user's it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RemovePasskeys {
    pub user_id: Uuid,
    /// Absent: all of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey_id: Option<Uuid>,
    pub reason: String,
    /// The session that goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_session: Option<Uuid>,
    pub actor: String,
}

/// `auth.passkey.use`: somebody proved that he has it. The answer's `outcome` is `used`, or `counter`: its counter did not go
/// on, so there may be two of it, and it proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsePasskey {
    pub passkey_id: Uuid,
    pub user_id: Uuid,
    pub challenge: Challenge,
    pub sign_count: u32,
    /// base64.
    pub state: String,
    pub synced: bool,
    pub actor: String,
}

/// `auth.subject.invite`: whoever shows this once, and is known to the provider, is this user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InviteSubject {
    /// SHA-256 (hex).
    pub digest: String,
    pub user_id: Uuid,
    pub provider: String,
    /// RFC 3339.
    pub expires_at: String,
    pub actor: String,
}

/// How it is known that the person at the provider is the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Linked {
    /// He was signed in here.
    #[serde(rename = "self")]
    Himself,
    /// He showed an invitation.
    Invitation,
    /// A claim of the provider names him, and the configuration trusts it.
    Claim,
}

impl Linked {
    /// As rows and JSON have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Himself => "self",
            Self::Invitation => "invitation",
            Self::Claim => "claim",
        }
    }
}

/// `auth.subject.link`: issuer and subject were verified. By a claim nobody is linked whose link was ended, nor who may do
/// everything: that takes a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LinkSubject {
    pub link_id: Uuid,
    pub user_id: Uuid,
    pub provider: String,
    pub issuer: String,
    pub subject: String,
    pub challenge: Challenge,
    pub linked: Linked,
    /// SHA-256 (hex) of the invitation that is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
    pub actor: String,
}

/// A role at a place that a group of the provider stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MappedRole {
    pub role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facility: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<String>,
}

/// `auth.subject.use`: the provider vouched for him.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UseSubject {
    pub link_id: Uuid,
    pub user_id: Uuid,
    /// Absent: it was used up by the linking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<Challenge>,
    /// What his groups stand for: grants that this provider gave and that are not among these end. Absent: groups count for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<MappedRole>>,
    pub actor: String,
}

/// `auth.subject.unlink`: sessions that the provider vouched for end, and invitations that are open are good for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnlinkSubjects {
    pub user_id: Uuid,
    /// Absent: all of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_id: Option<Uuid>,
    pub reason: String,
    pub actor: String,
}
