//! Schedules. Nothing here tells of a patient.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use schemas::scheduling::{DefineSchedule, WeeklyHours};
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;
use worker_scheduling::queries::ScheduleFilter;

use crate::auth::clinic;
use crate::auth::identity::Identity;
use crate::auth::permission::{CanSomewhere, Permission as _, SchedulesManage, SchedulesRead};
use crate::command::{Accepted, Placed, Sender};
use crate::day::Clock;
use crate::extract::{Body, Params, Segment};
use crate::if_match::{IfMatch, tagged};
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::scheduling as reads;
use crate::routing::{Routes, routes};
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::scheduling::{Schedule, ScheduleWritten, told};

pub(crate) fn routes() -> Routes {
    Routes::new()
        .routes(routes!(create))
        .routes(routes!(list))
        .routes(routes!(read))
        .routes(routes!(change))
}

/// Longest code or name.
const NAME_CHARS: usize = 100;

/// Working hours on one day of the week.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewHours {
    /// 1 is Monday (ISO 8601).
    #[schema(minimum = 1, maximum = 7)]
    weekday: i16,
    /// `08:00`
    #[schema(value_type = String)]
    from: Clock,
    /// `20:00`; `24:00` is the end of the day.
    #[schema(value_type = String)]
    to: Clock,
}

/// Whose time it is, and how it is given away. All of it: what is absent is as the description says.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Dr Rao, general OPD", "facility": "MAIN", "department": "OPD", "practitioner": "D-7", "practitioner_name": "Dr Rao",
    "room": "12", "service": "general", "slot_minutes": 10, "capacity": 1, "walk_ins": 20,
    "hours": [{ "weekday": 1, "from": "08:00", "to": "20:00" }, { "weekday": 2, "from": "08:00", "to": "12:00" }]
}))]
struct NewSchedule {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// As encounters and grants name it (HL7 PL.4).
    #[serde(default)]
    facility: Option<String>,
    /// As encounters and grants name the point of care (HL7 PL.1).
    #[serde(default)]
    department: Option<String>,
    /// Your code. One of practitioner, room and service must be given.
    #[serde(default)]
    practitioner: Option<String>,
    #[serde(default)]
    practitioner_name: Option<String>,
    #[serde(default)]
    room: Option<String>,
    #[serde(default)]
    service: Option<String>,
    /// IANA name of the zone of its hours. It never changes.
    #[serde(default = "india")]
    #[schema(default = "Asia/Kolkata")]
    zone: String,
    #[schema(minimum = 1, maximum = 1440)]
    slot_minutes: i16,
    /// Places in a slot.
    #[serde(default = "one")]
    #[schema(minimum = 1, maximum = 500, default = 1)]
    capacity: i16,
    /// Places beyond the capacity, for who may not wait.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 500, default = 0)]
    overbook: i16,
    /// Walk-in tokens a day.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 1000, default = 0)]
    walk_ins: i16,
    /// So many days ahead can be booked.
    #[serde(default = "two_months")]
    #[schema(minimum = 1, maximum = 366, default = 60)]
    horizon_days: i16,
    /// How long a place is held.
    #[serde(default = "five_minutes")]
    #[schema(minimum = 1, maximum = 86400, default = 300)]
    hold_seconds: i32,
    /// How long an offer of the waiting list stands.
    #[serde(default = "half_an_hour")]
    #[schema(minimum = 1, maximum = 604_800, default = 1800)]
    offer_seconds: i32,
    /// Minutes before the beginning at which a reminder is due; at most 5.
    #[serde(default = "a_day_and_two_hours")]
    #[schema(max_items = 5)]
    reminder_minutes: Vec<i32>,
    #[schema(max_items = 100)]
    hours: Vec<NewHours>,
    /// True: no slots any more. Who is booked stays booked.
    #[serde(default)]
    retired: bool,
}

fn india() -> String {
    "Asia/Kolkata".to_owned()
}
fn one() -> i16 {
    1
}
fn two_months() -> i16 {
    60
}
fn five_minutes() -> i32 {
    300
}
fn half_an_hour() -> i32 {
    1_800
}
fn a_day_and_two_hours() -> Vec<i32> {
    vec![1_440, 120]
}

impl NewSchedule {
    fn check(&self) -> Result<(), Problem> {
        let within = |field: &'static str, value: i32, least: i32, most: i32| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(Problem::invalid(
                    field,
                    format!("must be from {least} to {most}"),
                ))
            }
        };
        within("slot_minutes", self.slot_minutes.into(), 1, 1_440)?;
        within("capacity", self.capacity.into(), 1, 500)?;
        within("overbook", self.overbook.into(), 0, 500)?;
        within("walk_ins", self.walk_ins.into(), 0, 1_000)?;
        within("horizon_days", self.horizon_days.into(), 1, 366)?;
        within("hold_seconds", self.hold_seconds, 1, 86_400)?;
        within("offer_seconds", self.offer_seconds, 1, 604_800)?;
        let mut minutes = self.reminder_minutes.clone();
        minutes.sort_unstable();
        minutes.dedup();
        if minutes.len() != self.reminder_minutes.len() || minutes.len() > 5 {
            return Err(Problem::invalid(
                "reminder_minutes",
                "must be 5 at most, each once",
            ));
        }
        for one in minutes {
            within("reminder_minutes", one, 1, 43_200)?;
        }
        if self.hours.len() > 100 {
            return Err(Problem::invalid("hours", "must be 100 at most"));
        }
        for one in &self.hours {
            within("hours.weekday", one.weekday.into(), 1, 7)?;
            if one.to <= one.from {
                return Err(Problem::invalid("hours.to", "must be after `from`"));
            }
        }
        if self.practitioner.is_none() && self.room.is_none() && self.service.is_none() {
            return Err(Problem::invalid(
                "practitioner",
                "one of practitioner, room and service must be given",
            ));
        }
        if self.department.is_some() && self.facility.is_none() {
            return Err(Problem::invalid("department", "needs its facility"));
        }
        for (field, text) in [
            ("name", Some(&self.name)),
            ("facility", self.facility.as_ref()),
            ("department", self.department.as_ref()),
            ("practitioner", self.practitioner.as_ref()),
            ("practitioner_name", self.practitioner_name.as_ref()),
            ("room", self.room.as_ref()),
            ("service", self.service.as_ref()),
            ("zone", Some(&self.zone)),
        ] {
            let Some(text) = text else { continue };
            let bad = text.trim().is_empty()
                || text.chars().count() > NAME_CHARS
                || text.chars().any(char::is_control);
            if bad {
                return Err(Problem::invalid(
                    field,
                    format!(
                        "must have from 1 to {NAME_CHARS} characters, none of them a control character"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn command(
        self,
        schedule_id: Uuid,
        new: bool,
        version: Option<i32>,
        actor: String,
    ) -> DefineSchedule {
        DefineSchedule {
            schedule_id,
            new,
            version,
            name: self.name,
            facility: self.facility,
            department: self.department,
            practitioner: self.practitioner,
            practitioner_name: self.practitioner_name,
            room: self.room,
            service: self.service,
            zone: self.zone,
            slot_minutes: self.slot_minutes,
            capacity: self.capacity,
            overbook: self.overbook,
            walk_ins: self.walk_ins,
            horizon_days: self.horizon_days,
            hold_seconds: self.hold_seconds,
            offer_seconds: self.offer_seconds,
            reminder_minutes: self.reminder_minutes,
            hours: self
                .hours
                .into_iter()
                .map(|one| WeeklyHours {
                    weekday: one.weekday,
                    from: one.from.0,
                    to: one.to.0,
                })
                .collect(),
            retired: self.retired,
            actor,
        }
    }
}

fn manages(who: &Identity, new: &NewSchedule) -> Result<(), Problem> {
    clinic::own(
        who,
        SchedulesManage::NAME,
        new.facility.as_deref(),
        new.department.as_deref(),
    )
}

/// Make a schedule
///
/// Its slots stand when it is answered, for as many days as `horizon_days` says.
#[utoipa::path(post, path = "/schedules", tag = "appointments", request_body = NewSchedule, security(("bearer" = ["schedules:manage"])),
    responses(
        (status = 201, description = "made; Location is the schedule", body = ScheduleWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it is not at your place (`auth.scope`)"),
        (status = 422, description = "hours of one day lie over each other (`schedules.hours`), or there is no such zone (`schedules.zone`, \
            `scheduling.value`)")))]
async fn create(
    can: CanSomewhere<SchedulesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Body(new): Body<NewSchedule>,
) -> Result<Response, Problem> {
    new.check()?;
    manages(&can.who, &new)?;
    let id = Uuid::now_v7();
    let command = new.command(id, true, None, can.who.username.clone());
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(id), &command)
        .await?;
    Ok(written.respond_placed(|answer| Placed {
        location: format!("/api/v1/schedules/{id}"),
        created: true,
        view: told::<ScheduleWritten>(answer),
    }))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScheduleSearch {
    practitioner: Option<String>,
    service: Option<String>,
    room: Option<String>,
    facility: Option<String>,
    department: Option<String>,
    /// `active` (as if absent), `retired` or `all`.
    state: Option<String>,
    /// `next_cursor` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<Cursor>,
    /// 1 to 500.
    #[serde(default)]
    #[param(value_type = Option<u16>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
}

/// Search schedules
#[utoipa::path(get, path = "/schedules", tag = "appointments", params(ScheduleSearch), security(("bearer" = ["schedules:read"])),
    responses((status = 200, description = "oldest first", body = Page<Schedule>)))]
async fn list(
    can: CanSomewhere<SchedulesRead>,
    State(state): State<ApiState>,
    Params(search): Params<ScheduleSearch>,
) -> Result<Json<Page<Schedule>>, Problem> {
    let wanted = match search.state.as_deref() {
        None => Some("active".to_owned()),
        Some("all") => None,
        Some("active" | "retired") => search.state.clone(),
        Some(_) => {
            return Err(Problem::invalid(
                "state",
                "must be one of: active, retired, all",
            ));
        }
    };
    let filter = ScheduleFilter {
        practitioner: search.practitioner,
        service: search.service,
        room: search.room,
        facility: search.facility,
        department: search.department,
        state: wanted,
        ..ScheduleFilter::default()
    };
    let mut tx = state.read(&can.who.tenant).await?;
    let page = reads::schedules(&mut tx, filter, search.cursor.as_ref(), search.limit).await?;
    Ok(Json(page))
}

/// Read a schedule
#[utoipa::path(get, path = "/schedules/{id}", tag = "appointments", params(("id" = Uuid, Path, description = "the schedule")),
    security(("bearer" = ["schedules:read"])),
    responses(
        (status = 200, description = "with its ETag", body = Schedule),
        (status = 404, description = "no schedule has this id (`schedules.unknown`)")))]
async fn read(
    can: CanSomewhere<SchedulesRead>,
    State(state): State<ApiState>,
    Segment(id): Segment<Uuid>,
) -> Result<Response, Problem> {
    let mut tx = state.read(&can.who.tenant).await?;
    let view = reads::schedule_view(&mut tx, id).await?;
    Ok(tagged(&view, view.version))
}

/// Change a schedule
///
/// Says how it is from now on. Free slots follow at once; who is booked stays booked, and whose time the schedule does not
/// have any more is listed as `affected`. Only as it was seen: `If-Match` names the version.
#[utoipa::path(put, path = "/schedules/{id}", tag = "appointments",
    params(("id" = Uuid, Path, description = "the schedule"), ("If-Match" = String, Header, description = "ETag of what was read, or `*`")),
    request_body = NewSchedule, security(("bearer" = ["schedules:manage"])),
    responses(
        (status = 200, description = "so it is now", body = ScheduleWritten),
        (status = 202, description = "accepted, no outcome yet; Location tells where to ask", body = Accepted),
        (status = 403, description = "the permission is missing (`auth.permission`), or it is not at your place (`auth.scope`)"),
        (status = 404, description = "no schedule has this id (`schedules.unknown`)"),
        (status = 412, description = "somebody changed it meanwhile (`schedules.stale`)"),
        (status = 422, description = "hours of one day lie over each other (`schedules.hours`), or the zone would change (`schedules.zone`)")))]
async fn change(
    can: CanSomewhere<SchedulesManage>,
    State(state): State<ApiState>,
    trace: Trace,
    Segment(id): Segment<Uuid>,
    IfMatch(version): IfMatch,
    Body(new): Body<NewSchedule>,
) -> Result<Response, Problem> {
    new.check()?;
    manages(&can.who, &new)?;
    own(&state, &can.who, id).await?;
    let command = new.command(id, false, version, can.who.username.clone());
    let written = Sender::new(&state, &can.who, &trace)
        .send(worker_scheduling::aggregate(id), &command)
        .await?;
    Ok(written.respond(told::<ScheduleWritten>))
}

/// The schedule is there, and the caller's to manage.
pub(super) async fn own(state: &ApiState, who: &Identity, id: Uuid) -> Result<(), Problem> {
    let mut tx = state.read(&who.tenant).await?;
    let row = reads::schedule(&mut tx, id).await?;
    clinic::own(
        who,
        SchedulesManage::NAME,
        row.facility.as_deref(),
        row.department.as_deref(),
    )
}
