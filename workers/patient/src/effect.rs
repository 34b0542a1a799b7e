//! What one message did, before it is said.

use hub_core::{Envelope, Outgoing, Refusal, Verdict};
use schemas::patients::{
    Identifier, PatientMerged, PatientRegistered, PatientUnmerged, PatientUpdated,
};
use serde_json::Value;
use uuid::Uuid;

use crate::similarity::Candidates;

/// A change of the index that others hear of.
#[derive(Debug)]
pub(crate) enum Change {
    Registered {
        patient_id: Uuid,
        identifiers: Vec<Identifier>,
        provisional: bool,
    },
    Updated(PatientUpdated),
    Merged(PatientMerged),
    Unmerged(PatientUnmerged),
}

#[derive(Debug)]
pub(crate) enum Effect {
    /// Nothing had to change.
    None,
    /// A newer fact said the same.
    Confirmed,
    Changed {
        changes: Vec<Change>,
        answer: Option<Value>,
    },
    Refused(Refusal),
}

impl Effect {
    pub(crate) fn changes(&self) -> &[Change] {
        match self {
            Self::Changed { changes, .. } => changes,
            Self::None | Self::Confirmed | Self::Refused(_) => &[],
        }
    }

    pub(crate) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self::Refused(Refusal::new(code, detail))
    }

    /// The verdict, with the events that follow from `cause`.
    pub(crate) fn into_verdict(self, cause: &Envelope, candidates: &Candidates) -> Verdict {
        match self {
            Self::None => Verdict::Unchanged,
            Self::Confirmed => Verdict::applied(),
            Self::Refused(refusal) => Verdict::Refused(refusal),
            Self::Changed {
                changes,
                mut answer,
            } => Verdict::Applied {
                answer: {
                    let registered = changes.iter().find_map(|change| match change {
                        Change::Registered { patient_id, .. } => Some(*patient_id),
                        _ => None,
                    });
                    if let (Some(answer), Some(id)) = (&mut answer, registered) {
                        answer["possible_duplicates"] = serde_json::json!(candidates.of(id));
                    }
                    answer
                },
                outgoing: (0..)
                    .zip(changes)
                    .map(|(n, change)| change.into_outgoing(cause, n, candidates))
                    .collect(),
            },
        }
    }
}

impl Change {
    fn into_outgoing(self, cause: &Envelope, n: u32, candidates: &Candidates) -> Outgoing {
        match self {
            Self::Registered {
                patient_id,
                identifiers,
                provisional,
            } => {
                let body = PatientRegistered {
                    patient_id,
                    identifiers,
                    provisional,
                    possible_duplicates: candidates.of(patient_id),
                };
                Outgoing::new(cause, n, patient_id, &body)
            }
            Self::Updated(body) => Outgoing::new(cause, n, body.patient_id, &body),
            Self::Merged(body) => Outgoing::new(cause, n, body.survivor, &body),
            Self::Unmerged(body) => Outgoing::new(cause, n, body.survivor, &body),
        }
    }
}
