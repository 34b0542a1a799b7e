//! A person, read as staff send him: nothing of him is lost, and what would be is refused by its place.

use hub_fhir::{FACILITY, NOT_A_DUPLICATE, REASON, read_patient};
use schemas::patients::{Address, HumanName, Sex, Telecom};
use serde_json::{Value, json};

use super::samples::{id, patient};

fn person() -> Value {
    json!({
        "resourceType": "Patient", "active": true,
        "identifier": [
            { "use": "usual", "system": "urn:hub:identifier:HOSP", "value": "12345",
              "type": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR" }] } },
            { "value": "7" }
        ],
        "name": [
            { "use": "official", "family": "Sharma", "given": ["Asha", "K"], "prefix": ["Dr"], "text": "Dr Asha K  Sharma" },
            { "use": "maiden", "family": "Rao" }
        ],
        "telecom": [
            { "system": "phone", "value": "+91 98450 12345", "use": "mobile" },
            { "system": "phone", "value": "080 2345", "use": "home" },
            { "system": "email", "value": "asha@example.org", "use": "work" }
        ],
        "gender": "female", "birthDate": "1980-05", "deceasedBoolean": true,
        "address": [{ "use": "home", "line": ["12 MG Road"], "city": "Bengaluru", "postalCode": "560001" }],
        "maritalStatus": { "coding": [{ "system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "L" }] },
        "managingOrganization": { "reference": format!("Organization/{}", id(90)) },
        "extension": [
            { "url": "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName", "valueString": "Iyer" },
            { "url": FACILITY, "valueString": "SGM" },
            { "url": NOT_A_DUPLICATE, "valueString": "twins" },
            { "url": REASON, "valueString": "passport shown" }
        ]
    })
}

#[test]
fn a_person_is_read_whole() {
    hub_fhir::check(&person()).unwrap();
    let read = read_patient(&person()).unwrap();
    let identifiers: Vec<_> = read
        .identifiers
        .iter()
        .map(|one| (one.system.as_str(), one.value.as_str(), one.kind.as_deref()))
        .collect();
    assert_eq!(
        identifiers,
        [("HOSP", "12345", Some("MR")), ("mrn", "7", None)]
    );
    assert_eq!(
        read.names,
        [
            HumanName {
                family: Some("Sharma".to_owned()),
                given: vec!["Asha".to_owned(), "K".to_owned()],
                prefix: Some("Dr".to_owned()),
                suffix: None,
                use_code: Some("L".to_owned()),
            },
            HumanName {
                family: Some("Rao".to_owned()),
                use_code: Some("M".to_owned()),
                ..HumanName::default()
            }
        ]
    );
    let telecom = |system: &str, value: &str, used: Option<&str>| Telecom {
        value: value.to_owned(),
        system: system.to_owned(),
        use_code: used.map(str::to_owned),
    };
    assert_eq!(
        read.telecoms,
        [
            telecom("mobile", "+91 98450 12345", None),
            telecom("phone", "080 2345", Some("PRN")),
            telecom("email", "asha@example.org", Some("WPN")),
        ]
    );
    assert_eq!(
        read.addresses,
        [Address {
            lines: vec!["12 MG Road".to_owned()],
            city: Some("Bengaluru".to_owned()),
            postal_code: Some("560001".to_owned()),
            ..Address::default()
        }]
    );
    assert_eq!(
        (read.active, read.sex, read.organization),
        (Some(true), Some(Sex::Female), Some(id(90)))
    );
    for (read, sent) in [
        (&read.birth_date, "1980-05"),
        (&read.deceased, ""),
        (&read.marital_status, "A"),
        (&read.mother_maiden_name, "Iyer"),
        (&read.facility, "SGM"),
        (&read.not_a_duplicate, "twins"),
        (&read.reason, "passport shown"),
    ] {
        assert_eq!(read.as_deref(), Some(sent));
    }
}

#[test]
fn what_comes_back_as_it_went_out_is_what_is_stored() {
    let mut stored = patient();
    // neither has a word in FHIR
    let (name, mobile) = (Some("A".to_owned()), Some("ASN".to_owned()));
    stored.other_names[0].use_code = name;
    stored.telecoms[0].use_code = mobile;
    let resource = stored.resource();
    let mut sent = json!({ "resourceType": "Patient" });
    for member in ["name", "telecom", "address"] {
        sent[member] = resource.json()[member].clone();
    }
    let names: Vec<&HumanName> = stored.name.iter().chain(&stored.other_names).collect();
    let read = read_patient(&sent)
        .unwrap()
        .keeping(&names, &stored.telecoms, &stored.addresses);
    assert!(read.names.iter().eq(names));
    assert_eq!(
        (read.telecoms, read.addresses),
        (stored.telecoms, stored.addresses)
    );
}

#[test]
fn what_would_be_lost_of_a_person_is_refused_by_its_place() {
    let place = |pointer: &str, value: Value| -> Vec<String> {
        let mut json = person();
        match json.pointer_mut(pointer) {
            Some(member) => *member = value,
            None => {
                let (parent, name) = pointer.rsplit_once('/').unwrap();
                json.pointer_mut(parent).unwrap()[name] = value;
            }
        }
        let issues = read_patient(&json).unwrap_err();
        issues
            .into_iter()
            .filter_map(|issue| issue.expression)
            .collect()
    };
    let coded =
        |system: &str, code: &str| json!({ "coding": [{ "system": system, "code": code }] });
    for (pointer, value, expected) in [
        ("/photo", json!([{ "title": "x" }]), "Patient.photo"),
        ("/contact", json!([{ "gender": "male" }]), "Patient.contact"),
        (
            "/identifier/0/use",
            json!("old"),
            "Patient.identifier[0].use",
        ),
        (
            "/identifier/0/period",
            json!({ "start": "2020" }),
            "Patient.identifier[0].period",
        ),
        ("/identifier/1/value", json!(" "), "Patient.identifier[1]"),
        (
            "/identifier/0/type",
            json!({ "text": "MRN" }),
            "Patient.identifier[0].type",
        ),
        ("/name/0/text", json!("Asha"), "Patient.name[0].text"),
        (
            "/name/0/prefix",
            json!(["Dr", "Prof"]),
            "Patient.name[0].prefix",
        ),
        (
            "/name/1",
            json!({ "text": "Asha Sharma" }),
            "Patient.name[1]",
        ),
        (
            "/telecom/0/system",
            json!("fax"),
            "Patient.telecom[0].system",
        ),
        ("/telecom/2/use", json!("mobile"), "Patient.telecom[2].use"),
        ("/telecom/1/rank", json!(1), "Patient.telecom[1].rank"),
        ("/address/0/use", json!("old"), "Patient.address[0].use"),
        (
            "/address/0/text",
            json!("MG Road"),
            "Patient.address[0].text",
        ),
        (
            "/maritalStatus",
            coded(
                "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus",
                "P",
            ),
            "Patient.maritalStatus",
        ),
        (
            "/maritalStatus",
            json!({ "text": "married" }),
            "Patient.maritalStatus",
        ),
        (
            "/deceasedDateTime",
            json!("2025-01"),
            "Patient.deceasedDateTime",
        ),
        (
            "/deceasedDateTime",
            json!("9999-12-31T23:59:59-01:00"),
            "Patient.deceasedDateTime",
        ),
        (
            "/managingOrganization",
            json!({ "display": "X" }),
            "Patient.managingOrganization",
        ),
        ("/extension/0/url", json!("urn:x"), "Patient.extension[0]"),
        (
            "/extension/3",
            json!({ "url": REASON, "valueBoolean": true }),
            "Patient.extension[3]",
        ),
    ] {
        assert_eq!(place(pointer, value), [expected], "{pointer}");
    }
}
