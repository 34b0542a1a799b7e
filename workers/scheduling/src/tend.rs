//! What is due by the clock. The hub asks for it every few seconds ([`crate::queries::due`]); how often, and whether a request
//! comes twice or late, changes nothing of what is done.

use hub_core::Verdict;
use schemas::scheduling::{ReminderDue, TendSchedule};
use serde_json::json;
use sqlx::Row as _;
use uuid::Uuid;

use crate::appointment::Appointment;
use crate::slots::{self, Cause};
use crate::turn::{Stop, Turn, moment};
use crate::{advance, places, schedules, waitlist};

pub(crate) async fn tend(mut turn: Turn<'_, '_>, command: &TendSchedule) -> Result<Verdict, Stop> {
    let schedule = command.schedule_id;
    turn.now = moment("at", &command.at)?;
    let now = turn.now;
    let row = sqlx::query(
        "select state = 'active' and coalesce(generated_until < ($2 at time zone zone)::date + horizon_days, true)
         from clinical.schedules where id = $1",
    )
    .bind(schedule)
    .bind(now)
    .fetch_optional(turn.conn())
    .await?;
    let Some(row) = row else {
        return schedules::unknown();
    };
    let ended = expire(&mut turn, schedule).await?;
    let lapsed = waitlist::lapse(&mut turn, schedule).await?;
    if row.try_get(0)? {
        slots::renew(&mut turn, schedule, Cause::Calendar).await?;
    }
    let reminded = remind(&mut turn, schedule).await?;
    if ended == 0 && lapsed == 0 && reminded == 0 && !turn.has_said() {
        return Ok(Verdict::Unchanged);
    }
    Ok(turn.done(json!({
        "schedule_id": schedule, "expired": ended, "lapsed": lapsed, "reminders": reminded,
    })))
}

async fn expire(turn: &mut Turn<'_, '_>, schedule: Uuid) -> Result<u32, Stop> {
    let now = turn.now;
    let slots: Vec<Uuid> = sqlx::query_scalar(
        "select distinct slot_id from clinical.appointments
         where schedule_id = $1 and state = 'held' and held_until <= $2 and slot_id is not null order by slot_id",
    )
    .bind(schedule)
    .bind(now)
    .fetch_all(turn.conn())
    .await?;
    let mut ended = 0;
    for slot in slots {
        places::lock(turn, [slot]).await?;
        ended += advance::expire_in(turn, slot).await?;
    }
    Ok(ended)
}

/// Reminders of one appointment follow one another: each is due from its minute to that of the next one, so that a hub that
/// was down says the last of them and not all. One that was due before the appointment had its time is none.
pub(crate) const DUE: &str = "
    from clinical.appointments a
    join clinical.schedules s on s.id = a.schedule_id
    cross join lateral (
        select m as minutes, lead(m, 1, 0) over (order by m desc) as next
        from unnest(s.reminder_minutes) m) r
    where a.state in ('booked', 'confirmed') and a.starts_at > $1
      and a.starts_at <= $1 + make_interval(mins => coalesce((select max(m) from unnest(s.reminder_minutes) m), 0))
      and a.starts_at - make_interval(mins => r.minutes) <= $1
      and a.starts_at - make_interval(mins => r.next) > $1
      and a.placed_at < a.starts_at - make_interval(mins => r.minutes)
      and not exists (select from clinical.appointment_reminders d
                      where d.appointment_id = a.id and d.minutes_before = r.minutes and d.starts_at = a.starts_at)";

async fn remind(turn: &mut Turn<'_, '_>, schedule: Uuid) -> Result<usize, Stop> {
    let (tenant, now) = (turn.tenant(), turn.now);
    // the key of the row is what keeps it to once
    let statement = format!(
        "with due as (select a.id, a.starts_at, r.minutes {DUE} and a.schedule_id = $2),
              said as (insert into clinical.appointment_reminders (tenant_id, appointment_id, minutes_before, starts_at)
                       select $3, id, minutes, starts_at from due on conflict do nothing
                       returning appointment_id, minutes_before)
         select a.*, said.minutes_before from said join clinical.appointments a on a.id = said.appointment_id order by a.starts_at, a.id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(now)
        .bind(schedule)
        .bind(tenant)
        .fetch_all(turn.conn())
        .await?;
    for row in &rows {
        let one: Appointment = sqlx::FromRow::from_row(row)?;
        turn.say(
            schedule,
            &ReminderDue {
                appointment: one.facts(),
                minutes_before: row.try_get("minutes_before")?,
            },
        );
    }
    Ok(rows.len())
}
