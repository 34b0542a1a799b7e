//! Whose a measurement is, by what the message and the bed say; a table, no database.

use uuid::Uuid;

use crate::beds::Occupancy;

/// How it is known whose a measurement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchedBy {
    /// The message names the patient.
    Message,
    /// Exactly one patient was in the bed.
    Bed,
    /// A person said so.
    Claim,
}

impl MatchedBy {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Bed => "bed",
            Self::Claim => "claim",
        }
    }
}

/// Why it is on nobody's chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// Neither a patient nor a bed is named.
    NoBed,
    /// No movement ever named the bed.
    BedUnknown,
    /// Several beds have the name: in other rooms or facilities.
    BedAmbiguous,
    /// Nobody was in it at that time.
    BedEmpty,
    /// More than one patient was.
    TwoPatients,
    /// The message names a patient, and others were in the bed.
    PatientMismatch,
    /// The time lies ahead: the device's clock is wrong, and so would be the patient.
    Clock,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::NoBed => "no_bed",
            Self::BedUnknown => "bed_unknown",
            Self::BedAmbiguous => "bed_ambiguous",
            Self::BedEmpty => "bed_empty",
            Self::TwoPatients => "two_patients",
            Self::PatientMismatch => "patient_mismatch",
            Self::Clock => "clock",
        }
    }
}

/// `bed` is what is known of the bed at the time of the measurement; `None` when no bed is named.
pub(crate) fn whose(
    named: Option<Uuid>,
    bed: Option<&Occupancy>,
    ahead: bool,
) -> Result<(Uuid, MatchedBy), Reason> {
    if ahead {
        return Err(Reason::Clock);
    }
    let Some(bed) = bed else {
        return named
            .map(|named| (named, MatchedBy::Message))
            .ok_or(Reason::NoBed);
    };
    if let Some(named) = named {
        return match bed.named {
            Some(known) => Ok((known, MatchedBy::Message)),
            // what says nothing for certain does not contradict either
            None if bed.unknown || bed.ambiguous || bed.occupants.is_empty() => {
                Ok((named, MatchedBy::Message))
            }
            None => Err(Reason::PatientMismatch),
        };
    }
    if bed.unknown {
        return Err(Reason::BedUnknown);
    }
    if bed.ambiguous {
        return Err(Reason::BedAmbiguous);
    }
    let mut occupants = bed.occupants.iter();
    match (occupants.next(), occupants.next()) {
        (None, _) => Err(Reason::BedEmpty),
        (Some(only), None) => Ok((*only, MatchedBy::Bed)),
        (Some(_), Some(_)) => Err(Reason::TwoPatients),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_whose() {
        let (ravi, asha) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let bed = |occupants: &[Uuid], named: Option<Uuid>| Occupancy {
            occupants: occupants.iter().copied().collect(),
            named,
            ..Occupancy::default()
        };
        let unknown = Occupancy {
            unknown: true,
            ..Occupancy::default()
        };
        let ambiguous = Occupancy {
            ambiguous: true,
            ..bed(&[ravi], None)
        };
        use MatchedBy::{Bed, Message};
        for (named, bed, ahead, expected) in [
            (None, None, false, Err(Reason::NoBed)),
            (Some(ravi), None, false, Ok((ravi, Message))),
            (None, Some(unknown.clone()), false, Err(Reason::BedUnknown)),
            (
                None,
                Some(ambiguous.clone()),
                false,
                Err(Reason::BedAmbiguous),
            ),
            (None, Some(bed(&[], None)), false, Err(Reason::BedEmpty)),
            (None, Some(bed(&[ravi], None)), false, Ok((ravi, Bed))),
            (
                None,
                Some(bed(&[ravi, asha], None)),
                false,
                Err(Reason::TwoPatients),
            ),
            (
                Some(ravi),
                Some(bed(&[ravi], Some(ravi))),
                false,
                Ok((ravi, Message)),
            ),
            (
                Some(ravi),
                Some(bed(&[ravi, asha], Some(ravi))),
                false,
                Ok((ravi, Message)),
            ),
            (
                Some(ravi),
                Some(bed(&[asha], None)),
                false,
                Err(Reason::PatientMismatch),
            ),
            (Some(ravi), Some(bed(&[], None)), false, Ok((ravi, Message))),
            (Some(ravi), Some(unknown), false, Ok((ravi, Message))),
            (Some(asha), Some(ambiguous), false, Ok((asha, Message))),
            (
                Some(ravi),
                Some(bed(&[ravi], Some(ravi))),
                true,
                Err(Reason::Clock),
            ),
            (None, Some(bed(&[ravi], None)), true, Err(Reason::Clock)),
        ] {
            assert_eq!(
                whose(named, bed.as_ref(), ahead),
                expected,
                "{named:?} {bed:?} {ahead}"
            );
        }
    }
}
