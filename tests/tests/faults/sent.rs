//! What was sent and acknowledged: the one truth that the hub's state is compared with.

use super::message::{Kind, Person};

/// All that the senders did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent {
    pub(crate) patients: Vec<Patient>,
}

/// One patient, always from the same connection, one step after the other.
#[derive(Debug, Clone)]
pub(crate) struct Patient {
    pub(crate) person: Person,
    pub(crate) steps: Vec<Step>,
}

/// One message. Its number rises by one within the patient.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) number: u32,
    pub(crate) control_id: String,
    pub(crate) kind: Kind,
    /// How often it was written to a socket.
    pub(crate) attempts: u32,
    pub(crate) acknowledged: bool,
}

impl Patient {
    /// Numbers of the steps that changed address and bed, in order.
    pub(crate) fn adt_steps(&self) -> Vec<u32> {
        let adt = self.steps.iter().filter(|step| step.kind.is_adt());
        adt.map(|step| step.number).collect()
    }

    /// Filler numbers of the reports, in the order they were sent.
    pub(crate) fn fillers(&self) -> Vec<&str> {
        self.steps
            .iter()
            .filter_map(|step| match &step.kind {
                Kind::Result { filler, .. } => Some(filler.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Values of the tracked result of a report, in order: the first, then each correction.
    pub(crate) fn values(&self, wanted: &str) -> Vec<u32> {
        let about = self.steps.iter().filter(|step| match &step.kind {
            Kind::Result { filler, .. } | Kind::Correction { filler } => filler == wanted,
            _ => false,
        });
        about.map(|step| step.number).collect()
    }
}

impl Sent {
    pub(crate) fn steps(&self) -> impl Iterator<Item = &Step> {
        self.patients.iter().flat_map(|patient| &patient.steps)
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.steps().filter(|step| step.acknowledged).count()
    }

    /// Times that bytes were written once more.
    pub(crate) fn resent(&self) -> u64 {
        let again = self.steps().map(|step| step.attempts.saturating_sub(1));
        again.map(u64::from).sum()
    }
}
