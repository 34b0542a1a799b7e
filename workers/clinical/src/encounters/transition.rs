//! The state of an encounter (specs/hl7-fhir.md §3.2).

use schemas::care::EncounterAction;

/// State of an encounter (FHIR encounter-status, as far as HL7 v2 ADT can tell).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EncounterState {
    Planned,
    InProgress,
    Finished,
    Cancelled,
    EnteredInError,
    Unknown,
}

use EncounterState::{Cancelled, EnteredInError, Finished, InProgress, Planned, Unknown};

impl EncounterState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Planned => "planned",
            InProgress => "in_progress",
            Finished => "finished",
            Cancelled => "cancelled",
            EnteredInError => "entered_in_error",
            Unknown => "unknown",
        }
    }

    /// The state as stored; the table's check allows no other word.
    pub(crate) fn stored(text: &str) -> Self {
        match text {
            "planned" => Planned,
            "in_progress" => InProgress,
            "finished" => Finished,
            "cancelled" => Cancelled,
            "entered_in_error" => EnteredInError,
            _ => Unknown,
        }
    }
}

/// What PV1 says beside the trigger.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Visit<'v> {
    /// PV1-2 (table 0004).
    pub(crate) class: Option<&'v str>,
    /// PV1-45 is valued.
    pub(crate) discharged: bool,
}

/// The state after a message. `from` is `None` for an encounter not seen before: then the message alone tells, so
/// that an A03 whose A01 was never seen makes a finished encounter.
pub(crate) fn transition(
    from: Option<EncounterState>,
    action: EncounterAction,
    visit: Visit<'_>,
) -> EncounterState {
    use EncounterAction as A;
    match (from, action) {
        (Some(EnteredInError), _) => EnteredInError,
        (_, A::AdmitCancelled) => Cancelled,
        (_, A::Discharged) => Finished,
        (_, A::Admitted | A::Registered) => {
            if visit.discharged {
                Finished
            } else {
                InProgress
            }
        }
        // a plan does not take back what has begun
        (None | Some(Unknown | Planned | Cancelled), A::Preadmitted) => Planned,
        (Some(from), A::Preadmitted) => from,
        (None | Some(Unknown | Planned | InProgress), A::Transferred | A::TransferCancelled) => {
            InProgress
        }
        (Some(from), A::Transferred | A::TransferCancelled) => from,
        (Some(Cancelled), A::DischargeCancelled) => Cancelled,
        (_, A::DischargeCancelled) => InProgress,
        // A08: PV1-45 and PV1-2 tell, the trigger never does
        (Some(Cancelled), A::Updated) => Cancelled,
        (_, A::Updated) if visit.discharged => Finished,
        (None | Some(Unknown), A::Updated) => match visit.class {
            Some("P") => Planned,
            Some(_) => InProgress,
            None => Unknown,
        },
        (Some(from), A::Updated) => from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EncounterAction as A;

    const NOTHING: Visit<'_> = Visit {
        class: None,
        discharged: false,
    };
    const INPATIENT: Visit<'_> = Visit {
        class: Some("I"),
        discharged: false,
    };
    const PREADMIT: Visit<'_> = Visit {
        class: Some("P"),
        discharged: false,
    };
    const GONE: Visit<'_> = Visit {
        class: Some("I"),
        discharged: true,
    };

    #[test]
    fn the_table_of_encounter_states() {
        #[rustfmt::skip]
        let table = [
            // from               trigger                     PV1        to
            (None,                A::Admitted,                INPATIENT, InProgress),
            (None,                A::Admitted,                GONE,      Finished),
            (None,                A::Registered,              NOTHING,   InProgress),
            (None,                A::Preadmitted,             INPATIENT, Planned),
            (None,                A::Transferred,             NOTHING,   InProgress),
            (None,                A::Discharged,              NOTHING,   Finished),
            (None,                A::Updated,                 NOTHING,   Unknown),
            (None,                A::Updated,                 INPATIENT, InProgress),
            (None,                A::Updated,                 PREADMIT,  Planned),
            (None,                A::Updated,                 GONE,      Finished),
            (None,                A::AdmitCancelled,          NOTHING,   Cancelled),
            (None,                A::TransferCancelled,       NOTHING,   InProgress),
            (None,                A::DischargeCancelled,      NOTHING,   InProgress),
            (Some(Planned),       A::Admitted,                INPATIENT, InProgress),
            (Some(Planned),       A::Updated,                 INPATIENT, Planned),
            (Some(Planned),       A::AdmitCancelled,          NOTHING,   Cancelled),
            (Some(InProgress),    A::Preadmitted,             NOTHING,   InProgress),
            (Some(InProgress),    A::Transferred,             NOTHING,   InProgress),
            (Some(InProgress),    A::Discharged,              NOTHING,   Finished),
            (Some(InProgress),    A::Updated,                 INPATIENT, InProgress),
            (Some(InProgress),    A::Updated,                 GONE,      Finished),
            (Some(InProgress),    A::AdmitCancelled,          NOTHING,   Cancelled),
            (Some(Finished),      A::DischargeCancelled,      NOTHING,   InProgress),
            (Some(Finished),      A::Transferred,             NOTHING,   Finished),
            (Some(Finished),      A::Updated,                 INPATIENT, Finished),
            (Some(Finished),      A::Admitted,                INPATIENT, InProgress),
            (Some(Cancelled),     A::Updated,                 GONE,      Cancelled),
            (Some(Cancelled),     A::DischargeCancelled,      NOTHING,   Cancelled),
            (Some(Cancelled),     A::Admitted,                INPATIENT, InProgress),
            (Some(Cancelled),     A::Preadmitted,             INPATIENT, Planned),
            (Some(Unknown),       A::Updated,                 INPATIENT, InProgress),
            (Some(EnteredInError),A::Admitted,                INPATIENT, EnteredInError),
        ];
        for (from, action, visit, to) in table {
            assert_eq!(
                transition(from, action, visit),
                to,
                "{from:?} + {action:?} + {visit:?}"
            );
        }
    }

    #[test]
    fn a_state_survives_its_text() {
        for state in [
            Planned,
            InProgress,
            Finished,
            Cancelled,
            EnteredInError,
            Unknown,
        ] {
            assert_eq!(EncounterState::stored(state.as_str()), state);
        }
    }
}
