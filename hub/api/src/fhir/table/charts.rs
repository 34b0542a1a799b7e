//! What of charts and clinics is served: what staff write.

use hub_fhir::Kind;

use super::How::{Date, Reference, Token};
use super::{FILED, PATIENT, Param, READ_ONLY, SUBJECT, WRITTEN, Wired, param};

pub(super) const CONDITION: Wired = Wired {
    kind: Kind::Condition,
    interactions: WRITTEN,
    params: &[
        PATIENT,
        SUBJECT,
        param("code", Token, &["code"], "ICD-10, or the code as written"),
        param("category", Token, &["category"], "always problem-list-item"),
        param(
            "clinical-status",
            Token,
            &["clinicalStatus"],
            "active, inactive or resolved",
        ),
        param(
            "verification-status",
            Token,
            &["verificationStatus"],
            "provisional, confirmed, refuted or entered-in-error",
        ),
        param("onset-date", Date, &["onsetDateTime"], "when it began"),
        param(
            "recorded-date",
            Date,
            &["recordedDate"],
            "when it was recorded",
        ),
        param("encounter", Reference, &["encounter"], "the visit"),
    ],
    mandatory: &["subject"],
    keeps_versions: true,
    dated: false,
    words: "A problem or diagnosis of the problem list. Searches need patient, subject or _id. Create records one, provisional \
            or confirmed; an update changes its content, or brings it into another state (confirmed, refuted, resolved, \
            entered-in-error): one of the two at a time, and where a reason is needed an added note is it.",
};

pub(super) const ALLERGY: Wired = Wired {
    kind: Kind::AllergyIntolerance,
    interactions: WRITTEN,
    params: &[
        param(
            "patient",
            Reference,
            &["patient"],
            "the patient: [id] or Patient/[id]; also as patient.identifier",
        ),
        param("code", Token, &["code"], "the substance"),
        param(
            "category",
            Token,
            &["category"],
            "medication, food or environment",
        ),
        param(
            "clinical-status",
            Token,
            &["clinicalStatus"],
            "active, inactive or resolved",
        ),
        param(
            "verification-status",
            Token,
            &["verificationStatus"],
            "confirmed, unconfirmed, refuted or entered-in-error",
        ),
        param("date", Date, &["recordedDate"], "when it was recorded"),
    ],
    mandatory: &["patient"],
    keeps_versions: true,
    dated: false,
    words: "What a patient reacts to. That none are known is not told here: no entry may also mean that nobody asked \
            (GET /api/v1/patients/[id]/allergies tells). Searches need patient or _id. Create records one; an update changes its \
            content, or brings it into another state (resolved, refuted, entered-in-error, active again): one of the two at a \
            time, and where a reason is needed an added note is it.",
};

pub(super) const PRESCRIPTION: Wired = Wired {
    kind: Kind::MedicationRequest,
    interactions: WRITTEN,
    params: &[
        PATIENT,
        SUBJECT,
        param(
            "code",
            Token,
            &["medicationCodeableConcept"],
            "the drug, where it is coded",
        ),
        param("status", Token, &["status"], "status"),
        param("intent", Token, &["intent"], "always order"),
        param("authoredon", Date, &["authoredOn"], "when it was written"),
        param("encounter", Reference, &["encounter"], "the visit"),
    ],
    mandatory: &["status", "intent", "medicationCodeableConcept", "subject"],
    keeps_versions: true,
    dated: false,
    words: "One drug of a prescription; groupIdentifier names the prescription. Completed: it was dispensed; whether it is \
            still taken is not said. Searches need patient, subject or _id. Create drafts a prescription of one drug; an update \
            edits the draft, signs it (active; the extensions urn:hub:extension:accept-unchecked and override-reason say what \
            REST asks for then), says that it was dispensed (completed), cancels, stops or retracts it with statusReason. A \
            prescription of several drugs is changed as a whole, over REST.",
};

pub(super) const APPOINTMENT: Wired = Wired {
    kind: Kind::Appointment,
    interactions: WRITTEN,
    params: &[
        param(
            "patient",
            Reference,
            &["participant.actor"],
            "the patient: [id] or Patient/[id]; also as patient.identifier",
        ),
        param("status", Token, &["status"], "status"),
        param("date", Date, &["start"], "when it begins"),
        param("slot", Reference, &["slot"], "the slot that it has"),
        param(
            "appointment-type",
            Token,
            &["appointmentType"],
            "WALKIN, or none",
        ),
    ],
    mandatory: &["status", "participant"],
    keeps_versions: false,
    dated: false,
    words: "A place in a slot of a schedule. The patient's participation is accepted once he confirmed or came. Searches need \
            patient or _id. Create books a slot (a search of Slot tells which are free) or holds it (pending); an update confirms, \
            moves, cancels or changes what it is about: one of these at a time.",
};

pub(super) const SCHEDULE: Wired = Wired {
    kind: Kind::Schedule,
    interactions: READ_ONLY,
    params: &[
        param("active", Token, &["active"], "slots are made of it"),
        param(
            "actor",
            Reference,
            &["actor"],
            "whose time it is: as actor:identifier, the hospital's code of the practitioner or the service",
        ),
        SERVICE,
    ],
    mandatory: &["actor"],
    keeps_versions: false,
    dated: false,
    words: "Whose time is given away: a practitioner's, a room's or a service's. They are defined over REST.",
};

pub(super) const SLOT: Wired = Wired {
    kind: Kind::Slot,
    interactions: READ_ONLY,
    params: &[
        param(
            "schedule",
            Reference,
            &["schedule"],
            "the schedule: [id] or Schedule/[id]",
        ),
        param("start", Date, &["start"], "when it begins"),
        param(
            "status",
            Token,
            &["status"],
            "free, busy, or busy-unavailable: the schedule has it no longer",
        ),
        SERVICE,
    ],
    mandatory: &["schedule", "status", "start", "end"],
    keeps_versions: false,
    // what is free in it changes with the clock too
    dated: false,
    words: "A time of a schedule, and how many places of it are free. An Appointment books it. Searches need schedule, start or \
            _id.",
};

const SERVICE: Param = param(
    "service-type",
    Token,
    &["serviceType"],
    "the service, as the hospital names it",
);

pub(super) const DOCUMENT: Wired = Wired {
    kind: Kind::DocumentReference,
    interactions: FILED,
    params: &[
        PATIENT,
        SUBJECT,
        param("type", Token, &["type"], "kind of note or document"),
        param("category", Token, &["category"], "note or document"),
        param("status", Token, &["status"], "current or entered-in-error"),
        param("date", Date, &["date"], "when it was written or filed"),
        param(
            "contenttype",
            Token,
            &["content.attachment.contentType"],
            "media type",
        ),
        param("encounter", Reference, &["context.encounter"], "the visit"),
    ],
    mandatory: &["status", "content"],
    keeps_versions: true,
    dated: false,
    words: "A note, with its words, or a document that was filed, whose bytes are at its address under the same token. Searches \
            need patient, subject or _id. Create files a document, with its bytes as the attachment's data; one that was filed \
            by mistake is retracted over REST.",
};
