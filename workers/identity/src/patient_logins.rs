//! Patients' own log-ins: a user who belongs to one patient, made and ended by a desk, and what a merge does to two of them.
//!
//! A log-in is made for a record and stays that record's; whose record it shows is what stands for it at that moment. Where it is
//! counted (`patient_id`, unique among those that stand) follows merges and unmerges as they are heard of. Those facts come in any
//! order, so `settle` (`merging.rs`) asks the index what stands now and believes no fact's order. It writes nothing of patients and never
//! refuses a merge.

use hub_core::{Refusal, Tx, Verdict};
use schemas::portal::{EndPatientLogin, OpenPatientLogin};
use serde_json::json;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::sessions;
use crate::trail::{self, Entry};
use crate::users::is_username;
use crate::worker::{Asked, Done, Stop, moment};

mod merging;

use merging::settle;
pub(crate) use merging::{merged, unmerged};

/// Who may see his own record and nothing else: given by a log-in that stands, and by nobody.
pub(crate) const ROLE: &str = "patient";

/// What `users` shows for a name: nothing of a patient stands there but the name that he signs in with.
const DISPLAY_NAME: &str = "Patient";

/// Log-ins of a tenant are made, ended and moved one after the other: what a family of records has is read and written in several
/// statements, and the unique index alone would refuse a merge.
async fn one_at_a_time(tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    let lock = format!("patient_logins/{}", tx.tenant());
    sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
        .bind(lock)
        .execute(tx.conn())
        .await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Person {
    /// The record that stands.
    id: Uuid,
    status: String,
    provisional: bool,
}

async fn person(tx: &mut Tx<'_>, patient: Uuid) -> Result<Person, Stop> {
    sqlx::query_as(
        "select p.id, p.status, p.provisional from patients.patients p where p.id = patients.standing($1)",
    )
    .bind(patient)
    .fetch_optional(tx.conn())
    .await?
    .ok_or_else(|| Refusal::new("patients.unknown", "no patient has this id").into())
}

pub(crate) async fn open(tx: &mut Tx<'_>, asked: Asked<'_, OpenPatientLogin>) -> Done {
    let command = &asked.body;
    let until = moment("one_time_until", &command.one_time_until)?;
    if !is_username(&command.username) {
        return Err(Refusal::new("users.username_form", "the user name has not the form").into());
    }
    one_at_a_time(tx).await?;
    let person = person(tx, command.patient_id).await?;
    if person.status != "active" {
        return Err(Refusal::new(
            "patients.entered_in_error",
            "the record was entered in error: it is nobody's",
        )
        .into());
    }
    if person.provisional {
        return Err(Refusal::new(
            "logins.provisional",
            "only messages have named this person: register him first",
        )
        .into());
    }
    // a merge that is not heard of yet must not stand between
    settle(tx, asked.envelope, &[person.id], "records of one patient").await?;
    let tenant = tx.tenant().clone();
    let mut savepoint = tx.conn().begin().await?;
    let made = sqlx::query(
        "insert into users.users (tenant_id, id, username, display_name, password_hash, must_change, one_time_until, created_by)
         values ($1, $2, $3, $4, $5, true, $6, $7)
         on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.user_id)
    .bind(&command.username)
    .bind(DISPLAY_NAME)
    .bind(&command.password_hash)
    .bind(until)
    .bind(&command.actor)
    .execute(&mut *savepoint)
    .await?;
    if made.rows_affected() == 0 {
        savepoint.rollback().await?;
        return Err(Refusal::new("users.username_exists", "a user has this name").into());
    }
    let linked = sqlx::query(
        "insert into users.patient_logins (tenant_id, user_id, made_for, patient_id, created_by)
         values ($1, $2, $3, $4, $5)
         on conflict (tenant_id, patient_id) where ended_at is null do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.user_id)
    .bind(command.patient_id)
    .bind(person.id)
    .bind(&command.actor)
    .execute(&mut *savepoint)
    .await?;
    if linked.rows_affected() == 0 {
        savepoint.rollback().await?;
        return Err(Refusal::new(
            "logins.exists",
            "the patient has a log-in: end it first, or make a new one-time password for it",
        )
        .into());
    }
    savepoint.commit().await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.patient_login.open",
            object: format!("patient {}", command.patient_id),
            objects: vec![command.patient_id, person.id, command.user_id],
            reason: None,
            detail: json!({ "username": command.username }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({
            "user_id": command.user_id, "username": command.username, "patient_id": person.id, "version": 1,
        })),
    })
}

pub(crate) async fn end(tx: &mut Tx<'_>, asked: Asked<'_, EndPatientLogin>) -> Done {
    let command = &asked.body;
    one_at_a_time(tx).await?;
    let person = person(tx, command.patient_id).await?;
    settle(tx, asked.envelope, &[person.id], "records of one patient").await?;
    let found: Option<(Uuid, i32)> = sqlx::query_as(
        "select user_id, version from users.patient_logins where patient_id = $1 and ended_at is null",
    )
    .bind(person.id)
    .fetch_optional(tx.conn())
    .await?;
    let Some((user, version)) = found else {
        return Err(Refusal::new("logins.unknown", "the patient has no log-in").into());
    };
    if command.version.is_some_and(|seen| seen != version) {
        return Err(Refusal::new(
            "logins.stale",
            "somebody changed it meanwhile: read it again",
        )
        .into());
    }
    let ended = shut(tx, user, &command.actor, "desk", &command.reason).await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "users.patient_login.end",
            object: format!("patient {}", person.id),
            objects: vec![person.id, user],
            reason: Some(&command.reason),
            detail: json!({ "as": "desk", "sessions_ended": ended }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "user_id": user, "patient_id": person.id, "sessions_ended": ended })),
    })
}

/// Ends a log-in for good, with all its sessions; how many those were.
async fn shut(
    tx: &mut Tx<'_>,
    user: Uuid,
    by: &str,
    how: &str,
    why: &str,
) -> Result<u64, sqlx::Error> {
    sqlx::query(
        "update users.patient_logins
         set ended_at = now(), ended_by = $2, ended_as = $3, end_reason = $4, version = version + 1
         where user_id = $1",
    )
    .bind(user)
    .bind(by)
    .bind(how)
    .bind(why)
    .execute(tx.conn())
    .await?;
    sqlx::query(
        "update users.users set state = 'disabled', state_reason = $2, version = version + 1, updated_at = now() where id = $1",
    )
    .bind(user)
    .bind(why)
    .execute(tx.conn())
    .await?;
    sessions::end_all(tx, user, None, by, "login_ended").await
}

/// What a user has to do with patients' log-ins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belongs {
    /// He works here.
    ToNobody,
    ToPatient,
    /// He did, until it was ended.
    NoMore,
}

pub(crate) async fn belongs(tx: &mut Tx<'_>, user: Uuid) -> Result<Belongs, sqlx::Error> {
    let ended: Option<bool> = sqlx::query_scalar(
        "select ended_at is not null from users.patient_logins where user_id = $1",
    )
    .bind(user)
    .fetch_optional(tx.conn())
    .await?;
    Ok(match ended {
        None => Belongs::ToNobody,
        Some(false) => Belongs::ToPatient,
        Some(true) => Belongs::NoMore,
    })
}
