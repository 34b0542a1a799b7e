//! What a patient agrees to and asks about his data: consents by purpose, requests with due dates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

bodies! {
    RecordConsent = "patients.consent.record",
    WithdrawConsent = "patients.consent.withdraw",
    OpenPrivacyRequest = "patients.privacy_request.open",
    MovePrivacyRequest = "patients.privacy_request.move",
    ConsentRecorded = "patients.consent.recorded",
    ConsentWithdrawn = "patients.consent.withdrawn",
    PrivacyRequestMoved = "patients.privacy_request.moved",
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$member_doc])* $member),+
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$member),+];

            /// As rows and JSON have it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$member => $word),+
                }
            }

            /// The one of that name.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.as_str() == text)
            }
        }
    };
}

words! {
    /// Who agreed.
    ConsentGiver {
        Patient = "patient",
        /// Of a child, or of somebody who can't decide.
        Guardian = "guardian",
        /// Named by the patient for when he can't.
        Nominee = "nominee",
    }
}

words! {
    /// What somebody asks about his data.
    PrivacyRequestKind {
        /// What is kept of me, and who has got it?
        Access = "access",
        Correction = "correction",
        /// Refused where a law says that records are kept.
        Erasure = "erasure",
        Grievance = "grievance",
    }
}

impl PrivacyRequestKind {
    /// Days until it must be answered. The rules of 2025 leave at most ninety for grievances; the others are what this program
    /// holds a hospital to.
    #[must_use]
    pub fn days(self) -> i64 {
        match self {
            Self::Access | Self::Correction | Self::Erasure => 30,
            Self::Grievance => 90,
        }
    }
}

words! {
    /// How far a request is.
    PrivacyRequestState {
        Received = "received",
        InProgress = "in_progress",
        Completed = "completed",
        Rejected = "rejected",
    }
}

/// What may follow what. Anything else is refused.
pub const PRIVACY_TRANSITIONS: &[(PrivacyRequestState, &[PrivacyRequestState])] = {
    use PrivacyRequestState::{Completed, InProgress, Received, Rejected};
    &[
        (Received, &[InProgress, Completed, Rejected]),
        (InProgress, &[Completed, Rejected]),
        (Completed, &[]),
        (Rejected, &[]),
    ]
};

impl PrivacyRequestState {
    /// What may follow.
    #[must_use]
    pub fn allowed(self) -> &'static [Self] {
        PRIVACY_TRANSITIONS
            .iter()
            .find(|(from, _)| *from == self)
            .map_or(&[], |(_, to)| to)
    }
}

/// `patients.consent.record`. Refused while one for the same purpose stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordConsent {
    pub consent_id: Uuid,
    pub patient_id: Uuid,
    /// One word: `research`, `messages`, `sharing` …
    pub purpose: String,
    /// Which notice was shown.
    pub notice_version: String,
    /// BCP 47: `hi`, `ta-IN` …
    pub notice_language: String,
    pub given_by: ConsentGiver,
    /// RFC 3339.
    pub given_at: String,
    /// RFC 3339; absent: until it is withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    pub actor: String,
}

/// `patients.consent.withdraw`. No reason is asked for: withdrawing is as easy as giving.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WithdrawConsent {
    pub consent_id: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub actor: String,
}

/// `patients.privacy_request.open`. When it is due follows from its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenPrivacyRequest {
    pub request_id: Uuid,
    pub patient_id: Uuid,
    pub kind: PrivacyRequestKind,
    pub detail: String,
    /// RFC 3339.
    pub received_at: String,
    pub actor: String,
}

/// `patients.privacy_request.move`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MovePrivacyRequest {
    pub request_id: Uuid,
    pub state: PrivacyRequestState,
    /// What was done, or why not: with `completed` and `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<String>,
    /// The version that the caller saw; absent: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    pub actor: String,
}

/// `patients.consent.recorded`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsentRecorded {
    pub consent_id: Uuid,
    pub patient_id: Uuid,
    pub purpose: String,
    pub notice_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// `patients.consent.withdrawn`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConsentWithdrawn {
    pub consent_id: Uuid,
    pub patient_id: Uuid,
    pub purpose: String,
}

/// `patients.privacy_request.moved`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrivacyRequestMoved {
    pub request_id: Uuid,
    pub patient_id: Uuid,
    pub kind: PrivacyRequestKind,
    pub state: PrivacyRequestState,
    /// RFC 3339.
    pub due_at: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_of_a_request_has_its_row_and_what_is_decided_stays_decided() {
        for state in PrivacyRequestState::ALL {
            let rows = PRIVACY_TRANSITIONS.iter().filter(|(from, _)| from == state);
            assert_eq!(rows.count(), 1, "{state:?}");
            assert!(!state.allowed().contains(state));
        }
        assert!(PrivacyRequestState::Completed.allowed().is_empty());
        assert!(PrivacyRequestState::Rejected.allowed().is_empty());
        assert!(
            PrivacyRequestKind::ALL
                .iter()
                .all(|kind| (1..=90).contains(&kind.days()))
        );
    }
}
