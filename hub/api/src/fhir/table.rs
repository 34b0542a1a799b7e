//! What is served: types, interactions, search parameters and what may be included. A type whose worker exports no queries yet
//! is not in it, and so neither in the routes nor in the CapabilityStatement.

mod charts;

use hub_fhir::Kind;

/// What can be done with a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interaction {
    Read,
    Vread,
    History,
    Search,
    Create,
    Update,
    /// The operation `$everything`.
    Everything,
}

impl Interaction {
    /// The code of the CapabilityStatement; operations have none.
    pub(crate) fn code(self) -> Option<&'static str> {
        Some(match self {
            Self::Read => "read",
            Self::Vread => "vread",
            Self::History => "history-instance",
            Self::Search => "search-type",
            Self::Create => "create",
            Self::Update => "update",
            Self::Everything => return None,
        })
    }
}

/// How a value is compared (FHIR R4 §3.1.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Token,
    Date,
    Text,
    Reference,
}

impl How {
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Date => "date",
            Self::Text => "string",
            Self::Reference => "reference",
        }
    }
}

/// One search parameter and the elements that it looks at.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: &'static str,
    pub(crate) how: How,
    pub(crate) paths: &'static [&'static str],
    pub(crate) words: &'static str,
}

/// One type that is served.
#[derive(Debug)]
pub(crate) struct Wired {
    pub(crate) kind: Kind,
    pub(crate) interactions: &'static [Interaction],
    pub(crate) params: &'static [Param],
    /// Elements that a resource can't be without (`_elements` keeps them).
    pub(crate) mandatory: &'static [&'static str],
    /// Versions before the current one are kept and can be read.
    pub(crate) keeps_versions: bool,
    /// Every change moves `lastUpdated`: what it refers to or what a mapping says of it does not change beside it.
    pub(crate) dated: bool,
    pub(crate) words: &'static str,
}

impl Wired {
    pub(crate) fn does(&self, interaction: Interaction) -> bool {
        self.interactions.contains(&interaction)
    }

    pub(crate) fn param(&self, name: &str) -> Option<&'static Param> {
        self.params
            .iter()
            .chain(COMMON)
            .find(|param| param.name == name)
    }

    /// Parameters that lead to other resources: those that `_include` may name.
    pub(crate) fn references(&self) -> impl Iterator<Item = &'static Param> {
        self.params
            .iter()
            // an entry of the trail names who and what by identifiers: there is nothing to include
            .filter(|param| param.how == Reference && self.kind != Kind::AuditEvent)
    }
}

/// The entry of a type, if it is served.
pub(crate) fn wired(kind: Kind) -> Option<&'static Wired> {
    WIRED.iter().find(|wired| wired.kind == kind)
}

const fn param(
    name: &'static str,
    how: How,
    paths: &'static [&'static str],
    words: &'static str,
) -> Param {
    Param {
        name,
        how,
        paths,
        words,
    }
}

/// Parameters of every type.
pub(crate) const COMMON: &[Param] = &[
    param("_id", Token, &["id"], "one id, or several"),
    param(
        "_lastUpdated",
        Date,
        &["meta.lastUpdated"],
        "when the hub last changed it",
    ),
];

use How::{Date, Reference, Text, Token};
use Interaction::{Create, Everything, History, Read, Search, Update, Vread};

const READ_ONLY: &[Interaction] = &[Read, Vread, History, Search];
/// Put in and never changed: what was filed by mistake is retracted over REST, with a reason.
const FILED: &[Interaction] = &[Read, Vread, History, Search, Create];
const WRITTEN: &[Interaction] = &[Read, Vread, History, Search, Create, Update];

const SUBJECT: Param = param(
    "subject",
    Reference,
    &["subject"],
    "the patient: Patient/[id]; also as subject.identifier",
);
const PATIENT: Param = param(
    "patient",
    Reference,
    &["subject"],
    "the patient: [id] or Patient/[id]; also as patient.identifier",
);

/// What is served, in the order of `$everything`.
pub(crate) const WIRED: &[Wired] = &[
    Wired {
        kind: Kind::Patient,
        interactions: &[Read, Vread, History, Search, Create, Update, Everything],
        params: &[
            param(
                "identifier",
                Token,
                &["identifier"],
                "an identifier, also of a record that was merged into this one",
            ),
            param(
                "name",
                Text,
                &["name.text", "name.family", "name.given"],
                "beginnings of any parts of the name",
            ),
            param(
                "family",
                Text,
                &["name.family"],
                "beginning of the family name",
            ),
            param("given", Text, &["name.given"], "beginning of a given name"),
            param(
                "birthdate",
                Date,
                &["birthDate"],
                "with name, family, given, phone or identifier",
            ),
            param(
                "gender",
                Token,
                &["gender"],
                "with name, family, given, phone or identifier",
            ),
            param(
                "phone",
                Token,
                &["telecom"],
                "a telephone number; its last ten digits count",
            ),
            param(
                "active",
                Token,
                &["active"],
                "with name, family, given, phone or identifier",
            ),
        ],
        mandatory: &[],
        keeps_versions: false,
        dated: true,
        words: "A person of the patient index. A record that was merged is inactive and has a link to the one that stands. Create \
            registers: without an identifier the extension urn:hub:extension:facility says whose series gives the number, and \
            not-a-duplicate why it is done although somebody looks alike. Update corrects (the extension reason says why), or \
            adds one identifier.",
    },
    Wired {
        kind: Kind::Encounter,
        interactions: WRITTEN,
        params: &[
            PATIENT,
            SUBJECT,
            param("identifier", Token, &["identifier"], "visit number"),
            param("status", Token, &["status"], "status"),
            param("class", Token, &["class"], "class"),
            param("date", Date, &["period"], "the time of it"),
            param(
                "location",
                Reference,
                &["location.location"],
                "a bed that the patient was in",
            ),
        ],
        mandatory: &["status", "class"],
        keeps_versions: false,
        dated: false,
        words: "A visit or stay. Searches need patient, subject, identifier or _id. Create opens a visit (AMB or EMER, in-progress) or \
            asks for an admission (IMP, planned); the extension urn:hub:extension:department names the department by its id, and \
            payer, ward-class and medico-legal say what REST asks for. An update changes who attends, the service, the reason and \
            the extensions payer, medico-legal and expected-at, or ends a consultation (finished), or cancels (the extension \
            reason says why): one of these at a time. Beds are given over REST.",
    },
    Wired {
        kind: Kind::ServiceRequest,
        interactions: WRITTEN,
        params: &[
            PATIENT,
            SUBJECT,
            param(
                "identifier",
                Token,
                &["identifier"],
                "placer or filler number",
            ),
            param("requisition", Token, &["requisition"], "group number"),
            param("status", Token, &["status"], "status"),
            param("intent", Token, &["intent"], "always order"),
            param("priority", Token, &["priority"], "priority"),
            param("code", Token, &["code"], "what was ordered"),
            param("authored", Date, &["authoredOn"], "when it was ordered"),
            param("encounter", Reference, &["encounter"], "the visit"),
            param("specimen", Reference, &["specimen"], "a tube it is for"),
        ],
        mandatory: &["status", "intent", "subject"],
        keeps_versions: false,
        dated: false,
        words: "An order of a laboratory test. Searches need patient, subject, identifier or _id. Create places an order; an update \
            can revoke it and nothing else. What the hub would not keep is refused, never dropped.",
    },
    Wired {
        kind: Kind::Specimen,
        interactions: READ_ONLY,
        params: &[
            PATIENT,
            SUBJECT,
            param(
                "identifier",
                Token,
                &["identifier", "accessionIdentifier"],
                "filler or accession number",
            ),
            param(
                "accession",
                Token,
                &["accessionIdentifier"],
                "the number on the tube",
            ),
            param("type", Token, &["type"], "material"),
            param(
                "collected",
                Date,
                &["collection.collectedDateTime"],
                "when it was taken",
            ),
        ],
        mandatory: &[],
        keeps_versions: false,
        dated: false,
        words: "A tube. Searches need patient, subject, identifier, accession or _id.",
    },
    Wired {
        kind: Kind::DiagnosticReport,
        interactions: READ_ONLY,
        params: &[
            PATIENT,
            SUBJECT,
            param(
                "identifier",
                Token,
                &["identifier"],
                "placer or filler number; with patient",
            ),
            param("status", Token, &["status"], "status"),
            param("category", Token, &["category"], "always LAB"),
            param("code", Token, &["code"], "what was asked for"),
            param("date", Date, &["effectiveDateTime"], "when it was observed"),
            param("issued", Date, &["issued"], "when it was made available"),
            param("encounter", Reference, &["encounter"], "the visit"),
            param("based-on", Reference, &["basedOn"], "the order"),
            param("specimen", Reference, &["specimen"], "the tube"),
            param("result", Reference, &["result"], "a result of it"),
        ],
        mandatory: &["status", "code"],
        keeps_versions: false,
        dated: false,
        words: "A laboratory report. Final only when it was released here, or by the system that it came from. Searches need patient, \
            subject, specimen or _id.",
    },
    Wired {
        kind: Kind::Observation,
        interactions: WRITTEN,
        params: &[
            PATIENT,
            SUBJECT,
            param("code", Token, &["code"], "LOINC, or the code as sent"),
            param(
                "category",
                Token,
                &["category"],
                "laboratory or vital-signs",
            ),
            param("status", Token, &["status"], "status"),
            param("date", Date, &["effectiveDateTime"], "when it was observed"),
            param("encounter", Reference, &["encounter"], "the visit"),
            param("based-on", Reference, &["basedOn"], "the order"),
            param("specimen", Reference, &["specimen"], "the tube"),
        ],
        mandatory: &["status", "code"],
        keeps_versions: true,
        dated: false,
        words: "A result of the laboratory or a measurement of a bedside device. Preliminary until it may be acted on. Corrections \
            keep the versions before. Searches need patient, subject, specimen or _id. Create enters one value that staff measured \
            or saw (category vital-signs, LOINC, UCUM): those of one effectiveDateTime are a round, of which the early warning \
            score is made; the extensions urn:hub:extension:oxygen-scale and pregnant say what REST asks for, and the encounter \
            goes to the score and its task. An update corrects the value, or takes it back (entered-in-error); the extension \
            reason says why.",
    },
    charts::CONDITION,
    charts::ALLERGY,
    charts::PRESCRIPTION,
    charts::APPOINTMENT,
    charts::SCHEDULE,
    charts::SLOT,
    charts::DOCUMENT,
    Wired {
        kind: Kind::Organization,
        interactions: READ_ONLY,
        params: &[
            param("name", Text, &["name"], "beginning of the name"),
            param("identifier", Token, &["identifier"], "its name in the hub"),
            param("active", Token, &["active"], "always true"),
        ],
        mandatory: &[],
        keeps_versions: false,
        dated: true,
        words: "The hospital.",
    },
    Wired {
        kind: Kind::Location,
        interactions: READ_ONLY,
        params: &[
            param("name", Text, &["name"], "beginning of the name"),
            param("identifier", Token, &["identifier"], "ward and bed"),
            param("status", Token, &["status"], "always active"),
            param(
                "organization",
                Reference,
                &["managingOrganization"],
                "the hospital",
            ),
        ],
        mandatory: &[],
        keeps_versions: false,
        dated: true,
        words: "A bed that somebody was in.",
    },
    Wired {
        kind: Kind::Practitioner,
        interactions: READ_ONLY,
        params: &[
            param("name", Text, &["name.text"], "beginning of the name"),
            param("identifier", Token, &["identifier"], "user name"),
            param("active", Token, &["active"], "may sign in"),
        ],
        mandatory: &[],
        keeps_versions: false,
        dated: true,
        words: "A member of the staff who has an account. Somebody whom only messages name stands in the resource that names him.",
    },
    Wired {
        kind: Kind::Provenance,
        interactions: &[Read, Search],
        params: &[param(
            "target",
            Reference,
            &["target"],
            "the resource: [type]/[id]",
        )],
        mandatory: &["target", "recorded", "agent"],
        keeps_versions: false,
        dated: false,
        words: "Which message made the newest version of a resource. Searches need target or _id; _revinclude=Provenance:target \
            works with every type that has one.",
    },
    Wired {
        kind: Kind::AuditEvent,
        interactions: &[Read, Vread, History, Search],
        params: &[
            param("date", Date, &["recorded"], "when it was recorded"),
            param("subtype", Token, &["subtype"], "the hub's word for it"),
            param("action", Token, &["action"], "C, R, U, D or E"),
            param(
                "patient",
                Reference,
                &["entity.what"],
                "[id] or Patient/[id], also patient.identifier: who saw his data, also under a record that was merged with his, and who changed his record, his orders, specimens and results",
            ),
            param(
                "agent",
                Reference,
                &["agent.who"],
                "who did it: Practitioner/[id], or agent:identifier=urn:hub:user|[name]",
            ),
        ],
        mandatory: &["type", "recorded", "agent", "source"],
        keeps_versions: false,
        dated: true,
        words: "An entry of the audit trail, newest first.",
    },
];

/// Types of which the hub can say where the newest version came from.
pub(crate) const WITH_PROVENANCE: &[Kind] = &[
    Kind::Patient,
    Kind::Encounter,
    Kind::ServiceRequest,
    Kind::Specimen,
    Kind::DiagnosticReport,
    Kind::Observation,
    Kind::Condition,
    Kind::AllergyIntolerance,
    Kind::MedicationRequest,
    Kind::DocumentReference,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_stands_once_and_its_parameters_too() {
        for (at, one) in WIRED.iter().enumerate() {
            assert!(WIRED[at + 1..].iter().all(|other| other.kind != one.kind));
            for (at, param) in one.params.iter().enumerate() {
                assert!(!param.words.is_empty() && !param.paths.is_empty());
                let again = one.params[at + 1..]
                    .iter()
                    .any(|other| other.name == param.name);
                assert!(!again, "{} {}", one.kind, param.name);
            }
        }
    }
}
