//! The catalogue: every event and command, who owns what it touches, and its JSON Schema.

use schemars::{Schema, generate::SchemaSettings};

use crate::{
    Body, care, chart, commands, controls, criticals, devices, house, identity, incidents,
    integration, patients, platform, portal, privacy, registration, rounds, scheduling, sending,
    sign_in, specimens, stays, verification,
};

/// Fact or request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    Event,
    Command,
}

/// The worker that applies it; `None` in the catalogue when nobody does yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Patient,
    Clinical,
    Integration,
    Identity,
    Scheduling,
}

/// Messages of one group keep their order inside a lane; groups are consumed by different workers,
/// so no order is promised between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OrderGroup {
    Patients,
    Care,
    Integration,
    Identity,
    Scheduling,
}

/// One row of the catalogue.
#[derive(Clone, Copy)]
pub struct CatalogueEntry {
    pub name: &'static str,
    pub version: u16,
    pub kind: MessageKind,
    /// Worker that applies it, if one does.
    pub owner: Option<Owner>,
    pub group: OrderGroup,
    schema: fn() -> Schema,
}

impl std::fmt::Debug for CatalogueEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogueEntry")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl CatalogueEntry {
    /// JSON Schema (draft 2020-12) of the body.
    #[must_use]
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }

    /// File name of the committed schema: `<name>.v<version>.json`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.v{}.json", self.name, self.version)
    }

    /// Looks a message type up by its name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        CATALOGUE.iter().find(|entry| entry.name == name)
    }
}

fn schema_of<T: schemars::JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

const fn row<T: Body + schemars::JsonSchema>(
    kind: MessageKind,
    owner: Option<Owner>,
    group: OrderGroup,
) -> CatalogueEntry {
    CatalogueEntry {
        name: T::NAME,
        version: T::VERSION,
        kind,
        owner,
        group,
        schema: schema_of::<T>,
    }
}

use MessageKind::{Command, Event};

/// Every message type of the hub.
pub const CATALOGUE: &[CatalogueEntry] = &[
    row::<patients::PatientReported>(Event, Some(Owner::Patient), OrderGroup::Patients),
    row::<patients::PatientMergeReported>(Event, Some(Owner::Patient), OrderGroup::Patients),
    row::<patients::PatientRegistered>(Event, None, OrderGroup::Patients),
    row::<patients::PatientUpdated>(Event, None, OrderGroup::Patients),
    row::<patients::PatientMerged>(Event, Some(Owner::Identity), OrderGroup::Patients),
    row::<patients::PatientUnmerged>(Event, Some(Owner::Identity), OrderGroup::Patients),
    row::<care::EncounterReported>(Event, Some(Owner::Clinical), OrderGroup::Care),
    row::<care::OrderReported>(Event, Some(Owner::Clinical), OrderGroup::Care),
    row::<care::ResultReceived>(Event, Some(Owner::Clinical), OrderGroup::Care),
    row::<devices::VitalsObserved>(Event, Some(Owner::Clinical), OrderGroup::Care),
    row::<devices::AlarmReported>(Event, Some(Owner::Clinical), OrderGroup::Care),
    row::<devices::BedChanged>(Event, Some(Owner::Clinical), OrderGroup::Care),
    row::<devices::AlarmChanged>(Event, None, OrderGroup::Care),
    row::<care::EncounterChanged>(Event, None, OrderGroup::Care),
    row::<care::OrderChanged>(Event, None, OrderGroup::Care),
    row::<care::ReportFiled>(Event, None, OrderGroup::Care),
    row::<care::ReportAmended>(Event, None, OrderGroup::Care),
    row::<care::ReportMatched>(Event, None, OrderGroup::Care),
    row::<controls::ControlRecorded>(Event, None, OrderGroup::Care),
    row::<criticals::CriticalRaised>(Event, None, OrderGroup::Care),
    row::<criticals::CriticalOverdue>(Event, None, OrderGroup::Care),
    row::<sending::OrderSent>(Event, Some(Owner::Clinical), OrderGroup::Care),
    row::<specimens::SpecimenAccessioned>(Event, None, OrderGroup::Care),
    row::<specimens::SpecimenCollected>(Event, None, OrderGroup::Care),
    row::<specimens::SpecimenReceived>(Event, None, OrderGroup::Care),
    row::<specimens::SpecimenRejected>(Event, None, OrderGroup::Care),
    row::<specimens::SpecimenChanged>(Event, None, OrderGroup::Care),
    row::<verification::ReportReleased>(Event, None, OrderGroup::Care),
    row::<verification::ReportReopened>(Event, None, OrderGroup::Care),
    row::<stays::EncounterOpened>(Event, None, OrderGroup::Care),
    row::<stays::EncounterStaged>(Event, None, OrderGroup::Care),
    row::<stays::AdmissionRequested>(Event, None, OrderGroup::Care),
    row::<stays::PatientAdmitted>(Event, None, OrderGroup::Care),
    row::<stays::BedAssigned>(Event, None, OrderGroup::Care),
    row::<stays::BedStateChanged>(Event, None, OrderGroup::Care),
    row::<stays::DischargeInitiated>(Event, None, OrderGroup::Care),
    row::<stays::GateCleared>(Event, None, OrderGroup::Care),
    row::<stays::PatientLeft>(Event, None, OrderGroup::Care),
    row::<stays::DifferenceFound>(Event, None, OrderGroup::Care),
    row::<chart::AllergyRecorded>(Event, None, OrderGroup::Care),
    row::<chart::ConditionRecorded>(Event, None, OrderGroup::Care),
    row::<chart::NoteSigned>(Event, None, OrderGroup::Care),
    row::<chart::NoteAddended>(Event, None, OrderGroup::Care),
    row::<chart::PrescriptionSigned>(Event, None, OrderGroup::Care),
    row::<chart::PrescriptionStopped>(Event, None, OrderGroup::Care),
    row::<chart::DocumentFiled>(Event, None, OrderGroup::Care),
    row::<chart::EntryRetracted>(Event, None, OrderGroup::Care),
    row::<rounds::VitalsRecorded>(Event, None, OrderGroup::Care),
    row::<rounds::ScoreComputed>(Event, None, OrderGroup::Care),
    row::<rounds::DeteriorationFlagged>(Event, None, OrderGroup::Care),
    row::<integration::ResultHeld>(Event, Some(Owner::Integration), OrderGroup::Integration),
    row::<integration::CodeMapped>(Event, Some(Owner::Integration), OrderGroup::Integration),
    row::<integration::MessageTranslated>(Event, Some(Owner::Integration), OrderGroup::Integration),
    row::<sending::QueryAnswered>(Event, Some(Owner::Integration), OrderGroup::Integration),
    row::<incidents::IncidentEscalated>(Event, None, OrderGroup::Integration),
    row::<integration::DeadLettered>(Event, Some(Owner::Integration), OrderGroup::Integration),
    row::<integration::ChannelStateChanged>(
        Event,
        Some(Owner::Integration),
        OrderGroup::Integration,
    ),
    row::<identity::GrantChanged>(Event, None, OrderGroup::Identity),
    row::<identity::GlassBroken>(Event, None, OrderGroup::Identity),
    row::<scheduling::AppointmentBooked>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::AppointmentRescheduled>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::AppointmentCancelled>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::AppointmentMissed>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::AppointmentCheckedIn>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::AppointmentStateChanged>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::AppointmentAffected>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::ReminderDue>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::WaitlistOffered>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::TokenCalled>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::QueueDelayed>(Event, None, OrderGroup::Scheduling),
    row::<scheduling::SlotsChanged>(Event, None, OrderGroup::Scheduling),
    row::<privacy::ConsentRecorded>(Event, None, OrderGroup::Patients),
    row::<privacy::ConsentWithdrawn>(Event, None, OrderGroup::Patients),
    row::<privacy::PrivacyRequestMoved>(Event, None, OrderGroup::Patients),
    row::<platform::TenantProvisioned>(Event, None, OrderGroup::Identity),
    row::<platform::TenantStateChanged>(Event, None, OrderGroup::Identity),
    row::<commands::MergePatients>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<commands::UnmergePatient>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<commands::MapCode>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<commands::PlaceOrder>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<commands::CancelOrder>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<commands::ChangeOrder>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<specimens::AccessionSpecimen>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<specimens::MoveSpecimen>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<specimens::ChangeSpecimen>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<commands::ClaimReport>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<commands::DiscardReport>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<controls::DefineControl>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<controls::DecideControl>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<criticals::AcknowledgeCritical>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<criticals::EscalateCriticals>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<devices::ClaimVitals>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<devices::DiscardVitals>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<verification::DecideResults>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<verification::RerunResult>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<verification::CommentResult>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<house::DefineFacility>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<house::DefineDepartment>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<house::DefineWard>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<house::DefineBed>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<house::SetBedState>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<stays::OpenEncounter>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<stays::RequestAdmission>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<stays::MoveEncounter>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<stays::ChangeEncounter>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<stays::ResolveDifference>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::RecordAllergy>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::StateNoAllergies>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::EndNoAllergies>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::RecordCondition>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::DraftNote>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::AddToNote>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::DraftPrescription>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::SignPrescription>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::FileDocument>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<chart::ChangeEntry>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<rounds::RecordObservations>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<rounds::CorrectObservation>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<rounds::OrderOxygenTarget>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<rounds::EndOxygenTarget>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<rounds::AdvanceTask>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<rounds::AmendResult>(Command, Some(Owner::Clinical), OrderGroup::Care),
    row::<registration::RegisterPatient>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<registration::ChangePatient>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<registration::RestrictPatient>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<registration::AddIdentifier>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<registration::EndIdentifier>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<registration::DefineSeries>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<commands::ResolveHeld>(Command, Some(Owner::Integration), OrderGroup::Integration),
    row::<commands::ResolveDead>(Command, Some(Owner::Integration), OrderGroup::Integration),
    row::<incidents::AcknowledgeIncident>(
        Command,
        Some(Owner::Integration),
        OrderGroup::Integration,
    ),
    row::<incidents::EscalateIncidents>(Command, Some(Owner::Integration), OrderGroup::Integration),
    row::<commands::SetChannelState>(Command, Some(Owner::Integration), OrderGroup::Integration),
    row::<commands::RecordAccess>(Command, Some(Owner::Integration), OrderGroup::Integration),
    row::<identity::CreateUser>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::ChangeUser>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::SetUserState>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::SetPassword>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::DefineRole>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::GiveGrant>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::EndGrant>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::OpenSession>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::RotateSession>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::EndSessions>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::EnrolFactor>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::ConfirmFactor>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::ProveFactor>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::RemoveFactor>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::CreateClient>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::ChangeClient>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::RotateClientSecret>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::BreakGlass>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<identity::ReviewGlass>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<portal::OpenPatientLogin>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<portal::EndPatientLogin>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::AddPasskey>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::RenamePasskey>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::RemovePasskeys>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::UsePasskey>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::InviteSubject>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::LinkSubject>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::UseSubject>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<sign_in::UnlinkSubjects>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<scheduling::DefineSchedule>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::AddException>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::EndException>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::TendSchedule>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::BookAppointment>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::WalkIn>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::AdvanceAppointment>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::RescheduleAppointment>(
        Command,
        Some(Owner::Scheduling),
        OrderGroup::Scheduling,
    ),
    row::<scheduling::ChangeAppointment>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::JoinWaitlist>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::AnswerWaitlist>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::CallToken>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<scheduling::DelayQueue>(Command, Some(Owner::Scheduling), OrderGroup::Scheduling),
    row::<privacy::RecordConsent>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<privacy::WithdrawConsent>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<privacy::OpenPrivacyRequest>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<privacy::MovePrivacyRequest>(Command, Some(Owner::Patient), OrderGroup::Patients),
    row::<platform::CreateTenant>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<platform::ChangeTenant>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<platform::SetTenantState>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<platform::RecordTenantExport>(Command, Some(Owner::Identity), OrderGroup::Identity),
    row::<platform::DefinePlan>(Command, Some(Owner::Identity), OrderGroup::Identity),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_domain_entity_verb_and_stands_once() {
        for entry in CATALOGUE {
            assert_eq!(entry.name.split('.').count(), 3, "{}", entry.name);
            assert!(
                entry
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'.'),
                "{}",
                entry.name
            );
            assert_eq!(
                CATALOGUE
                    .iter()
                    .filter(|other| other.name == entry.name)
                    .count(),
                1,
                "{}",
                entry.name
            );
        }
    }

    /// Who acts stands in every command: without it nobody could tell a checker from a maker. What the hub asks of
    /// itself has nobody.
    #[test]
    fn every_command_must_name_who_acts() {
        for entry in CATALOGUE {
            let of_the_hub = [
                <criticals::EscalateCriticals as Body>::NAME,
                <incidents::EscalateIncidents as Body>::NAME,
            ]
            .contains(&entry.name);
            if entry.kind != Command || of_the_hub {
                continue;
            }
            let schema = serde_json::to_value(entry.schema()).unwrap();
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            assert!(
                required.contains(&serde_json::json!("actor")),
                "{} does not require `actor`",
                entry.name
            );
        }
    }

    /// Set `UPDATE_SCHEMAS=1` to write the files anew.
    #[test]
    fn the_committed_json_schemas_are_those_of_the_types() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("json");
        let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
        if update {
            std::fs::create_dir_all(&folder).unwrap();
        }
        for entry in CATALOGUE {
            let mut text = serde_json::to_string_pretty(&entry.schema()).unwrap();
            text.push('\n');
            let path = folder.join(entry.file_name());
            if update {
                std::fs::write(&path, &text).unwrap();
            }
            let committed = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(
                committed,
                text,
                "{} differs: run UPDATE_SCHEMAS=1 cargo test -p schemas",
                path.display()
            );
        }
        let files = std::fs::read_dir(&folder).unwrap().count();
        assert_eq!(
            files,
            CATALOGUE.len(),
            "a schema file without a type, or the reverse"
        );
    }
}
