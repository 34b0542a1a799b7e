//! Slots follow the schedule: what it wants and is not there is made, what it wants no longer is withdrawn while nobody is
//! booked there, and else kept, closed, with its people marked. A slot that comes back is the one that it was.

use schemas::scheduling::{AppointmentAffected, SlotsChanged};
use serde_json::{Value, json};
use sqlx::Row as _;
use time::Date;
use uuid::Uuid;

use crate::appointment::Appointment;
use crate::turn::{Stop, Turn, refuse};
use crate::waitlist;

/// Why slots are made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Hours,
    Leave(Uuid),
    /// Another day has come.
    Calendar,
}

/// What became of the slots.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    added: i64,
    withdrawn: i64,
    kept: i64,
    /// Appointments at times that the schedule does not have any more.
    pub(crate) affected: Vec<Uuid>,
}

impl Changed {
    pub(crate) fn counts(&self) -> Value {
        json!({ "added": self.added, "withdrawn": self.withdrawn, "kept": self.kept })
    }
}

/// From, to: the days for which slots stand.
type Days = (Date, Date);

/// Brings the slots into line with the schedule. The schedule's row is locked by the caller or here.
pub(crate) async fn renew(
    turn: &mut Turn<'_, '_>,
    schedule: Uuid,
    cause: Cause,
) -> Result<Changed, Stop> {
    let days = days(turn, schedule).await?;
    bounded(turn, schedule, days).await?;
    let mut changed = Changed {
        withdrawn: withdraw(turn, schedule, days).await?,
        ..Changed::default()
    };
    let closed = close(turn, schedule, days).await?;
    changed.kept = i64::try_from(closed.len()).unwrap_or(i64::MAX);
    changed.affected = mark(turn, schedule, &closed, cause, days).await?;
    changed.added = reopen(turn, schedule, days).await? + add(turn, schedule, days).await?;
    fit(turn, schedule).await?;
    queues(turn, schedule, days).await?;
    sqlx::query("update clinical.schedules set generated_until = $2 where id = $1")
        .bind(schedule)
        .bind(days.1)
        .execute(turn.conn())
        .await?;
    if changed.added + changed.withdrawn + changed.kept > 0 {
        turn.say(
            schedule,
            &SlotsChanged {
                schedule_id: schedule,
                added: changed.added,
                withdrawn: changed.withdrawn,
                kept: changed.kept,
            },
        );
    }
    waitlist::offer_free(turn, schedule, None).await?;
    Ok(changed)
}

/// Most slots of a schedule: a year of ten minutes around the clock. More is a mistake, and would hold up its lane.
const MOST: i64 = 53_000;

async fn bounded(turn: &mut Turn<'_, '_>, schedule: Uuid, days: Days) -> Result<(), Stop> {
    let wanted: i64 = sqlx::query_scalar("select count(*) from clinical.wanted_slots($1, $2, $3)")
        .bind(schedule)
        .bind(days.0)
        .bind(days.1)
        .fetch_one(turn.conn())
        .await?;
    if wanted > MOST {
        return refuse(
            "schedules.too_many_slots",
            format!(
                "these hours are {wanted} slots, and {MOST} is the most: longer slots or a shorter horizon"
            ),
        );
    }
    Ok(())
}

/// A shorter horizon takes nothing back that was given out.
async fn days(turn: &mut Turn<'_, '_>, schedule: Uuid) -> Result<Days, Stop> {
    let now = turn.now;
    let row = sqlx::query(
        "select ($2 at time zone zone)::date,
                greatest(($2 at time zone zone)::date + horizon_days, generated_until)
         from clinical.schedules where id = $1 for update",
    )
    .bind(schedule)
    .bind(now)
    .fetch_one(turn.conn())
    .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

async fn withdraw(turn: &mut Turn<'_, '_>, schedule: Uuid, days: Days) -> Result<i64, Stop> {
    let now = turn.now;
    let done = sqlx::query(
        "update clinical.slots s set state = 'withdrawn'
         where s.schedule_id = $1 and s.state <> 'withdrawn' and s.taken = 0 and s.overbooked = 0 and s.starts_at > $2
           and not exists (select from clinical.wanted_slots($1, $3, $4) w where w.starts_at = s.starts_at and w.ends_at = s.ends_at)",
    )
    .bind(schedule)
    .bind(now)
    .bind(days.0)
    .bind(days.1)
    .execute(turn.conn())
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

async fn close(turn: &mut Turn<'_, '_>, schedule: Uuid, days: Days) -> Result<Vec<Uuid>, Stop> {
    let now = turn.now;
    let closed = sqlx::query_scalar(
        "update clinical.slots s set state = 'closed'
         where s.schedule_id = $1 and s.state = 'open' and (s.taken > 0 or s.overbooked > 0) and s.starts_at > $2
           and not exists (select from clinical.wanted_slots($1, $3, $4) w where w.starts_at = s.starts_at and w.ends_at = s.ends_at)
         returning s.id",
    )
    .bind(schedule)
    .bind(now)
    .bind(days.0)
    .bind(days.1)
    .fetch_all(turn.conn())
    .await?;
    Ok(closed)
}

/// Marks those whose time is not the schedule's any more; another cut of the same hours affects nobody.
async fn mark(
    turn: &mut Turn<'_, '_>,
    schedule: Uuid,
    closed: &[Uuid],
    cause: Cause,
    days: Days,
) -> Result<Vec<Uuid>, Stop> {
    if closed.is_empty() {
        return Ok(Vec::new());
    }
    let (word, exception) = match cause {
        Cause::Leave(id) => ("leave", Some(id)),
        Cause::Hours | Cause::Calendar => ("hours", None),
    };
    let affected: Vec<Appointment> = sqlx::query_as(
        "update clinical.appointments a
         set attention = $2, exception_id = $3, version = a.version + 1, updated_at = now()
         from clinical.slots s
         where s.id = a.slot_id and s.id = any($1) and a.state in ('held', 'booked', 'confirmed', 'arrived')
           and not tstzrange(s.starts_at, s.ends_at) <@ coalesce(
               (select range_agg(tstzrange(w.starts_at, w.ends_at)) from clinical.wanted_slots($4, $5, $6) w), '{}'::tstzmultirange)
         returning a.*",
    )
    .bind(closed)
    .bind(word)
    .bind(exception)
    .bind(schedule)
    .bind(days.0)
    .bind(days.1)
    .fetch_all(turn.conn())
    .await?;
    for one in &affected {
        turn.say(
            schedule,
            &AppointmentAffected {
                appointment: one.facts(),
                cause: word.to_owned(),
                exception_id: exception,
            },
        );
    }
    Ok(affected.into_iter().map(|one| one.id).collect())
}

/// Slots that are wanted again are open again, and nobody there is affected any more.
async fn reopen(turn: &mut Turn<'_, '_>, schedule: Uuid, days: Days) -> Result<i64, Stop> {
    let now = turn.now;
    let opened: Vec<Uuid> = sqlx::query_scalar(
        "update clinical.slots s set state = 'open'
         where s.schedule_id = $1 and s.state <> 'open' and s.starts_at > $2
           and exists (select from clinical.wanted_slots($1, $3, $4) w where w.starts_at = s.starts_at and w.ends_at = s.ends_at)
           and not exists (select from clinical.slots o where o.schedule_id = $1 and o.id <> s.id and o.state <> 'withdrawn'
                           and o.starts_at < s.ends_at and o.ends_at > s.starts_at)
         returning s.id",
    )
    .bind(schedule)
    .bind(now)
    .bind(days.0)
    .bind(days.1)
    .fetch_all(turn.conn())
    .await?;
    if !opened.is_empty() {
        sqlx::query(
            "update clinical.appointments
             set attention = null, exception_id = null, version = version + 1, updated_at = now()
             where slot_id = any($1) and attention is not null",
        )
        .bind(&opened)
        .execute(turn.conn())
        .await?;
    }
    Ok(i64::try_from(opened.len()).unwrap_or(i64::MAX))
}

/// What would lie over a slot that is kept is not made: the exclusion constraint says so.
async fn add(turn: &mut Turn<'_, '_>, schedule: Uuid, days: Days) -> Result<i64, Stop> {
    let (tenant, now) = (turn.tenant(), turn.now);
    let done = sqlx::query(
        "insert into clinical.slots (tenant_id, id, schedule_id, day, starts_at, ends_at, capacity, overbook)
         select $2, gen_random_uuid(), s.id, w.day, w.starts_at, w.ends_at, s.capacity, s.overbook
         from clinical.schedules s, clinical.wanted_slots(s.id, $4, $5) w
         where s.id = $1 and w.ends_at > $3
         order by w.starts_at
         on conflict do nothing",
    )
    .bind(schedule)
    .bind(tenant)
    .bind(now)
    .bind(days.0)
    .bind(days.1)
    .execute(turn.conn())
    .await?;
    Ok(i64::try_from(done.rows_affected()).unwrap_or(i64::MAX))
}

/// Open slots have the schedule's capacity; where more were given away already, no less than that.
async fn fit(turn: &mut Turn<'_, '_>, schedule: Uuid) -> Result<(), Stop> {
    let now = turn.now;
    sqlx::query(
        "update clinical.slots o set capacity = greatest(s.capacity, o.taken), overbook = greatest(s.overbook, o.overbooked)
         from clinical.schedules s
         where s.id = $1 and o.schedule_id = s.id and o.state = 'open' and o.ends_at > $2
           and (o.capacity <> greatest(s.capacity, o.taken) or o.overbook <> greatest(s.overbook, o.overbooked))",
    )
    .bind(schedule)
    .bind(now)
    .execute(turn.conn())
    .await?;
    Ok(())
}

/// A queue for every day that has slots.
async fn queues(turn: &mut Turn<'_, '_>, schedule: Uuid, days: Days) -> Result<(), Stop> {
    let tenant = turn.tenant();
    sqlx::query(
        "insert into clinical.queues (tenant_id, id, schedule_id, day)
         select $2, gen_random_uuid(), $1, d.day
         from (select distinct day from clinical.slots where schedule_id = $1 and state <> 'withdrawn' and day >= $3) d
         on conflict do nothing",
    )
    .bind(schedule)
    .bind(tenant)
    .bind(days.0)
    .execute(turn.conn())
    .await?;
    Ok(())
}
