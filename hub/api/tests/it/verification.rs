//! The verification worklist, and everything that is held in one list.

use axum::body::Body;
use axum::http::{Request, header};
use schemas::ChannelId;
use schemas::care::{HoldReason, Observation, ResultReceived, Specimen};
use serde_json::json;

use super::house::House;
use super::samples::{code, coded, identifier, uncoded};

/// Of the channel `analyzer`, whose results must be verified.
pub(crate) fn measured(
    house: &House,
    tube: &str,
    patient: Option<&str>,
    results: Vec<Observation>,
) -> ResultReceived {
    ResultReceived {
        channel: ChannelId::new("analyzer").unwrap(),
        subject: patient.map(|number| identifier(&house.tenant, number)),
        visit_number: None,
        placer_number: None,
        filler_number: None,
        code: code("CHEM"),
        status: Some("F".to_owned()),
        observed_at: Some("2026-03-01T12:00:00Z".to_owned()),
        issued_at: None,
        specimen: Some(Specimen {
            number: Some(tube.to_owned()),
            ..Specimen::default()
        }),
        results,
        notes: Vec::new(),
        occurred_at: None,
    }
}

async fn with_patient() -> House {
    let house = House::new().await;
    // registers patient 12345
    house.report("12345", 1, vec![coded("GLU", "90")]).await;
    house
}

#[tokio::test]
async fn a_result_of_an_analyzer_is_seen_at_once_and_may_be_acted_on_once_a_person_verified_it() {
    let house = with_patient().await;
    house
        .event(&measured(
            &house,
            "T1",
            Some("12345"),
            vec![coded("GLU", "104")],
        ))
        .await;
    let results = house.get("/api/v1/results?specimen=T1").await;
    let result = &results.items()[0];
    assert_eq!(result["released"], false);
    assert_eq!(result["verification"]["state"], "needs_review");
    assert_eq!(result["verification"]["failed"], "order");
    let first = house.get("/api/v1/results?specimen=A-1").await;
    assert_eq!(first.items()[0]["released"], true);
    assert!(first.items()[0].get("verification").is_none());
    for (filter, count) in [("released=true", 0), ("released=false", 1)] {
        let found = house
            .get(&format!("/api/v1/results?specimen=T1&{filter}"))
            .await;
        assert_eq!(found.items().len(), count, "{filter}");
    }

    let list = "/api/v1/worklists/verification";
    for (filter, count) in [
        ("", 1),
        ("?channel=analyzer&reason=order", 1),
        ("?reason=delta", 0),
        ("?channel=lab", 0),
        ("?patient_identifier=12345", 1),
        ("?patient_identifier=nobody", 0),
        ("?specimen=T1", 1),
        ("?state=released", 0),
        ("?state=all", 1),
    ] {
        let found = house.get(&format!("{list}{filter}")).await;
        assert_eq!(found.items().len(), count, "{filter}");
    }
    assert_eq!(
        house.get(&format!("{list}?state=odd")).await.problem(400),
        "request.invalid"
    );
    let item = house.get(list).await.items()[0].clone();
    assert_eq!(item["result"]["value"]["number"], "104");
    assert!(item["result"]["patient_id"].is_string());
    let id = &item["id"];

    let verify = format!("{list}/{id}/verify");
    assert_eq!(
        house.post(&verify, &json!({})).await.problem(400),
        "request.invalid"
    );
    assert_eq!(
        house
            .post(&verify, &json!({ "revision": 9 }))
            .await
            .problem(409),
        "clinical.verification_stale"
    );
    assert_eq!(
        house
            .post(&format!("{list}/999/verify"), &json!({ "revision": 1 }))
            .await
            .problem(404),
        "clinical.verification_unknown"
    );
    assert_eq!(
        house
            .post(&format!("{list}/{id}/reject"), &json!({ "revision": 1 }))
            .await
            .problem(422),
        "clinical.verification_comment"
    );
    house
        .post(
            &format!("{list}/{id}/comment"),
            &json!({ "comment": "asked the ward" }),
        )
        .await
        .ok();
    let done = house.post(&verify, &json!({ "revision": 1 })).await;
    assert_eq!(done.ok()["answer"]["state"], "released");
    // an answer that was lost is asked for again
    let again = house.post(&verify, &json!({ "revision": 1 })).await;
    assert_eq!(again.ok()["answer"], done.json["answer"]);
    assert_eq!(
        house
            .post(&format!("{list}/{id}/rerun"), &json!({ "revision": 2 }))
            .await
            .problem(409),
        "clinical.verification_not_open"
    );
    assert!(house.get(list).await.items().is_empty());
    let detail = house.get(&format!("{list}/{id}")).await;
    assert_eq!(detail.ok()["decided_by"], "admin");
    assert_eq!(detail.json["comments"][0]["comment"], "asked the ward");
    assert_eq!(detail.json["runs"].as_array().unwrap().len(), 1);

    let results = house.get("/api/v1/results?specimen=T1").await;
    assert_eq!(results.items()[0]["released"], true);
    assert_eq!(results.items()[0]["verification"]["by"], "admin");
    let report = results.items()[0]["report_id"].as_str().unwrap();
    let report = house.get(&format!("/api/v1/reports/{report}")).await;
    assert_eq!(report.ok()["released"], true);
    assert_eq!(report.json["release"]["state"], "released");
    assert_eq!(
        house.get(&format!("{list}/999")).await.problem(404),
        "clinical.verification_unknown"
    );
}

#[tokio::test]
async fn if_match_says_what_was_seen_and_several_are_verified_each_with_its_outcome() {
    let house = with_patient().await;
    for tube in ["T1", "T2", "T3"] {
        house
            .event(&measured(
                &house,
                tube,
                Some("12345"),
                vec![coded("GLU", "104")],
            ))
            .await;
    }
    let list = "/api/v1/worklists/verification";
    let page = house.get(&format!("{list}?limit=2")).await;
    assert_eq!(page.items().len(), 2);
    let next = page.json["next_cursor"].as_str().unwrap();
    let rest = house.get(&format!("{list}?limit=2&cursor={next}")).await;
    assert_eq!(rest.items().len(), 1);
    let ids: Vec<i64> = [page.items().as_slice(), rest.items()]
        .concat()
        .iter()
        .map(|item| item["id"].as_i64().unwrap())
        .collect();

    let many = format!("{list}/verify");
    let body =
        json!({ "items": [{ "id": ids[0], "revision": 1 }, { "id": ids[1], "revision": 4 }] });
    let outcomes = house.post(&many, &body).await;
    let outcomes = &outcomes.ok()["answer"]["items"];
    assert_eq!(outcomes[0]["state"], "released");
    assert_eq!(outcomes[1]["code"], "clinical.verification_stale");
    let one = json!({ "items": [{ "id": ids[1], "revision": 4 }] });
    assert_eq!(
        house.post(&many, &one).await.ok()["answer"]["items"][0]["outcome"],
        "refused"
    );
    assert_eq!(
        house
            .post(&many, &json!({ "items": [] }))
            .await
            .problem(422),
        "clinical.verification_items"
    );

    let token = house.sign_in("admin", super::house::PASSWORD, None).await;
    let reject = |revision: &str| {
        Request::post(format!("{list}/{}/reject", ids[2]))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::IF_MATCH, revision)
            .body(Body::from(json!({ "comment": "haemolysed" }).to_string()))
            .unwrap()
    };
    assert_eq!(
        house.send(reject("x")).await.problem(400),
        "request.invalid"
    );
    assert_eq!(
        house.send(reject("\"7\"")).await.problem(412),
        "clinical.verification_stale"
    );
    assert_eq!(
        house.send(reject("\"1\"")).await.ok()["answer"]["state"],
        "rejected"
    );
    let reopen = json!({ "revision": 2, "comment": "was another tube" });
    let reopened = house
        .post(&format!("{list}/{}/reopen", ids[2]), &reopen)
        .await;
    assert_eq!(reopened.ok()["answer"]["state"], "needs_review");
    let rerun = house
        .post(
            &format!("{list}/{}/rerun", ids[2]),
            &json!({ "revision": 3 }),
        )
        .await;
    assert!(rerun.ok()["answer"]["order_id"].is_null());
    assert_eq!(
        house.get(&format!("{list}/{}", ids[2])).await.ok()["rerun_by"],
        "admin"
    );
}

#[tokio::test]
async fn a_pathologist_verifies_and_a_technician_does_not() {
    let house = with_patient().await;
    for tube in ["T1", "T2"] {
        let results = vec![coded("GLU", "104")];
        house
            .event(&measured(&house, tube, Some("12345"), results))
            .await;
    }
    let somebody = async |name: &str, role: &str| {
        let (id, tokens) = house.staff(name).await;
        house.grant(&id, &json!({ "role": role })).await;
        tokens["access_token"].as_str().unwrap().to_owned()
    };
    let rao = somebody("rao", "pathologist").await;
    let ravi = somebody("ravi", "lab_technician").await;
    let list = "/api/v1/worklists/verification";
    let waiting = house.get_as(&rao, list).await;
    let ids: Vec<i64> = waiting
        .items()
        .iter()
        .map(|item| item["id"].as_i64().unwrap())
        .collect();
    let seen = json!({ "revision": 1 });
    let verify = format!("{list}/{}/verify", ids[0]);
    let refused = house.post_as(&ravi, &verify, &seen).await;
    assert_eq!(refused.problem(403), "auth.permission");
    assert_eq!(refused.json["permission"], "results:verify");
    let verified = house.post_as(&rao, &verify, &seen).await;
    assert_eq!(verified.ok()["answer"]["state"], "released");
    let many = json!({ "items": [{ "id": ids[1], "revision": 1 }] });
    let path = format!("{list}/verify");
    let verified = house.post_as(&rao, &path, &many).await;
    assert_eq!(
        verified.ok()["answer"]["items"][0]["state"],
        "released",
        "{}",
        verified.json
    );
}

#[tokio::test]
async fn codes_and_patients_that_are_asked_for_stand_in_one_list_each_with_its_way_out() {
    let house = with_patient().await;
    house
        .report("12345", 2, vec![uncoded("AAA", "1"), uncoded("BBB", "2")])
        .await;
    let nameless = Observation {
        held: Some(HoldReason::NoPatient),
        ..coded("GLU", "104")
    };
    house
        .event(&measured(&house, "T9", None, vec![nameless]))
        .await;
    let list = "/api/v1/worklists/held";
    let all = house.get(list).await;
    let kinds: Vec<&str> = all
        .items()
        .iter()
        .map(|item| item["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["code", "code", "patient"], "oldest first");
    assert_eq!(all.items()[2]["reason"], "unknown_specimen");
    let claim = all.items()[2]["resolve"].as_str().unwrap();
    assert!(claim.starts_with("/api/v1/worklists/unmatched/") && claim.ends_with("/claim"));

    let mut walked = Vec::new();
    let mut path = format!("{list}?limit=1");
    loop {
        let page = house.get(&path).await;
        walked.extend(page.items().clone());
        let Some(next) = page.json["next_cursor"].as_str() else {
            break;
        };
        path = format!("{list}?limit=1&cursor={next}");
    }
    assert_eq!(&walked, all.items(), "page by page it is the same list");
    assert_eq!(
        house
            .get(&format!("{list}?channel=analyzer"))
            .await
            .items()
            .len(),
        1
    );
    assert_eq!(
        house
            .get(&format!("{list}?reason=unknown_code"))
            .await
            .items()
            .len(),
        2
    );

    let map = all.items()[0]["resolve"].as_str().unwrap();
    house
        .post(map, &json!({ "loinc": "1989-3", "ucum": "mg/dL" }))
        .await
        .ok();
    assert_eq!(house.get(list).await.items().len(), 2);
    assert_eq!(
        house
            .get("/api/v1/worklists/qc/999/affected")
            .await
            .problem(404),
        "clinical.control_unknown"
    );
}
