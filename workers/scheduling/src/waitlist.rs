//! The waiting list. A place that becomes free and lies in somebody's time is kept for the first of them: an appointment in
//! the state `held`, which counts as every other. So one place has one holder, whoever else asks at that moment; when the
//! time is over it goes to the next, and then to whoever asks.

use hub_core::Verdict;
use schemas::IdentifierKey;
use schemas::scheduling::{
    AnswerWaitlist, AppointmentAction as Action, JoinWaitlist, WaitlistAnswer, WaitlistOffered,
};
use serde_json::json;
use sqlx::Row as _;
use uuid::Uuid;

use crate::booking::{self, New, hold_until, keys};
use crate::places::Slot;
use crate::turn::{Stop, Turn, moment, refuse, rfc3339};
use crate::{advance, appointment, places, schedules, trail};

pub(crate) async fn join(mut turn: Turn<'_, '_>, command: &JoinWaitlist) -> Result<Verdict, Stop> {
    let (from, to) = (moment("from", &command.from)?, moment("to", &command.to)?);
    if to <= from || to <= turn.now {
        return refuse(
            "waitlist.time",
            "its time ends before it begins, or is over",
        );
    }
    let state: Option<String> =
        sqlx::query_scalar("select state from clinical.schedules where id = $1 for share")
            .bind(command.schedule_id)
            .fetch_optional(turn.conn())
            .await?;
    match state.as_deref() {
        None => return schedules::unknown(),
        Some("active") => {}
        Some(_) => return refuse("schedules.closed", "the schedule is retired"),
    }
    let person = keys(command.subject_key, &command.person_keys);
    let waits: bool = sqlx::query_scalar(
        "select exists (select from clinical.waitlist
                        where schedule_id = $1 and subject_key = any($2) and state in ('waiting', 'offered'))",
    )
    .bind(command.schedule_id)
    .bind(&person)
    .fetch_one(turn.conn())
    .await?;
    if waits {
        return refuse(
            "waitlist.already_waiting",
            "the patient is on this waiting list already",
        );
    }
    let (tenant, actor) = (turn.tenant(), turn.actor.clone());
    sqlx::query(
        "insert into clinical.waitlist (tenant_id, id, schedule_id, subject_key, priority, from_at, to_at, mode, note, created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(tenant)
    .bind(command.entry_id)
    .bind(command.schedule_id)
    .bind(command.subject_key.0)
    .bind(command.priority)
    .bind(from)
    .bind(to)
    .bind(command.mode.as_str())
    .bind(&command.note)
    .bind(actor)
    .execute(turn.conn())
    .await?;
    trail::note(
        &mut turn,
        "scheduling.waitlist.join",
        &format!("waitlist {}", command.entry_id),
        &[command.entry_id, command.schedule_id],
        None,
        json!({ "from": command.from, "to": command.to, "priority": command.priority }),
    )
    .await?;
    offer_free(&mut turn, command.schedule_id, None).await?;
    told(turn, command.entry_id).await
}

/// How the entry stands now.
async fn told(mut turn: Turn<'_, '_>, entry: Uuid) -> Result<Verdict, Stop> {
    let row = sqlx::query(
        "select w.state, w.version, o.appointment_id, o.slot_id, o.expires_at
         from clinical.waitlist w left join clinical.waitlist_offers o on o.entry_id = w.id and o.outcome is null
         where w.id = $1",
    )
    .bind(entry)
    .fetch_one(turn.conn())
    .await?;
    let expires: Option<time::OffsetDateTime> = row.try_get(4)?;
    Ok(turn.done(json!({
        "entry_id": entry, "state": row.try_get::<String, _>(0)?, "version": row.try_get::<i32, _>(1)?,
        "appointment_id": row.try_get::<Option<Uuid>, _>(2)?, "slot_id": row.try_get::<Option<Uuid>, _>(3)?,
        "expires_at": expires.map(rfc3339),
    })))
}

pub(crate) async fn answer(
    mut turn: Turn<'_, '_>,
    command: &AnswerWaitlist,
) -> Result<Verdict, Stop> {
    let row = sqlx::query(
        "select w.state, w.schedule_id, o.appointment_id
         from clinical.waitlist w left join clinical.waitlist_offers o on o.entry_id = w.id and o.outcome is null
         where w.id = $1",
    )
    .bind(command.entry_id)
    .fetch_optional(turn.conn())
    .await?;
    let Some(row) = row else {
        return refuse("waitlist.unknown", "nobody waits under this id");
    };
    let (state, schedule, offered): (String, Uuid, Option<Uuid>) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let action = match command.answer {
        WaitlistAnswer::Accept => Action::Book,
        WaitlistAnswer::Decline | WaitlistAnswer::Withdraw => Action::Cancel,
    };
    match (command.answer, offered) {
        (WaitlistAnswer::Accept | WaitlistAnswer::Decline, None) => {
            return refuse(
                "waitlist.state_conflict",
                format!(
                    "from {state}: nothing is offered; allowed: {}",
                    allowed(&state)
                ),
            );
        }
        (WaitlistAnswer::Withdraw, _) if !["waiting", "offered"].contains(&state.as_str()) => {
            return refuse(
                "waitlist.state_conflict",
                format!(
                    "from {state} to withdrawn is no step; allowed: {}",
                    allowed(&state)
                ),
            );
        }
        (_, None) => {}
        (_, Some(appointment)) => {
            let before = appointment::lock(&mut turn, appointment, None).await?;
            if command.answer == WaitlistAnswer::Withdraw {
                // off the list first, or the place could be offered to him anew
                withdraw(&mut turn, command.entry_id).await?;
            }
            advance::apply(&mut turn, &before, action, None).await?;
        }
    }
    if command.answer == WaitlistAnswer::Withdraw {
        withdraw(&mut turn, command.entry_id).await?;
    }
    trail::note(
        &mut turn,
        &format!("scheduling.waitlist.{}", command.answer.as_str()),
        &format!("waitlist {}", command.entry_id),
        &[command.entry_id, schedule],
        None,
        json!({ "appointment_id": offered }),
    )
    .await?;
    let answered = told(turn, command.entry_id).await?;
    Ok(with_appointment(answered, offered))
}

/// The appointment that the answer was about, also when the offer is no longer open.
fn with_appointment(verdict: Verdict, appointment: Option<Uuid>) -> Verdict {
    match (verdict, appointment) {
        (
            Verdict::Applied {
                outgoing,
                answer: Some(mut answer),
            },
            Some(id),
        ) => {
            answer["appointment_id"] = json!(id);
            Verdict::Applied {
                outgoing,
                answer: Some(answer),
            }
        }
        (verdict, _) => verdict,
    }
}

fn allowed(state: &str) -> &'static str {
    match state {
        "waiting" => "withdraw",
        "offered" => "accept, decline, withdraw",
        _ => "nothing, it is over",
    }
}

async fn withdraw(turn: &mut Turn<'_, '_>, entry: Uuid) -> Result<(), Stop> {
    sqlx::query(
        "update clinical.waitlist set state = 'withdrawn', version = version + 1, updated_at = now()
         where id = $1 and state in ('waiting', 'offered')",
    )
    .bind(entry)
    .execute(turn.conn())
    .await?;
    Ok(())
}

/// The offer behind an appointment, if there is one, has this outcome.
pub(crate) async fn settle(
    turn: &mut Turn<'_, '_>,
    appointment: Uuid,
    outcome: &str,
) -> Result<(), Stop> {
    let now = turn.now;
    let entry: Option<Uuid> = sqlx::query_scalar(
        "update clinical.waitlist_offers set outcome = $2, decided_at = $3 where appointment_id = $1 and outcome is null
         returning entry_id",
    )
    .bind(appointment)
    .bind(outcome)
    .bind(now)
    .fetch_optional(turn.conn())
    .await?;
    if let Some(entry) = entry {
        // who let it go keeps his rank for the next one
        let state = if outcome == "accepted" {
            "booked"
        } else {
            "waiting"
        };
        sqlx::query(
            "update clinical.waitlist set state = $2, version = version + 1, updated_at = now() where id = $1 and state = 'offered'",
        )
        .bind(entry)
        .bind(state)
        .execute(turn.conn())
        .await?;
    }
    Ok(())
}

/// Offers free places of a schedule (or of one slot of it) to those who wait for them, in their rank.
pub(crate) async fn offer_free(
    turn: &mut Turn<'_, '_>,
    schedule: Uuid,
    slot: Option<Uuid>,
) -> Result<(), Stop> {
    // a schedule has some hundred slots a week; more turns than that would be a mistake of ours, not a list
    for _ in 0..10_000 {
        let Some((entry, subject, mode, slot)) = pair(turn, schedule, slot).await? else {
            return Ok(());
        };
        // taken by somebody in between: then the next look finds another pair, or none
        if places::take_free(turn, slot.id).await? {
            offer(turn, entry, subject, &mode, &slot).await?;
        }
    }
    Ok(())
}

/// The first of the list for whom there is a free place, and the earliest such place.
async fn pair(
    turn: &mut Turn<'_, '_>,
    schedule: Uuid,
    slot: Option<Uuid>,
) -> Result<Option<(Uuid, Uuid, String, Slot)>, Stop> {
    let now = turn.now;
    let row = sqlx::query(
        "select w.id, w.subject_key, w.mode, f.id as slot_id, f.day, f.starts_at, f.ends_at, f.state, s.hold_seconds, s.offer_seconds
         from clinical.waitlist w
         join clinical.schedules s on s.id = w.schedule_id
         cross join lateral (
             select o.* from clinical.slots o
             where o.schedule_id = w.schedule_id and ($3::uuid is null or o.id = $3) and o.state = 'open' and o.taken < o.capacity
               and o.starts_at > $2 and o.starts_at >= w.from_at and o.starts_at < w.to_at
               and not exists (select from clinical.waitlist_offers p where p.entry_id = w.id and p.slot_id = o.id)
               and not exists (select from clinical.appointments a where a.slot_id = o.id and a.subject_key = w.subject_key
                               and a.state in ('held', 'booked', 'confirmed', 'arrived', 'in_consult', 'done'))
             order by o.starts_at limit 1) f
         where w.schedule_id = $1 and w.state = 'waiting'
         order by w.priority desc, w.number limit 1
         for update of w skip locked",
    )
    .bind(schedule)
    .bind(now)
    .bind(slot)
    .fetch_optional(turn.conn())
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let slot = Slot {
        id: row.try_get("slot_id")?,
        schedule_id: schedule,
        day: row.try_get("day")?,
        starts_at: row.try_get("starts_at")?,
        ends_at: row.try_get("ends_at")?,
        state: row.try_get("state")?,
        hold_seconds: row.try_get("hold_seconds")?,
        offer_seconds: row.try_get("offer_seconds")?,
    };
    Ok(Some((
        row.try_get("id")?,
        row.try_get("subject_key")?,
        row.try_get("mode")?,
        slot,
    )))
}

async fn offer(
    turn: &mut Turn<'_, '_>,
    entry: Uuid,
    subject: Uuid,
    mode: &str,
    slot: &Slot,
) -> Result<(), Stop> {
    // from the clock, not from when a tick was due: a late one must not make an offer that is over already
    let expires = hold_until(turn.now, slot.offer_seconds, slot.starts_at);
    let new = New {
        id: Uuid::now_v7(),
        subject,
        kind: "slot",
        held_until: Some(expires),
        mode,
        reason: None,
        note: None,
    };
    let made = booking::insert(turn, slot, &new).await?;
    let (tenant, now) = (turn.tenant(), turn.now);
    sqlx::query(
        "insert into clinical.waitlist_offers (tenant_id, appointment_id, entry_id, slot_id, offered_at, expires_at)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(tenant)
    .bind(made.id)
    .bind(entry)
    .bind(slot.id)
    .bind(now)
    .bind(expires)
    .execute(turn.conn())
    .await?;
    sqlx::query(
        "update clinical.waitlist set state = 'offered', version = version + 1, updated_at = now() where id = $1",
    )
    .bind(entry)
    .execute(turn.conn())
    .await?;
    turn.say(
        slot.schedule_id,
        &WaitlistOffered {
            entry_id: entry,
            appointment_id: made.id,
            schedule_id: slot.schedule_id,
            slot_id: slot.id,
            subject_key: IdentifierKey(subject),
            starts_at: rfc3339(slot.starts_at),
            expires_at: rfc3339(expires),
        },
    );
    Ok(())
}

/// Whose time is over waits no longer.
pub(crate) async fn lapse(turn: &mut Turn<'_, '_>, schedule: Uuid) -> Result<u64, Stop> {
    let now = turn.now;
    let done = sqlx::query(
        "update clinical.waitlist set state = 'lapsed', version = version + 1, updated_at = now()
         where schedule_id = $1 and state = 'waiting' and to_at <= $2",
    )
    .bind(schedule)
    .bind(now)
    .execute(turn.conn())
    .await?;
    Ok(done.rows_affected())
}
