//! `hub load --seed`: what it writes is what the program itself could have written, and the program goes on from it.

use std::process::Output;
use std::time::Duration;

use tests::{HubProcess, HubSettings, Mllp, Servers, adt, eventually, stamp, unique};

use super::audit::hub;

const SOON: Duration = Duration::from_secs(30);

const FORCED: &str = "select count(*) from pg_class where relkind in ('r', 'p') and relrowsecurity and not relforcerowsecurity
    and relnamespace in ('patients'::regnamespace, 'clinical'::regnamespace)";

fn seed(process: &HubProcess, patients: &str, results: &str) -> Output {
    hub(
        process.config(),
        &[
            "load",
            "--seed",
            "--tenant",
            "demo",
            "--seed-patients",
            patients,
            "--seed-results",
            results,
        ],
    )
}

async fn started() -> (Servers, HubProcess) {
    let servers = Servers::start().await;
    let process = HubProcess::start(&servers, &HubSettings::new(&servers)).await;
    eventually("the tenant is on record", SOON, || async {
        (servers
            .count("select count(*) from users.tenants where tenant_id = 'demo'")
            .await
            == 1)
            .then_some(())
    })
    .await;
    (servers, process)
}

async fn counts(servers: &Servers) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in [
        "patients.patients",
        "patients.identifiers",
        "patients.match_keys",
        "clinical.reports",
        "clinical.results",
    ] {
        counts.push(
            servers
                .count(&format!("select count(*) from {table}"))
                .await,
        );
    }
    counts
}

async fn sent(process: &HubProcess, message: String) {
    let answer = Mllp::connect(process.mllp("lab")).await.send(message).await;
    assert_eq!(answer.code, "AA");
}

#[tokio::test]
async fn invented_people_are_found_as_others_are_and_writing_them_again_writes_nothing() {
    let (servers, process) = started().await;
    let output = seed(&process, "1000", "10000");
    assert!(output.status.success(), "{output:?}");
    let written = vec![1_000, 1_000, 4_000, 1_000, 10_000];
    assert_eq!(counts(&servers).await, written);
    assert_eq!(servers.count(FORCED).await, 0);
    assert_eq!(
        servers
            .count(
                "select count(*) from patients.match_keys where kind = 'name' and words is not null"
            )
            .await,
        2_000
    );

    let rest = process.sign_in().await;
    let found = rest.items("/api/v1/patients?mrn=SD00000012").await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["name"]["given"][0], "Asha");
    let mobile = found[0]["telecoms"][0]["value"].as_str().unwrap();
    let by_mobile = rest
        .items(&format!(
            "/api/v1/patients?mobile={}",
            tests::encode(mobile)
        ))
        .await;
    assert_eq!(by_mobile, found);
    // one name in sixty, over several pages, each once
    let named = rest.all_items("/api/v1/patients?name=asha&limit=7").await;
    let ids: std::collections::BTreeSet<String> =
        named.iter().map(|one| one["id"].to_string()).collect();
    assert_eq!((named.len(), ids.len()), (17, 17));
    assert_eq!(
        rest.items("/api/v1/patients?name=ach%20asha").await.len(),
        // number 12; the next of that name would be number 3612
        1
    );
    // somebody who comes again and again
    let often = rest.items("/api/v1/patients?mrn=SD00000000").await;
    let id = often[0]["id"].as_str().unwrap();
    let page = rest
        .get(&format!("/api/v1/patients/{id}/results?limit=50"))
        .await;
    assert_eq!(page["items"].as_array().unwrap().len(), 50);
    assert!(page["next_cursor"].is_string());
    let all = rest
        .all_items(&format!("/api/v1/patients/{id}/results?limit=50"))
        .await;
    assert!(all.len() >= 240, "{}", all.len());

    let output = seed(&process, "1000", "10000");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(counts(&servers).await, written);
    for (patients, results) in [("1000", "12000"), ("900", "10000"), ("2000", "10000")] {
        let output = seed(&process, patients, results);
        assert!(!output.status.success(), "{patients} {results}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            said.contains("another number of patients or results"),
            "{said}"
        );
    }
    assert_eq!(counts(&servers).await, written);
    assert_eq!(servers.count(FORCED).await, 0);
}

#[tokio::test]
async fn messages_of_invented_people_and_reports_meet_what_was_written() {
    let (servers, process) = started().await;
    let output = seed(&process, "1000", "10000");
    assert!(output.status.success(), "{output:?}");
    let before = counts(&servers).await;

    // an ADT of somebody changes that record, and makes no other
    let at = stamp();
    sent(
        &process,
        format!(
            "MSH|^~\\&|HIS|HOSP|HUB|HOSP|{at}||ADT^A08|{}|P|2.5.1\rEVN|A08|{at}\rPID|1||SD00000012^^^SEED^MR||Renamed^Asha||19800517|F\rPV1|1|O\r",
            unique("C")
        ),
    )
    .await;
    let rest = process.sign_in().await;
    let renamed = eventually("the new name is found", SOON, || async {
        rest.items("/api/v1/patients?name=renamed").await.pop()
    })
    .await;
    assert_eq!(renamed["version"], 2);
    assert_eq!(renamed["identifiers"][0]["value"], "SD00000012");
    assert!(
        rest.items("/api/v1/patients?name=ach%20asha")
            .await
            .is_empty()
    );

    // a correction of a report finds it by what it says
    let whose = servers
        .sql(
            "select i.value from clinical.reports r join patients.identifiers i on i.key = r.subject_key
             where r.filler_number = 'SF00000001'",
        )
        .await;
    sent(
        &process,
        format!(
            "MSH|^~\\&|LIS|LAB|HUB|HOSP|{at}||ORU^R01|{}|P|2.5.1\rPID|1||{}^^^SEED^MR||A^B\rOBR|1||SF00000001|CBC^Blood count^L|||20231231234030+0000|||||||||||||||{at}|||C\rOBX|1|NM|WBC^White blood cells^L||99.9|10*3/uL|4.0-11.0|H|||C\r",
            unique("C"),
            whose[0]
        ),
    )
    .await;
    eventually("the correction is filed", SOON, || async {
        (servers
            .count(
                "select count(*) from clinical.results s join clinical.reports r on r.id = s.report_id
                 where r.filler_number = 'SF00000001' and s.item = 0 and s.version = 2 and s.value_text = '99.9'",
            )
            .await
            == 1)
            .then_some(())
    })
    .await;
    let after = counts(&servers).await;
    assert_eq!(
        (after[0], after[1], after[3]),
        (before[0], before[1], before[3])
    );
    assert_eq!(after[4], before[4] + 1);
}

#[tokio::test]
async fn a_tenant_that_has_patients_of_its_own_gets_no_invented_ones() {
    let (servers, process) = started().await;
    sent(&process, adt("A04", &unique("C"), &unique("P"))).await;
    eventually("the patient is registered", SOON, || async {
        (servers
            .count("select count(*) from patients.patients")
            .await
            == 1)
            .then_some(())
    })
    .await;
    let output = seed(&process, "1000", "1000");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("patients of its own"), "{said}");
    assert_eq!(
        servers
            .count("select count(*) from patients.patients")
            .await,
        1
    );
}
