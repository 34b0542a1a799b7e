//! Joining two records of one person, and taking it back.
//!
//! A merge is a link from the retired record to the one that stands; both keep their identifiers and what was reported
//! of them. Both versions rise, so two merges that would close a circle can never both be stored.

use hub_core::Envelope;
use schemas::commands::{MergePatients, UnmergePatient};
use schemas::patients::{
    Identifier, PatientMergeReported, PatientMerged, PatientUnmerged, PatientUpdated,
};
use serde_json::json;
use uuid::Uuid;

use super::{Authority, Index, Link};
use crate::effect::{Change, Effect};
use crate::message::fact_time;
use crate::record::Status;

const ALREADY_MERGED: (&str, &str) = (
    "patients.already_merged",
    "the record to retire was merged into another one: unmerge it first, or merge that one",
);
const ENTERED_IN_ERROR: (&str, &str) = (
    "patients.entered_in_error",
    "one of the records was entered in error",
);

/// What stands between a record and a merge.
enum Standing {
    /// The merge may be made, into this record.
    Free(Uuid),
    /// It has been made already.
    Joined,
    Refused(&'static str, &'static str),
}

impl Index {
    pub(super) fn merge_reported(
        &mut self,
        merge: &PatientMergeReported,
        envelope: &Envelope,
    ) -> Effect {
        let survivor = self.owner_of_first(&merge.survivor);
        let retired = self.owner_of_first(&merge.retired);
        match (survivor, retired) {
            (Some(survivor), Some(retired)) if survivor == retired => return Effect::None,
            (Some(survivor), Some(retired)) => match self.between(survivor, retired) {
                Standing::Free(_) => {}
                Standing::Joined => return Effect::None,
                Standing::Refused(code, detail) => return Effect::refused(code, detail),
            },
            (Some(known), None) | (None, Some(known)) if self.is_wrong(known) => {
                return Effect::refused(ENTERED_IN_ERROR.0, ENTERED_IN_ERROR.1);
            }
            // a record that is made only now stands by itself: not what this one was merged into
            (None, Some(retired)) if self.standing(retired) != retired => {
                return Effect::refused(ALREADY_MERGED.0, ALREADY_MERGED.1);
            }
            (None, None) if same_first(&merge.survivor, &merge.retired) => {
                return Effect::refused("patients.self_merge", "a record is merged into itself");
            }
            _ => {}
        }
        if let Some(effect) =
            retired.and_then(|retired| self.taken_back_since(retired, merge, envelope))
        {
            return effect;
        }
        // the retired side first: a PID that repeats the retired number must not take it for itself
        let mut changes = Vec::new();
        let retired = self.known_or_created(retired, &merge.retired, envelope, &mut changes);
        let survivor = survivor.or_else(|| self.owner_of_first(&merge.survivor));
        let survivor = self.known_or_created(survivor, &merge.survivor, envelope, &mut changes);
        if survivor == retired {
            return Effect::Changed {
                changes,
                answer: None,
            };
        }
        let standing = self.standing(survivor);
        let body = PatientMerged {
            survivor: standing,
            retired,
            reason: None,
        };
        self.link(&body, envelope);
        self.links.push(Link::Merged {
            body: body.clone(),
            by: Authority {
                actor: envelope.source.clone(),
                is_person: false,
                event: envelope.id,
            },
        });
        changes.push(Change::Merged(body));
        Effect::Changed {
            changes,
            answer: None,
        }
    }

    pub(super) fn merge_command(&mut self, command: &MergePatients, envelope: &Envelope) -> Effect {
        if command.survivor == command.retired {
            return Effect::refused("patients.self_merge", "a record is merged into itself");
        }
        for id in [command.survivor, command.retired] {
            if !self.records.contains_key(&id) {
                return Effect::refused("patients.unknown", format!("no patient has the id {id}"));
            }
        }
        let standing = match self.between(command.survivor, command.retired) {
            Standing::Free(standing) => standing,
            // a person who asks twice is told; a message that says it twice changes nothing
            Standing::Joined => return Effect::refused(ALREADY_MERGED.0, ALREADY_MERGED.1),
            Standing::Refused(code, detail) => return Effect::refused(code, detail),
        };
        let body = PatientMerged {
            survivor: standing,
            retired: command.retired,
            reason: Some(command.reason.clone()),
        };
        self.link(&body, envelope);
        self.links.push(Link::Merged {
            body: body.clone(),
            by: person(&command.actor, envelope),
        });
        Effect::Changed {
            answer: Some(json!({"survivor": body.survivor, "retired": body.retired})),
            changes: vec![Change::Merged(body)],
        }
    }

    pub(super) fn unmerge_command(
        &mut self,
        command: &UnmergePatient,
        envelope: &Envelope,
    ) -> Effect {
        let whole = self.standing(command.retired);
        // as the chart was closed while they were one: what was written into it meanwhile must not lie open
        let restricted = self
            .records
            .values()
            .any(|record| record.restricted && self.standing(record.id) == whole);
        let Some(record) = self.records.get_mut(&command.retired) else {
            return Effect::refused(
                "patients.unknown",
                format!("no patient has the id {}", command.retired),
            );
        };
        let Some(survivor) = record.merged_into.take() else {
            return Effect::refused("patients.not_merged", "the record stands by itself");
        };
        let closed = restricted && !record.restricted;
        record.restricted |= restricted;
        record.status = Status::Active;
        record.change(envelope.id);
        let version = record.version;
        if let Some(record) = self.records.get_mut(&survivor) {
            record.change(envelope.id);
        }
        let body = PatientUnmerged {
            survivor,
            restored: command.retired,
            reason: Some(command.reason.clone()),
        };
        self.links.push(Link::Unmerged {
            body: body.clone(),
            by: person(&command.actor, envelope),
        });
        self.unmerged_at
            .insert(command.retired, envelope.occurred_at);
        let mut changes = vec![Change::Unmerged(body)];
        if closed {
            changes.push(Change::Updated(PatientUpdated {
                patient_id: command.retired,
                version,
                changed: vec!["restricted".to_owned()],
            }));
        }
        Effect::Changed {
            answer: Some(json!({"survivor": survivor, "restored": command.retired})),
            changes,
        }
    }

    fn between(&self, survivor: Uuid, retired: Uuid) -> Standing {
        if self.is_wrong(survivor) || self.is_wrong(retired) {
            return Standing::Refused(ENTERED_IN_ERROR.0, ENTERED_IN_ERROR.1);
        }
        let (standing, other) = (self.standing(survivor), self.standing(retired));
        if standing == other {
            return if retired == standing {
                Standing::Refused(
                    "patients.cycle",
                    "the record to retire is the one that the survivor was merged into",
                )
            } else {
                Standing::Joined
            };
        }
        if other != retired {
            return Standing::Refused(ALREADY_MERGED.0, ALREADY_MERGED.1);
        }
        Standing::Free(standing)
    }

    fn is_wrong(&self, id: Uuid) -> bool {
        self.records
            .get(&id)
            .is_some_and(|record| record.status == Status::EnteredInError)
    }

    fn link(&mut self, body: &PatientMerged, envelope: &Envelope) {
        if let Some(record) = self.records.get_mut(&body.retired) {
            record.status = Status::Merged;
            record.merged_into = Some(body.survivor);
            record.change(envelope.id);
        }
        if let Some(record) = self.records.get_mut(&body.survivor) {
            record.change(envelope.id);
        }
    }

    fn owner_of_first(&self, identifiers: &[Identifier]) -> Option<Uuid> {
        identifiers
            .first()
            .and_then(|first| self.owners.get(&first.key).copied())
    }

    /// The record of a merge's side. A merge that arrives before anything else of that person registers a provisional
    /// one; further identifiers sent are added to it.
    fn known_or_created(
        &mut self,
        known: Option<Uuid>,
        identifiers: &[Identifier],
        envelope: &Envelope,
        changes: &mut Vec<Change>,
    ) -> Uuid {
        if let Some(id) = known {
            if self.add_identifiers(id, identifiers)
                && let Some(record) = self.records.get_mut(&id)
            {
                record.change(envelope.id);
                record.keys_changed = true;
                changes.push(Change::Updated(PatientUpdated {
                    patient_id: id,
                    version: record.version,
                    changed: vec!["identifiers".to_owned()],
                }));
            }
            return id;
        }
        let id = self.create(identifiers, envelope.id);
        changes.push(self.registration(id));
        id
    }

    /// A person's word stands against a source that repeats an older one.
    fn taken_back_since(
        &self,
        retired: Uuid,
        merge: &PatientMergeReported,
        envelope: &Envelope,
    ) -> Option<Effect> {
        let unmerged_at = self.unmerged_at.get(&retired)?;
        (fact_time(merge.occurred_at.as_deref(), envelope) <= *unmerged_at).then(|| {
            Effect::refused(
                "patients.unmerged_since",
                "a person took this merge back after the source reported it: merge by hand if it is right",
            )
        })
    }
}

fn same_first(survivor: &[Identifier], retired: &[Identifier]) -> bool {
    survivor.first().map(|first| first.key) == retired.first().map(|first| first.key)
}

fn person(actor: &str, envelope: &Envelope) -> Authority {
    Authority {
        actor: actor.to_owned(),
        is_person: true,
        event: envelope.id,
    }
}
