//! The part of the index that a batch is about, in memory: messages are applied to it in order, then it is stored whole.

mod desk;
mod merging;

use std::collections::{HashMap, HashSet};

use hub_core::Envelope;
use schemas::IdentifierKey;
use schemas::patients::{
    Assertion, Identifier, PatientMerged, PatientReported, PatientUnmerged, PatientUpdated,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::demographics::Reach;
use crate::effect::{Change, Effect};
use crate::message::{Message, fact_time};
use crate::record::Record;

/// A merge made or taken back, in order.
#[derive(Debug)]
pub(crate) enum Link {
    Merged {
        body: PatientMerged,
        by: Authority,
    },
    Unmerged {
        body: PatientUnmerged,
        by: Authority,
    },
}

/// Who asked for a link: a person through a command, or a source system.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) actor: String,
    pub(crate) is_person: bool,
    pub(crate) event: Uuid,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Which record an identifier was registered on.
    pub(crate) owners: HashMap<IdentifierKey, Uuid>,
    pub(crate) records: HashMap<Uuid, Record>,
    /// When a record's last merge was taken back.
    pub(crate) unmerged_at: HashMap<Uuid, OffsetDateTime>,
    pub(crate) new_identifiers: Vec<(Identifier, Uuid)>,
    /// Pairs of which one was sent with an identifier of the other.
    pub(crate) shared: Vec<(Uuid, Uuid)>,
    pub(crate) links: Vec<Link>,
    /// New records in the order of their registration.
    pub(crate) registered: Vec<Uuid>,
    /// Identifiers that are not to be used any more.
    pub(crate) ended: HashSet<IdentifierKey>,
    /// How many identifiers a record has in use, where somebody wants to end one.
    pub(crate) in_use: HashMap<Uuid, i64>,
    /// Identifiers whose use a person ended (by whom, why) or began again.
    pub(crate) usage: Vec<(IdentifierKey, Option<(String, String)>)>,
    /// What people at desks did, for the audit trail.
    pub(crate) acts: Vec<Act>,
}

/// What a person at a desk did.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) actor: String,
    pub(crate) action: &'static str,
    pub(crate) patient: Uuid,
    pub(crate) reason: Option<String>,
    pub(crate) event: Uuid,
    /// Names of fields, never their values.
    pub(crate) detail: serde_json::Value,
}

impl Index {
    /// Applies one message. A refused message leaves no trace.
    pub(crate) fn apply(&mut self, message: &Message, envelope: &Envelope) -> Effect {
        match message {
            Message::Reported(report) => self.report(report, envelope),
            Message::MergeReported(merge) => self.merge_reported(merge, envelope),
            Message::Merge(command) => self.merge_command(command, envelope),
            Message::Unmerge(command) => self.unmerge_command(command, envelope),
            Message::Register(command) => self.register_command(command, envelope),
            Message::Change(command) => self.change_command(command, envelope),
            Message::Restrict(command) => self.restrict_command(command, envelope),
            Message::AddIdentifier(command) => self.add_identifier_command(command, envelope),
            Message::EndIdentifier(command) => self.end_identifier_command(command, envelope),
            // touches no record
            Message::DefineSeries(_) => Effect::None,
        }
    }

    /// The end of the chain of merges.
    pub(crate) fn standing(&self, start: Uuid) -> Uuid {
        let mut at = start;
        // a chain has no cycle (merging refuses them); the bound only makes the loop visibly finite
        for _ in 0..=self.records.len() {
            match self.records.get(&at).and_then(|record| record.merged_into) {
                Some(next) => at = next,
                None => break,
            }
        }
        at
    }

    fn report(&mut self, report: &PatientReported, envelope: &Envelope) -> Effect {
        let Some(primary) = report.identifiers.first() else {
            return Effect::None;
        };
        let known = self.owners.get(&primary.key).copied();
        match (known, report.assertion) {
            (Some(_), Assertion::Mentioned) => Effect::None,
            (Some(id), Assertion::Asserted) => self.update(id, report, envelope),
            (None, _) => self.register(report, envelope),
        }
    }

    fn register(&mut self, report: &PatientReported, envelope: &Envelope) -> Effect {
        let asserted = report.assertion == Assertion::Asserted;
        let id = self.create(&report.identifiers, envelope.id);
        if let Some(record) = self.records.get_mut(&id) {
            record.demographics.apply(report, Reach::Overwrite);
            record.provisional = !asserted;
            record.fact_at = asserted.then(|| fact_time(report.occurred_at.as_deref(), envelope));
        }
        Effect::Changed {
            changes: vec![self.registration(id)],
            answer: None,
        }
    }

    fn update(&mut self, id: Uuid, report: &PatientReported, envelope: &Envelope) -> Effect {
        let shared = self.shared.len();
        let added = self.add_identifiers(id, &report.identifiers);
        let suggested = self.shared.len() != shared;
        let Some(record) = self.records.get_mut(&id) else {
            return Effect::None;
        };
        let fact_at = fact_time(report.occurred_at.as_deref(), envelope);
        let older = record.fact_at.is_some_and(|newest| fact_at < newest);
        let reach = if older {
            Reach::FillEmpty
        } else {
            Reach::Overwrite
        };
        let cleared = record.demographics.cleared.len();
        let mut changed = record.demographics.apply(report, reach);
        let deletions_noted = record.demographics.cleared.len() != cleared;
        record.keys_changed |= added
            || changed.iter().any(|field| {
                matches!(
                    field.as_str(),
                    "name" | "other_names" | "birth_date" | "telecoms"
                )
            });
        if added {
            changed.push("identifiers".to_owned());
        }
        if record.provisional {
            record.provisional = false;
            changed.push("provisional".to_owned());
        }
        let confirmed = suggested || (!older && record.fact_at != Some(fact_at));
        if !older {
            record.fact_at = Some(fact_at);
        }
        if changed.is_empty() && !deletions_noted {
            return if confirmed {
                Effect::Confirmed
            } else {
                Effect::None
            };
        }
        record.change(envelope.id);
        if changed.is_empty() {
            return Effect::Confirmed;
        }
        Effect::Changed {
            changes: vec![Change::Updated(PatientUpdated {
                patient_id: id,
                version: record.version,
                changed,
            })],
            answer: None,
        }
    }

    /// A new provisional record with these identifiers. Its id follows from the first of them, so that whoever registers
    /// it, here or in another process, makes the same record.
    fn create(&mut self, identifiers: &[Identifier], event: Uuid) -> Uuid {
        let id = identifiers
            .first()
            .map_or(event, |primary| schemas::event_id(primary.key.0, 0));
        self.records.insert(id, Record::new(id, event));
        self.registered.push(id);
        self.add_identifiers(id, identifiers);
        id
    }

    /// Gives a record the identifiers that nobody has. One that another record has stays there.
    fn add_identifiers(&mut self, id: Uuid, identifiers: &[Identifier]) -> bool {
        let mut added = false;
        for identifier in identifiers {
            match self.owners.get(&identifier.key) {
                None => {
                    self.owners.insert(identifier.key, id);
                    self.new_identifiers.push((identifier.clone(), id));
                    added = true;
                }
                Some(owner) if self.standing(*owner) != self.standing(id) => {
                    self.shared.push((id, *owner));
                }
                Some(_) => {}
            }
        }
        added
    }

    fn registration(&self, id: Uuid) -> Change {
        Change::Registered {
            patient_id: id,
            identifiers: self
                .new_identifiers
                .iter()
                .rev()
                .take_while(|(_, owner)| *owner == id)
                .map(|(identifier, _)| identifier.clone())
                .collect::<Vec<_>>()
                .into_iter()
                .rev()
                .collect(),
            provisional: self
                .records
                .get(&id)
                .is_some_and(|record| record.provisional),
        }
    }
}
