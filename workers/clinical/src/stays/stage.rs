//! The stages of an encounter: which step leads from where to where (specs/hms-modules.md §1.9), and what a hospital system's
//! word makes of them. Data and pure functions.

use hub_core::Refusal;

use crate::encounters::EncounterState;

/// Where an encounter stands in its way through the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Token,
    Called,
    InConsult,
    Done,
    NoShow,
    Requested,
    BedReserved,
    Admitted,
    DischargeInitiated,
    Cleared,
    Left,
    Closed,
    Cancelled,
}

use Stage::{
    Admitted, BedReserved, Called, Cancelled, Cleared, Closed, DischargeInitiated, Done, InConsult,
    Left, NoShow, Requested, Token,
};

impl Stage {
    pub(crate) const ALL: [Self; 13] = [
        Token,
        Called,
        InConsult,
        Done,
        NoShow,
        Requested,
        BedReserved,
        Admitted,
        DischargeInitiated,
        Cleared,
        Left,
        Closed,
        Cancelled,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Token => "token",
            Called => "called",
            InConsult => "in_consult",
            Done => "done",
            NoShow => "no_show",
            Requested => "requested",
            BedReserved => "bed_reserved",
            Admitted => "admitted",
            DischargeInitiated => "discharge_initiated",
            Cleared => "cleared",
            Left => "left",
            Closed => "closed",
            Cancelled => "cancelled",
        }
    }

    /// The stage as stored; the table's check allows no other word.
    pub(crate) fn stored(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }
}

/// What staff do, as the table below knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Call,
    StartConsultation,
    Finish,
    NoShow,
    Requeue,
    Reserve,
    Release,
    Admit,
    Transfer,
    InitiateDischarge,
    CancelDischarge,
    /// A gate, not the last one.
    ClearGate,
    /// The last gate.
    ClearLastGate,
    /// With all gates cleared.
    Leave,
    /// Against advice, absconded, dead, to another hospital: whatever the gates.
    LeaveUncleared,
    Close,
    Cancel,
}

impl Move {
    /// The step as commands and routes name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::StartConsultation => "start_consultation",
            Self::Finish => "finish",
            Self::NoShow => "no_show",
            Self::Requeue => "requeue",
            Self::Reserve => "reserve",
            Self::Release => "release",
            Self::Admit => "admit",
            Self::Transfer => "transfer",
            Self::InitiateDischarge => "initiate_discharge",
            Self::CancelDischarge => "cancel_discharge",
            Self::ClearGate | Self::ClearLastGate => "clear_gate",
            Self::Leave | Self::LeaveUncleared => "leave",
            Self::Close => "close",
            Self::Cancel => "cancel",
        }
    }
}

/// Every step that is possible: from, step, to. Whatever is not here is refused.
#[rustfmt::skip]
pub(crate) const TABLE: &[(Stage, Move, Stage)] = &[
    (Token,              Move::Call,              Called),
    (Token,              Move::StartConsultation, InConsult),
    (Token,              Move::NoShow,            NoShow),
    (Token,              Move::Cancel,            Cancelled),
    (Called,             Move::StartConsultation, InConsult),
    (Called,             Move::NoShow,            NoShow),
    (Called,             Move::Requeue,           Token),
    (Called,             Move::Cancel,            Cancelled),
    (NoShow,             Move::Requeue,           Token),
    (InConsult,          Move::Finish,            Done),
    (InConsult,          Move::Cancel,            Cancelled),
    (Requested,          Move::Reserve,           BedReserved),
    (Requested,          Move::Admit,             Admitted),
    (Requested,          Move::Cancel,            Cancelled),
    (BedReserved,        Move::Reserve,           BedReserved),
    (BedReserved,        Move::Release,           Requested),
    (BedReserved,        Move::Admit,             Admitted),
    (BedReserved,        Move::Cancel,            Cancelled),
    (Admitted,           Move::Transfer,          Admitted),
    (Admitted,           Move::InitiateDischarge, DischargeInitiated),
    (Admitted,           Move::LeaveUncleared,    Left),
    (Admitted,           Move::Cancel,            Cancelled),
    (DischargeInitiated, Move::Transfer,          DischargeInitiated),
    (DischargeInitiated, Move::CancelDischarge,   Admitted),
    (DischargeInitiated, Move::ClearGate,         DischargeInitiated),
    (DischargeInitiated, Move::ClearLastGate,     Cleared),
    (DischargeInitiated, Move::LeaveUncleared,    Left),
    (Cleared,            Move::Transfer,          Cleared),
    (Cleared,            Move::CancelDischarge,   Admitted),
    (Cleared,            Move::Leave,             Left),
    (Cleared,            Move::LeaveUncleared,    Left),
    (Left,               Move::ClearGate,         Left),
    (Left,               Move::ClearLastGate,     Left),
    (Left,               Move::Close,             Closed),
];

/// Where the step leads.
///
/// # Errors
/// `adt.stage_conflict`, which names from, to and what is possible instead.
pub(crate) fn next(from: Option<Stage>, step: Move) -> Result<Stage, Refusal> {
    from.and_then(|from| {
        TABLE
            .iter()
            .find(|(stage, one, _)| *stage == from && *one == step)
            .map(|(_, _, to)| *to)
    })
    .ok_or_else(|| {
        let aim = TABLE
            .iter()
            .find(|(_, one, _)| *one == step)
            .map_or("nowhere", |(_, _, to)| to.as_str());
        let possible = steps(from);
        Refusal::new(
            "adt.stage_conflict",
            format!(
                "`{}` is not possible; from: {}; to: {aim}; allowed: {}",
                step.as_str(),
                from.map_or("unknown", Stage::as_str),
                if possible.is_empty() {
                    "nothing".to_owned()
                } else {
                    possible.join(", ")
                }
            ),
        )
    })
}

/// The steps that are possible from a stage, each once.
pub(crate) fn steps(from: Option<Stage>) -> Vec<&'static str> {
    let mut steps: Vec<&'static str> = Vec::new();
    for (stage, step, _) in TABLE {
        if Some(*stage) == from && !steps.contains(&step.as_str()) {
            steps.push(step.as_str());
        }
    }
    steps
}

/// The stage after a hospital system's word: its status says as much as it knows, and takes back nothing that says more.
/// Without a class (PV1-2) too little is said.
pub(crate) fn after_fact(
    before: Option<Stage>,
    class: Option<&str>,
    status: EncounterState,
) -> Option<Stage> {
    use EncounterState as S;
    let in_house = matches!(class?, "I" | "P");
    let keep = |stages: &[Stage], otherwise: Stage| {
        Some(
            before
                .filter(|stage| stages.contains(stage))
                .unwrap_or(otherwise),
        )
    };
    match (status, in_house) {
        (S::Planned, true) => keep(&[Requested, BedReserved], Requested),
        (S::Planned, false) => Some(Token),
        (S::InProgress, true) => keep(&[Admitted, DischargeInitiated, Cleared], Admitted),
        (S::InProgress, false) => keep(&[Token, Called, InConsult], InConsult),
        (S::Finished, true) => keep(&[Left, Closed], Left),
        (S::Finished, false) => Some(Done),
        (S::Cancelled | S::EnteredInError, _) => keep(&[NoShow, Cancelled], Cancelled),
        (S::Unknown, _) => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_leads_from_a_stage_to_one_and_the_final_stages_lead_nowhere() {
        for (index, (from, step, _)) in TABLE.iter().enumerate() {
            assert!(
                TABLE[..index]
                    .iter()
                    .all(|(f, s, _)| (f, s) != (from, step)),
                "{from:?} {step:?} stands twice"
            );
        }
        for last in [Done, Closed, Cancelled] {
            assert!(steps(Some(last)).is_empty(), "{last:?}");
        }
    }

    #[test]
    fn only_leaving_and_cancelling_take_somebody_out_of_his_bed() {
        let in_bed = [Admitted, DischargeInitiated, Cleared];
        for (from, step, to) in TABLE {
            if in_bed.contains(from) && !in_bed.contains(to) {
                assert!(
                    matches!(step, Move::Leave | Move::LeaveUncleared | Move::Cancel),
                    "{from:?} {step:?}"
                );
            }
        }
        // with open gates nobody just goes home
        assert!(next(Some(DischargeInitiated), Move::Leave).is_err());
        assert!(next(Some(Admitted), Move::Leave).is_err());
    }

    #[test]
    fn every_other_step_is_refused_with_from_to_and_what_is_allowed() {
        for from in Stage::ALL {
            for step in [
                Move::Call,
                Move::StartConsultation,
                Move::Finish,
                Move::NoShow,
                Move::Requeue,
                Move::Reserve,
                Move::Release,
                Move::Admit,
                Move::Transfer,
                Move::InitiateDischarge,
                Move::CancelDischarge,
                Move::ClearGate,
                Move::ClearLastGate,
                Move::Leave,
                Move::LeaveUncleared,
                Move::Close,
                Move::Cancel,
            ] {
                let stands = TABLE.iter().find(|(f, s, _)| *f == from && *s == step);
                match (next(Some(from), step), stands) {
                    (Ok(to), Some((_, _, expected))) => assert_eq!(to, *expected),
                    (Err(refusal), None) => {
                        assert_eq!(refusal.code, "adt.stage_conflict");
                        for part in ["from: ", "to: ", "allowed: "] {
                            assert!(refusal.detail.contains(part), "{}", refusal.detail);
                        }
                    }
                    (got, expected) => panic!("{from:?} {step:?}: {got:?}, {expected:?}"),
                }
            }
        }
    }

    #[test]
    fn a_hospital_systems_word_moves_the_stage_and_takes_back_nothing_that_says_more() {
        use EncounterState as S;
        #[rustfmt::skip]
        let table = [
            (None,                     None,      S::InProgress,     None),
            (None,                     Some("I"), S::Planned,        Some(Requested)),
            (Some(BedReserved),        Some("I"), S::Planned,        Some(BedReserved)),
            (Some(BedReserved),        Some("I"), S::InProgress,     Some(Admitted)),
            (Some(DischargeInitiated), Some("I"), S::InProgress,     Some(DischargeInitiated)),
            (Some(Cleared),            Some("I"), S::Finished,       Some(Left)),
            (Some(Closed),             Some("I"), S::Finished,       Some(Closed)),
            (Some(Left),               Some("I"), S::InProgress,     Some(Admitted)),
            (Some(Admitted),           Some("I"), S::Cancelled,      Some(Cancelled)),
            (None,                     Some("O"), S::InProgress,     Some(InConsult)),
            (Some(Called),             Some("O"), S::InProgress,     Some(Called)),
            (Some(InConsult),          Some("E"), S::Finished,       Some(Done)),
            (Some(NoShow),             Some("O"), S::Cancelled,      Some(NoShow)),
            (Some(Token),              Some("O"), S::Unknown,        Some(Token)),
            (Some(Token),              Some("O"), S::EnteredInError, Some(Cancelled)),
        ];
        for (before, class, status, expected) in table {
            assert_eq!(
                after_fact(before, class, status),
                expected,
                "{before:?} {class:?} {status:?}"
            );
        }
    }
}
