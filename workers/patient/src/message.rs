//! A message of this domain, decoded and checked.

use hub_core::{Envelope, Refusal};
use schemas::commands::{MergePatients, UnmergePatient};
use schemas::patients::{Identifier, PatientMergeReported, PatientReported};
use schemas::registration::{
    AddIdentifier, ChangePatient, DefineSeries, EndIdentifier, RegisterPatient, RestrictPatient,
};
use schemas::{Body, IdentifierKey};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) enum Message {
    Reported(Box<PatientReported>),
    MergeReported(PatientMergeReported),
    Merge(MergePatients),
    Unmerge(UnmergePatient),
    Register(Box<RegisterPatient>),
    Change(Box<ChangePatient>),
    Restrict(RestrictPatient),
    AddIdentifier(AddIdentifier),
    EndIdentifier(EndIdentifier),
    DefineSeries(DefineSeries),
}

impl Message {
    pub(crate) fn read(envelope: &Envelope) -> Result<Self, Refusal> {
        let message = match envelope.name.as_str() {
            PatientReported::NAME => Self::Reported(Box::new(envelope.decode()?)),
            PatientMergeReported::NAME => Self::MergeReported(envelope.decode()?),
            MergePatients::NAME => Self::Merge(envelope.decode()?),
            UnmergePatient::NAME => Self::Unmerge(envelope.decode()?),
            RegisterPatient::NAME => Self::Register(Box::new(envelope.decode()?)),
            ChangePatient::NAME => Self::Change(Box::new(envelope.decode()?)),
            RestrictPatient::NAME => Self::Restrict(envelope.decode()?),
            AddIdentifier::NAME => Self::AddIdentifier(envelope.decode()?),
            EndIdentifier::NAME => Self::EndIdentifier(envelope.decode()?),
            DefineSeries::NAME => Self::DefineSeries(envelope.decode()?),
            other => {
                return Err(Refusal::new(
                    "envelope.type",
                    format!("{other} is none of the patient worker's messages"),
                ));
            }
        };
        message.check(envelope)?;
        Ok(message)
    }

    /// Identifiers that the message names.
    pub(crate) fn identifiers(&self) -> impl Iterator<Item = &Identifier> {
        let (first, second): (&[Identifier], &[Identifier]) = match self {
            Self::Reported(report) => (&report.identifiers, &[]),
            Self::MergeReported(merge) => (&merge.survivor, &merge.retired),
            Self::Register(command) => (&command.identifiers, &[]),
            Self::AddIdentifier(command) => (std::slice::from_ref(&command.identifier), &[]),
            Self::EndIdentifier(command) => (std::slice::from_ref(&command.identifier), &[]),
            Self::Merge(_)
            | Self::Unmerge(_)
            | Self::Change(_)
            | Self::Restrict(_)
            | Self::DefineSeries(_) => (&[], &[]),
        };
        first.iter().chain(second)
    }

    /// A person at a desk says it: applied by itself, because what is on file decides about it.
    pub(crate) fn is_of_desk(&self) -> bool {
        matches!(
            self,
            Self::Register(_)
                | Self::Change(_)
                | Self::Restrict(_)
                | Self::AddIdentifier(_)
                | Self::EndIdentifier(_)
                | Self::DefineSeries(_)
        )
    }

    /// Records that the message names by their ids.
    pub(crate) fn records(&self) -> Vec<Uuid> {
        match self {
            Self::Merge(command) => vec![command.survivor, command.retired],
            Self::Unmerge(command) => vec![command.retired],
            Self::Change(command) => vec![command.patient_id],
            Self::Restrict(command) => vec![command.patient_id],
            Self::AddIdentifier(command) => vec![command.patient_id],
            Self::EndIdentifier(command) => vec![command.patient_id],
            Self::Reported(_)
            | Self::MergeReported(_)
            | Self::Register(_)
            | Self::DefineSeries(_) => Vec::new(),
        }
    }

    fn check(&self, envelope: &Envelope) -> Result<(), Refusal> {
        let complete = match self {
            Self::Reported(report) => !report.identifiers.is_empty(),
            Self::MergeReported(merge) => !merge.survivor.is_empty() && !merge.retired.is_empty(),
            // a desk may leave the number to the facility's series
            _ => true,
        };
        if !complete {
            return Err(Refusal::new(
                "patients.no_identifier",
                "a person is reported or merged without an identifier: see what the channel sends in PID-3 and MRG-1",
            ));
        }
        // the key alone makes an identifier unique, so it must be the digest of what it stands for
        for (place, identifier) in self.identifiers().enumerate() {
            let digest = IdentifierKey::of(&envelope.tenant, &identifier.system, &identifier.value);
            if identifier.key != digest {
                return Err(Refusal::new(
                    "patients.identifier_key",
                    format!(
                        "the key of identifier {place} is not the digest of its tenant, system and value"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// When the fact held at the sender, to the microsecond (as Postgres keeps it); the envelope's time if the body has none.
pub(crate) fn fact_time(occurred_at: Option<&str>, envelope: &Envelope) -> OffsetDateTime {
    let time = occurred_at
        .and_then(schemas::moment::read)
        .unwrap_or(envelope.occurred_at);
    let below = time.nanosecond() % 1_000;
    time - time::Duration::nanoseconds(i64::from(below))
}
