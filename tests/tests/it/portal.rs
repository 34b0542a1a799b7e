//! Patients' own log-ins against the whole program: what a merge of two records leaves of two log-ins, whoever merged them.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Mllp, Rest, World, adt, eventually, oru, shared, unique};

const SOON: Duration = Duration::from_secs(20);
/// A right that is taken away is gone within a minute, in every process.
const MINUTE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "blue kettle under the stairs";

/// A registered patient with a log-in of his own.
struct Patient {
    number: String,
    id: String,
    username: String,
    /// With his token.
    rest: Rest,
}

impl Patient {
    async fn new(world: &World, desk: &Rest, prefix: &str) -> Self {
        let number = unique(prefix);
        let mut peer = Mllp::connect(world.hub.mllp("adt")).await;
        peer.accepted(adt("A28", &unique("C"), &number)).await;
        let path = format!("/api/v1/patients?mrn={number}");
        let id = eventually("the patient", SOON, || async {
            let found = desk.items(&path).await;
            Some(found.first()?["id"].as_str()?.to_owned())
        })
        .await;
        let username = number.to_lowercase();
        let wanted = json!({ "username": username });
        let (status, made) = desk.post(&login_of(&id), &wanted).await;
        assert_eq!(status, 201, "{made}");
        let one_time = &made["one_time_password"];
        let nobody = desk.clone().with_token(None);
        let login = json!({ "username": username, "password": one_time });
        let (status, first) = nobody.post("/api/v1/auth/login", &login).await;
        assert_eq!(status, 200, "{first}");
        let me = nobody.clone().with_token(first["access_token"].as_str());
        let change = json!({ "current_password": one_time, "new_password": PASSWORD });
        let (status, answer) = me.post("/api/v1/me/password", &change).await;
        if status == 202 {
            // he may not ask what became of a command; a desk may
            let path = answer["status_url"].as_str().unwrap().to_owned();
            eventually("the password is changed", SOON, || async {
                (desk.get(&path).await["state"] != "pending").then_some(())
            })
            .await;
        } else {
            assert_eq!(status, 200, "{answer}");
        }
        let mut patient = Self {
            number,
            id,
            username,
            rest: nobody,
        };
        let (status, tokens) = patient.sign_in().await;
        assert_eq!(status, 200, "{tokens}");
        patient.rest = patient
            .rest
            .clone()
            .with_token(tokens["access_token"].as_str());
        patient
    }

    async fn sign_in(&self) -> (u16, Value) {
        let login = json!({ "username": self.username, "password": PASSWORD });
        let nobody = self.rest.clone().with_token(None);
        nobody.post("/api/v1/auth/login", &login).await
    }

    /// Whose record he is shown, and by which numbers; `None` when none is his.
    async fn sees(&self) -> Option<(String, Vec<String>)> {
        let (status, record) = self.rest.try_get("/api/v1/me/record").await;
        assert!([200, 401, 403, 404].contains(&status), "{status}: {record}");
        let mut numbers: Vec<String> = record["identifiers"]
            .as_array()?
            .iter()
            .map(|one| one["value"].as_str().unwrap().to_owned())
            .collect();
        numbers.sort_unstable();
        Some((record["patient_id"].as_str()?.to_owned(), numbers))
    }
}

fn login_of(patient: &str) -> String {
    format!("/api/v1/patients/{patient}/login")
}

/// How two records become one person's.
#[derive(Debug, Clone, Copy)]
enum Merge {
    /// A person says so.
    AtTheDesk,
    /// A hospital system says so.
    A40,
}

impl Merge {
    async fn make(self, world: &World, desk: &Rest, survivor: &Patient, retired: &Patient) {
        match self {
            Self::AtTheDesk => {
                let body = json!({ "retired": retired.id, "reason": "registered twice" });
                let path = format!("/api/v1/patients/{}/merge", survivor.id);
                desk.command(&path, &body).await;
            }
            Self::A40 => {
                let merge = adt("A40", &unique("C"), &survivor.number)
                    .replace("PV1|1|O\r", &format!("MRG|{}^^^HOSP^MR\r", retired.number));
                let mut peer = Mllp::connect(world.hub.mllp("adt")).await;
                peer.accepted(merge).await;
            }
        }
        let path = format!("/api/v1/patients/{}", retired.id);
        eventually("they are merged", SOON, || async {
            (desk.get(&path).await["merged_into"] == survivor.id.as_str()).then_some(())
        })
        .await;
    }
}

/// Log-ins of a patient: names, and how they ended.
async fn listed(desk: &Rest, patient: &str) -> Vec<(String, Option<String>)> {
    desk.items(&login_of(patient))
        .await
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().map(str::to_owned);
            (text("username").unwrap(), text("ended_as"))
        })
        .collect()
}

/// EM7: a merge where both have log-ins succeeds, and one log-in survives.
#[tokio::test]
async fn em7_of_two_portal_log_ins_one_survives_a_merge_and_the_merge_is_not_refused() {
    let world = shared().await;
    let desk = world.hub.sign_in().await;
    for way in [Merge::AtTheDesk, Merge::A40] {
        // the retired record's log-in is the older one: age does not decide
        let retired = Patient::new(&world, &desk, "EM7R").await;
        let kept = Patient::new(&world, &desk, "EM7K").await;
        let mut lab = Mllp::connect(world.hub.mllp("lab")).await;
        let result = [("GLU", "104", "mg/dL")];
        lab.accepted(oru(&unique("C"), &retired.number, &unique("S"), &result))
            .await;
        desk.results(&retired.number, 1).await;
        assert!(kept.rest.items("/api/v1/me/results").await.is_empty());
        assert_eq!(retired.rest.items("/api/v1/me/results").await.len(), 1);

        way.make(&world, &desk, &kept, &retired).await;
        let one_is_left = vec![
            (kept.username.clone(), None),
            (retired.username.clone(), Some("merge".to_owned())),
        ];
        for patient in [&kept.id, &retired.id] {
            eventually("one log-in is left", SOON, || async {
                (listed(&desk, patient).await == one_is_left).then_some(())
            })
            .await;
        }
        // he who is left goes on with the session that he has, and what was the other record's is his
        let mut both = vec![kept.number.clone(), retired.number.clone()];
        both.sort_unstable();
        assert_eq!(kept.sees().await, Some((kept.id.clone(), both)), "{way:?}");
        assert_eq!(kept.rest.items("/api/v1/me/results").await.len(), 1);
        // the other one is shown nothing from then on, is out within a minute, and does not come in again
        assert_eq!(retired.sees().await, None, "{way:?}");
        eventually("his token is worth nothing", MINUTE, || async {
            (retired.rest.try_get("/api/v1/me").await.0 == 401).then_some(())
        })
        .await;
        let (status, problem) = retired.sign_in().await;
        assert_eq!(
            (status, problem["code"].as_str()),
            (401, Some("auth.login"))
        );
        let trail = desk
            .items(&format!(
                "/api/v1/audit?action=users.patient_login.end&touched={}",
                retired.id
            ))
            .await;
        assert_eq!(trail.len(), 1, "{way:?}: once");
        let reason = trail[0]["reason"].as_str().unwrap();
        assert!(
            reason.starts_with("records of one patient were merged"),
            "{reason}"
        );
        // and a second one is refused by whichever record it is asked for
        for patient in [&kept.id, &retired.id] {
            let wanted = json!({ "username": unique("em7x").to_lowercase() });
            let (status, problem) = desk.post(&login_of(patient), &wanted).await;
            assert_eq!(
                (status, problem["code"].as_str()),
                (409, Some("logins.exists")),
                "{problem}"
            );
        }

        // parted again: what was ended stays so, and of two people neither sees the other's
        let path = format!("/api/v1/patients/{}/unmerge", retired.id);
        desk.command(&path, &json!({ "reason": "two people" }))
            .await;
        assert_eq!(
            kept.sees().await,
            Some((kept.id.clone(), vec![kept.number.clone()]))
        );
        assert!(kept.rest.items("/api/v1/me/results").await.is_empty());
        let told = format!(
            "/api/v1/audit?action=users.patient_login.stays_ended&touched={}",
            retired.id
        );
        eventually("the trail says what stays ended", SOON, || async {
            (desk.items(&told).await.len() == 1).then_some(())
        })
        .await;
        assert_eq!(retired.sign_in().await.0, 401);
    }
}

#[tokio::test]
async fn a_log_in_goes_along_with_its_record_and_comes_home_when_they_are_parted() {
    let world = shared().await;
    let desk = world.hub.sign_in().await;
    let retired = Patient::new(&world, &desk, "EM7L").await;
    let kept = Patient::new(&world, &desk, "EM7M").await;
    let ended = desk
        .command(
            &format!("{}/end", login_of(&kept.id)),
            &json!({ "reason": "asked for it" }),
        )
        .await;
    assert_eq!(ended["state"], "applied", "{ended}");
    Merge::AtTheDesk.make(&world, &desk, &kept, &retired).await;
    let moved = format!(
        "/api/v1/audit?action=users.patient_login.move&touched={}",
        retired.id
    );
    eventually("it went along", SOON, || async {
        (desk.items(&moved).await.len() == 1).then_some(())
    })
    .await;
    assert_eq!(retired.sees().await.unwrap().0, kept.id);
    let path = format!("/api/v1/patients/{}/unmerge", retired.id);
    desk.command(&path, &json!({ "reason": "two people" }))
        .await;
    assert_eq!(
        retired.sees().await,
        Some((retired.id.clone(), vec![retired.number.clone()]))
    );
    eventually("it came home", SOON, || async {
        (desk.items(&moved).await.len() == 2).then_some(())
    })
    .await;
    // where it was there is room again
    let wanted = json!({ "username": unique("em7y").to_lowercase() });
    let (status, made) = desk.post(&login_of(&kept.id), &wanted).await;
    assert_eq!(status, 201, "{made}");
}
