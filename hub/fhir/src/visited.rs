//! Encounter, in: a visit that begins or an admission that is asked for, and what else is known of one.

use schemas::care::Practitioner;
use schemas::stays::{AdmissionPriority, Payer};
use serde_json::Value;
use uuid::Uuid;

use crate::encounter::{ACT, DEPARTMENT, EXPECTED_AT, MEDICO_LEGAL, PAYER, PRIORITIES, WARD_CLASS};
use crate::outcome::Issue;
use crate::reading::{Reader, Subject, code_of, items, local, owned};
use crate::registered::REASON;
use crate::resource::Kind;

/// What begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VisitKind {
    /// Here now, with a token.
    Outpatient,
    Emergency,
    /// To be admitted.
    Admission,
}

/// What somebody opens with an Encounter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitRequest {
    pub subject: Subject,
    pub kind: VisitKind,
    pub visit_number: Option<String>,
    pub department: Uuid,
    pub attending: Option<Practitioner>,
    /// An admission has one.
    pub reason: Option<String>,
    /// Of an admission.
    pub priority: Option<AdmissionPriority>,
    pub payer: Option<Payer>,
    /// Of an admission.
    pub ward_class: Option<String>,
    pub medico_legal: bool,
    /// RFC 3339; absent: now.
    pub at: Option<String>,
    /// Why it is told so late, when it began more than a day ago.
    pub late_reason: Option<String>,
    pub organization: Option<Uuid>,
}

/// Reads a new Encounter that [`crate::check`] found well-formed.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_visit(json: &Value) -> Result<VisitRequest, Vec<Issue>> {
    let taken = [
        "extension",
        "identifier",
        "status",
        "class",
        "priority",
        "subject",
        "participant",
        "period",
        "reasonCode",
        "serviceProvider",
    ];
    let mut reader = Reader::new(Kind::Encounter, json, &taken);
    let kind = kind(&mut reader);
    let admission = kind == Some(VisitKind::Admission);
    let begins = if admission { "planned" } else { "in-progress" };
    if kind.is_some() && json["status"] != begins {
        reader.wrong("status", format!("of a new one of this class is {begins}"));
    }
    let subject = reader.subject("subject");
    let attending = reader.only_one("participant");
    let attending = attender(&mut reader, 0, attending);
    let reason = reader.only_one("reasonCode");
    let reason = reader.words("reasonCode", reason);
    if admission && reason.is_none() {
        reader.wrong("reasonCode", "an admission says why, as its text");
    }
    reader.only("period", &json["period"], &["start"]);
    let at = reader.moment("period.start", &json["period"]["start"]);
    let organization = local(&json["serviceProvider"], Kind::Organization);
    if !json["serviceProvider"].is_null() && organization.is_none() {
        reader.wrong(
            "serviceProvider",
            "must be the Organization of this server, or none",
        );
    }
    let [department, payer, ward_class, medico_legal, late_reason] = reader.extensions([
        (DEPARTMENT, "valueString"),
        (PAYER, "valueString"),
        (WARD_CLASS, "valueString"),
        (MEDICO_LEGAL, "valueBoolean"),
        (REASON, "valueString"),
    ]);
    let department = department
        .as_str()
        .and_then(|id| id.trim().parse::<Uuid>().ok());
    if department.is_none() {
        reader.wrong(
            "extension",
            format!(
                "{DEPARTMENT} must name the department by its id: GET /api/v1/departments tells which there are"
            ),
        );
    }
    if !admission && (!ward_class.is_null() || !medico_legal.is_null()) {
        reader.unkept(
            "extension",
            "of a visit neither a kind of ward nor that it is medico-legal is kept when it begins",
        );
    }
    let payer = payer_of(&mut reader, payer);
    let priority = priority(&mut reader, admission);
    let visit_number = visit_number(&mut reader);
    let read = subject
        .zip(kind)
        .zip(department)
        .map(|((subject, kind), department)| VisitRequest {
            subject,
            kind,
            visit_number,
            department,
            attending,
            reason,
            priority,
            payer,
            ward_class: owned(ward_class),
            medico_legal: medico_legal.as_bool().unwrap_or_default(),
            at,
            late_reason: owned(late_reason),
            organization,
        });
    reader.done(read)
}

fn kind(reader: &mut Reader<'_>) -> Option<VisitKind> {
    let json = reader.json;
    let class = &json["class"];
    let kind = match class["code"].as_str() {
        Some("AMB") => Some(VisitKind::Outpatient),
        Some("EMER") => Some(VisitKind::Emergency),
        Some("IMP") => Some(VisitKind::Admission),
        _ => None,
    }
    .filter(|_| class["system"] == ACT);
    if kind.is_none() {
        reader.wrong(
            "class",
            format!("must be AMB or EMER (a visit), or IMP (an admission is asked for), of {ACT}"),
        );
    }
    kind
}

/// The number of the visit: it is of the hospital, so it has no system.
fn visit_number(reader: &mut Reader<'_>) -> Option<String> {
    let identifier = reader.only_one("identifier");
    if identifier.is_null() {
        return None;
    }
    reader.only("identifier[0]", identifier, &["type", "value"]);
    let kind = &identifier["type"];
    if !kind.is_null() && code_of(kind) != Some("VN") {
        reader.unkept(
            "identifier[0].type",
            "the number of the visit (VN) is kept, and no other",
        );
    }
    let value = owned(&identifier["value"]);
    if value.is_none() {
        reader.wrong("identifier[0]", "must have a value");
    }
    value
}

/// Who looks after the patient, as the hospital calls him.
fn attender(reader: &mut Reader<'_>, index: usize, participant: &Value) -> Option<Practitioner> {
    if participant.is_null() {
        return None;
    }
    let place = format!("participant[{index}]");
    reader.only(&place, participant, &["type", "individual"]);
    let kinds = &participant["type"];
    if !kinds.is_null() && (code_of(&kinds[0]) != Some("ATND") || items(kinds).count() > 1) {
        reader.unkept(
            &format!("{place}.type"),
            "who attends (ATND) is kept, and nobody else",
        );
    }
    let who = &participant["individual"];
    let at = format!("{place}.individual");
    reader.only(&at, who, &["identifier", "display"]);
    reader.only(&format!("{at}.identifier"), &who["identifier"], &["value"]);
    let person = Practitioner {
        id: owned(&who["identifier"]["value"]),
        name: owned(&who["display"]),
    };
    if person == Practitioner::default() {
        reader.wrong(
            &at,
            "must have an identifier with the hospital's code of the person as its value, or a display with the name",
        );
        return None;
    }
    Some(person)
}

fn payer_of(reader: &mut Reader<'_>, said: &Value) -> Option<Payer> {
    let payer = serde_json::from_value(said.clone()).ok();
    if !said.is_null() && payer.is_none() {
        reader.wrong("extension", format!("{PAYER} is self or insurer"));
    }
    payer
}

fn priority(reader: &mut Reader<'_>, admission: bool) -> Option<AdmissionPriority> {
    let json = reader.json;
    let concept = &json["priority"];
    if concept.is_null() {
        return None;
    }
    if !admission {
        reader.unkept("priority", "of an admission it is kept, of a visit not");
        return None;
    }
    let word = PRIORITIES
        .iter()
        .find(|(_, code, _)| code_of(concept) == Some(*code))
        .map(|(word, ..)| Value::from(*word));
    let priority = word.and_then(|word| serde_json::from_value(word).ok());
    if priority.is_none() {
        reader.wrong("priority", "must be R, UR or EM of v3-ActPriority");
    }
    priority
}

/// What an update says of an Encounter. What is absent is not known any more; that it is otherwise at all, who compares says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitChange {
    pub attending: Option<Practitioner>,
    pub service: Option<String>,
    pub reason: Option<String>,
    pub payer: Option<Payer>,
    pub medico_legal: Option<bool>,
    /// RFC 3339.
    pub expected_at: Option<String>,
    /// As they went out: neither can be changed.
    pub department: Option<String>,
    pub ward_class: Option<String>,
    /// Why the state is to be another.
    pub why: Option<String>,
}

/// Reads those members of an Encounter that may be otherwise: `extension`, `participant`, `serviceType`, `reasonCode`; beside
/// them stands its `status`, which is not read here. Nor is who referred the patient: that is a source's word.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_visit_change(json: &Value) -> Result<VisitChange, Vec<Issue>> {
    let taken = [
        "status",
        "extension",
        "participant",
        "serviceType",
        "reasonCode",
    ];
    let mut reader = Reader::new(Kind::Encounter, json, &taken);
    let mut attending = None;
    for (index, participant) in items(&json["participant"]).enumerate() {
        if code_of(&participant["type"][0]) == Some("REF") {
            continue;
        }
        if attending.is_some() {
            reader.unkept("participant", "one who attends is kept, not several");
        }
        attending = attender(&mut reader, index, participant).or(attending);
    }
    let reason = reader.only_one("reasonCode");
    let reason = reader.words("reasonCode", reason);
    let service = reader.words("serviceType", &json["serviceType"]);
    let [
        department,
        payer,
        ward_class,
        medico_legal,
        expected_at,
        why,
    ] = reader.extensions([
        (DEPARTMENT, "valueString"),
        (PAYER, "valueString"),
        (WARD_CLASS, "valueString"),
        (MEDICO_LEGAL, "valueBoolean"),
        (EXPECTED_AT, "valueDateTime"),
        (REASON, "valueString"),
    ]);
    let change = VisitChange {
        attending,
        service,
        reason,
        payer: payer_of(&mut reader, payer),
        medico_legal: medico_legal.as_bool(),
        expected_at: reader.moment("extension", expected_at),
        department: owned(department),
        ward_class: owned(ward_class),
        why: owned(why),
    };
    reader.done(Some(change))
}
