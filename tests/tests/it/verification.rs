//! The way of an analyzer's result to its release, against the whole program: a draft verifies nothing, an approved pack what it
//! says, a person the rest.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{
    Astm, ChannelToml, HubProcess, HubSettings, Rest, Servers, encode, eventually, hub_binary,
    unique,
};

const SOON: Duration = Duration::from_secs(20);

/// Leukocytes and haemoglobin, without controls, orders and first ones.
const PACK: &str = "version = \"site-1\"\nfirst = 0\nqc_hours = 24\nneeds_order = false\n\
    [[flag]]\ntext = [\"N\"]\naction = \"none\"\n\
    [[analyte]]\nloinc = \"6690-2\"\nucum = \"10*3/uL\"\nrange = { low = \"3\", high = \"20\" }\nqc = false\n\
    [[analyte]]\nloinc = \"718-7\"\nucum = \"g/dL\"\nrange = { low = \"8\", high = \"18\" }\nqc = false\n";

struct Lab {
    hub: HubProcess,
    rest: Rest,
    // after the hub: fields are dropped in this order
    servers: Servers,
}

impl Lab {
    async fn start() -> Self {
        let servers = Servers::start().await;
        let settings =
            HubSettings::new(&servers).channel(ChannelToml::new("analyzer").kind("astm"));
        let rules = settings.mappings.join("rules");
        std::fs::create_dir_all(&rules).unwrap();
        std::fs::write(rules.join("autoverify.toml"), PACK).unwrap();
        let hub = HubProcess::start(&servers, &settings).await;
        let rest = hub.sign_in().await;
        Self { hub, rest, servers }
    }

    /// Sends leukocytes and haemoglobin of one tube; answers the results as REST shows them.
    async fn measure(&self, leukocytes: &str) -> Vec<Value> {
        let (patient, tube) = (unique("MRN"), unique("T"));
        let records = [
            format!("H|\\^&|{}||XN-350^1|||||||P|1|20260115120334", unique("C")),
            format!("P|1|{patient}|||Rao^Sita||19800517|F"),
            format!("O|1|{tube}||^^^WBC\\^^^HGB|R||||||N||||||||||||||F"),
            format!("R|1|^^^WBC|{leukocytes}|10*3/uL|4.0-10.0|N||F||||20260115120334"),
            "R|2|^^^HGB|128|g/L|120-160|N||F||||20260115120334".to_owned(),
            "L|1|N".to_owned(),
        ];
        let mut line = Astm::connect(self.hub.mllp("analyzer")).await;
        line.session(&records).await;
        let path = format!("/api/v1/results?specimen={}", encode(&tube));
        eventually("both results are seen", SOON, || async {
            let results = self.rest.items(&path).await;
            (results.len() == 2).then_some(results)
        })
        .await
    }

    async fn report_of(&self, result: &Value) -> Value {
        let id = result["report_id"].as_str().unwrap();
        self.rest.get(&format!("/api/v1/reports/{id}")).await
    }

    /// What `hub check` says of the pack.
    fn notes(&self) -> String {
        let output = Command::new(hub_binary())
            .args(["check", "--json", "--config"])
            .arg(self.hub.config())
            .env_remove("HUB_API_ADDR")
            .output()
            .unwrap();
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said["ok"], true, "{said}");
        said["notes"][0].as_str().unwrap().to_owned()
    }

    fn rules(&self) -> std::path::PathBuf {
        self.servers.folder().join("mappings/rules")
    }
}

fn approve(rules: &Path, digest: &str) {
    let text = format!(
        "version = \"site-1\"\nsha256 = \"{digest}\"\nby = \"Dr. A. Rao\"\nat = \"2026-02-01\"\n"
    );
    std::fs::write(rules.join("autoverify.approval.toml"), text).unwrap();
}

fn verification<'r>(results: &'r [Value], code: &str) -> &'r Value {
    let result = results
        .iter()
        .find(|result| result["code"]["code"] == code)
        .unwrap();
    &result["verification"]
}

#[tokio::test]
async fn a_result_of_an_analyzer_waits_until_an_approved_pack_or_a_person_verifies_it() {
    let lab = Lab::start().await;
    // a draft: every check is made, nothing is verified
    let results = lab.measure("7.4").await;
    for code in ["WBC", "HGB"] {
        let standing = verification(&results, code);
        assert_eq!(
            (&standing["state"], &standing["failed"]),
            (&json!("needs_review"), &json!("on")),
            "{standing}"
        );
    }
    assert!(results.iter().all(|result| result["released"] == false));
    assert_eq!(lab.report_of(&results[0]).await["released"], false);

    // approved while it runs, with the digest that `hub check` says
    let note = lab.notes();
    assert!(note.contains("is a draft"), "{note}");
    let digest = note
        .split("sha256 = \"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .unwrap();
    approve(&lab.rules(), digest);
    let results = eventually("the approval is in force", SOON, || async {
        let results = lab.measure("7.4").await;
        (verification(&results, "WBC")["state"] == "released").then_some(results)
    })
    .await;
    assert_eq!(verification(&results, "HGB")["by"], "rules");
    assert!(results.iter().all(|result| result["released"] == true));
    let report = lab.report_of(&results[0]).await;
    assert_eq!(report["release"]["state"], "released", "{report}");
    assert!(lab.notes().contains("approved by Dr. A. Rao"));

    // what the rules do not pass is held back with the check that failed, until a person verifies it
    let results = lab.measure("45.0").await;
    assert_eq!(verification(&results, "WBC")["failed"], "range");
    assert_eq!(verification(&results, "HGB")["state"], "released");
    let report = lab.report_of(&results[0]).await;
    assert_eq!(report["release"]["state"], "open", "{report}");
    let list = "/api/v1/worklists/verification";
    let waiting = lab
        .rest
        .items(&format!("{list}?reason=range&channel=analyzer"))
        .await;
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0]["pack"], "site-1");
    let (id, revision) = (&waiting[0]["id"], &waiting[0]["revision"]);
    let (status, answer) = lab
        .rest
        .post(
            &format!("{list}/{id}/verify"),
            &json!({ "revision": revision }),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    let report = lab.report_of(&results[0]).await;
    assert_eq!(report["released"], true, "{report}");

    // a mistake in a pack changes nothing, and is said
    std::fs::write(
        lab.rules().join("critical.toml"),
        "version = \"1\"\ncall_minutes = 0\n",
    )
    .unwrap();
    eventually("the mistake is said", SOON, || async {
        lab.hub
            .log()
            .contains("the rule packs have a problem")
            .then_some(())
    })
    .await;
    let results = lab.measure("7.5").await;
    assert_eq!(verification(&results, "WBC")["state"], "released");
}
