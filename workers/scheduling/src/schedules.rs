//! Schedules and their exceptions. What changes a schedule makes its slots anew ([`crate::slots`]); nobody's booking goes.

use hub_core::Verdict;
use schemas::scheduling::{AddException, DefineSchedule, EndException, ExceptionKind, WeeklyHours};
use serde_json::json;
use sqlx::Row as _;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::slots::{self, Cause};
use crate::trail;
use crate::turn::{Stop, Turn, day, refuse};

/// Longest exception: a sabbatical. A longer one is a retired schedule.
const LONGEST: time::Duration = time::Duration::days(366);

pub(crate) async fn define(
    mut turn: Turn<'_, '_>,
    command: &DefineSchedule,
) -> Result<Verdict, Stop> {
    let hours = in_order(&command.hours)?;
    known_zone(&mut turn, &command.zone).await?;
    let version = if command.new {
        insert(&mut turn, command).await?;
        1
    } else {
        update(&mut turn, command).await?
    };
    let template: i32 = sqlx::query_scalar("select template from clinical.schedules where id = $1")
        .bind(command.schedule_id)
        .fetch_one(turn.conn())
        .await?;
    write_hours(&mut turn, command.schedule_id, template, &hours).await?;
    let changed = slots::renew(&mut turn, command.schedule_id, Cause::Hours).await?;
    trail::note(
        &mut turn,
        "scheduling.schedule.define",
        &format!("schedule {}", command.schedule_id),
        &[command.schedule_id],
        None,
        json!({
            "name": command.name, "hours": command.hours, "zone": command.zone, "slot_minutes": command.slot_minutes,
            "capacity": command.capacity, "overbook": command.overbook, "retired": command.retired, "version": version,
        }),
    )
    .await?;
    Ok(turn.done(json!({
        "schedule_id": command.schedule_id, "version": version, "slots": changed.counts(), "affected": changed.affected,
    })))
}

/// Hours of a day that lie over each other are a mistake, not more capacity.
fn in_order(hours: &[WeeklyHours]) -> Result<Vec<WeeklyHours>, Stop> {
    let mut hours = hours.to_vec();
    hours.sort_by(|a, b| (a.weekday, &a.from).cmp(&(b.weekday, &b.from)));
    let over = hours
        .windows(2)
        .any(|pair| pair[0].weekday == pair[1].weekday && pair[1].from < pair[0].to);
    if over {
        return refuse("schedules.hours", "hours of one day lie over each other");
    }
    if hours.iter().any(|one| one.to <= one.from) {
        return refuse("schedules.hours", "hours end before they begin");
    }
    Ok(hours)
}

/// An abbreviation (`IST`) is no zone: it means Israel's time too, and knows no summer.
async fn known_zone(turn: &mut Turn<'_, '_>, zone: &str) -> Result<(), Stop> {
    if zone != "UTC" && !zone.contains('/') {
        return refuse(
            "schedules.zone",
            "the zone must be an IANA name like Asia/Kolkata",
        );
    }
    // refused by the database (SQLSTATE 22023) when it is none
    sqlx::query("select now() at time zone $1")
        .bind(zone)
        .fetch_one(turn.conn())
        .await?;
    Ok(())
}

async fn insert(turn: &mut Turn<'_, '_>, command: &DefineSchedule) -> Result<(), Stop> {
    let (tenant, actor) = (turn.tenant(), turn.actor.clone());
    sqlx::query(
        "insert into clinical.schedules (tenant_id, id, name, facility, department, practitioner, practitioner_name, room, service,
             zone, slot_minutes, capacity, overbook, walk_ins, horizon_days, hold_seconds, offer_seconds, reminder_minutes, state,
             created_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
    )
    .bind(tenant)
    .bind(command.schedule_id)
    .bind(&command.name)
    .bind(&command.facility)
    .bind(&command.department)
    .bind(&command.practitioner)
    .bind(&command.practitioner_name)
    .bind(&command.room)
    .bind(&command.service)
    .bind(&command.zone)
    .bind(command.slot_minutes)
    .bind(command.capacity)
    .bind(command.overbook)
    .bind(command.walk_ins)
    .bind(command.horizon_days)
    .bind(command.hold_seconds)
    .bind(command.offer_seconds)
    .bind(&command.reminder_minutes)
    .bind(state_of(command))
    .bind(actor)
    .execute(turn.conn())
    .await?;
    Ok(())
}

fn state_of(command: &DefineSchedule) -> &'static str {
    if command.retired { "retired" } else { "active" }
}

/// The new version.
async fn update(turn: &mut Turn<'_, '_>, command: &DefineSchedule) -> Result<i32, Stop> {
    let row = sqlx::query("select version, zone from clinical.schedules where id = $1 for update")
        .bind(command.schedule_id)
        .fetch_optional(turn.conn())
        .await?;
    let Some(row) = row else {
        return unknown();
    };
    let version: i32 = row.try_get(0)?;
    if command.version.is_some_and(|seen| seen != version) {
        return refuse(
            "schedules.stale",
            "somebody changed it meanwhile: read it again",
        );
    }
    if row.try_get::<String, _>(1)? != command.zone {
        return refuse(
            "schedules.zone",
            "a schedule keeps its zone: its bookings would be on other days; make a new one",
        );
    }
    let version: i32 = sqlx::query_scalar(
        "update clinical.schedules
         set name = $2, facility = $3, department = $4, practitioner = $5, practitioner_name = $6, room = $7, service = $8,
             slot_minutes = $9, capacity = $10, overbook = $11, walk_ins = $12, horizon_days = $13, hold_seconds = $14,
             offer_seconds = $15, reminder_minutes = $16, state = $17, template = template + 1, version = version + 1,
             updated_at = now()
         where id = $1 returning version",
    )
    .bind(command.schedule_id)
    .bind(&command.name)
    .bind(&command.facility)
    .bind(&command.department)
    .bind(&command.practitioner)
    .bind(&command.practitioner_name)
    .bind(&command.room)
    .bind(&command.service)
    .bind(command.slot_minutes)
    .bind(command.capacity)
    .bind(command.overbook)
    .bind(command.walk_ins)
    .bind(command.horizon_days)
    .bind(command.hold_seconds)
    .bind(command.offer_seconds)
    .bind(&command.reminder_minutes)
    .bind(state_of(command))
    .fetch_one(turn.conn())
    .await?;
    Ok(version)
}

async fn write_hours(
    turn: &mut Turn<'_, '_>,
    schedule: Uuid,
    template: i32,
    hours: &[WeeklyHours],
) -> Result<(), Stop> {
    let tenant = turn.tenant();
    let weekdays: Vec<i16> = hours.iter().map(|one| one.weekday).collect();
    let from: Vec<&str> = hours.iter().map(|one| one.from.as_str()).collect();
    let to: Vec<&str> = hours.iter().map(|one| one.to.as_str()).collect();
    sqlx::query(
        "insert into clinical.schedule_hours (tenant_id, schedule_id, template, weekday, from_time, to_time)
         select $1, $2, $3, h.weekday, h.from_time::time, h.to_time::time
         from unnest($4::smallint[], $5::text[], $6::text[]) as h(weekday, from_time, to_time)",
    )
    .bind(tenant)
    .bind(schedule)
    .bind(template)
    .bind(&weekdays)
    .bind(&from)
    .bind(&to)
    .execute(turn.conn())
    .await?;
    Ok(())
}

pub(crate) async fn add_exception(
    mut turn: Turn<'_, '_>,
    command: &AddException,
) -> Result<Verdict, Stop> {
    let (first, last): (Date, Date) = (
        day("first_day", &command.first_day)?,
        day("last_day", &command.last_day)?,
    );
    if last < first || last - first > LONGEST {
        return refuse(
            "exceptions.days",
            "it must end on the day it begins or later, within a year",
        );
    }
    if command.kind == ExceptionKind::Extra && command.from.is_none() {
        return refuse("exceptions.hours", "extra hours need `from` and `to`");
    }
    lock(&mut turn, command.schedule_id).await?;
    let (tenant, actor) = (turn.tenant(), turn.actor.clone());
    sqlx::query(
        "insert into clinical.schedule_exceptions (tenant_id, id, schedule_id, kind, first_day, last_day, from_time, to_time, reason, created_by)
         values ($1, $2, $3, $4, $5, $6, $7::time, $8::time, $9, $10)",
    )
    .bind(tenant)
    .bind(command.exception_id)
    .bind(command.schedule_id)
    .bind(command.kind.as_str())
    .bind(first)
    .bind(last)
    .bind(&command.from)
    .bind(&command.to)
    .bind(&command.reason)
    .bind(actor)
    .execute(turn.conn())
    .await?;
    let cause = match command.kind {
        ExceptionKind::Leave => Cause::Leave(command.exception_id),
        ExceptionKind::Extra => Cause::Hours,
    };
    let changed = slots::renew(&mut turn, command.schedule_id, cause).await?;
    trail::note(
        &mut turn,
        "scheduling.exception.add",
        &format!("schedule {}", command.schedule_id),
        &[command.schedule_id, command.exception_id],
        Some(&command.reason),
        json!({
            "kind": command.kind, "first_day": command.first_day, "last_day": command.last_day, "from": command.from,
            "to": command.to, "affected": changed.affected.len(),
        }),
    )
    .await?;
    Ok(turn.done(json!({
        "exception_id": command.exception_id, "schedule_id": command.schedule_id, "slots": changed.counts(),
        "affected": changed.affected,
    })))
}

pub(crate) async fn end_exception(
    mut turn: Turn<'_, '_>,
    command: &EndException,
) -> Result<Verdict, Stop> {
    let found =
        sqlx::query("select schedule_id, ended_at from clinical.schedule_exceptions where id = $1")
            .bind(command.exception_id)
            .fetch_optional(turn.conn())
            .await?;
    let Some(row) = found else {
        return refuse("exceptions.unknown", "no exception has this id");
    };
    let schedule: Uuid = row.try_get(0)?;
    if row.try_get::<Option<OffsetDateTime>, _>(1)?.is_some() {
        return Ok(Verdict::Unchanged);
    }
    lock(&mut turn, schedule).await?;
    let actor = turn.actor.clone();
    sqlx::query(
        "update clinical.schedule_exceptions set ended_at = now(), ended_by = $2 where id = $1 and ended_at is null",
    )
    .bind(command.exception_id)
    .bind(actor)
    .execute(turn.conn())
    .await?;
    let changed = slots::renew(&mut turn, schedule, Cause::Hours).await?;
    trail::note(
        &mut turn,
        "scheduling.exception.end",
        &format!("schedule {schedule}"),
        &[schedule, command.exception_id],
        None,
        json!({ "affected": changed.affected.len() }),
    )
    .await?;
    Ok(turn.done(json!({
        "exception_id": command.exception_id, "schedule_id": schedule, "slots": changed.counts(),
        "affected": changed.affected,
    })))
}

/// One change of a schedule at a time.
async fn lock(turn: &mut Turn<'_, '_>, schedule: Uuid) -> Result<(), Stop> {
    let found: Option<Uuid> =
        sqlx::query_scalar("select id from clinical.schedules where id = $1 for update")
            .bind(schedule)
            .fetch_optional(turn.conn())
            .await?;
    if found.is_some() { Ok(()) } else { unknown() }
}

pub(crate) fn unknown<T>() -> Result<T, Stop> {
    refuse("schedules.unknown", "no schedule has this id")
}
