//! Schedules, appointments, waiting lists and queues, through `worker_scheduling::queries`.

use axum::http::StatusCode;
use hub_core::Tx;
use schemas::IdentifierKey;
use time::OffsetDateTime;
use uuid::Uuid;
use worker_scheduling::queries::{
    self, AppointmentFilter, AppointmentRow, QueueFilter, ScheduleFilter, ScheduleRow, SlotFilter,
    WaitlistFilter, WaitlistRow,
};

use super::worklists::{key, moment};
use crate::page::{Cursor, Limit, Page};
use crate::problem::{Alternative, Problem};
use crate::reads::care::patients_of;
use crate::reads::patients::{self, Keys};
use crate::views::appointments::{Appointment, AppointmentDetail};
use crate::views::queues::{Queue, QueueDetail, Token, WaitlistEntry};
use crate::views::scheduling::{Schedule, Slot};

/// Free slots that a refusal names.
const ALTERNATIVES: i64 = 5;
/// Appointments of a day that a queue shows; a clinic sees fewer.
const EXPECTED: i64 = 500;

/// Whom a write is about.
pub(crate) struct Subject {
    pub(crate) key: IdentifierKey,
    /// Of all his identifiers.
    pub(crate) person: Vec<IdentifierKey>,
}

/// The patient that a body names, by record or by identifier.
pub(crate) async fn subject(
    tx: &mut Tx<'_>,
    record: Option<Uuid>,
    identifier: Option<&str>,
) -> Result<Subject, Problem> {
    let (key, patient) = match (record, identifier) {
        (Some(id), None) => {
            let record = worker_patient::queries::record(tx.conn(), id)
                .await?
                .ok_or_else(nobody)?;
            let first = record.identifiers.first().ok_or_else(nobody)?;
            (IdentifierKey(first.key), id)
        }
        (None, Some(text)) => match patients::named(tx, text).await? {
            patients::Named::One(identifier) => {
                let person = patients::person_of(tx, identifier.key)
                    .await?
                    .ok_or_else(nobody)?;
                (identifier.key, person.patient_id)
            }
            patients::Named::Several => {
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "appointments.ambiguous_patient",
                    "several people have this identifier; name its system: `system|value`",
                ));
            }
            patients::Named::Nobody => return Err(nobody()),
        },
        _ => {
            return Err(Problem::invalid(
                "patient_id",
                "give either patient_id or patient_identifier",
            ));
        }
    };
    let keys = patients::keys_of_patient(tx, patient)
        .await?
        .unwrap_or_default();
    Ok(Subject {
        key,
        person: keys.into_keys().map(IdentifierKey).collect(),
    })
}

fn nobody() -> Problem {
    Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "appointments.no_patient",
        "nobody has this identifier, or no patient this id",
    )
}

/// Keys of all identifiers of whoever has this one.
pub(crate) async fn person_of_key(
    tx: &mut Tx<'_>,
    key: Uuid,
) -> Result<(Option<Uuid>, Keys), Problem> {
    let Some(person) = patients::person_of(tx, IdentifierKey(key)).await? else {
        return Ok((None, Keys::from([(key, None)])));
    };
    let keys = patients::keys_of_patient(tx, person.patient_id)
        .await?
        .unwrap_or_default();
    Ok((Some(person.patient_id), keys))
}

pub(crate) fn no_schedule() -> Problem {
    Problem::unknown("schedules.unknown", "no schedule has this id")
}

pub(crate) async fn schedule(tx: &mut Tx<'_>, id: Uuid) -> Result<ScheduleRow, Problem> {
    queries::schedule(tx.conn(), id)
        .await?
        .ok_or_else(no_schedule)
}

pub(crate) async fn schedule_view(tx: &mut Tx<'_>, id: Uuid) -> Result<Schedule, Problem> {
    let row = schedule(tx, id).await?;
    let hours = queries::hours(tx.conn(), &[id]).await?;
    Ok(Schedule::of(row, &hours))
}

pub(crate) async fn schedules(
    tx: &mut Tx<'_>,
    mut filter: ScheduleFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Schedule>, Problem> {
    filter.after = Cursor::key::<Uuid>(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::schedules(tx.conn(), &filter).await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let hours = queries::hours(tx.conn(), &ids).await?;
    let next = limit.is_full(ids.len()).then(|| ids.last().copied());
    Ok(Page::of(rows, next.flatten(), |row| {
        Schedule::of(row, &hours)
    }))
}

pub(crate) async fn slots(
    tx: &mut Tx<'_>,
    mut filter: SlotFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Slot>, Problem> {
    filter.after = place(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::slots(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .and_then(|row| key((row.starts_at, row.id)));
    Ok(Page::of(rows, next, Slot::of))
}

fn place(cursor: Option<&Cursor>) -> Result<Option<(OffsetDateTime, Uuid)>, Problem> {
    Cursor::key::<(String, Uuid)>(cursor)?
        .map(|(at, id)| moment(&at).map(|at| (at, id)))
        .transpose()
}

/// Free slots near one that is not.
pub(crate) async fn alternatives(tx: &mut Tx<'_>, slot: Uuid) -> Result<Vec<Alternative>, Problem> {
    let rows = queries::alternatives(tx.conn(), slot, ALTERNATIVES).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let text = |at| crate::page::Moment(at).text();
            Some(Alternative {
                slot_id: row.id,
                schedule_id: row.schedule_id,
                starts_at: text(row.starts_at)?,
                ends_at: text(row.ends_at)?,
            })
        })
        .collect())
}

pub(crate) async fn appointment_row(tx: &mut Tx<'_>, id: Uuid) -> Result<AppointmentRow, Problem> {
    queries::appointment(tx.conn(), id)
        .await?
        .ok_or_else(|| Problem::unknown("appointments.unknown", "no appointment has this id"))
}

/// The appointment with all that happened to it.
pub(crate) async fn appointment_detail(
    tx: &mut Tx<'_>,
    row: AppointmentRow,
) -> Result<AppointmentDetail, Problem> {
    let people = patients_of(tx, [Some(row.subject_key)]).await?;
    let steps = queries::steps(tx.conn(), row.id).await?;
    let reminders = queries::reminders(tx.conn(), row.id).await?;
    Ok(AppointmentDetail::of(
        Appointment::of(row, &people),
        steps,
        reminders,
    ))
}

pub(crate) async fn appointments(
    tx: &mut Tx<'_>,
    mut filter: AppointmentFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Appointment>, Problem> {
    filter.after = place(cursor)?;
    filter.limit = limit.rows();
    let of_a_patient = filter.subjects.is_some();
    let rows = queries::appointments(tx.conn(), &filter).await?;
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .and_then(|row| key((row.starts_at, row.id)));
    let people = patients_of(tx, rows.iter().map(|row| Some(row.subject_key))).await?;
    Ok(Page::of(rows, next, |row| {
        if of_a_patient {
            Appointment::of(row, &people)
        } else {
            Appointment::at_the_desk(row, &people)
        }
    }))
}

pub(crate) async fn waitlist_row(tx: &mut Tx<'_>, id: Uuid) -> Result<WaitlistRow, Problem> {
    queries::waitlist_entry(tx.conn(), id)
        .await?
        .ok_or_else(|| Problem::unknown("waitlist.unknown", "nobody waits under this id"))
}

pub(crate) async fn waitlist_entry(
    tx: &mut Tx<'_>,
    row: WaitlistRow,
) -> Result<WaitlistEntry, Problem> {
    let people = patients_of(tx, [Some(row.subject_key)]).await?;
    Ok(WaitlistEntry::of(row, &people))
}

pub(crate) async fn waitlist(
    tx: &mut Tx<'_>,
    mut filter: WaitlistFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<WaitlistEntry>, Problem> {
    filter.after = Cursor::key::<i64>(cursor)?;
    filter.limit = limit.rows();
    let of_a_patient = filter.subjects.is_some();
    let rows = queries::waitlist(tx.conn(), &filter).await?;
    let next = limit
        .is_full(rows.len())
        .then(|| rows.last().map(|row| row.number));
    let people = patients_of(tx, rows.iter().map(|row| Some(row.subject_key))).await?;
    Ok(Page::of(rows, next.flatten(), |row| {
        if of_a_patient {
            WaitlistEntry::of(row, &people)
        } else {
            WaitlistEntry::at_the_desk(row, &people)
        }
    }))
}

pub(crate) async fn queue_row(tx: &mut Tx<'_>, id: Uuid) -> Result<queries::QueueRow, Problem> {
    queries::queue(tx.conn(), id)
        .await?
        .ok_or_else(|| Problem::unknown("queues.unknown", "no queue has this id"))
}

/// The queue with everybody in it.
pub(crate) async fn queue_detail(
    tx: &mut Tx<'_>,
    row: queries::QueueRow,
) -> Result<QueueDetail, Problem> {
    let tokens = queries::tokens(tx.conn(), row.id).await?;
    let states = ["booked", "confirmed"].map(str::to_owned).to_vec();
    let filter = AppointmentFilter {
        schedule: Some(row.schedule_id),
        day: Some(row.day),
        states: Some(states),
        limit: EXPECTED,
        ..AppointmentFilter::default()
    };
    let expected = queries::appointments(tx.conn(), &filter).await?;
    let named = tokens
        .iter()
        .map(|token| token.subject_key)
        .chain(expected.iter().map(|one| one.subject_key))
        .map(Some);
    let people = patients_of(tx, named).await?;
    Ok(QueueDetail {
        queue: Queue::of(row),
        tokens: tokens
            .into_iter()
            .map(|token| Token::of(token, &people))
            .collect(),
        expected_appointments: expected
            .into_iter()
            .map(|one| Appointment::at_the_desk(one, &people))
            .collect(),
    })
}

pub(crate) async fn queues(
    tx: &mut Tx<'_>,
    mut filter: QueueFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Queue>, Problem> {
    filter.after = Cursor::key::<Uuid>(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::queues(tx.conn(), &filter).await?;
    let next = limit
        .is_full(rows.len())
        .then(|| rows.last().map(|row| row.id));
    Ok(Page::of(rows, next.flatten(), Queue::of))
}
