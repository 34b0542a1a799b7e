//! Commands about patients' own log-ins. A log-in is a user who belongs to one patient and may do nothing but see what is his own.
//!
//! No body carries a secret in the clear, and none carries anything of the patient but his id.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Body;

/// `users.patient_login.open`: a patient gets a log-in. At most one of a patient stands at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenPatientLogin {
    pub user_id: Uuid,
    /// Any of his records; the log-in stays this one's, also when it was merged and is unmerged.
    pub patient_id: Uuid,
    /// Lower case; never changed and never given to another person.
    pub username: String,
    /// argon2id, PHC string, of a one-time password.
    pub password_hash: String,
    /// RFC 3339; the one-time password is no good after it.
    pub one_time_until: String,
    pub actor: String,
}

impl Body for OpenPatientLogin {
    const NAME: &'static str = "users.patient_login.open";
}

/// `users.patient_login.end`: the log-in of a patient ends for good, with all its sessions. Another can be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndPatientLogin {
    /// Any of his records.
    pub patient_id: Uuid,
    pub reason: String,
    /// The version that the caller saw; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

impl Body for EndPatientLogin {
    const NAME: &'static str = "users.patient_login.end";
}
