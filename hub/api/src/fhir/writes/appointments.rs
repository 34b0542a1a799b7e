//! Appointment: a slot is booked or held; confirmed, moved, called off, and what it is about.

use hub_fhir::{Subject, read_booking, slot_of};
use schemas::IdentifierKey;
use schemas::scheduling::{
    AdvanceAppointment, AppointmentAction, BookAppointment, ChangeAppointment, Mode,
    RescheduleAppointment,
};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;
use worker_scheduling::queries::{self, AppointmentRow};

use super::change::Change;
use super::{Desk, Made, compared, not_supported, refused, short};
use crate::auth::permission::{AppointmentsBook, Permission as _};
use crate::command::Written;
use crate::fhir::source::Found;
use crate::problem::Problem;
use crate::reads::scheduling as reads;
use crate::routes::desk::{bookable, instead, own};

pub(super) async fn book(desk: &Desk<'_>, json: &Value) -> Result<Made, Problem> {
    let asked = read_booking(json).map_err(refused)?;
    let mut tx = desk.tx().await?;
    let schedule = bookable(&mut tx, desk.who, asked.slot).await?;
    let subject = match &asked.subject {
        Subject::Patient(id) => reads::subject(&mut tx, Some(*id), None).await?,
        Subject::Identifier(text) => reads::subject(&mut tx, None, Some(text.as_str())).await?,
    };
    drop(tx);
    at_the_slot(desk, asked.slot, (asked.start, asked.end)).await?;
    let command = BookAppointment {
        appointment_id: Uuid::now_v7(),
        slot_id: asked.slot,
        subject_key: subject.key,
        person_keys: subject.person,
        hold: asked.hold,
        overbook: false,
        mode: Mode::InPerson,
        reason: short(desk.place("reasonCode"), asked.reason)?,
        note: short(desk.place("comment"), asked.note)?,
        actor: desk.actor(),
    };
    let made = desk
        .make(
            worker_scheduling::aggregate(schedule),
            &command,
            ("appointment_id", command.appointment_id),
        )
        .await;
    instead(desk.state, desk.who, asked.slot, made).await
}

/// Who names a time that is not the slot's believes something that is not so.
async fn at_the_slot(
    desk: &Desk<'_>,
    slot: Uuid,
    (start, end): (Option<OffsetDateTime>, Option<OffsetDateTime>),
) -> Result<(), Problem> {
    let mut tx = desk.tx().await?;
    let row = queries::slot(tx.conn(), slot)
        .await?
        .ok_or_else(|| Problem::unknown("slots.unknown", "no slot has this id"))?;
    for (member, said, is) in [("start", start, row.starts_at), ("end", end, row.ends_at)] {
        if said.is_some_and(|said| said != is) {
            return Err(desk.wrong(
                member,
                "is not the slot's: leave it out, or send the slot's own",
            ));
        }
    }
    Ok(())
}

const MOVED: [&str; 4] = ["slot", "start", "end", "minutesDuration"];
const ABOUT: [&str; 2] = ["reasonCode", "comment"];

pub(super) async fn change(
    desk: &Desk<'_>,
    json: &Value,
    found: &Found,
) -> Result<Option<Written>, Problem> {
    let change = Change::of(json, &found.resource)?;
    let mut free = vec!["status", "cancelationReason", "participant"];
    free.extend(MOVED);
    free.extend(ABOUT);
    change.only(&free)?;
    let id: Uuid = found.resource.id.parse().map_err(|_| Problem::internal())?;
    let row = own(desk.state, desk.who, AppointmentsBook::NAME, id).await?;
    compared(found, row.version)?;
    let confirms = confirms(&change)?;
    let (states, moves, about) = (
        change.differs(&["status"]),
        change.differs(&MOVED),
        change.differs(&ABOUT),
    );
    let steps = [confirms, states, moves, about];
    match steps.iter().filter(|step| **step).count() {
        0 if change.differs(&["cancelationReason"]) => Err(not_supported(
            "a cancelationReason is taken with the status cancelled or noshow only",
        )),
        0 => Ok(None),
        1 if confirms => advance(desk, &row, AppointmentAction::Confirm, None).await,
        1 if states => state(desk, &change, &row).await,
        1 if moves => reschedule(desk, &change, &row).await,
        1 => explain(desk, &change, &row).await,
        _ => Err(not_supported(
            "an update confirms, moves, cancels or says what it is about: one of these at a time",
        )),
    }
}

/// Of the participants only the patient's word can change, and only to yes.
fn confirms(change: &Change<'_>) -> Result<bool, Problem> {
    if !change.differs(&["participant"]) {
        return Ok(false);
    }
    let mut expected = change.stands["participant"].clone();
    // the patient comes first, as it was sent out
    expected[0]["status"] = Value::from("accepted");
    if change.sent["participant"] != expected || change.stands["status"] != "booked" {
        return Err(not_supported(
            "of the participants only the patient's status can be changed: to accepted, of what is booked",
        ));
    }
    Ok(true)
}

async fn advance(
    desk: &Desk<'_>,
    row: &AppointmentRow,
    action: AppointmentAction,
    reason: Option<String>,
) -> Result<Option<Written>, Problem> {
    let command = AdvanceAppointment {
        appointment_id: row.id,
        action,
        version: Some(row.version),
        reason,
        actor: desk.actor(),
    };
    desk.send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await
        .map(Some)
}

async fn state(
    desk: &Desk<'_>,
    change: &Change<'_>,
    row: &AppointmentRow,
) -> Result<Option<Written>, Problem> {
    let reason = change.reason_in("cancelationReason")?;
    let before = change.stands["status"].as_str().unwrap_or_default();
    let action = match (before, change.sent["status"].as_str().unwrap_or_default()) {
        ("pending", "booked") => AppointmentAction::Book,
        (_, "arrived") => AppointmentAction::Arrive,
        (_, "noshow") => AppointmentAction::NoShow,
        (_, "cancelled") => {
            if reason.is_none() {
                return Err(desk.wrong("cancelationReason", "must say why, as its text"));
            }
            AppointmentAction::Cancel
        }
        _ => {
            return Err(change.conflict(format!(
                "from {before} the status can be changed to: booked (what is pending), arrived, cancelled, noshow; consultations \
                 begin and end over REST"
            )));
        }
    };
    let keeps_reason = matches!(
        action,
        AppointmentAction::Cancel | AppointmentAction::NoShow
    );
    if reason.is_some() && !keeps_reason {
        return Err(not_supported(
            "a cancelationReason is taken with the status cancelled or noshow only",
        ));
    }
    advance(desk, row, action, reason).await
}

async fn reschedule(
    desk: &Desk<'_>,
    change: &Change<'_>,
    row: &AppointmentRow,
) -> Result<Option<Written>, Problem> {
    let slot = slot_of(change.sent).filter(|slot| Some(*slot) != row.slot_id);
    let Some(slot) = slot else {
        return Err(desk.wrong("slot", "an appointment is moved to another slot: Slot/[id]"));
    };
    // times that were left as they stand are those of the old slot
    let time = |name: &str| {
        change.sent[name]
            .as_str()
            .filter(|_| change.differs(&[name]))
            .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
    };
    let keys = {
        let mut tx = desk.tx().await?;
        bookable(&mut tx, desk.who, slot).await?;
        reads::person_of_key(&mut tx, row.subject_key).await?.1
    };
    at_the_slot(desk, slot, (time("start"), time("end"))).await?;
    let command = RescheduleAppointment {
        appointment_id: row.id,
        slot_id: slot,
        person_keys: keys.into_keys().map(IdentifierKey).collect(),
        overbook: false,
        version: Some(row.version),
        reason: None,
        actor: desk.actor(),
    };
    let written = desk
        .send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await;
    instead(desk.state, desk.who, slot, written).await.map(Some)
}

async fn explain(
    desk: &Desk<'_>,
    change: &Change<'_>,
    row: &AppointmentRow,
) -> Result<Option<Written>, Problem> {
    let reasons = &change.sent["reasonCode"];
    let coded = reasons
        .as_array()
        .is_some_and(|all| all.len() > 1 || all.iter().any(|one| !one["coding"].is_null()));
    if change.differs(&["reasonCode"]) && coded {
        return Err(desk.wrong("reasonCode", "one is kept, its text and no code"));
    }
    let said = |member: &str, words: &Value| -> Result<Option<String>, Problem> {
        if !change.differs(&[member]) {
            return Ok(None);
        }
        let words = words
            .as_str()
            .map(str::trim)
            .filter(|words| !words.is_empty());
        match words {
            Some(words) => short(desk.place(member), Some(words.to_owned())),
            None => Err(desk.wrong(member, "can be changed, and not taken away")),
        }
    };
    let command = ChangeAppointment {
        appointment_id: row.id,
        version: Some(row.version),
        mode: None,
        reason: said("reasonCode", &reasons[0]["text"])?,
        note: said("comment", &change.sent["comment"])?,
        actor: desk.actor(),
    };
    desk.send(worker_scheduling::aggregate(row.schedule_id), &command)
        .await
        .map(Some)
}
