//! Log-ins of patients, made and ended at a desk. What a patient does with his is in `my_record.rs`.
//!
//! Whoever is handed the one-time password can be the patient: a chart that is restricted to who cares for him is not opened that
//! way either, so what makes a password for it needs the same relationship.

use axum::Json;
use axum::response::Response;
use schemas::identity::SetPassword;
use schemas::portal::{EndPatientLogin, OpenPatientLogin};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_identity::queries;
use worker_identity::users::is_username;

use super::asking::Desk;
use super::patients::no_patient;
use super::step::Stepping;
use super::users::one_time;
use crate::auth::permission::{PatientsLogin, Permission as _};
use crate::auth::{chart, sign_in};
use crate::command::{Accepted, Placed};
use crate::extract::{Body, Segment};
use crate::page::Page;
use crate::problem::Problem;
use crate::reads::patients as reads;
use crate::routing::{Routes, routes};
use crate::views::identity::OneTimePassword;
use crate::views::integration::Applied;
use crate::views::portal::PatientLogin;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(list))
        .routes(routes!(give))
        .routes(routes!(end))
        .routes(routes!(reset))
}

/// There is such a patient, and the caller may come to what his log-in opens.
async fn at_hand(desk: &Desk<PatientsLogin>, id: Uuid) -> Result<(), Problem> {
    let mut tx = desk.tx().await?;
    let keys = reads::keys_of_patient(&mut tx, id)
        .await?
        .ok_or_else(no_patient)?;
    let mut people: Vec<Uuid> = keys.values().copied().flatten().collect();
    people.push(id);
    if worker_patient::queries::is_restricted(tx.conn(), &people).await? {
        let (state, trace, who) = (&desk.state, &desk.trace, desk.who());
        chart::open(state, trace, who, PatientsLogin::NAME, &mut tx, id, &keys).await?;
    }
    Ok(())
}

/// List a patient's log-ins
///
/// Of all records that are the patient's. One stands at a time; when records were merged that both had one, the one of the
/// record that stays is left, and the other says `merge`.
#[utoipa::path(get, path = "/patients/{id}/login", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    security(("bearer" = ["patients:login"])),
    responses(
        (status = 200, description = "the one that stands, then those that ended; the list is whole", body = Page<PatientLogin>),
        (status = 404, description = "no patient has this id (`patients.unknown`)")))]
async fn list(
    desk: Desk<PatientsLogin>,
    Segment(id): Segment<Uuid>,
) -> Result<Json<Page<PatientLogin>>, Problem> {
    let mut tx = desk.tx().await?;
    reads::keys_of_patient(&mut tx, id)
        .await?
        .ok_or_else(no_patient)?;
    let rows = queries::patient_logins(tx.conn(), id).await?;
    Ok(Json(Page::whole(
        rows.into_iter().map(PatientLogin::of).collect(),
    )))
}

/// A log-in for a patient.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "username": "asha.1980" }))]
struct NewPatientLogin {
    /// 2 to 64 of `a-z 0-9 . _ - @`; never changed. It stands in logs and in the trail: no name of an illness, no number of the house.
    #[schema(
        min_length = 2,
        max_length = 64,
        pattern = "^[a-z0-9][a-z0-9._@-]{1,63}$"
    )]
    username: String,
}

/// Give a patient a log-in
///
/// Answers with a one-time password, shown this once, which must be changed at the first sign-in within 72 hours. He sees his own
/// record with it, his released results and his appointments, also in a restricted chart, and nothing else. Who he is was looked
/// at before: nothing here checks that.
#[utoipa::path(post, path = "/patients/{id}/login", tag = "patients", params(("id" = Uuid, Path, description = "the patient")),
    request_body = NewPatientLogin, security(("bearer" = ["patients:login"])),
    responses(
        (status = 201, description = "made; Location is where it is listed", body = OneTimePassword),
        (status = 202, description = "accepted, no outcome yet; make a new one-time password when it is done", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is restricted and closed to you (`auth.relationship`)"),
        (status = 404, description = "no patient has this id (`patients.unknown`)"),
        (status = 409, description = "he has one (`logins.exists`), or somebody has, or had, this name (`users.username_exists`)"),
        (status = 422, description = "nobody has registered him, only messages named him (`logins.provisional`), or the record is nobody's \
            (`patients.entered_in_error`)")))]
async fn give(
    desk: Desk<PatientsLogin>,
    Segment(id): Segment<Uuid>,
    Body(new): Body<NewPatientLogin>,
) -> Result<Response, Problem> {
    if !is_username(&new.username) {
        return Err(Problem::invalid(
            "username",
            "must be 2 to 64 of a-z, 0-9, `.`, `_`, `-` and `@`, beginning with a letter or digit",
        ));
    }
    at_hand(&desk, id).await?;
    let (user, made) = (Uuid::now_v7(), one_time().await?);
    let command = OpenPatientLogin {
        user_id: user,
        patient_id: id,
        username: new.username,
        password_hash: made.hash,
        one_time_until: made.until_text,
        actor: desk.actor(),
    };
    let written = desk
        .sender()
        .send_access(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond_placed(|_| Placed {
        location: format!("/api/v1/patients/{id}/login"),
        created: true,
        view: OneTimePassword {
            id: user,
            one_time_password: made.password,
            expires_at: made.until,
        },
    }))
}

/// Why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "asked for it at the desk" }))]
struct LoginEnding {
    reason: String,
}

/// End a patient's log-in
///
/// For good, with all its sessions; he is out within seconds. Another can be given, under another name.
#[utoipa::path(post, path = "/patients/{id}/login/end", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient"), ("If-Match" = Option<String>, Header, description = "`version` of what was read")),
    request_body = LoginEnding, security(("bearer" = ["patients:login"])),
    responses(
        (status = 200, description = "ended", body = Applied),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 404, description = "no patient has this id (`patients.unknown`), or he has no log-in (`logins.unknown`)"),
        (status = 412, description = "somebody changed it meanwhile (`logins.stale`)")))]
async fn end(
    stepping: Stepping<PatientsLogin>,
    Body(ending): Body<LoginEnding>,
) -> Result<Response, Problem> {
    let Stepping { desk, id, version } = stepping;
    let command = EndPatientLogin {
        patient_id: id,
        reason: super::reason(ending.reason)?,
        version,
        actor: desk.actor(),
    };
    let written = desk
        .sender()
        .send_access(format!("patient_login/{id}"), &command)
        .await?;
    Ok(written.respond(Applied::with))
}

/// Make a new one-time password for a patient
///
/// Shown this once; it must be changed at the next sign-in within 72 hours. Ends all his sessions. A second factor stays.
#[utoipa::path(post, path = "/patients/{id}/login/reset-password", tag = "patients",
    params(("id" = Uuid, Path, description = "the patient")), security(("bearer" = ["patients:login"])),
    responses(
        (status = 200, description = "reset", body = OneTimePassword),
        (status = 202, description = "accepted, no outcome yet; reset it again when it is done", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or the chart is restricted and closed to you (`auth.relationship`)"),
        (status = 404, description = "no patient has this id (`patients.unknown`), or he has no log-in (`logins.unknown`)")))]
async fn reset(desk: Desk<PatientsLogin>, Segment(id): Segment<Uuid>) -> Result<Response, Problem> {
    at_hand(&desk, id).await?;
    let user = {
        let mut tx = desk.tx().await?;
        let logins = queries::patient_logins(tx.conn(), id).await?;
        let standing = logins.iter().find(|login| login.ended_at.is_none());
        standing
            .map(|login| login.user_id)
            .ok_or_else(|| Problem::unknown("logins.unknown", "the patient has no log-in"))?
    };
    let made = one_time().await?;
    let command = SetPassword {
        user_id: user,
        password_hash: made.hash,
        replaces: None,
        one_time_until: Some(made.until_text),
        keep_session: None,
        actor: desk.actor(),
    };
    let written = desk
        .sender()
        .send_access(sign_in::aggregate(user), &command)
        .await?;
    Ok(written.respond(|_| OneTimePassword {
        id: user,
        one_time_password: made.password,
        expires_at: made.until,
    }))
}
