//! Code systems over REST: what is imported, codes to choose from, and what charts say of codes.

use axum::http::StatusCode;
use serde_json::json;
use test_support::tenant;
use worker_clinical::terminology::{CodeKind, CodeSystem, Import, Release, Standing, Term};

use super::house::House;

fn term(code: &str, display: &str) -> Term {
    Term {
        code: code.into(),
        display: display.into(),
        kind: CodeKind::Code,
        parent: Some("CHEM".into()),
        leaf: true,
        standing: Standing::Active,
        notice: None,
    }
}

async fn put(house: &House, system: CodeSystem, release: &str, terms: &[Term]) {
    let mut import = Import::begin(house.database.pool(), system).await.unwrap();
    import.put(terms).await.unwrap();
    let release = Release {
        name: release.into(),
        title: None,
        digest: [0; 32],
        smaller: false,
        actor: "ravi".into(),
    };
    import.finish(&release).await.unwrap();
}

/// A small LOINC.
pub(crate) async fn import(house: &House, release: &str) {
    let terms = [
        term("2345-7", "Glucose [Mass/volume] in Serum or Plasma"),
        term("718-7", "Hemoglobin [Mass/volume] in Blood"),
        Term {
            notice: Some("(c) somebody".into()),
            ..term("2160-0", "Creatinine [Mass/volume] in Serum or Plasma")
        },
    ];
    put(house, CodeSystem::Loinc, release, &terms).await;
}

#[tokio::test]
async fn codes_are_found_page_by_page_by_who_may() {
    let house = House::new().await;
    let codes = "/api/v1/codes?system=LN";
    assert_eq!(house.get(codes).await.problem(404), "codes.not_imported");
    assert!(house.get("/api/v1/code-systems").await.items().is_empty());

    import(&house, "2.80").await;
    let systems = house.get("/api/v1/code-systems").await;
    assert_eq!(systems.items().len(), 1);
    let loinc = &systems.items()[0];
    assert_eq!(loinc["release"], "2.80");
    assert_eq!(loinc["in_force"], true);
    assert_eq!(loinc["codes"], 3);
    assert!(loinc["notice"].as_str().unwrap().contains("Regenstrief"));

    let first = house.get(&format!("{codes}&q=mass&limit=2")).await;
    let of = |answer: &super::house::Answer| -> Vec<String> {
        answer
            .items()
            .iter()
            .map(|item| item["code"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(of(&first), ["2160-0", "2345-7"]);
    assert_eq!(first.items()[0]["notice"], "(c) somebody");
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = house
        .get(&format!("{codes}&q=mass&limit=2&cursor={cursor}"))
        .await;
    assert_eq!(of(&second), ["718-7"]);
    for (query, expected) in [
        ("q=ser%20cre", "2160-0"),
        ("q=2345", "2345-7"),
        ("code=718-7", "718-7"),
        ("q=nothing", ""),
        ("parent=CHEM&q=hemo", "718-7"),
    ] {
        let answer = house.get(&format!("{codes}&{query}")).await;
        answer.ok();
        assert_eq!(of(&answer).join(" "), expected, "{query}");
    }
    // by its FHIR name too
    let by_uri = house
        .get("/api/v1/codes?system=http%3A%2F%2Floinc.org&q=gluc")
        .await;
    assert_eq!(of(&by_uri), ["2345-7"]);

    // a code system is nobody's: another hospital sees the same, who lacks the permission nothing
    let other = house.user(&tenant("other"), &["codes:read"]).await;
    assert_eq!(house.get_as(&other, codes).await.items().len(), 3);
    let nobody = house.user(&house.tenant, &["patients:read"]).await;
    assert_eq!(
        house.get_as(&nobody, codes).await.problem(403),
        "auth.permission"
    );
}

#[tokio::test]
async fn what_is_asked_wrongly_is_named() {
    let house = House::new().await;
    import(&house, "2.80").await;
    let long = format!("system=LN&q={}", "x".repeat(201));
    for (query, field) in [
        ("system=SCT", "system"),
        ("q=glucose", "system"),
        (long.as_str(), "q"),
        ("system=LN&cursor=x", "cursor"),
        ("system=LN&limit=0", "limit"),
    ] {
        let answer = house.get(&format!("/api/v1/codes?{query}")).await;
        assert_eq!(answer.problem(400), "request.invalid", "{query}");
        let named = answer.json["errors"][0].to_string();
        assert!(named.contains(field), "{query}: {named}");
    }
}

#[tokio::test]
async fn a_condition_says_what_is_known_of_its_code() {
    let house = House::new().await;
    house
        .event(&super::samples::person(&house.tenant, "12345"))
        .await;
    let found = house.get("/api/v1/patients?mrn=12345").await;
    let patient = found.items()[0]["id"].as_str().unwrap().to_owned();
    let list = format!("/api/v1/patients/{patient}/conditions");
    let condition = |code: &str| json!({ "content": { "code": { "code": code, "system": "I10" }, "text": "Diabetes" } });

    let unchecked = house.post(&list, &condition("E99.9")).await;
    assert_eq!(unchecked.status, StatusCode::CREATED, "{}", unchecked.json);
    let read = house.get(unchecked.header("location")).await;
    assert_eq!(
        read.ok()["content"]["code_check"],
        json!({ "result": "not_checked" })
    );

    let terms = [term("E11.9", "Second sugar disease")];
    put(&house, CodeSystem::Icd10, "2019", &terms).await;
    assert_eq!(
        house.post(&list, &condition("E99.9")).await.problem(422),
        "clinical.icd10_no_such_code"
    );
    let known = house.post(&list, &condition("E11.9")).await;
    let read = house.get(known.header("location")).await;
    let content = &read.ok()["content"];
    assert_eq!(
        content["code_check"],
        json!({ "result": "known", "release": "2019" })
    );
    assert_eq!(content["code"]["text"], "Second sugar disease");
}
