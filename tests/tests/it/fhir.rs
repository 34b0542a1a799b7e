//! The FHIR façade of the whole program: what came by HL7 is read as FHIR, what is ordered as FHIR is done by an instrument.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{HubProcess, HubSettings, Mllp, Rest, Servers, adt, encode, eventually, unique};

const SOON: Duration = Duration::from_secs(20);

async fn found(rest: &Rest, search: &str) -> Vec<Value> {
    let bundle = rest.get(&format!("/fhir/{search}")).await;
    assert_eq!(bundle["type"], "searchset", "{bundle}");
    bundle["entry"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|entry| entry["search"]["mode"] == "match")
        .map(|entry| entry["resource"].clone())
        .collect()
}

fn result(control: &str, tube: &str, value: &str, status: &str) -> String {
    format!(
        "MSH|^~\\&|LIS|LAB|HUB|HOSP|20260301120000||ORU^R01|{control}|P|2.5.1\r\
         OBR|1||F{tube}|CHEM^Chemistry^L|||20260301115500||||||||||||||||||{status}\r\
         OBX|1|NM|580^Glucose^L||{value}|mg/dL|70-100||||{status}\r\
         SPM|1|{tube}||SER\r"
    )
}

#[tokio::test]
async fn an_order_placed_as_fhir_is_done_and_its_corrected_result_is_read_as_fhir() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    std::fs::write(
        settings.mappings.join("site/lab.toml"),
        "[[code]]\nid = \"lab-glu\"\ncode = \"580\"\nchannels = [\"lab\"]\nloinc = \"2345-7\"\nucum = \"mg/dL\"\n",
    )
    .unwrap();
    let hub = HubProcess::start(&servers, &settings).await;
    let rest = hub.sign_in().await;
    let (number, tube) = (unique("MRN"), unique("S"));
    let mut peer = Mllp::connect(hub.mllp("lab")).await;
    peer.accepted(adt("A01", &unique("C"), &number)).await;
    let search = format!("Patient?identifier={}", encode(&format!("HOSP|{number}")));
    let patient = eventually("the patient is found as FHIR", SOON, || async {
        found(&rest, &search).await.pop()
    })
    .await;
    let patient = format!("Patient/{}", patient["id"].as_str().unwrap());

    let order = json!({
        "resourceType": "ServiceRequest", "status": "active", "intent": "order",
        "code": { "coding": [{ "system": "http://loinc.org", "code": "2345-7" }] },
        "subject": { "reference": patient },
        "contained": [{ "resourceType": "Specimen", "id": "t", "accessionIdentifier": { "value": tube } }],
        "specimen": [{ "reference": "#t" }]
    });
    let fhir = ("content-type", "application/fhir+json");
    let placed = rest
        .response(Method::POST, "/fhir/ServiceRequest", Some(&order), &[fhir])
        .await;
    assert_eq!(placed.status(), 201);
    assert_eq!(placed.headers()["content-type"], "application/fhir+json");
    let placed: Value = placed.json().await.unwrap();
    let path = format!("/fhir/ServiceRequest/{}", placed["id"].as_str().unwrap());

    peer.accepted(result(&unique("C"), &tube, "104.50", "F"))
        .await;
    eventually("the order is completed", SOON, || async {
        (rest.get(&path).await["status"] == "completed").then_some(())
    })
    .await;
    let search = format!("Observation?patient={patient}&code=http://loinc.org|2345-7");
    let one = found(&rest, &search).await.remove(0);
    assert_eq!(one["status"], "final");
    assert_eq!(one["subject"]["reference"], patient.as_str());
    assert_eq!(one["referenceRange"][0]["low"]["value"], 70);
    let path = format!("/fhir/Observation/{}", one["id"].as_str().unwrap());
    assert!(
        rest.text(&path).await.contains("\"value\":104.50"),
        "digits as sent"
    );
    let tag = format!("W/\"{}\"", one["meta"]["versionId"].as_str().unwrap());
    let has_it = [("if-none-match", tag.as_str())];
    let again = rest.response(Method::GET, &path, None, &has_it).await;
    assert_eq!(again.status(), 304);

    peer.accepted(result(&unique("C"), &tube, "99", "C")).await;
    eventually("the correction is read", SOON, || async {
        let now = rest.response(Method::GET, &path, None, &has_it).await;
        (now.status() == 200).then_some(())
    })
    .await;
    let history = rest.get(&format!("{path}/_history")).await;
    let values: Vec<&Value> = history["entry"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["resource"]["valueQuantity"]["value"])
        .collect();
    assert_eq!(values, [&json!(99), &json!(104.5)]);

    let everything = found(&rest, &format!("{patient}/$everything")).await;
    for kind in [
        "Patient",
        "Encounter",
        "ServiceRequest",
        "Specimen",
        "DiagnosticReport",
        "Observation",
    ] {
        assert!(
            everything.iter().any(|one| one["resourceType"] == kind),
            "{kind}"
        );
    }
    let nobody = rest.clone().with_token(None);
    let (status, outcome) = nobody.try_get(&path).await;
    assert_eq!(
        (status, &outcome["resourceType"]),
        (401, &json!("OperationOutcome"))
    );
    assert!(
        !hub.log().contains(&number),
        "no number of a patient in the log"
    );
}

#[tokio::test]
async fn under_one_condition_one_is_made_however_many_ask_at_once() {
    let servers = Servers::start().await;
    let hub = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let rest = hub.sign_in().await;
    let number = unique("MRN");
    let body = json!({
        "resourceType": "Patient", "name": [{ "family": number, "given": ["Asha"] }],
        "identifier": [{ "system": "urn:hub:identifier:HOSP", "value": number }]
    });
    let condition = format!("identifier=urn:hub:identifier:HOSP|{number}");
    let headers = [
        ("content-type", "application/fhir+json"),
        ("if-none-exist", condition.as_str()),
    ];
    let ask = || rest.response(Method::POST, "/fhir/Patient", Some(&body), &headers);
    let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
    let mut said: Vec<u16> = [a, b, c, d]
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect();
    said.sort_unstable();
    assert_eq!(
        said.iter().filter(|status| **status == 201).count(),
        1,
        "{said:?}"
    );
    assert!(
        said.iter().all(|status| [200, 201, 409].contains(status)),
        "{said:?}"
    );
    // who was told to ask again finds it
    let again = ask().await;
    assert_eq!(again.status(), 200);
    let again: Value = again.json().await.unwrap();
    let all = found(
        &rest,
        &format!("Patient?identifier={}", encode(&format!("HOSP|{number}"))),
    )
    .await;
    assert_eq!((all.len(), &all[0]["id"]), (1, &again["id"]));
}
