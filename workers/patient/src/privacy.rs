//! Consents and requests of patients about their data. Commands of people, carried out one after the other; each names the
//! record that it is about, and readers collect those of all records of a person.

use hub_core::{Envelope, Outgoing, Refusal, Tx, Verdict, WorkerError};
use schemas::Body;
use schemas::privacy::{
    ConsentRecorded, ConsentWithdrawn, MovePrivacyRequest, OpenPrivacyRequest, PrivacyRequestKind,
    PrivacyRequestMoved, PrivacyRequestState, RecordConsent, WithdrawConsent,
};
use serde_json::{Value, json};
use sqlx::types::Json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// The commands of this module.
pub(crate) const CONSUMES: [&str; 4] = [
    RecordConsent::NAME,
    WithdrawConsent::NAME,
    OpenPrivacyRequest::NAME,
    MovePrivacyRequest::NAME,
];

enum Stop {
    Refused(Refusal),
    Failed(sqlx::Error),
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn refused(code: &'static str, detail: impl Into<String>) -> Stop {
    Stop::Refused(Refusal::new(code, detail))
}

/// Carries one out.
pub(crate) async fn decide(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Verdict, WorkerError> {
    let decided = match envelope.name.as_str() {
        RecordConsent::NAME => record(tx, envelope).await,
        WithdrawConsent::NAME => withdraw(tx, envelope).await,
        OpenPrivacyRequest::NAME => open(tx, envelope).await,
        _ => step(tx, envelope).await,
    };
    match decided {
        Ok(verdict) => Ok(verdict),
        Err(Stop::Refused(refusal)) => Ok(Verdict::Refused(refusal)),
        Err(Stop::Failed(error)) => Err(WorkerError(error)),
    }
}

fn moment(field: &'static str, text: &str) -> Result<OffsetDateTime, Stop> {
    schemas::moment::read(text)
        .ok_or_else(|| refused("privacy.time", format!("`{field}` is not RFC 3339")))
}

/// Locked against a merge meanwhile; a record that was merged is as good: readers follow it.
async fn is_patient(tx: &mut Tx<'_>, id: Uuid) -> Result<(), Stop> {
    let there: Option<Uuid> =
        sqlx::query_scalar("select id from patients.patients where id = $1 for share")
            .bind(id)
            .fetch_optional(tx.conn())
            .await?;
    match there {
        Some(_) => Ok(()),
        None => Err(refused("patients.unknown", "no patient has this id")),
    }
}

struct Entry<'a> {
    actor: &'a str,
    action: &'static str,
    patient: Uuid,
    of: Uuid,
    reason: Option<&'a str>,
    detail: Value,
}

async fn note(tx: &mut Tx<'_>, cause: &Envelope, entry: Entry<'_>) -> Result<(), Stop> {
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into audit.entries (tenant_id, actor, action, object, objects, reason, causes, detail)
         values ($1, $2, $3, $4, array[$5, $6], $7, array[$8], $9)",
    )
    .bind(tenant.as_str())
    .bind(entry.actor)
    .bind(entry.action)
    .bind(format!("patient {}", entry.patient))
    .bind(entry.patient)
    .bind(entry.of)
    .bind(entry.reason)
    .bind(cause.id)
    .bind(Json(entry.detail))
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn record(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Verdict, Stop> {
    let command: RecordConsent = envelope.decode()?;
    let given = moment("given_at", &command.given_at)?;
    let until = command
        .until
        .as_deref()
        .map(|text| moment("until", text))
        .transpose()?;
    if until.is_some_and(|until| until <= given) {
        return Err(refused("consents.time", "it would end before it was given"));
    }
    let form = command.purpose.len() >= 2
        && command.purpose.len() <= 40
        && command.purpose.bytes().enumerate().all(|(at, byte)| {
            byte.is_ascii_lowercase() || (at > 0 && (byte.is_ascii_digit() || byte == b'_'))
        });
    if !form {
        return Err(refused(
            "consents.purpose_form",
            "a purpose is 2 to 40 of a-z, 0-9 and _",
        ));
    }
    is_patient(tx, command.patient_id).await?;
    // one that has run out does not stand in the way of a new one
    sqlx::query(
        "update patients.consents set withdrawn_at = until, withdrawn_by = 'hub', withdraw_reason = 'its time was over'
         where patient_id = $1 and purpose = $2 and withdrawn_at is null and until <= $3",
    )
    .bind(command.patient_id)
    .bind(&command.purpose)
    .bind(given)
    .execute(tx.conn())
    .await?;
    let tenant = tx.tenant().clone();
    let made = sqlx::query(
        "insert into patients.consents (tenant_id, id, patient_id, purpose, notice_version, notice_language, given_by, given_at,
             until, recorded_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing",
    )
    .bind(tenant.as_str())
    .bind(command.consent_id)
    .bind(command.patient_id)
    .bind(&command.purpose)
    .bind(&command.notice_version)
    .bind(&command.notice_language)
    .bind(command.given_by.as_str())
    .bind(given)
    .bind(until)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    if made.rows_affected() == 0 {
        return Err(refused(
            "consents.exists",
            "a consent for this purpose stands: withdraw it first",
        ));
    }
    note(
        tx,
        envelope,
        Entry {
            actor: &command.actor,
            action: "patients.consent.record",
            patient: command.patient_id,
            of: command.consent_id,
            reason: None,
            detail: json!({
                "purpose": command.purpose, "notice_version": command.notice_version,
                "notice_language": command.notice_language, "given_by": command.given_by,
            }),
        },
    )
    .await?;
    let said = ConsentRecorded {
        consent_id: command.consent_id,
        patient_id: command.patient_id,
        purpose: command.purpose,
        notice_version: command.notice_version,
        until: command.until,
    };
    Ok(Verdict::Applied {
        outgoing: vec![Outgoing::new(envelope, 0, said.patient_id, &said)],
        answer: Some(json!({ "consent_id": said.consent_id })),
    })
}

async fn withdraw(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Verdict, Stop> {
    let command: WithdrawConsent = envelope.decode()?;
    let row: Option<(Uuid, String, bool)> = sqlx::query_as(
        "select patient_id, purpose, withdrawn_at is null from patients.consents where id = $1 for update",
    )
    .bind(command.consent_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some((patient, purpose, stands)) = row else {
        return Err(refused("consents.unknown", "no consent has this id"));
    };
    if !stands {
        return Ok(Verdict::Unchanged);
    }
    sqlx::query(
        "update patients.consents set withdrawn_at = now(), withdrawn_by = $2, withdraw_reason = $3 where id = $1",
    )
    .bind(command.consent_id)
    .bind(&command.actor)
    .bind(&command.reason)
    .execute(tx.conn())
    .await?;
    note(
        tx,
        envelope,
        Entry {
            actor: &command.actor,
            action: "patients.consent.withdraw",
            patient,
            of: command.consent_id,
            reason: command.reason.as_deref(),
            detail: json!({ "purpose": purpose }),
        },
    )
    .await?;
    let said = ConsentWithdrawn {
        consent_id: command.consent_id,
        patient_id: patient,
        purpose,
    };
    Ok(Verdict::Applied {
        outgoing: vec![Outgoing::new(envelope, 0, patient, &said)],
        answer: Some(json!({ "consent_id": command.consent_id })),
    })
}

async fn open(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Verdict, Stop> {
    let command: OpenPrivacyRequest = envelope.decode()?;
    let received = moment("received_at", &command.received_at)?;
    let due = Some(received)
        .filter(|at| schemas::moment::is_plausible(*at))
        .and_then(|at| at.checked_add(time::Duration::days(command.kind.days())))
        .ok_or_else(|| {
            refused(
                "privacy.time",
                "`received_at` is of a year in which nobody asks",
            )
        })?;
    is_patient(tx, command.patient_id).await?;
    let tenant = tx.tenant().clone();
    sqlx::query(
        "insert into patients.privacy_requests (tenant_id, id, patient_id, kind, detail, received_at, due_at, opened_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant.as_str())
    .bind(command.request_id)
    .bind(command.patient_id)
    .bind(command.kind.as_str())
    .bind(&command.detail)
    .bind(received)
    .bind(due)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    note(
        tx,
        envelope,
        Entry {
            actor: &command.actor,
            action: "patients.privacy_request.open",
            patient: command.patient_id,
            of: command.request_id,
            reason: None,
            detail: json!({ "kind": command.kind, "due_at": due.format(&Rfc3339).unwrap_or_default() }),
        },
    )
    .await?;
    let said = moved(
        command.request_id,
        command.patient_id,
        command.kind,
        PrivacyRequestState::Received,
        due,
    );
    Ok(Verdict::Applied {
        outgoing: vec![Outgoing::new(envelope, 0, command.patient_id, &said)],
        answer: Some(json!({ "request_id": command.request_id, "due_at": said.due_at })),
    })
}

fn moved(
    request_id: Uuid,
    patient_id: Uuid,
    kind: PrivacyRequestKind,
    state: PrivacyRequestState,
    due: OffsetDateTime,
) -> PrivacyRequestMoved {
    PrivacyRequestMoved {
        request_id,
        patient_id,
        kind,
        state,
        due_at: due.format(&Rfc3339).unwrap_or_default(),
    }
}

#[derive(sqlx::FromRow)]
struct Request {
    patient_id: Uuid,
    kind: String,
    state: String,
    due_at: OffsetDateTime,
    version: i32,
}

async fn step(tx: &mut Tx<'_>, envelope: &Envelope) -> Result<Verdict, Stop> {
    let command: MovePrivacyRequest = envelope.decode()?;
    let row: Option<Request> = sqlx::query_as(
        "select patient_id, kind, state, due_at, version from patients.privacy_requests where id = $1 for update",
    )
    .bind(command.request_id)
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else {
        return Err(refused(
            "privacy_requests.unknown",
            "no request has this id",
        ));
    };
    let (Some(from), Some(kind)) = (
        PrivacyRequestState::parse(&row.state),
        PrivacyRequestKind::parse(&row.kind),
    ) else {
        return Err(refused(
            "privacy_requests.form",
            "this release does not know its state or kind",
        ));
    };
    if command.version.is_some_and(|seen| seen != row.version) {
        return Err(refused(
            "privacy_requests.stale",
            "somebody changed it meanwhile: read it again",
        ));
    }
    let to = command.state;
    if !from.allowed().contains(&to) {
        let allowed: Vec<&str> = from.allowed().iter().map(|state| state.as_str()).collect();
        return Err(refused(
            "privacy_requests.state_conflict",
            format!(
                "from {} to {} is no way; allowed: {}",
                from.as_str(),
                to.as_str(),
                if allowed.is_empty() {
                    "none".to_owned()
                } else {
                    allowed.join(", ")
                }
            ),
        ));
    }
    let decides = to.allowed().is_empty();
    let resolution = command
        .resolution
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    if decides != resolution.is_some() {
        return Err(refused(
            "privacy_requests.resolution",
            "what was done, or why not, is said with completed and rejected, and only then",
        ));
    }
    sqlx::query(
        "update patients.privacy_requests set state = $2, resolution = $3, version = version + 1,
             decided_by = case when $4 then $5 end, decided_at = case when $4 then now() end
         where id = $1",
    )
    .bind(command.request_id)
    .bind(to.as_str())
    .bind(resolution)
    .bind(decides)
    .bind(&command.actor)
    .execute(tx.conn())
    .await?;
    note(
        tx,
        envelope,
        Entry {
            actor: &command.actor,
            action: "patients.privacy_request.move",
            patient: row.patient_id,
            of: command.request_id,
            reason: resolution,
            detail: json!({ "kind": kind, "from": from, "to": to }),
        },
    )
    .await?;
    let said = moved(command.request_id, row.patient_id, kind, to, row.due_at);
    Ok(Verdict::Applied {
        outgoing: vec![Outgoing::new(envelope, 0, row.patient_id, &said)],
        answer: Some(json!({ "request_id": command.request_id, "version": row.version + 1 })),
    })
}
