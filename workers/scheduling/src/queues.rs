//! Who is there: numbers of a schedule and day, and who is called next.

use hub_core::Verdict;
use schemas::scheduling::{
    AppointmentAction as Action, AppointmentCheckedIn, CallToken, DelayQueue, QueueDelayed,
    TokenCalled, WalkIn,
};
use serde_json::json;
use sqlx::Row as _;
use time::Date;
use uuid::Uuid;

use crate::advance::answer;
use crate::appointment::{self, Appointment};
use crate::booking::keys;
use crate::turn::{Stop, Turn, refuse};
use crate::{schedules, trail};

/// Gives the appointment the next number of its day. On another day it is in no queue.
pub(crate) async fn check_in(
    turn: &mut Turn<'_, '_>,
    appointment: &Appointment,
) -> Result<(Uuid, i32), Stop> {
    let today = today(turn, appointment.schedule_id).await?;
    if appointment.day != today {
        return refuse(
            "appointments.day_conflict",
            format!(
                "it is on {}, and today is {today}: reschedule it first",
                appointment.day
            ),
        );
    }
    let queue = queue(turn, appointment.schedule_id, today).await?;
    let number: i32 = sqlx::query_scalar(
        "update clinical.queues set last_number = last_number + 1, updated_at = now() where id = $1 returning last_number",
    )
    .bind(queue)
    .fetch_one(turn.conn())
    .await?;
    give(turn, queue, number, appointment.id).await?;
    Ok((queue, number))
}

/// The day it is where the schedule is.
async fn today(turn: &mut Turn<'_, '_>, schedule: Uuid) -> Result<Date, Stop> {
    let now = turn.now;
    let day = sqlx::query_scalar(
        "select ($2 at time zone zone)::date from clinical.schedules where id = $1",
    )
    .bind(schedule)
    .bind(now)
    .fetch_optional(turn.conn())
    .await?;
    day.map_or_else(schedules::unknown, Ok)
}

async fn queue(turn: &mut Turn<'_, '_>, schedule: Uuid, day: Date) -> Result<Uuid, Stop> {
    let tenant = turn.tenant();
    sqlx::query(
        "insert into clinical.queues (tenant_id, id, schedule_id, day) values ($1, gen_random_uuid(), $2, $3) on conflict do nothing",
    )
    .bind(tenant)
    .bind(schedule)
    .bind(day)
    .execute(turn.conn())
    .await?;
    Ok(
        sqlx::query_scalar("select id from clinical.queues where schedule_id = $1 and day = $2")
            .bind(schedule)
            .bind(day)
            .fetch_one(turn.conn())
            .await?,
    )
}

async fn give(
    turn: &mut Turn<'_, '_>,
    queue: Uuid,
    number: i32,
    appointment: Uuid,
) -> Result<(), Stop> {
    let (tenant, now) = (turn.tenant(), turn.now);
    sqlx::query(
        "insert into clinical.tokens (tenant_id, queue_id, number, appointment_id, given_at) values ($1, $2, $3, $4, $5)",
    )
    .bind(tenant)
    .bind(queue)
    .bind(number)
    .bind(appointment)
    .bind(now)
    .execute(turn.conn())
    .await?;
    Ok(())
}

/// The live token of an appointment is now so; its number, if it has one.
pub(crate) async fn set_token(
    turn: &mut Turn<'_, '_>,
    appointment: Uuid,
    state: &str,
) -> Result<Option<i32>, Stop> {
    let now = turn.now;
    Ok(sqlx::query_scalar(
        "update clinical.tokens set state = $2, ended_at = case when $2 in ('done', 'gone') then $3 end
         where appointment_id = $1 and state in ('waiting', 'called', 'in_consult') returning number",
    )
    .bind(appointment)
    .bind(state)
    .bind(now)
    .fetch_optional(turn.conn())
    .await?)
}

/// Somebody without an appointment: as many a day as the schedule says.
pub(crate) async fn walk_in(mut turn: Turn<'_, '_>, command: &WalkIn) -> Result<Verdict, Stop> {
    let schedule = command.schedule_id;
    let today = today(&mut turn, schedule).await?;
    let queue = queue(&mut turn, schedule, today).await?;
    // one number a time: also the look at who is there already holds until the number is given
    let number: Option<i32> = sqlx::query_scalar(
        "update clinical.queues q set last_number = q.last_number + 1, walk_ins = q.walk_ins + 1, updated_at = now()
         from clinical.schedules s
         where q.id = $1 and s.id = q.schedule_id and s.state = 'active' and q.walk_ins < s.walk_ins returning q.last_number",
    )
    .bind(queue)
    .fetch_optional(turn.conn())
    .await?;
    let Some(number) = number else {
        return refuse(
            "queues.walk_ins_conflict",
            "no walk-in is taken today, or no more of them",
        );
    };
    let works: bool = sqlx::query_scalar(
        "select exists (select from clinical.slots where schedule_id = $1 and day = $2 and state = 'open')",
    )
    .bind(schedule)
    .bind(today)
    .fetch_one(turn.conn())
    .await?;
    if !works {
        return refuse("queues.closed", "the schedule has no hours today");
    }
    let person = keys(command.subject_key, &command.person_keys);
    let state: Option<String> = sqlx::query_scalar(
        "select state from clinical.appointments
         where schedule_id = $1 and day = $2 and subject_key = any($3) and state in ('booked', 'confirmed', 'arrived', 'in_consult')
         limit 1",
    )
    .bind(schedule)
    .bind(today)
    .bind(&person)
    .fetch_optional(turn.conn())
    .await?;
    match state.as_deref() {
        None => {}
        Some("booked" | "confirmed") => {
            return refuse(
                "queues.appointment_conflict",
                "the patient has an appointment here today: mark it arrived",
            );
        }
        Some(_) => {
            return refuse(
                "queues.already_waiting",
                "the patient is in this queue already",
            );
        }
    }
    let made = insert_walk_in(&mut turn, command, today).await?;
    give(&mut turn, queue, number, made.id).await?;
    turn.say(
        schedule,
        &AppointmentCheckedIn {
            appointment: made.facts(),
            queue_id: queue,
            token: number,
        },
    );
    trail::note(
        &mut turn,
        "scheduling.appointment.walk_in",
        &format!("appointment {}", made.id),
        &[made.id, schedule],
        None,
        json!({ "token": number }),
    )
    .await?;
    let mut answer = answer(&made, Some(number));
    answer["queue_id"] = json!(queue);
    Ok(turn.done(answer))
}

async fn insert_walk_in(
    turn: &mut Turn<'_, '_>,
    command: &WalkIn,
    today: Date,
) -> Result<Appointment, Stop> {
    let (tenant, actor, now) = (turn.tenant(), turn.actor.clone(), turn.now);
    let made: Appointment = sqlx::query_as(
        "insert into clinical.appointments (tenant_id, id, schedule_id, subject_key, kind, state, mode, day, starts_at, ends_at,
             reason, created_by)
         select $1, $2, s.id, $3, 'walk_in', 'arrived', 'in_person', $4, $5, $5 + make_interval(mins => s.slot_minutes), $6, $7
         from clinical.schedules s where s.id = $8 returning *",
    )
    .bind(tenant)
    .bind(command.appointment_id)
    .bind(command.subject_key.0)
    .bind(today)
    .bind(now)
    .bind(&command.reason)
    .bind(actor)
    .bind(command.schedule_id)
    .fetch_one(turn.conn())
    .await?;
    appointment::step(turn, None, &made, Action::Arrive, None).await?;
    Ok(made)
}

/// Calls the one who waits longest, or a certain number once more.
pub(crate) async fn call(mut turn: Turn<'_, '_>, command: &CallToken) -> Result<Verdict, Stop> {
    let schedule: Option<Uuid> =
        sqlx::query_scalar("select schedule_id from clinical.queues where id = $1 for update")
            .bind(command.queue_id)
            .fetch_optional(turn.conn())
            .await?;
    let Some(schedule) = schedule else {
        return unknown();
    };
    let (now, actor) = (turn.now, turn.actor.clone());
    let called = sqlx::query(
        "update clinical.tokens t
         set state = 'called', calls = t.calls + 1, called_at = $3, called_by = $4,
             room = coalesce($5, t.room, (select room from clinical.schedules where id = $6))
         where t.queue_id = $1
           and t.number = (select n.number from clinical.tokens n
                           where n.queue_id = $1
                             and case when $2::integer is null then n.state = 'waiting'
                                      else n.number = $2 and n.state in ('waiting', 'called') end
                           order by n.number limit 1)
         returning t.number, t.appointment_id, t.calls, t.room",
    )
    .bind(command.queue_id)
    .bind(command.number)
    .bind(now)
    .bind(actor)
    .bind(&command.room)
    .bind(schedule)
    .fetch_optional(turn.conn())
    .await?;
    let Some(row) = called else {
        return if command.number.is_some() {
            refuse(
                "queues.token_conflict",
                "this number does not wait: it is with the doctor, gone, or was never given",
            )
        } else {
            refuse("queues.empty_conflict", "nobody waits")
        };
    };
    let event = TokenCalled {
        queue_id: command.queue_id,
        schedule_id: schedule,
        token: row.try_get(0)?,
        appointment_id: row.try_get(1)?,
        calls: row.try_get(2)?,
        room: row.try_get(3)?,
    };
    turn.say(schedule, &event);
    trail::note(
        &mut turn,
        "scheduling.token.call",
        &format!("appointment {}", event.appointment_id),
        &[event.appointment_id, schedule],
        None,
        json!({ "token": event.token, "calls": event.calls, "room": event.room }),
    )
    .await?;
    let answer = json!({
        "queue_id": event.queue_id, "token": event.token, "appointment_id": event.appointment_id, "calls": event.calls,
        "room": event.room,
    });
    Ok(turn.done(answer))
}

/// It will be later: said once, to everybody who is not over.
pub(crate) async fn delay(mut turn: Turn<'_, '_>, command: &DelayQueue) -> Result<Verdict, Stop> {
    let row = sqlx::query(
        "update clinical.queues set delay_minutes = $2, updated_at = now() where id = $1 returning schedule_id, day",
    )
    .bind(command.queue_id)
    .bind(command.minutes)
    .fetch_optional(turn.conn())
    .await?;
    let Some(row) = row else {
        return unknown();
    };
    let (schedule, day): (Uuid, Date) = (row.try_get(0)?, row.try_get(1)?);
    let appointments: Vec<Uuid> = sqlx::query_scalar(
        "select id from clinical.appointments
         where schedule_id = $1 and day = $2 and state in ('booked', 'confirmed', 'arrived') order by starts_at, id",
    )
    .bind(schedule)
    .bind(day)
    .fetch_all(turn.conn())
    .await?;
    let told = appointments.len();
    turn.say(
        schedule,
        &QueueDelayed {
            queue_id: command.queue_id,
            schedule_id: schedule,
            day: day.to_string(),
            minutes: command.minutes,
            appointments,
        },
    );
    trail::note(
        &mut turn,
        "scheduling.queue.delay",
        &format!("schedule {schedule}"),
        &[schedule, command.queue_id],
        Some(&command.reason),
        json!({ "minutes": command.minutes, "appointments": told }),
    )
    .await?;
    Ok(turn.done(json!({
        "queue_id": command.queue_id, "delay_minutes": command.minutes, "appointments": told,
    })))
}

fn unknown<T>() -> Result<T, Stop> {
    refuse("queues.unknown", "no queue has this id")
}
