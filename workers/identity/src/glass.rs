//! Broken glass: a chart opened in an emergency, and the look that somebody else takes at it afterwards.

use hub_core::{Outgoing, Refusal, Tx, Verdict, second_person};
use schemas::identity::{BreakGlass, GlassBroken, ReviewGlass};
use serde_json::json;
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::trail::{self, Entry};
use crate::worker::{Asked, Done, moment};

pub(crate) async fn broken(tx: &mut Tx<'_>, asked: Asked<'_, BreakGlass>) -> Done {
    let command = &asked.body;
    let expires = moment("expires_at", &command.expires_at)?;
    let tenant = tx.tenant().clone();
    let done = sqlx::query(
        "insert into users.broken_glass (tenant_id, id, user_id, username, patient_id, reason, expires_at)
         select $1, $2, u.id, u.username, $4, $5, $6 from users.users u where u.id = $3 and u.state = 'active'",
    )
    .bind(tenant.as_str())
    .bind(command.id)
    .bind(command.user_id)
    .bind(command.patient_id)
    .bind(&command.reason)
    .bind(expires)
    .execute(tx.conn())
    .await?;
    if done.rows_affected() == 0 {
        return Err(crate::users::unknown());
    }
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.break_glass",
            object: format!("patient {}", command.patient_id),
            objects: vec![command.patient_id, command.user_id, command.id],
            reason: Some(&command.reason),
            detail: json!({ "expires_at": command.expires_at }),
        },
    )
    .await?;
    let event = GlassBroken {
        id: command.id,
        user_id: command.user_id,
        patient_id: command.patient_id,
        expires_at: command.expires_at.clone(),
    };
    Ok(Verdict::Applied {
        outgoing: vec![Outgoing::new(
            asked.envelope,
            0,
            format!("user/{}", command.user_id),
            &event,
        )],
        answer: Some(json!({ "id": command.id, "expires_at": command.expires_at })),
    })
}

pub(crate) async fn review(tx: &mut Tx<'_>, asked: Asked<'_, ReviewGlass>) -> Done {
    let command = &asked.body;
    let row = sqlx::query(
        "select username, patient_id, reviewed_at from users.broken_glass where id = $1 for update",
    )
    .bind(command.id)
    .fetch_optional(tx.conn())
    .await?
    .ok_or_else(|| Refusal::new("glass.unknown", "nothing of this kind has this id"))?;
    let (maker, patient): (String, Uuid) = (row.try_get(0)?, row.try_get(1)?);
    second_person::differs(&maker, &command.actor)?;
    if row.try_get::<Option<OffsetDateTime>, _>(2)?.is_some() {
        return Err(Refusal::new("glass.already_reviewed", "it was reviewed before").into());
    }
    sqlx::query(
        "update users.broken_glass set reviewed_at = now(), reviewed_by = $2, finding = $3, note = $4 where id = $1",
    )
    .bind(command.id)
    .bind(&command.actor)
    .bind(command.finding.as_str())
    .bind(&command.note)
    .execute(tx.conn())
    .await?;
    trail::note(
        tx,
        asked.envelope,
        Entry {
            actor: &command.actor,
            action: "auth.glass.review",
            object: format!("patient {patient}"),
            objects: vec![patient, command.id],
            reason: command.note.as_deref(),
            detail: json!({ "finding": command.finding, "of": maker }),
        },
    )
    .await?;
    Ok(Verdict::Applied {
        outgoing: Vec::new(),
        answer: Some(json!({ "id": command.id, "finding": command.finding })),
    })
}
