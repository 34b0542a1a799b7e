//! Which facts are told to whom. A new event of the catalogue that nobody consumes needs a row here, or a line in the list of
//! those that are not told (`feed/tests.rs`).

/// What a fact tells of its place: a member of the body with an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Ward(&'static str),
    /// Where its patient is now.
    Encounter(&'static str),
    /// A clinic's.
    Schedule(&'static str),
}

impl Where {
    pub(crate) fn member(self) -> &'static str {
        match self {
            Self::Ward(member) | Self::Encounter(member) | Self::Schedule(member) => member,
        }
    }
}

/// One fact of a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Topic {
    /// Name in the catalogue.
    pub(crate) event: &'static str,
    pub(crate) name: &'static str,
    /// Who may list such things in the whole hospital may follow all of them; the same for all facts of a topic.
    pub(crate) permission: &'static str,
    /// What tells where it happened: who has the permission at some places follows what happens there. `None`: it has no place.
    pub(crate) place: Option<Where>,
    /// Member of the body with the id of what changed.
    pub(crate) id: &'static str,
    /// The route that reads it, up to the id.
    pub(crate) read_at: Option<&'static str>,
    pub(crate) version: Option<&'static str>,
    /// Members with ids of what changed with it.
    pub(crate) also: &'static [&'static str],
}

const fn row(
    event: &'static str,
    name: &'static str,
    permission: &'static str,
    id: &'static str,
    read_at: Option<&'static str>,
) -> Topic {
    Topic {
        event,
        name,
        permission,
        place: None,
        id,
        read_at,
        version: None,
        also: &[],
    }
}

const fn versioned(topic: Topic, version: &'static str) -> Topic {
    Topic {
        version: Some(version),
        ..topic
    }
}

const fn also(topic: Topic, also: &'static [&'static str]) -> Topic {
    Topic { also, ..topic }
}

const fn at(place: Where, topic: Topic) -> Topic {
    Topic {
        place: Some(place),
        ..topic
    }
}

const STAY: Where = Where::Encounter("encounter_id");
const WARD: Where = Where::Ward("ward_id");
const CLINIC: Where = Where::Schedule("schedule_id");

const PATIENT: Option<&str> = Some("/api/v1/patients/");
const ENCOUNTER: Option<&str> = Some("/api/v1/encounters/");
const ORDER: Option<&str> = Some("/api/v1/orders/");
const SPECIMEN: Option<&str> = Some("/api/v1/specimens/");
const REPORT: Option<&str> = Some("/api/v1/reports/");
const ALARM: Option<&str> = Some("/api/v1/alarms/");
const CHANNEL: Option<&str> = Some("/api/v1/channels/");
const BED: Option<&str> = Some("/api/v1/beds/");
const APPOINTMENT: Option<&str> = Some("/api/v1/appointments/");
const QUEUE: Option<&str> = Some("/api/v1/queues/");
const SCHEDULE: Option<&str> = Some("/api/v1/schedules/");
const USER: Option<&str> = Some("/api/v1/users/");

/// All of them. The members named are ids, numbers of versions, and nothing else: a test looks at each.
#[rustfmt::skip]
pub(crate) const TOPICS: &[Topic] = &[
    row("patients.patient.registered", "patients", "patients:read", "patient_id", PATIENT),
    versioned(row("patients.patient.updated", "patients", "patients:read", "patient_id", PATIENT), "version"),
    also(row("patients.patient.merged", "patients", "patients:read", "survivor", PATIENT), &["retired"]),
    also(row("patients.patient.unmerged", "patients", "patients:read", "survivor", PATIENT), &["restored"]),
    at(STAY, row("clinical.encounter.changed", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    row("clinical.bed.changed", "beds", "beds:read", "bed_key", None),
    at(STAY, row("adt.encounter.opened", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(STAY, row("adt.encounter.staged", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(STAY, row("adt.admission.requested", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(STAY, row("adt.patient.admitted", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(STAY, row("adt.discharge.initiated", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(STAY, row("adt.discharge.gate_cleared", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(STAY, row("adt.patient.left", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(STAY, row("adt.bed.assigned", "encounters", "encounters:read", "encounter_id", ENCOUNTER)),
    at(WARD, also(row("adt.bed.state_changed", "beds", "beds:read", "bed_id", BED), &["ward_id"])),
    row("adt.difference.found", "adt_differences", "adt_differences:read", "difference_id", None),
    at(CLINIC, versioned(also(row("scheduling.appointment.booked", "appointments", "appointments:read", "appointment_id", APPOINTMENT), &["schedule_id"]), "version")),
    at(CLINIC, versioned(also(row("scheduling.appointment.rescheduled", "appointments", "appointments:read", "appointment_id", APPOINTMENT), &["schedule_id"]), "version")),
    at(CLINIC, versioned(also(row("scheduling.appointment.cancelled", "appointments", "appointments:read", "appointment_id", APPOINTMENT), &["schedule_id"]), "version")),
    at(CLINIC, versioned(also(row("scheduling.appointment.no_show", "appointments", "appointments:read", "appointment_id", APPOINTMENT), &["schedule_id"]), "version")),
    at(CLINIC, versioned(also(row("scheduling.appointment.checked_in", "appointments", "appointments:read", "appointment_id", APPOINTMENT), &["schedule_id"]), "version")),
    at(CLINIC, versioned(also(row("scheduling.appointment.state_changed", "appointments", "appointments:read", "appointment_id", APPOINTMENT), &["schedule_id"]), "version")),
    at(CLINIC, versioned(also(row("scheduling.appointment.affected", "appointments", "appointments:read", "appointment_id", APPOINTMENT), &["schedule_id"]), "version")),
    at(CLINIC, also(row("scheduling.waitlist.offered", "waitlist", "appointments:read", "entry_id", None), &["appointment_id", "slot_id", "schedule_id"])),
    at(CLINIC, also(row("scheduling.token.called", "queues", "appointments:read", "queue_id", QUEUE), &["appointment_id", "schedule_id"])),
    at(CLINIC, also(row("scheduling.queue.delayed", "queues", "appointments:read", "queue_id", QUEUE), &["schedule_id"])),
    at(CLINIC, row("scheduling.slots.changed", "schedules", "schedules:read", "schedule_id", SCHEDULE)),
    row("clinical.order.changed", "orders", "orders:read", "order_id", ORDER),
    row("lis.specimen.accessioned", "specimens", "orders:read", "specimen_id", SPECIMEN),
    row("lis.specimen.collected", "specimens", "orders:read", "specimen_id", SPECIMEN),
    row("lis.specimen.received", "specimens", "orders:read", "specimen_id", SPECIMEN),
    row("lis.specimen.rejected", "specimens", "orders:read", "specimen_id", SPECIMEN),
    versioned(row("lis.specimen.changed", "specimens", "orders:read", "specimen_id", SPECIMEN), "version"),
    versioned(row("clinical.report.filed", "reports", "results:read", "report_id", REPORT), "version"),
    versioned(row("clinical.report.amended", "reports", "results:read", "report_id", REPORT), "version"),
    row("clinical.report.matched", "reports", "results:read", "report_id", REPORT),
    versioned(row("clinical.report.released", "reports", "results:read", "report_id", REPORT), "release"),
    versioned(row("clinical.report.reopened", "reports", "results:read", "report_id", REPORT), "release"),
    also(row("clinical.critical.raised", "criticals", "worklists:read", "critical_id", None), &["report_id"]),
    also(row("clinical.critical.overdue", "criticals", "worklists:read", "critical_id", None), &["report_id"]),
    row("clinical.control.recorded", "controls", "worklists:read", "run_id", None),
    row("clinical.alarm.changed", "alarms", "alarms:read", "alarm_id", ALARM),
    row("clinical.allergy.recorded", "allergies", "charts:read", "entry_id", None),
    row("clinical.condition.recorded", "conditions", "charts:read", "entry_id", Some("/api/v1/conditions/")),
    row("clinical.note.signed", "notes", "charts:read", "entry_id", Some("/api/v1/notes/")),
    also(row("clinical.note.addended", "notes", "charts:read", "entry_id", Some("/api/v1/notes/")), &["addendum_id"]),
    row("rx.prescription.signed", "prescriptions", "charts:read", "entry_id", Some("/api/v1/prescriptions/")),
    row("rx.prescription.stopped", "prescriptions", "charts:read", "entry_id", Some("/api/v1/prescriptions/")),
    row("clinical.document.filed", "documents", "charts:read", "entry_id", Some("/api/v1/documents/")),
    // a note or a document: which, its versions tell
    row("clinical.entry.retracted", "chart_entries", "charts:read", "entry_id", None),
    versioned(row("clinical.score.computed", "scores", "vitals:read", "score_id", Some("/api/v1/scores/")), "version"),
    also(row("clinical.deterioration.flagged", "tasks", "tasks:read", "task_id", None), &["score_id"]),
    also(row("patients.consent.recorded", "consents", "privacy:read", "consent_id", Some("/api/v1/consents/")), &["patient_id"]),
    also(row("patients.consent.withdrawn", "consents", "privacy:read", "consent_id", Some("/api/v1/consents/")), &["patient_id"]),
    also(row("patients.privacy_request.moved", "privacy_requests", "privacy:read", "request_id", Some("/api/v1/privacy-requests/")), &["patient_id"]),
    row("lis.result.held", "held", "held:read", "report_id", None),
    row("integration.channel.state_changed", "channels", "channels:read", "channel", CHANNEL),
    row("integration.incident.escalated", "incidents", "incidents:read", "incident_id", None),
    also(row("auth.grant.changed", "users", "users:read", "user_id", USER), &["grant_id"]),
    also(row("auth.glass.broken", "emergencies", "glass:review", "id", None), &["patient_id"]),
];

/// Their names, each once, in the order of the alphabet.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&'static str> = TOPICS.iter().map(|topic| topic.name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(crate) fn of(event: &str) -> Option<&'static Topic> {
    TOPICS.iter().find(|topic| topic.event == event)
}

/// Names of all facts that are told.
pub(crate) fn events() -> Vec<&'static str> {
    TOPICS.iter().map(|topic| topic.event).collect()
}
