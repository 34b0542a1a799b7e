//! Patients' log-ins: one of a patient at a time, and a right to his own record alone.

use hub_core::Verdict;
use schemas::TenantId;
use schemas::identity::{GiveGrant, SetUserState, UserState};
use schemas::patients::{PatientMerged, PatientUnmerged};
use schemas::portal::{EndPatientLogin, OpenPatientLogin};
use test_support::{TestDatabase, tenant};
use uuid::Uuid;
use worker_identity::queries;

use super::house::{answer, apply, hours, refusal, session, user};

mod merges;

struct Index {
    database: TestDatabase,
    tenant: TenantId,
}

impl Index {
    async fn new() -> Self {
        Self {
            database: TestDatabase::new().await,
            tenant: tenant("demo"),
        }
    }

    /// A registered person.
    async fn record(&self) -> Uuid {
        let id = Uuid::now_v7();
        let mut tx = self.database.tx(&self.tenant).await;
        sqlx::query(
            "insert into patients.patients (tenant_id, id, source_event) values ($1, $2, $2)",
        )
        .bind(self.tenant.as_str())
        .bind(id)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// As the index has it; nobody has heard of it.
    async fn lead(&self, from: Uuid, to: Option<Uuid>) {
        let mut tx = self.database.tx(&self.tenant).await;
        sqlx::query(
            "update patients.patients set merged_into = $2, status = case when $2::uuid is null then 'active' else 'merged' end
             where id = $1",
        )
        .bind(from)
        .bind(to)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
    }

    async fn merged(&self, survivor: Uuid, retired: Uuid) -> Verdict {
        let fact = PatientMerged {
            survivor,
            retired,
            reason: Some("registered twice".to_owned()),
        };
        apply(&self.database, &self.tenant, &fact).await
    }

    async fn unmerged(&self, survivor: Uuid, restored: Uuid) -> Verdict {
        let fact = PatientUnmerged {
            survivor,
            restored,
            reason: Some("twins".to_owned()),
        };
        apply(&self.database, &self.tenant, &fact).await
    }

    async fn open(&self, patient: Uuid, name: &str) -> Verdict {
        self.ask(&opening(patient, name)).await
    }

    async fn ask(&self, command: &OpenPatientLogin) -> Verdict {
        apply(&self.database, &self.tenant, command).await
    }

    /// A log-in with a session.
    async fn login(&self, patient: Uuid, name: &str) -> Uuid {
        let opened = answer(self.open(patient, name).await);
        let user = Uuid::parse_str(opened["user_id"].as_str().unwrap()).unwrap();
        session(&self.database, &self.tenant, user, name).await;
        user
    }

    /// Whose record this user is shown.
    async fn sees(&self, user: Uuid) -> Option<Uuid> {
        let mut tx = self.database.tx(&self.tenant).await;
        queries::own_record(tx.conn(), user).await.unwrap()
    }

    /// Log-ins that stand, where they are counted.
    async fn standing(&self) -> Vec<(Uuid, Uuid)> {
        let mut tx = self.database.tx(&self.tenant).await;
        sqlx::query_as(
            "select user_id, patient_id from users.patient_logins where ended_at is null order by created_at, user_id",
        )
        .fetch_all(tx.conn())
        .await
        .unwrap()
    }

    async fn sessions(&self, user: Uuid) -> usize {
        let mut tx = self.database.tx(&self.tenant).await;
        queries::sessions(tx.conn(), user, true)
            .await
            .unwrap()
            .len()
    }

    /// Entries of the trail about this user, oldest first: what, by whom, why.
    async fn trail(&self, user: Uuid) -> Vec<(String, String, Option<String>)> {
        let mut tx = self.database.tx(&self.tenant).await;
        sqlx::query_as(
            "select action, actor, reason from audit.entries
             where $1 = any (objects) and action like 'users.patient_login.%' order by id",
        )
        .bind(user)
        .fetch_all(tx.conn())
        .await
        .unwrap()
    }

    async fn users(&self) -> i64 {
        let mut tx = self.database.tx(&self.tenant).await;
        sqlx::query_scalar("select count(*) from users.users")
            .fetch_one(tx.conn())
            .await
            .unwrap()
    }
}

fn opening(patient: Uuid, name: &str) -> OpenPatientLogin {
    OpenPatientLogin {
        user_id: Uuid::now_v7(),
        patient_id: patient,
        username: name.to_owned(),
        password_hash: "$argon2id$".to_owned(),
        one_time_until: hours(72),
        actor: "desk".to_owned(),
    }
}

fn ending(patient: Uuid, version: Option<i32>) -> EndPatientLogin {
    EndPatientLogin {
        patient_id: patient,
        reason: "asked for it".to_owned(),
        version,
        actor: "desk".to_owned(),
    }
}

#[tokio::test]
async fn a_patient_has_one_log_in_and_another_once_it_is_ended() {
    let index = Index::new().await;
    let patient = index.record().await;
    let first = index.login(patient, "asha").await;
    assert_eq!(index.sees(first).await, Some(patient));
    assert_eq!(
        refusal(index.open(patient, "asha.two").await),
        "logins.exists"
    );
    let other = index.record().await;
    assert_eq!(
        refusal(index.open(other, "asha").await),
        "users.username_exists"
    );
    assert_eq!(
        refusal(index.open(other, "Asha Rao").await),
        "users.username_form"
    );
    assert_eq!(
        refusal(index.open(Uuid::now_v7(), "ravi").await),
        "patients.unknown"
    );
    assert_eq!(index.users().await, 1, "what was refused left nobody");

    let database = &index.database;
    let stale = apply(database, &index.tenant, &ending(patient, Some(7))).await;
    assert_eq!(refusal(stale), "logins.stale");
    let ended = answer(apply(database, &index.tenant, &ending(patient, Some(1))).await);
    assert_eq!(ended["sessions_ended"], 1);
    assert_eq!(index.sessions(first).await, 0);
    assert_eq!(index.sees(first).await, None);
    let again = apply(database, &index.tenant, &ending(patient, None)).await;
    assert_eq!(refusal(again), "logins.unknown");
    // for good: nobody lets him in again by another way
    let let_in = SetUserState {
        user_id: first,
        state: UserState::Active,
        reason: "by mistake".to_owned(),
        actor: "admin".to_owned(),
    };
    assert_eq!(
        refusal(apply(database, &index.tenant, &let_in).await),
        "logins.ended_conflict"
    );
    let second = index.login(patient, "asha.two").await;
    assert_eq!(index.standing().await, [(second, patient)]);
    let mut tx = database.tx(&index.tenant).await;
    let listed = queries::patient_logins(tx.conn(), patient).await.unwrap();
    let states: Vec<_> = listed
        .iter()
        .map(|login| (login.user_id, login.ended_as.as_deref()))
        .collect();
    assert_eq!(states, [(second, None), (first, Some("desk"))]);
}

#[tokio::test]
async fn of_two_log_ins_that_are_made_at_once_for_one_patient_one_is_made() {
    let index = Index::new().await;
    let patient = index.record().await;
    let (one, other) = (opening(patient, "asha"), opening(patient, "asha.two"));
    let (one, other) = tokio::join!(index.ask(&one), index.ask(&other));
    let refused: Vec<&str> = [one, other]
        .into_iter()
        .filter_map(|verdict| match verdict {
            Verdict::Refused(refusal) => Some(refusal.code),
            _ => None,
        })
        .collect();
    assert_eq!(refused, ["logins.exists"]);
    assert_eq!((index.standing().await.len(), index.users().await), (1, 1));
}

#[tokio::test]
async fn nobody_gets_a_log_in_for_a_person_whom_only_messages_named_or_who_is_an_error() {
    let index = Index::new().await;
    for (set, code) in [
        ("provisional = true", "logins.provisional"),
        ("status = 'entered_in_error'", "patients.entered_in_error"),
    ] {
        let patient = index.record().await;
        let mut tx = index.database.tx(&index.tenant).await;
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "update patients.patients set {set} where id = $1"
        )))
        .bind(patient)
        .execute(tx.conn())
        .await
        .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(refusal(index.open(patient, "asha").await), code);
    }
    assert_eq!(index.users().await, 0);
    // a patient of another hospital is none
    let patient = index.record().await;
    let elsewhere = apply(&index.database, &tenant("other"), &opening(patient, "asha")).await;
    assert_eq!(refusal(elsewhere), "patients.unknown");
}

#[tokio::test]
async fn a_patient_has_the_right_to_his_own_record_and_no_other_whatever_is_written_down_for_him() {
    let index = Index::new().await;
    let patient = index.record().await;
    let login = index.login(patient, "asha").await;
    let staff = user(&index.database, &index.tenant, "nurse.asha").await;
    let grant = |user_id, role: &str| GiveGrant {
        grant_id: Uuid::now_v7(),
        user_id,
        role: role.to_owned(),
        facility: None,
        department: None,
        starts_at: None,
        ends_at: None,
        actor: "admin".to_owned(),
    };
    for (user, role) in [(login, "nurse"), (login, "patient"), (staff, "patient")] {
        let given = apply(&index.database, &index.tenant, &grant(user, role)).await;
        assert_eq!(refusal(given), "grants.patient_conflict", "{role}");
    }
    // past the worker: by a hand in the database, or a release that knew of no patients
    let mut tx = index.database.tx(&index.tenant).await;
    sqlx::query("update users.users set permissions = '{*}' where id = $1")
        .bind(login)
        .execute(tx.conn())
        .await
        .unwrap();
    sqlx::query(
        "insert into users.grants (tenant_id, id, user_id, role, granted_by) values ($1, $2, $2, 'nurse', 'x')",
    )
    .bind(index.tenant.as_str())
    .bind(login)
    .execute(tx.conn())
    .await
    .unwrap();
    let standing = queries::standing(tx.conn(), login).await.unwrap().unwrap();
    assert!(standing.direct.is_empty());
    let held: Vec<&String> = standing
        .grants
        .iter()
        .flat_map(|grant| &grant.permissions)
        .collect();
    assert_eq!(held, ["own_record:read"]);
    let names: Vec<String> = queries::users(tx.conn(), None, None, None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.username)
        .collect();
    assert_eq!(
        names,
        ["nurse.asha"],
        "patients are listed at their patients"
    );
    tx.commit().await.unwrap();
    let end = ending(patient, None);
    answer(apply(&index.database, &index.tenant, &end).await);
    let mut tx = index.database.tx(&index.tenant).await;
    let standing = queries::standing(tx.conn(), login).await.unwrap().unwrap();
    assert!(standing.grants.is_empty() && standing.direct.is_empty());
    assert_eq!(standing.state, "disabled");
}
