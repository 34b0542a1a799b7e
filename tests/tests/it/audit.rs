//! The audit trail from outside: who saw whose data, and what becomes of one row that is altered behind the program's back.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tests::{HubProcess, HubSettings, Mllp, Servers, eventually, hub_binary, oru, unique};

const SOON: Duration = Duration::from_secs(30);

/// Runs the program beside the hub, with its configuration.
pub(crate) fn hub(config: &std::path::Path, arguments: &[&str]) -> Output {
    Command::new(hub_binary())
        .arg(arguments[0])
        .arg("--config")
        .arg(config)
        .args(&arguments[1..])
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// AU4: one row altered in SQL by a superuser is named, by the command and over REST; so are one taken away and one put in.
#[tokio::test]
async fn au4_one_altered_row_of_the_trail_is_named() {
    let servers = Servers::start().await;
    let settings = HubSettings::new(&servers);
    let hub_process = HubProcess::start(&servers, &settings).await;
    let rest = hub_process.sign_in().await;
    let patient = unique("AU4");
    let message = oru(
        &unique("C"),
        &patient,
        &unique("S"),
        &[("GLU", "104", "mg/dL")],
    );
    Mllp::connect(hub_process.mllp("lab"))
        .await
        .accepted(message)
        .await;
    let results = rest.results(&patient, 1).await;
    let person = results[0]["patient_id"].as_str().unwrap().to_owned();
    for part in ["", "/results", "/reports", "/encounters"] {
        rest.get(&format!("/api/v1/patients/{person}{part}")).await;
    }
    // each look is on record before it was answered, and names the patient
    let seen = rest
        .items(&format!("/api/v1/audit?patient={person}&limit=500"))
        .await;
    for part in ["", "/results", "/reports", "/encounters"] {
        let object = format!("/api/v1/patients/{person}{part}");
        assert!(
            seen.iter()
                .any(|row| row["object"] == object.as_str() && row["actor"] == "admin"),
            "no row of a look at {object}: {seen:?}"
        );
    }
    eventually("the rows are sealed", SOON, || async {
        let found = rest.get("/api/v1/audit/verify").await;
        assert_eq!(found["whole"], true, "{found}");
        (found["unsealed"] == 0).then_some(())
    })
    .await;
    let config = hub_process.config();
    let verified = hub(config, &["audit", "verify", "--json"]);
    assert!(verified.status.success(), "{verified:?}");
    // a root of this moment, to be kept elsewhere
    let root = hub(config, &["audit", "roots", "--tenant", "demo", "--now"]);
    assert!(root.status.success(), "{root:?}");
    let kept = servers.folder().join("roots.ndjson");
    std::fs::write(&kept, &root.stdout).unwrap();
    let public = lines(&hub(config, &["audit", "keys"]));
    assert_eq!(lines(&root)[0]["kid"], public[0]["kid"]);

    let altered: i64 = servers
        .count(&format!(
            "update audit.entries set detail = '{{}}' where id = (select min(id) from audit.entries where object = '/api/v1/patients/{person}/reports') returning id"
        ))
        .await;
    let found = rest.get("/api/v1/audit/verify").await;
    assert_eq!(
        (
            &found["whole"],
            &found["broken"]["what"],
            &found["broken"]["entry_id"]
        ),
        (&json!(false), &json!("altered"), &json!(altered)),
        "{found}"
    );
    let verified = hub(config, &["audit", "verify", "--tenant", "demo", "--json"]);
    assert_eq!(verified.status.code(), Some(1));
    let said = lines(&verified);
    assert_eq!(said[0]["broken"]["entry_id"], altered, "{said:?}");
    let words = hub(config, &["audit", "verify", "--tenant", "demo"]);
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(
        words.contains(&format!("altered: entry {altered}")),
        "{words}"
    );

    // he who may write everything lays the chain anew: the program takes his word, the root that was kept does not
    servers
        .sql("delete from audit.chain where tenant_id = 'demo'")
        .await;
    eventually("the sealer has laid the chain anew", SOON, || async {
        let found = rest.get("/api/v1/audit/verify").await;
        (found["whole"] == true && found["unsealed"] == 0).then_some(())
    })
    .await;
    let roots = kept.to_str().unwrap();
    let verified = hub(
        config,
        &[
            "audit", "verify", "--tenant", "demo", "--json", "--roots", roots,
        ],
    );
    assert_eq!(verified.status.code(), Some(1), "{verified:?}");
    assert_eq!(lines(&verified)[0]["broken"]["what"], "relaid");

    // a row taken away
    let gone: i64 = servers
        .count("delete from audit.chain c using audit.entries e where false; select min(entry_id) + 1 from audit.chain where tenant_id = 'demo'")
        .await;
    servers
        .sql(&format!(
            "set session_replication_role = replica; delete from audit.entries where id = {gone}"
        ))
        .await;
    let found = rest.get("/api/v1/audit/verify").await;
    assert_eq!(
        (&found["broken"]["what"], &found["broken"]["entry_id"]),
        (&json!("missing"), &json!(gone)),
        "{found}"
    );
}
