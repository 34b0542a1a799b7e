//! Customers of one installation: they never meet, have what their plan gives, and a suspended one still gets its results.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ChannelToml, HubProcess, HubSettings, Mllp, Rest, Servers, eventually, oru, unique};

use super::audit::hub;

mod tables;

const SOON: Duration = Duration::from_secs(30);

/// What `hub tenant administrator` or `create` printed.
fn password_of(output: &std::process::Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    text.trim()
        .rsplit_once("one-time password ")
        .unwrap_or_else(|| panic!("no password in {text}"))
        .1
        .to_owned()
}

/// The administrator of another tenant.
async fn administrator(hub_process: &HubProcess, tenant: &str) -> Rest {
    let password = password_of(&hub(
        hub_process.config(),
        &["tenant", "administrator", tenant],
    ));
    Rest::new(hub_process.api())
        .sign_in("admin", &password, Some(tenant))
        .await
}

async fn two_tenants() -> (Servers, HubProcess) {
    let servers = Servers::start().await;
    let mut settings = HubSettings::new(&servers).channel(ChannelToml::new("far").tenant("other"));
    settings.tenants.push("other".to_owned());
    let hub_process = HubProcess::start(&servers, &settings).await;
    (servers, hub_process)
}

async fn file(hub_process: &HubProcess, channel: &str, patient: &str, value: &str) -> String {
    let id = unique("C");
    let message = oru(&id, patient, &unique("S"), &[("GLU", value, "mg/dL")]);
    let answer = Mllp::connect(hub_process.mllp(channel))
        .await
        .send(message)
        .await;
    assert_eq!(answer.code, "AA");
    id
}

/// T1: the same number at two tenants is two people, and nothing of the one is there for the other: by no address, in no list,
/// in no trail, in no export.
#[tokio::test]
async fn t1_the_same_number_at_two_tenants_never_meets() {
    let (servers, hub_process) = two_tenants().await;
    let rest = hub_process.sign_in().await;
    let other = administrator(&hub_process, "other").await;
    let patient = unique("T1");
    let id = file(&hub_process, "lab", &patient, "104").await;
    file(&hub_process, "far", &patient, "205").await;
    let mine = rest.results(&patient, 1).await;
    let theirs = other.results(&patient, 1).await;
    assert_eq!(
        (
            mine[0]["raw_value"].as_str(),
            theirs[0]["raw_value"].as_str()
        ),
        (Some("104"), Some("205"))
    );
    let person = mine[0]["patient_id"].as_str().unwrap();
    let report = mine[0]["report_id"].as_str().unwrap();
    let message = rest.message(&id).await["id"].as_str().unwrap().to_owned();
    let document = document(&rest, person).await;
    let theirs_of = theirs[0]["patient_id"].as_str().unwrap().to_owned();
    document_of_the_same_bytes(&other, &theirs_of).await;
    for path in [
        format!("/api/v1/patients/{person}"),
        format!("/api/v1/patients/{person}/results"),
        format!("/api/v1/reports/{report}"),
        format!("/api/v1/messages/{message}"),
        format!("/api/v1/messages/{message}/body"),
        format!("/api/v1/audit?patient={person}"),
        "/api/v1/channels/lab".to_owned(),
        document.clone(),
        format!("{document}/content"),
        format!("/fhir/Patient/{person}"),
        format!("/fhir/Patient/{person}/$everything"),
        format!("/fhir/DiagnosticReport/{report}"),
    ] {
        assert_eq!(
            rest.response(Method::GET, &path, None, &[]).await.status(),
            200,
            "{path}"
        );
        assert_eq!(other.try_get(&path).await.0, 404, "{path}");
    }
    // searches by the number that both have, and what is told of changes, know one's own only
    for path in [
        format!("/api/v1/patients?identifier={patient}"),
        format!("/api/v1/results?patient_identifier={patient}"),
        format!("/api/v1/messages?patient_number={patient}"),
        format!("/fhir/Patient?identifier={patient}"),
        "/api/v1/changes?since=0.0&limit=500".to_owned(),
        "/api/v1/audit?limit=500".to_owned(),
    ] {
        let (mine, theirs) = (rest.text(&path).await, other.text(&path).await);
        assert!(
            !theirs.contains(person) && !theirs.contains(&message),
            "{path}: {theirs}"
        );
        assert!(!mine.contains(&theirs_of), "{path}: {mine}");
    }
    let observations = format!("/fhir/Observation?patient={person}");
    assert_eq!(rest.get(&observations).await["total"], 1);
    assert_eq!(other.get(&observations).await["total"], 0);
    let told = other
        .items("/api/v1/changes?since=0.0&topics=patients")
        .await;
    assert!(
        told.iter().any(|change| change["id"] == theirs_of.as_str()),
        "{told:?}"
    );
    // neither can see the list of tenants
    for path in ["/api/v1/platform/tenants", "/api/v1/platform/tenants/other"] {
        let (status, problem) = rest.try_get(path).await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (403, Some("auth.platform"))
        );
    }

    // each subject of each stream carries its tenant, and the export of one holds nothing of the other
    let folder = servers.folder().join("export-other");
    let output = hub(
        hub_process.config(),
        &[
            "tenant",
            "export",
            "other",
            "--to",
            folder.to_str().unwrap(),
        ],
    );
    assert!(output.status.success(), "{output:?}");
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let mut tables = 0;
    for table in manifest["tables"].as_array().unwrap() {
        let file = folder.join(table["file"].as_str().unwrap());
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(sha256(&file), table["sha256"].as_str().unwrap(), "{table}");
        assert_eq!(text.lines().count() as u64, table["rows"].as_u64().unwrap());
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            assert_eq!(row["tenant_id"], "other", "{}: {line}", table["table"]);
            assert!(row.get("password_hash").is_none(), "a secret: {line}");
        }
        assert!(
            !text.contains(person) && !text.contains(&message),
            "{table}"
        );
        tables += u32::from(!text.is_empty());
    }
    assert!(tables >= 8, "{manifest}");
    let rows = |name: &str| {
        manifest["tables"]
            .as_array()
            .unwrap()
            .iter()
            .find(|table| table["table"] == name)
            .map(|table| table["rows"].as_u64().unwrap())
    };
    assert_eq!(rows("patients.patients"), Some(1));
    assert_eq!(rows("clinical.results"), Some(1));
    assert_eq!(rows("users.refresh_tokens"), None, "secrets stay here");
    let list = std::fs::read_to_string(folder.join("messages.ndjson")).unwrap();
    assert_eq!(list.lines().count(), 1);
    let body: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
    let bytes = folder.join(body["file"].as_str().unwrap());
    assert_eq!(sha256(&bytes), body["sha256"].as_str().unwrap());
    let text = std::fs::read_to_string(bytes).unwrap();
    assert!(text.contains("|205|") && text.contains(&patient), "{text}");
    let left = manifest["left_out"].to_string();
    for what in ["users.users.password_hash", "integration.outbox"] {
        assert!(left.contains(what), "{left}");
    }
    // what is there is not written over
    let again = hub(
        hub_process.config(),
        &[
            "tenant",
            "export",
            "other",
            "--to",
            folder.to_str().unwrap(),
        ],
    );
    assert!(!again.status.success());
}

fn leaflet() -> Value {
    json!({ "title": "Leaflet", "document_kind": "other", "media_type": "application/pdf", "content_base64": "JVBERi0xLjcK" })
}

/// Files a document; its path.
async fn document(rest: &Rest, person: &str) -> String {
    let (status, made) = rest
        .post(&format!("/api/v1/patients/{person}/documents"), &leaflet())
        .await;
    assert_eq!(status, 201, "{made}");
    format!(
        "/api/v1/documents/{}",
        made["answer"]["id"].as_str().unwrap()
    )
}

/// The store holds bytes by their digest: who has the same ones reads his own and no other's.
async fn document_of_the_same_bytes(other: &Rest, person: &str) {
    let path = document(other, person).await;
    assert_eq!(other.bytes(&format!("{path}/content")).await, b"%PDF-1.7\n");
}

fn sha256(file: &Path) -> String {
    let output = std::process::Command::new("sha256sum")
        .arg(file)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout)
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// T2 and T3.
#[tokio::test]
async fn t2_t3_limits_and_suspension_stop_people_and_never_a_result() {
    let (_servers, hub_process) = two_tenants().await;
    let platform = administrator(&hub_process, "platform").await;
    let other = administrator(&hub_process, "other").await;
    let path = "/api/v1/platform/tenants/other";
    eventually("the tenant is on the list", SOON, || async {
        (platform.try_get(path).await.0 == 200).then_some(())
    })
    .await;
    let (status, answer) = patch(&platform, path, &json!({ "limits": { "users": 2 } })).await;
    assert_eq!(status, 200, "{answer}");

    // T2: the limit, and one more
    let new = |name: &str| json!({ "username": name, "display_name": "Somebody" });
    let (status, made) = other.post("/api/v1/users", &new("asha")).await;
    assert_eq!(status, 201, "{made}");
    let (status, problem) = other.post("/api/v1/users", &new("ravi")).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (402, Some("limit.users")),
        "{problem}"
    );
    let patient = unique("T2");
    file(&hub_process, "far", &patient, "104").await;
    let person = other.results(&patient, 1).await[0]["patient_id"]
        .as_str()
        .unwrap()
        .to_owned();

    // T3: suspended
    let step = |state: &str| json!({ "state": state, "reason": "three invoices unpaid" });
    platform
        .command(&format!("{path}/state"), &step("suspended"))
        .await;
    let order = json!({ "patient_identifier": patient, "code": { "system": "LN", "code": "2345-7" }, "specimens": ["T-1"] });
    let (status, problem) = other.post("/api/v1/orders", &order).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (403, Some("tenant.suspended")),
        "{problem}"
    );
    assert_eq!(
        other.try_get(&format!("/api/v1/patients/{person}")).await.0,
        200
    );
    let patient = unique("T3");
    file(&hub_process, "far", &patient, "99").await;
    assert_eq!(other.results(&patient, 1).await[0]["raw_value"], "99");
    // the other customer notices nothing
    let demo = hub_process.sign_in().await;
    let (status, made) = demo.post("/api/v1/users", &new("meera")).await;
    assert_eq!(status, 201, "{made}");

    platform
        .command(&format!("{path}/state"), &step("active"))
        .await;
    let (status, problem) = other.post("/api/v1/users", &new("ravi")).await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (402, Some("limit.users")),
        "{problem}"
    );
    let (status, problem) = platform
        .post(&format!("{path}/state"), &step("closed"))
        .await;
    assert_eq!(
        (status, problem["code"].as_str()),
        (409, Some("tenants.state_conflict"))
    );
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("allowed: past_due, suspended")
    );
}

async fn patch(rest: &Rest, path: &str, body: &Value) -> (u16, Value) {
    let response = rest
        .response(Method::PATCH, path, Some(body), &[("if-match", "*")])
        .await;
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

/// T4, with a tenant that no configuration names: it is served without a restart.
#[tokio::test]
async fn t4_one_provisioning_key_makes_one_tenant_which_is_served_at_once() {
    let servers = Servers::start().await;
    let hub_process = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    let create = || {
        hub(
            hub_process.config(),
            &[
                "tenant",
                "create",
                "apollo",
                "--name",
                "Apollo Clinic",
                "--key",
                "crm-4711",
            ],
        )
    };
    let password = password_of(&create());
    let again = create();
    assert!(again.status.success(), "{again:?}");
    assert!(!String::from_utf8_lossy(&again.stdout).contains("password"));
    for (table, count) in [
        ("users.tenants", 1),
        ("users.users", 1),
        ("users.grants", 1),
    ] {
        let rows = servers
            .count(&format!(
                "select count(*) from {table} where tenant_id = 'apollo'"
            ))
            .await;
        assert_eq!(rows, count, "{table}");
    }
    let other_name = hub(
        hub_process.config(),
        &[
            "tenant", "create", "fortis", "--name", "Fortis", "--key", "crm-4711",
        ],
    );
    assert!(!other_name.status.success());
    assert!(String::from_utf8_lossy(&other_name.stderr).contains("tenants.key_in_use"));

    // its administrator changes his password, works, and what he does is said, sealed and listed
    let first = Rest::new(hub_process.api())
        .sign_in("admin", &password, Some("apollo"))
        .await;
    let change =
        json!({ "current_password": password, "new_password": "blue kettle under the stairs" });
    let (status, answer) = first.post("/api/v1/me/password", &change).await;
    assert!(status == 200 || status == 202, "{status} {answer}");
    let admin = eventually("the password is changed", SOON, || async {
        let (status, tokens) = Rest::new(hub_process.api())
            .post(
                "/api/v1/auth/login",
                &json!({ "username": "admin", "password": "blue kettle under the stairs", "tenant": "apollo" }),
            )
            .await;
        (status == 200).then(|| Rest::new(hub_process.api()).with_token(tokens["access_token"].as_str()))
    })
    .await;
    let (status, made) = admin
        .post(
            "/api/v1/users",
            &json!({ "username": "asha", "display_name": "Asha" }),
        )
        .await;
    assert_eq!(status, 201, "{made}");
    eventually("the new tenant's trail is sealed", SOON, || async {
        let found = admin.get("/api/v1/audit/verify").await;
        (found["whole"] == true && found["intact"].as_i64() > Some(1) && found["unsealed"] == 0)
            .then_some(())
    })
    .await;
    let unpublished = "select count(*) from integration.outbox where published_at is null";
    eventually(
        "what follows of its commands is published",
        SOON,
        || async { (servers.count(unpublished).await == 0).then_some(()) },
    )
    .await;
    let listed = hub(hub_process.config(), &["tenant", "list", "--json"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for id in ["apollo", "demo", "platform"] {
        assert!(listed.contains(&format!("\"id\":\"{id}\"")), "{listed}");
    }
}
