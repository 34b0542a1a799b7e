//! Commands of a desk on the index: register, correct, restrict, identifiers. The same rules as for sources, and a version that
//! must have been seen.

use hub_core::Envelope;
use schemas::patients::PatientUpdated;
use schemas::registration::{
    AddIdentifier, ChangePatient, EndIdentifier, RegisterPatient, RestrictPatient,
};
use serde_json::json;
use uuid::Uuid;

use super::{Act, Index};
use crate::effect::{Change, Effect};
use crate::message::fact_time;
use crate::record::{Record, Status};

impl Index {
    pub(super) fn register_command(
        &mut self,
        command: &RegisterPatient,
        envelope: &Envelope,
    ) -> Effect {
        if let Some(taken) = command
            .identifiers
            .iter()
            .find(|identifier| self.owners.contains_key(&identifier.key))
        {
            return Effect::refused(
                "patients.identifier_exists",
                format!(
                    "the identifier of {} is somebody's already: read who it is",
                    taken.system
                ),
            );
        }
        if command.stated.name.as_set().is_none() {
            return Effect::refused("patients.no_name", "a patient is registered with a name");
        }
        let id = self.create(&command.identifiers, envelope.id);
        let Some(record) = self.records.get_mut(&id) else {
            return Effect::None;
        };
        record.demographics.state(&command.stated);
        record.provisional = false;
        record.fact_at = Some(fact_time(None, envelope));
        let version = record.version;
        self.acts.push(Act {
            actor: command.actor.clone(),
            action: "patients.register",
            patient: id,
            reason: command.force.clone(),
            event: envelope.id,
            detail: json!({ "forced": command.force.is_some() }),
        });
        let identifier = command.identifiers.first();
        Effect::Changed {
            changes: vec![self.registration(id)],
            answer: Some(json!({
                "id": id, "version": version,
                "identifier": identifier.map(|one| json!({ "system": one.system, "value": one.value })),
            })),
        }
    }

    pub(super) fn change_command(
        &mut self,
        command: &ChangePatient,
        envelope: &Envelope,
    ) -> Effect {
        let record = match self.standing_record(command.patient_id, command.seen) {
            Ok(record) => record,
            Err(effect) => return effect,
        };
        let mut changed = record.demographics.state(&command.stated);
        record.keys_changed |= changed.iter().any(|field| {
            matches!(
                field.as_str(),
                "name" | "other_names" | "birth_date" | "telecoms"
            )
        });
        if record.provisional {
            record.provisional = false;
            changed.push("provisional".to_owned());
        }
        // a person's word is of this moment: what a source says of an earlier one does not overrule it
        record.fact_at = record.fact_at.max(Some(fact_time(None, envelope)));
        self.updated(
            command.patient_id,
            changed,
            envelope,
            Done {
                actor: &command.actor,
                action: "patients.change",
                reason: command.reason.as_deref(),
            },
        )
    }

    pub(super) fn restrict_command(
        &mut self,
        command: &RestrictPatient,
        envelope: &Envelope,
    ) -> Effect {
        let record = match self.standing_record(command.patient_id, command.seen) {
            Ok(record) => record,
            Err(effect) => return effect,
        };
        let mut changed = Vec::new();
        if record.restricted != command.restricted {
            record.restricted = command.restricted;
            changed.push("restricted".to_owned());
        }
        self.updated(
            command.patient_id,
            changed,
            envelope,
            Done {
                actor: &command.actor,
                action: if command.restricted {
                    "patients.restrict"
                } else {
                    "patients.lift_restriction"
                },
                reason: Some(&command.reason),
            },
        )
    }

    pub(super) fn add_identifier_command(
        &mut self,
        command: &AddIdentifier,
        envelope: &Envelope,
    ) -> Effect {
        if let Err(effect) = self.standing_record(command.patient_id, None) {
            return effect;
        }
        let key = command.identifier.key;
        match self.owners.get(&key) {
            Some(owner) if self.standing(*owner) != command.patient_id => {
                return Effect::refused(
                    "patients.identifier_exists",
                    "the identifier is somebody else's: if they are one person, merge the records",
                );
            }
            Some(_) if self.ended.contains(&key) => self.usage.push((key, None)),
            Some(_) => {
                return Effect::refused(
                    "patients.identifier_exists",
                    "the patient has this identifier already",
                );
            }
            None => {
                self.add_identifiers(
                    command.patient_id,
                    std::slice::from_ref(&command.identifier),
                );
            }
        }
        if let Some(record) = self.records.get_mut(&command.patient_id) {
            record.keys_changed = true;
        }
        self.updated(
            command.patient_id,
            vec!["identifiers".to_owned()],
            envelope,
            Done {
                actor: &command.actor,
                action: "patients.identifier.add",
                reason: None,
            },
        )
    }

    pub(super) fn end_identifier_command(
        &mut self,
        command: &EndIdentifier,
        envelope: &Envelope,
    ) -> Effect {
        if let Err(effect) = self.standing_record(command.patient_id, None) {
            return effect;
        }
        let key = command.identifier.key;
        if self.owners.get(&key) != Some(&command.patient_id) {
            return Effect::refused(
                "patients.identifier_unknown",
                "the record has no such identifier",
            );
        }
        if self.ended.contains(&key) {
            return Effect::refused("patients.identifier_closed", "it was ended before");
        }
        if self
            .in_use
            .get(&command.patient_id)
            .is_none_or(|count| *count < 2)
        {
            return Effect::refused(
                "patients.identifier_last_conflict",
                "it is the last one in use: add another first",
            );
        }
        self.usage
            .push((key, Some((command.actor.clone(), command.reason.clone()))));
        self.updated(
            command.patient_id,
            vec!["identifiers".to_owned()],
            envelope,
            Done {
                actor: &command.actor,
                action: "patients.identifier.end",
                reason: Some(&command.reason),
            },
        )
    }

    /// The record, if it stands by itself and is the version that was seen.
    fn standing_record(&mut self, id: Uuid, seen: Option<i32>) -> Result<&mut Record, Effect> {
        let Some(record) = self.records.get_mut(&id) else {
            return Err(Effect::refused(
                "patients.unknown",
                format!("no patient has the id {id}"),
            ));
        };
        match record.status {
            Status::Active => {}
            Status::Merged => {
                return Err(Effect::refused(
                    "patients.merged_conflict",
                    "the record was merged into another: change that one",
                ));
            }
            Status::EnteredInError => {
                return Err(Effect::refused(
                    "patients.entered_in_error_conflict",
                    "the record was entered in error",
                ));
            }
        }
        if seen.is_some_and(|seen| seen != record.version) {
            return Err(Effect::refused(
                "patients.stale",
                format!("it was changed since: it is version {} now", record.version),
            ));
        }
        Ok(record)
    }

    fn updated(
        &mut self,
        id: Uuid,
        changed: Vec<String>,
        envelope: &Envelope,
        done: Done<'_>,
    ) -> Effect {
        let Some(record) = self.records.get_mut(&id) else {
            return Effect::None;
        };
        let told = json!(changed);
        let mut changes = Vec::new();
        if !changed.is_empty() {
            record.change(envelope.id);
            changes.push(Change::Updated(PatientUpdated {
                patient_id: id,
                version: record.version,
                changed,
            }));
            self.acts.push(Act {
                actor: done.actor.to_owned(),
                action: done.action,
                patient: id,
                reason: done.reason.map(str::to_owned),
                event: envelope.id,
                detail: json!({ "changed": told }),
            });
        }
        Effect::Changed {
            answer: Some(json!({ "id": id, "version": record.version, "changed": told })),
            changes,
        }
    }
}

/// Who did what, and why.
#[derive(Clone, Copy)]
struct Done<'d> {
    actor: &'d str,
    action: &'static str,
    reason: Option<&'d str>,
}
