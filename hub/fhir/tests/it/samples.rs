//! One of each, with as much in it as it can hold.

use hub_fhir::{
    Allergy, Appointment, AuditEvent, Category, Condition, Document, Dosage, Encounter, Kind,
    Location, LocationKind, Measured, Meta, Observation, Order, Organization, Part, Participant,
    Patient, PatientIdentifier, Practitioner, Prescription, Provenance, Range, Reaction, Report,
    Resource, Schedule, Slot, Specimen, Stay,
};
use schemas::care::{Attachment, Code, Comparator, Value};
use schemas::patients::{Address, HumanName, Telecom};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

pub(crate) const AT: OffsetDateTime = datetime!(2026-03-01 12:00:00.25 UTC);

pub(crate) fn id(n: u128) -> Uuid {
    Uuid::from_u128(0x018f_3c1e_7a5c_7c3e_9b1a_0000_0000_0000 + n)
}

fn meta() -> Meta {
    Meta::new(3, AT)
}

pub(crate) fn code(code: &str, text: &str, system: &str) -> Code {
    Code {
        code: code.to_owned(),
        text: (!text.is_empty()).then(|| text.to_owned()),
        system: (!system.is_empty()).then(|| system.to_owned()),
    }
}

fn doctor() -> schemas::care::Practitioner {
    schemas::care::Practitioner {
        id: Some("D12".to_owned()),
        name: Some("R. Rao".to_owned()),
    }
}

pub(crate) fn patient() -> Patient {
    Patient {
        id: id(1),
        meta: meta().tagged(Some("provisional")),
        active: true,
        identifiers: vec![
            PatientIdentifier {
                system: "HOSP".to_owned(),
                value: "12345".to_owned(),
                kind: Some("MR".to_owned()),
                old: false,
            },
            PatientIdentifier {
                system: "St. Mary's".to_owned(),
                value: "7".to_owned(),
                kind: None,
                old: true,
            },
        ],
        name: Some(HumanName {
            family: Some("शर्मा".to_owned()),
            given: vec!["आशा".to_owned(), "K".to_owned()],
            prefix: Some("Dr".to_owned()),
            suffix: None,
            use_code: Some("L".to_owned()),
        }),
        other_names: vec![HumanName {
            family: Some("Rao".to_owned()),
            use_code: Some("M".to_owned()),
            ..HumanName::default()
        }],
        telecoms: vec![
            Telecom {
                value: "+91 98450 12345".to_owned(),
                system: "mobile".to_owned(),
                use_code: None,
            },
            Telecom {
                value: "asha@example.org".to_owned(),
                system: "email".to_owned(),
                use_code: Some("WPN".to_owned()),
            },
        ],
        sex: Some("female".to_owned()),
        birth_date: Some("1980-05-17T04:10:00+05:30".to_owned()),
        deceased: Some(String::new()),
        addresses: vec![Address {
            lines: vec!["12 MG Road".to_owned()],
            city: Some("Bengaluru".to_owned()),
            district: Some("Bengaluru Urban".to_owned()),
            state: Some("KA".to_owned()),
            postal_code: Some("560001".to_owned()),
            country: Some("IN".to_owned()),
        }],
        marital_status: Some("M".to_owned()),
        mother_maiden_name: Some("Iyer".to_owned()),
        merged_into: None,
        merged: vec![id(2)],
        organization: Some(id(90)),
    }
}

pub(crate) fn observation(value: Value) -> Observation {
    Observation {
        id: format!("{}.2", id(5)),
        meta: meta(),
        status: "final",
        category: Category::Laboratory,
        code: code("GLU", "Glucose", "L"),
        alternate: Some(code("GLUC", "", "99MRC")),
        loinc: Some((
            "2345-7".to_owned(),
            Some("Glucose [Mass/volume] in Serum or Plasma".to_owned()),
        )),
        patient: Some(id(1)),
        encounter: Some(id(3)),
        order: Some(id(4)),
        specimen: Some(id(6)),
        observed_at: Some(AT),
        issued_at: Some(AT + Duration::HOUR),
        measured: Measured {
            value,
            unit: Some("mg/dl".to_owned()),
            ucum: Some("mg/dL".to_owned()),
            ucum_value: Some("5.10".to_owned()),
        },
        range: Range {
            text: Some("70-100".to_owned()),
            low: Some("70".to_owned()),
            high: Some("100.0".to_owned()),
        },
        flags: vec!["H".to_owned(), "!!".to_owned()],
        notes: vec!["line one".to_owned(), "line two".to_owned()],
        device: Some("AU680".to_owned()),
        method: None,
        site: None,
        channel: "lab".to_owned(),
    }
}

/// Name of its golden file, and the resource.
pub(crate) fn all() -> Vec<(&'static str, Resource)> {
    let number = Value::Quantity {
        comparator: Some(Comparator::Less),
        number: "5.10".to_owned(),
    };
    let attachment = Attachment {
        sha256: "ab".repeat(32),
        bytes: 1_234,
        media_type: "application/pdf".to_owned(),
        label: Some("report".to_owned()),
    };
    vec![
        ("patient", patient().resource()),
        (
            "patient-merged",
            Patient {
                active: false,
                merged_into: Some(id(1)),
                merged: Vec::new(),
                deceased: Some("2026-02-01T00:00:00+05:30".to_owned()),
                birth_date: Some("1980".to_owned()),
                ..patient()
            }
            .resource(),
        ),
        (
            "encounter",
            Encounter {
                id: id(3),
                meta: meta(),
                patient: Some(id(1)),
                visit_number: Some("V-1001".to_owned()),
                class: Some("I".to_owned()),
                status: "in_progress".to_owned(),
                stays: vec![Stay {
                    place: schemas::care::Location {
                        point_of_care: Some("ICU".to_owned()),
                        room: Some("2".to_owned()),
                        bed: Some("4".to_owned()),
                        facility: Some("MAIN".to_owned()),
                    },
                    location: Some(id(80).to_string()),
                    status: "active".to_owned(),
                    from: Some(AT),
                    to: None,
                }],
                attending: Some(doctor()),
                referring: None,
                service: Some("MED".to_owned()),
                disposition: Some("HOME".to_owned()),
                department: Some(id(91)),
                reason: Some("pneumonia".to_owned()),
                priority: Some("urgent".to_owned()),
                payer: Some("insurer".to_owned()),
                ward_class: Some("general".to_owned()),
                medico_legal: Some(false),
                expected_at: Some(AT + Duration::days(2)),
                started_at: Some(AT),
                ended_at: None,
                organization: Some(id(90)),
            }
            .resource(),
        ),
        (
            "service-request",
            Order {
                id: id(4),
                meta: meta(),
                patient: Some(id(1)),
                encounter: Some(id(3)),
                placer_number: Some("ORD-9".to_owned()),
                filler_number: Some("LAB-77".to_owned()),
                group_number: Some("G-1".to_owned()),
                code: code("2345-7", "Glucose", "LN"),
                status: "on_hold".to_owned(),
                priority: Some("stat".to_owned()),
                ordered_by: Some(doctor()),
                ordered_at: Some(AT),
                notes: vec!["fasting".to_owned()],
                specimens: vec![id(6)],
            }
            .resource(),
        ),
        (
            "specimen",
            Specimen {
                id: id(6),
                meta: meta(),
                patient: Some(id(1)),
                number: Some("A-778".to_owned()),
                filler_number: Some("F-1".to_owned()),
                status: Some("unsatisfactory"),
                rejection: Some("rejected: haemolysed (plasma red)".to_owned()),
                kind: Some(code("SER", "Serum", "HL70487")),
                body_site: Some(code("LA", "", "")),
                container: Some(code("RT", "red top", "L")),
                condition: Some(code("HEM", "Hemolyzed", "HL70493")),
                collected_at: Some(AT),
                received_at: Some(AT + Duration::HOUR),
                orders: vec![id(4)],
            }
            .resource(),
        ),
        (
            "diagnostic-report",
            Report {
                id: id(5),
                meta: meta(),
                patient: Some(id(1)),
                encounter: Some(id(3)),
                order: Some(id(4)),
                specimen: Some(id(6)),
                placer_number: Some("ORD-9".to_owned()),
                filler_number: Some("LAB-77".to_owned()),
                code: code("CHEM", "Chemistry", "L"),
                status: Some("F".to_owned()),
                release: Some("released".to_owned()),
                releases: 2,
                observed_at: Some(AT),
                issued_at: Some(AT),
                notes: vec!["seen".to_owned()],
                results: vec![format!("{}.1", id(5)), format!("{}.2", id(5))],
                documents: vec![(
                    attachment,
                    "https://hub.example/api/v1/reports/x/attachments/y".to_owned(),
                )],
                channel: "lab".to_owned(),
            }
            .resource(),
        ),
        ("observation-quantity", observation(number).resource()),
        (
            "observation-vital",
            Observation {
                id: id(7).to_string(),
                category: Category::VitalSigns,
                loinc: Some(("8867-4".to_owned(), Some("Heart rate".to_owned()))),
                order: None,
                specimen: None,
                method: Some("ECG".to_owned()),
                site: Some(code("CH", "chest", "")),
                range: Range::default(),
                measured: Measured {
                    value: Value::Quantity {
                        comparator: None,
                        number: "72".to_owned(),
                    },
                    unit: None,
                    ucum: Some("/min".to_owned()),
                    ucum_value: Some("72".to_owned()),
                },
                ..observation(Value::Text {
                    text: String::new(),
                })
            }
            .resource(),
        ),
        (
            "organization",
            Organization {
                id: id(90),
                meta: meta(),
                active: true,
                code: "demo".to_owned(),
                name: "Demo Hospital".to_owned(),
                part_of: Some(id(91)),
            }
            .resource(),
        ),
        (
            "location",
            Location {
                id: id(80).to_string(),
                meta: meta(),
                kind: LocationKind::Bed,
                active: true,
                code: "ICU/4".to_owned(),
                name: "MAIN, ICU, bed 4".to_owned(),
                part_of: Some(id(81).to_string()),
                organization: Some(id(90)),
            }
            .resource(),
        ),
        (
            "practitioner",
            Practitioner {
                id: id(70),
                meta: meta(),
                active: true,
                username: "asha".to_owned(),
                name: Some("Asha Rao".to_owned()),
            }
            .resource(),
        ),
        (
            "provenance",
            Provenance {
                target: format!("Patient/{}", id(1)),
                target_version: "3".to_owned(),
                recorded: AT,
                created: false,
                source: id(60),
                channel: Some("lab".to_owned()),
                organization: Some(id(90)),
            }
            .resource(),
        ),
        (
            "audit-event",
            AuditEvent {
                id: 17,
                recorded: AT,
                actor: "asha".to_owned(),
                action: "chart.read_in_emergency".to_owned(),
                object: format!("patient {}", id(1)),
                objects: vec![id(1)],
                reason: Some("unconscious, allergies unknown".to_owned()),
                causes: vec![id(60)],
                tenant: "demo".to_owned(),
            }
            .resource(),
        ),
        (
            "condition",
            Condition {
                id: id(20),
                meta: meta(),
                patient: Some(id(1)),
                encounter: Some(id(3)),
                code: Some(code("E11.9", "Type 2 diabetes mellitus", "I10")),
                text: Some("Sugar disease".to_owned()),
                clinical_status: Some("active".to_owned()),
                verification: Some("confirmed".to_owned()),
                category: Some("problem_list_item".to_owned()),
                onset: Some("2019".to_owned()),
                abated: Some("2025-12-01".to_owned()),
                recorded_at: Some(AT),
                recorded_by: Some(doctor()),
                notes: vec!["diet".to_owned()],
            }
            .resource(),
        ),
        (
            "allergy-intolerance",
            Allergy {
                id: id(21),
                meta: meta(),
                patient: Some(id(1)),
                encounter: None,
                code: code("7980", "Penicillin G", "RXNORM"),
                clinical_status: None,
                verification: Some("unconfirmed".to_owned()),
                kind: Some("allergy".to_owned()),
                category: Some("medication".to_owned()),
                criticality: Some("unable_to_assess".to_owned()),
                onset: Some("2010-06".to_owned()),
                recorded_at: Some(AT),
                recorded_by: Some(doctor()),
                reactions: vec![Reaction {
                    manifestation: code("", "hives", ""),
                    severity: Some("moderate".to_owned()),
                }],
                notes: Vec::new(),
            }
            .resource(),
        ),
        (
            "medication-request",
            Prescription {
                id: format!("{}.1", id(22)),
                meta: meta(),
                patient: Some(id(1)),
                encounter: Some(id(3)),
                group: Some("RX-1".to_owned()),
                status: "stopped".to_owned(),
                status_reason: Some("rash".to_owned()),
                medication: code("", "Metformin 500 mg tablet", ""),
                dosage: vec![Dosage {
                    text: "1-0-1 after food, 5 days".to_owned(),
                    frequency: Some("1-0-1".to_owned()),
                    days: Some(5),
                    route: Some(code("PO", "oral", "HL70162")),
                    as_needed: false,
                    dose: Some(("1.0".to_owned(), Some("tablet".to_owned()))),
                    instruction: Some("with water".to_owned()),
                }],
                prescribed_at: Some(AT),
                prescribed_by: Some(doctor()),
                quantity: Some(("10".to_owned(), Some("tablet".to_owned()))),
                repeats: Some(0),
                notes: vec!["check renal function".to_owned()],
            }
            .resource(),
        ),
        (
            "appointment",
            Appointment {
                id: id(23),
                meta: meta(),
                status: "no_show".to_owned(),
                walk_in: true,
                slot: Some(id(26)),
                cancel_reason: Some("did not come".to_owned()),
                service: Some("Cardiology".to_owned()),
                reason: Some("chest pain".to_owned()),
                description: Some("follow-up".to_owned()),
                start: Some(AT),
                end: Some(AT + Duration::minutes(15)),
                created: Some(AT - Duration::DAY),
                comment: Some("brings old reports".to_owned()),
                instruction: Some("come fasting".to_owned()),
                participants: vec![
                    Participant {
                        actor: Some((Kind::Patient, id(1).to_string())),
                        identifier: None,
                        display: None,
                        status: "accepted".to_owned(),
                    },
                    Participant {
                        actor: None,
                        identifier: Some("D12".to_owned()),
                        display: Some("R. Rao".to_owned()),
                        status: "accepted".to_owned(),
                    },
                ],
            }
            .resource(),
        ),
        (
            "schedule",
            Schedule {
                id: id(27),
                meta: meta(),
                active: true,
                name: "Dr Rao, general OPD".to_owned(),
                practitioner: Some("D12".to_owned()),
                practitioner_name: Some("R. Rao".to_owned()),
                room: Some("12".to_owned()),
                service: Some("general".to_owned()),
                facility: Some("MAIN".to_owned()),
                department: Some("OPD".to_owned()),
                until: Some(AT.date()),
            }
            .resource(),
        ),
        (
            "slot",
            Slot {
                id: id(26),
                meta: meta(),
                schedule: id(27),
                service: Some("general".to_owned()),
                state: "open".to_owned(),
                free: 2,
                capacity: 3,
                start: AT,
                end: AT + Duration::minutes(15),
            }
            .resource(),
        ),
        (
            "document-reference",
            Document {
                id: id(24),
                meta: meta(),
                patient: Some(id(1)),
                encounter: Some(id(3)),
                status: "current".to_owned(),
                doc_status: Some("final".to_owned()),
                kinds: vec![
                    code("discharge_summary", "", "hub-note"),
                    code("18842-5", "Discharge summary", "LN"),
                ],
                kind_words: Some("Discharge summary".to_owned()),
                category: Some(code("note", "", "hub-document")),
                written_at: Some(AT),
                author: Some(doctor()),
                description: Some("Discharge summary".to_owned()),
                parts: vec![
                    Part {
                        media_type: "application/pdf".to_owned(),
                        size: 1_234,
                        title: Some("report".to_owned()),
                        url: Some("https://hub.example/api/v1/documents/x".to_owned()),
                        ..Part::default()
                    },
                    Part {
                        media_type: "text/plain; charset=utf-8".to_owned(),
                        size: 3,
                        title: Some("Addendum".to_owned()),
                        written_at: Some(AT),
                        data: Some("YWJj".to_owned()),
                        ..Part::default()
                    },
                ],
                replaces: Some(id(25)),
            }
            .resource(),
        ),
    ]
}
