//! Searches.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use super::super::house::House;
use super::super::samples::coded;
use super::{get_with, matches, next, of_mode, order, outcome, patient_on, pulse, resource};

async fn count(house: &House, path: &str) -> usize {
    matches(&house.get(path).await).len()
}

#[tokio::test]
async fn observations_are_found_by_what_they_say() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    patient_on(&house, "1002", 2, "ICU").await;
    pulse(&house, "1001", "72", "2026-03-02T09:00:00Z").await;
    for (query, found) in [
        ("", 3),
        ("&category=laboratory", 2),
        ("&category=vital-signs", 1),
        (
            "&category=http://terminology.hl7.org/CodeSystem/observation-category|vital-signs",
            1,
        ),
        ("&code=2345-7", 1),
        ("&code=http://loinc.org|2345-7,http://loinc.org|8867-4", 2),
        ("&code=http://snomed.info/sct|2345-7", 0),
        ("&code:not=2345-7", 2),
        ("&code=GLU", 1),
        ("&status=final", 3),
        ("&status=preliminary", 0),
        ("&date=2026-03-01", 2),
        ("&date=ge2026-03-02", 1),
        ("&date=lt2026-03-02", 2),
        ("&date=ge2026-03-01T12:00:00Z&date=le2026-03-01", 2),
        ("&date=gt2027", 0),
        ("&specimen:missing=true", 1),
        ("&_lastUpdated=gt2020", 3),
        ("&_lastUpdated=lt2020", 0),
    ] {
        let path = format!("/fhir/Observation?patient={patient}{query}");
        assert_eq!(count(&house, &path).await, found, "{query}");
    }
    for (path, found) in [
        (format!("/fhir/Observation?subject=Patient/{patient}"), 3),
        (format!("/fhir/Observation?subject:Patient={patient}"), 3),
        (
            format!("/fhir/Observation?patient=http://localhost/fhir/Patient/{patient}"),
            3,
        ),
        (
            "/fhir/Observation?patient.identifier=HOSP|1001".to_owned(),
            3,
        ),
        (
            "/fhir/Observation?patient.identifier=urn:hub:identifier:HOSP|1001".to_owned(),
            3,
        ),
        (
            "/fhir/Observation?patient.identifier=OTHER|1001".to_owned(),
            0,
        ),
        (
            "/fhir/Observation?patient=018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c".to_owned(),
            0,
        ),
        ("/fhir/Observation?patient=nobody".to_owned(), 0),
        (format!("/fhir/Observation?patient=Group/{patient}"), 0),
        ("/fhir/Encounter?identifier=V-1,V-2,V-3".to_owned(), 2),
        (
            format!(
                "/fhir/Encounter?patient={patient}&date=2026-03-05&status=in-progress&class=IMP"
            ),
            0,
        ),
        (
            format!(
                "/fhir/Encounter?patient={patient}&date=ge2026-03-05&status=in-progress&class=IMP"
            ),
            1,
        ),
        (
            format!("/fhir/DiagnosticReport?patient={patient}&code=CHEM&status=final&category=LAB"),
            1,
        ),
        ("/fhir/Specimen?accession=A-1".to_owned(), 1),
        ("/fhir/Practitioner?identifier=admin".to_owned(), 1),
        ("/fhir/Location?name=main".to_owned(), 1),
    ] {
        assert_eq!(count(&house, &path).await, found, "{path}");
    }
}

#[tokio::test]
async fn patients_are_found_by_name_number_and_telephone() {
    let house = House::new().await;
    let asha = patient_on(&house, "1001", 1, "ICU").await;
    for (query, found) in [
        ("name=sha", 1),
        ("name=sha%20ash", 1),
        ("name=arma", 0),
        ("family=sharma&given=asha", 1),
        ("family=asha", 0),
        ("family:exact=Sharma", 1),
        ("family:exact=sharma", 0),
        ("name=sha&birthdate=1980-05-17", 1),
        ("name=sha&birthdate=1980", 1),
        ("name=sha&birthdate=gt1981", 0),
        ("identifier=1001", 1),
        ("identifier=HOSP|1001", 1),
        ("identifier=1001,1002", 1),
        ("identifier=OTHER|1001", 0),
        ("phone=%2B919845012345", 0),
        ("_lastUpdated=gt2020", 1),
        ("", 1),
    ] {
        assert_eq!(
            count(&house, &format!("/fhir/Patient?{query}")).await,
            found,
            "{query}"
        );
    }
    let path = format!("/fhir/Patient?_id={asha},018f3c1e-7a5c-7c3e-9b1a-2f4d5e6a7b8c");
    assert_eq!(count(&house, &path).await, 1);
    let body = "name=sha&_format=json";
    let posted = house
        .send(
            Request::post("/fhir/Patient/_search?birthdate=1980")
                .header(header::AUTHORIZATION, format!("Bearer {}", house.token()))
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::from(body))
                .unwrap(),
        )
        .await;
    assert_eq!(matches(&posted).len(), 1);
    assert_eq!(posted.json["total"], 1);
}

#[tokio::test]
async fn pages_are_followed_to_the_end_and_nothing_is_twice_or_missing() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    for seq in 2..6 {
        house
            .report("1001", seq, vec![coded("GLU", &seq.to_string())])
            .await;
    }
    for minute in 10..15 {
        pulse(&house, "1001", "72", &format!("2026-03-01T09:{minute}:00Z")).await;
    }
    for order in [
        "",
        "&_sort=-date,code",
        "&_sort=_lastUpdated",
        "&_sort=status",
    ] {
        let mut seen: Vec<Value> = Vec::new();
        let mut path = Some(format!(
            "/fhir/Observation?patient={patient}&_count=2{order}"
        ));
        let mut pages = 0;
        while let Some(at) = path {
            let page = house.get(&at).await;
            let found = matches(&page);
            assert!((1..=2).contains(&found.len()), "{order}");
            seen.extend(found.into_iter().map(|one| one["id"].clone()));
            path = next(&page);
            pages += 1;
        }
        assert_eq!((seen.len(), pages), (11, 6), "{order}");
        seen.sort_by_key(ToString::to_string);
        seen.dedup();
        assert_eq!(seen.len(), 11, "{order}");
    }
    let sorted = house
        .get(&format!(
            "/fhir/Observation?patient={patient}&_sort=date&category=vital-signs"
        ))
        .await;
    let times: Vec<&str> = matches(&sorted)
        .into_iter()
        .map(|one| one["effectiveDateTime"].as_str().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let number = house
        .get(&format!(
            "/fhir/Observation?patient={patient}&_summary=count&code=2345-7"
        ))
        .await;
    assert_eq!(resource(&number)["total"], 5);
    assert!(number.json["entry"].is_null());
    let number = house
        .get(&format!("/fhir/Observation?patient={patient}&_count=0"))
        .await;
    assert_eq!(resource(&number)["total"], 11);
    for cursor in ["x", "WyJ4Il0", "eyJSb3ciOiJ4In0"] {
        let path = format!("/fhir/Observation?patient={patient}&_cursor={cursor}");
        assert_eq!(
            outcome(&house.get(&path).await, 400),
            "request.invalid",
            "{cursor}"
        );
    }
}

#[tokio::test]
async fn what_matches_refer_to_comes_with_them_on_request() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let order = order(&house, "1001", "T-9").await;
    let found = house
        .get(&format!(
            "/fhir/ServiceRequest?_id={order}&_include=ServiceRequest:patient&_include=ServiceRequest:specimen&\
             _include=ServiceRequest:encounter:Encounter&_revinclude=Provenance:target"
        ))
        .await;
    let mut kinds: Vec<&str> = of_mode(&found, "include")
        .into_iter()
        .map(|one| one["resourceType"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["Encounter", "Patient", "Provenance", "Specimen"]);
    let provenance = house
        .get(&format!("/fhir/Provenance?target=ServiceRequest/{order}"))
        .await;
    let one = matches(&provenance)[0];
    assert_eq!(
        one["target"][0]["reference"],
        format!("ServiceRequest/{order}")
    );
    assert_eq!(one["activity"]["coding"][0]["code"], "CREATE");
    let found = house
        .get(&format!(
            "/fhir/DiagnosticReport?patient={patient}&_include=DiagnosticReport:*"
        ))
        .await;
    let included = of_mode(&found, "include");
    let of = |kind: &str| {
        included
            .iter()
            .filter(|one| one["resourceType"] == kind)
            .count()
    };
    assert_eq!(
        (
            of("Patient"),
            of("Encounter"),
            of("Specimen"),
            of("Observation")
        ),
        (1, 1, 1, 2)
    );
}

#[tokio::test]
async fn unknown_parameters_are_ignored_aloud_or_refused_as_is_preferred() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let path = format!("/fhir/Observation?patient={patient}&colour=red");
    let lenient = house.get(&path).await;
    assert_eq!(matches(&lenient).len(), 2);
    let said = &of_mode(&lenient, "outcome")[0]["issue"][0];
    assert_eq!(
        (&said["severity"], &said["expression"][0]),
        (&json!("warning"), &json!("colour"))
    );
    let own = lenient.json["link"][0]["url"].as_str().unwrap();
    assert!(!own.contains("colour"), "{own}");
    let strict = get_with(&house, &path, &[("prefer", "handling=strict")]).await;
    assert_eq!(outcome(&strict, 400), "request.invalid");
    assert_eq!(strict.json["issue"][0]["expression"][0], "colour");
}

#[tokio::test]
async fn what_would_read_everybody_or_can_t_be_read_is_refused() {
    let house = House::new().await;
    patient_on(&house, "1001", 1, "ICU").await;
    for path in [
        "/fhir/Observation",
        "/fhir/Encounter?status=finished",
        "/fhir/ServiceRequest?identifier:missing=true",
        "/fhir/Provenance",
        "/fhir/Patient?birthdate=1980",
        "/fhir/Patient?gender=female",
    ] {
        let refused = house.get(path).await;
        assert_eq!(outcome(&refused, 400), "fhir.too_costly", "{path}");
        assert_eq!(refused.json["issue"][0]["code"], "too-costly");
    }
    for path in [
        "/fhir/Patient?_count=x",
        "/fhir/Patient?name:above=x",
        "/fhir/Patient?birthdate=yesterday&name=a",
        "/fhir/Patient?name=%00",
        "/fhir/Patient?_sort=colour",
        "/fhir/Patient?phone=1,2",
    ] {
        assert_eq!(
            outcome(&house.get(path).await, 400),
            "request.invalid",
            "{path}"
        );
    }
    let many: String = (0..101).map(|n| format!("_id={n}&")).collect();
    let refused = house.get(&format!("/fhir/Patient?{many}")).await;
    assert_eq!(outcome(&refused, 400), "request.invalid");
}

#[tokio::test]
async fn only_the_elements_that_are_asked_for_are_sent() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    let found = house
        .get(&format!(
            "/fhir/Observation?patient={patient}&_elements=subject"
        ))
        .await;
    let one = matches(&found)[0].as_object().unwrap();
    let names: Vec<&String> = one.keys().collect();
    assert_eq!(
        names,
        ["code", "id", "meta", "resourceType", "status", "subject"]
    );
    let read = house
        .get(&format!("/fhir/Patient/{patient}?_elements=birthDate,name"))
        .await;
    assert!(resource(&read)["identifier"].is_null());
    assert_eq!(read.json["meta"]["tag"][0]["code"], "SUBSETTED");
}

#[tokio::test]
async fn everything_of_a_patient_comes_page_by_page() {
    let house = House::new().await;
    let patient = patient_on(&house, "1001", 1, "ICU").await;
    patient_on(&house, "1002", 2, "ICU").await;
    order(&house, "1001", "T-9").await;
    pulse(&house, "1001", "72", "2026-03-01T09:00:00Z").await;
    let mut kinds: Vec<String> = Vec::new();
    let mut path = Some(format!("/fhir/Patient/{patient}/$everything?_count=2"));
    while let Some(at) = path {
        let page = house.get(&at).await;
        let found = matches(&page);
        assert!(found.len() <= 2);
        kinds.extend(
            found
                .iter()
                .map(|one| one["resourceType"].as_str().unwrap().to_owned()),
        );
        path = next(&page);
    }
    assert_eq!(
        kinds,
        [
            "Patient",
            "Encounter",
            "ServiceRequest",
            "Specimen",
            "Specimen",
            "DiagnosticReport",
            "Observation",
            "Observation",
            "Observation"
        ]
    );
    let some = house
        .get(&format!(
            "/fhir/Patient/{patient}/$everything?_type=Encounter,Specimen"
        ))
        .await;
    assert_eq!(matches(&some).len(), 3);
    let none = house
        .get(&format!(
            "/fhir/Patient/{patient}/$everything?_since=2100-01-01T00:00:00Z"
        ))
        .await;
    assert!(matches(&none).is_empty());
}
