//! Charts over REST: what staff write, who may, and what conflicts look like.

use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::house::{Answer, House};
use super::samples::person;

pub(super) struct Chart {
    pub(super) house: House,
    pub(super) patient: String,
}

impl Chart {
    pub(super) async fn new() -> Self {
        let house = House::new().await;
        house.event(&person(&house.tenant, "12345")).await;
        let found = house.get("/api/v1/patients?mrn=12345").await;
        let patient = found.items()[0]["id"].as_str().unwrap().to_owned();
        Self { house, patient }
    }

    pub(super) fn of(&self, part: &str) -> String {
        format!("/api/v1/patients/{}/{part}", self.patient)
    }

    /// Makes an entry; its path.
    pub(super) async fn made(&self, part: &str, body: &Value) -> String {
        let answer = self.house.post(&self.of(part), body).await;
        assert_eq!(answer.status.as_u16(), 201, "{}", answer.json);
        answer.header("location").to_owned()
    }

    async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.house
            .write_as(self.house.token(), "PATCH", path, body)
            .await
    }

    async fn patch_if(&self, path: &str, tag: &str, body: &Value) -> Answer {
        self.house
            .send(
                Request::patch(path)
                    .header(
                        header::AUTHORIZATION,
                        format!("Bearer {}", self.house.token()),
                    )
                    .header(header::CONTENT_TYPE, "application/json")
                    .header(header::IF_MATCH, tag)
                    .body(Body::from(body.to_string()))
                    .unwrap(),
            )
            .await
    }
}

pub(super) fn allergy(substance: &str) -> Value {
    json!({ "content": {
        "substance": { "text": substance }, "category": "drug", "severity": "severe", "certainty": "confirmed",
    } })
}

#[tokio::test]
async fn not_asked_none_known_and_listed_are_told_apart() {
    let chart = Chart::new().await;
    let list = chart.of("allergies");
    assert_eq!(chart.house.get(&list).await.ok()["status"], "not_asked");
    let none = chart.of("allergies/none-known");
    chart.house.post(&none, &json!({})).await.ok();
    let known = chart.house.get(&list).await;
    assert_eq!(known.ok()["status"], "none_known");
    assert_eq!(known.json["stated_by"], "admin");

    let path = chart.made("allergies", &allergy("Penicillin")).await;
    let listed = chart.house.get(&list).await;
    assert_eq!(listed.ok()["status"], "listed");
    assert!(listed.json["stated_by"].is_null());
    assert_eq!(
        listed.json["items"][0]["content"]["substance"]["text"],
        "Penicillin"
    );
    assert_eq!(
        chart.house.post(&none, &json!({})).await.problem(409),
        "clinical.allergies_conflict"
    );
    assert_eq!(
        chart
            .house
            .post(&list, &allergy("penicillin"))
            .await
            .problem(409),
        "clinical.allergy_exists"
    );
    let read = chart.house.get(&path).await;
    assert_eq!(read.header("etag"), "\"1\"");
    let refute = json!({ "action": "refute", "reason": "tolerated amoxicillin" });
    assert_eq!(
        chart.patch_if(&path, "\"4\"", &refute).await.problem(412),
        "clinical.entry_stale"
    );
    chart.patch_if(&path, "\"1\"", &refute).await.ok();
    let again = chart.patch(&path, &refute).await;
    assert_eq!(again.problem(409), "clinical.state_conflict");
    let detail = again.json["detail"].as_str().unwrap();
    assert!(
        detail.contains("refuted") && detail.contains("allowed: reactivate, retract"),
        "{detail}"
    );
    let id = path.rsplit('/').next().unwrap();
    let versions = chart
        .house
        .get(&format!("/api/v1/chart-entries/{id}/versions"))
        .await;
    let actions: Vec<&str> = versions
        .items()
        .iter()
        .map(|one| one["action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["record", "refute"]);
    let strange = json!({ "content": {
        "substance": { "text": "X" }, "category": "poison", "severity": "mild", "certainty": "confirmed" } });
    assert_eq!(
        chart.house.post(&list, &strange).await.problem(422),
        "clinical.entry_word"
    );
}

#[tokio::test]
async fn conditions_are_found_by_code_state_and_date() {
    let chart = Chart::new().await;
    let condition = |code: &str, text: &str| json!({ "content": { "code": { "code": code, "system": "I10" }, "text": text } });
    let diabetes = chart
        .made("conditions", &condition("E11.9", "Type 2 diabetes"))
        .await;
    chart
        .made("conditions", &condition("I10", "Hypertension"))
        .await;
    chart
        .patch(&diabetes, &json!({ "action": "confirm" }))
        .await
        .ok();
    let found = async |query: &str| {
        chart
            .house
            .get(&chart.of(&format!("conditions?{query}")))
            .await
            .items()
            .len()
    };
    assert_eq!(found("").await, 2);
    assert_eq!(found("code=e11.9").await, 1);
    assert_eq!(found("state=confirmed").await, 1);
    assert_eq!(found("from=2999-01-01T00:00:00Z").await, 0);
    assert_eq!(found("to=2999-01-01T00:00:00Z").await, 2);
    // pages
    let first = chart.house.get(&chart.of("conditions?limit=1")).await;
    let cursor = first.ok()["next_cursor"].as_str().unwrap();
    assert_eq!(first.json["items"][0]["content"]["code"]["code"], "I10");
    let next = chart
        .house
        .get(&chart.of(&format!("conditions?limit=1&cursor={cursor}")))
        .await;
    assert_eq!(next.items()[0]["content"]["code"]["code"], "E11.9");
    // an id of another kind is not there
    let id = diabetes.rsplit('/').next().unwrap();
    assert_eq!(
        chart
            .house
            .get(&format!("/api/v1/notes/{id}"))
            .await
            .problem(404),
        "clinical.entry_unknown"
    );
    let bad = condition("250.00", "Diabetes");
    assert_eq!(
        chart
            .house
            .post(&chart.of("conditions"), &bad)
            .await
            .problem(422),
        "clinical.icd10_form"
    );
}

#[tokio::test]
async fn a_prescription_says_what_was_not_checked() {
    let chart = Chart::new().await;
    let drug = json!({ "lines": [{ "drug": { "text": "Amoxicillin 500 mg" }, "frequency": "1-0-1", "days": 5 }] });
    let path = chart.made("prescriptions", &drug).await;
    let sign = format!("{path}/sign");
    assert_eq!(
        chart.house.post(&sign, &json!({})).await.problem(409),
        "rx.unchecked_conflict"
    );
    chart.made("allergies", &allergy("amoxicillin")).await;
    let accept = json!({ "accept_unchecked": true });
    assert_eq!(
        chart.house.post(&sign, &accept).await.problem(409),
        "rx.alert_conflict"
    );
    let both = json!({ "accept_unchecked": true, "override_reason": "desensitised" });
    chart.house.post(&sign, &both).await.ok();
    let read = chart.house.get(&path).await;
    assert_eq!(read.ok()["state"], "signed");
    assert_eq!(read.json["content"]["lines"][0]["quantity"], 10);
    assert_eq!(read.json["content"]["checks"][0]["outcome"], "alert");
    assert_eq!(read.json["content"]["checks"][1]["outcome"], "not_checked");
    let edited = chart.patch(&path, &drug).await;
    assert_eq!(edited.problem(409), "clinical.state_conflict");
    let state = format!("{path}/state");
    assert_eq!(
        chart
            .house
            .post(&state, &json!({ "action": "cancel" }))
            .await
            .problem(422),
        "clinical.reason_needed"
    );
    let cancel = json!({ "action": "cancel", "reason": "not needed" });
    chart.house.post(&state, &cancel).await.ok();
}

#[tokio::test]
async fn a_document_is_kept_by_its_digest_and_its_type_must_be_true() {
    let chart = Chart::new().await;
    let document = |media_type: &str, bytes: &[u8]| {
        json!({ "title": "Letter", "document_kind": "referral", "media_type": media_type,
                "content_base64": STANDARD.encode(bytes) })
    };
    let pdf = b"%PDF-1.7 a referral";
    let path = chart
        .made("documents", &document("application/pdf", pdf))
        .await;
    let read = chart.house.get(&path).await;
    assert_eq!(read.ok()["content"]["bytes"], pdf.len());
    let content = chart.house.get(&format!("{path}/content")).await;
    assert_eq!(&content.bytes[..], pdf);
    assert_eq!(content.header("content-type"), "application/pdf");
    assert!(
        content
            .header("content-disposition")
            .starts_with("attachment")
    );
    for wrong in [
        document("image/png", pdf),
        document("text/html", b"<script>"),
        document("application/pdf", b""),
    ] {
        let answer = chart.house.post(&chart.of("documents"), &wrong).await;
        assert_eq!(answer.problem(400), "request.invalid", "{wrong}");
    }
    let large = document("text/plain", &[b'a'; 20_000]);
    let answer = chart.house.post(&chart.of("documents"), &large).await;
    assert_eq!(answer.problem(413), "request.too_large");
    let retract = json!({ "reason": "another patient's" });
    let retracted = chart.house.post(&format!("{path}/retract"), &retract).await;
    assert_eq!(retracted.ok()["answer"]["state"], "entered_in_error");
    // it stays readable, marked
    chart.house.get(&format!("{path}/content")).await;
    assert_eq!(
        chart.house.get(&path).await.ok()["state"],
        "entered_in_error"
    );
}

#[tokio::test]
async fn a_chart_is_written_and_read_by_who_may() {
    let chart = Chart::new().await;
    let nurse = chart
        .house
        .user(&chart.house.tenant, &["charts:read", "notes:write"])
        .await;
    let note = json!({ "note_kind": "nursing", "title": "Night", "text": "Slept well." });
    let written = chart.house.post_as(&nurse, &chart.of("notes"), &note).await;
    assert_eq!(written.status.as_u16(), 201);
    let path = written.header("location").to_owned();
    // another's draft
    assert_eq!(
        chart.patch(&path, &note).await.problem(403),
        "clinical.author_not_allowed"
    );
    let denied = chart
        .house
        .post_as(&nurse, &chart.of("allergies"), &allergy("latex"))
        .await;
    assert_eq!(denied.problem(403), "auth.permission");
    // restricted: who may everywhere may not here
    let restrict = json!({ "restricted": true, "reason": "member of staff" });
    chart
        .house
        .post(&chart.of("restriction"), &restrict)
        .await
        .ok();
    for path in [chart.of("notes"), path.clone()] {
        assert_eq!(
            chart.house.get_as(&nurse, &path).await.problem(403),
            "auth.relationship"
        );
    }
    chart.house.get(&path).await.ok();
    let lift = json!({ "restricted": false, "reason": "left" });
    chart.house.post(&chart.of("restriction"), &lift).await.ok();
    chart.house.get_as(&nurse, &path).await.ok();
}

#[tokio::test]
async fn other_tenants_charts_are_not_there() {
    let chart = Chart::new().await;
    let path = chart.made("allergies", &allergy("latex")).await;
    let other = test_support::tenant("other");
    let stranger = chart.house.user(&other, &["*"]).await;
    assert_eq!(
        chart.house.get_as(&stranger, &path).await.problem(404),
        "clinical.entry_unknown"
    );
    assert_eq!(
        chart
            .house
            .get_as(&stranger, &chart.of("allergies"))
            .await
            .problem(404),
        "patients.unknown"
    );
    let refute = json!({ "action": "refute", "reason": "x" });
    let answer = chart
        .house
        .write_as(&stranger, "PATCH", &path, &refute)
        .await;
    assert_eq!(answer.problem(404), "clinical.entry_unknown");
}

/// Bytes and versions say nothing of their patient; the trail does.
#[tokio::test]
async fn a_look_at_a_document_s_bytes_or_an_entry_s_versions_names_the_patient() {
    let chart = Chart::new().await;
    let leaflet = json!({ "title": "Leaflet", "document_kind": "other", "media_type": "text/plain",
        "content_base64": STANDARD.encode(b"rest in bed") });
    let document = chart.made("documents", &leaflet).await;
    let entry = document.rsplit('/').next().unwrap();
    for path in [
        format!("{document}/content"),
        format!("/api/v1/chart-entries/{entry}/versions"),
    ] {
        assert_eq!(chart.house.get(&path).await.status.as_u16(), 200);
        let seen = chart
            .house
            .get(&format!("/api/v1/audit?patient={}", chart.patient))
            .await;
        assert!(
            seen.items()
                .iter()
                .any(|row| row["object"] == path.as_str()),
            "{path}: {}",
            seen.json
        );
    }
}

/// The bytes lie in the store under their digest, which another hospital may know: it has the same leaflet.
#[tokio::test]
async fn a_document_is_its_own_hospitals_also_where_another_has_the_same_bytes() {
    let chart = Chart::new().await;
    let leaflet = json!({ "title": "Leaflet", "document_kind": "other", "media_type": "application/pdf",
        "content_base64": STANDARD.encode(b"%PDF-1.7 the same leaflet") });
    let mine = chart.made("documents", &leaflet).await;
    let other = test_support::tenant("other");
    let stranger = chart.house.user(&other, &["*"]).await;
    let body = json!({ "identifiers": [{ "value": "900" }], "demographics": { "name": { "family": "Iyer", "given": ["Meena"] } } });
    let theirs = chart
        .house
        .post_as(&stranger, "/api/v1/patients", &body)
        .await;
    assert_eq!(theirs.status.as_u16(), 201, "{}", theirs.json);
    let theirs = format!("{}/documents", theirs.header("location"));
    let filed = chart.house.post_as(&stranger, &theirs, &leaflet).await;
    assert_eq!(filed.status.as_u16(), 201, "{}", filed.json);
    let theirs = filed.header("location").to_owned();
    for (token, own, others) in [
        (chart.house.token(), &mine, &theirs),
        (stranger.as_str(), &theirs, &mine),
    ] {
        for part in ["", "/content"] {
            let shown = chart.house.get_as(token, &format!("{own}{part}")).await;
            assert_eq!(shown.status.as_u16(), 200, "{part}: {}", shown.json);
            let hidden = chart.house.get_as(token, &format!("{others}{part}")).await;
            assert_eq!(hidden.problem(404), "clinical.entry_unknown", "{part}");
        }
        let retract = json!({ "reason": "x" });
        let path = format!("{others}/retract");
        let refused = chart.house.post_as(token, &path, &retract).await;
        assert_eq!(refused.problem(404), "clinical.entry_unknown");
    }
}

#[tokio::test]
async fn answers_fit_what_is_described() {
    let chart = Chart::new().await;
    chart.made("allergies", &allergy("latex")).await;
    let round = json!({ "observed_at": "2026-01-31T08:30:00Z", "values": [
        { "loinc": "9279-1", "value": "25", "ucum": "/min" }, { "loinc": "80288-4", "value": "U" } ] });
    let entered = chart.house.post(&chart.of("observations"), &round).await;
    assert_eq!(entered.status.as_u16(), 201, "{}", entered.json);
    let score = entered.json["answer"]["score"]["id"].as_str().unwrap();
    for (path, schema) in [
        (chart.of("allergies"), "AllergyList"),
        (chart.of("observations"), "Page_Vital"),
        (chart.of("scores"), "Page_Score"),
        (format!("/api/v1/scores/{score}"), "Page_Score"),
        (chart.of("tasks"), "Page_Task"),
        ("/api/v1/tasks".to_owned(), "Page_Task"),
    ] {
        let answer = chart.house.get(&path).await;
        super::operations::check(schema, answer.ok());
    }
    // a known part alone asks for somebody, without a total
    let tasks = chart.house.get("/api/v1/tasks").await;
    assert_eq!(tasks.items()[0]["trigger"], "urgent");
    assert!(entered.json["answer"]["score"]["total"].is_null());
}
