//! What the routes of appointments share: whom a list or a write is about, and what the caller may see and do there.

use axum::response::Response;
use hub_core::Tx;
use uuid::Uuid;
use worker_scheduling::queries::{self, AppointmentRow};

use crate::auth::identity::Identity;
use crate::auth::permission::{AppointmentsBook, AppointmentsRead, Permission as _};
use crate::auth::{chart, clinic};
use crate::command::Written;
use crate::if_match::tagged;
use crate::problem::{Extension, Problem};
use crate::reads::patients::{self, Keys};
use crate::reads::scheduling as reads;
use crate::state::ApiState;
use crate::trace::Trace;
use crate::views::appointments::AppointmentWritten;
use crate::views::scheduling::told;

/// A person's words, if there are any.
pub(super) fn words(field: &'static str, given: Option<String>) -> Result<Option<String>, Problem> {
    given.map(|text| super::text(field, text)).transpose()
}

/// The schedule of a slot at which the caller may book.
pub(crate) async fn bookable(tx: &mut Tx<'_>, who: &Identity, slot: Uuid) -> Result<Uuid, Problem> {
    let slot = queries::slot(tx.conn(), slot)
        .await?
        .ok_or_else(|| Problem::unknown("slots.unknown", "no slot has this id"))?;
    clinic::own(
        who,
        AppointmentsBook::NAME,
        slot.facility.as_deref(),
        slot.department.as_deref(),
    )?;
    Ok(slot.schedule_id)
}

/// Who can't have the slot is told which he can.
pub(crate) async fn instead<T>(
    state: &ApiState,
    who: &Identity,
    slot: Uuid,
    written: Result<T, Problem>,
) -> Result<T, Problem> {
    match written {
        Err(mut problem) if problem.code.starts_with("slots.") => {
            let mut tx = state.read(&who.tenant).await?;
            let alternatives = reads::alternatives(&mut tx, slot).await?;
            problem.extension = Some(Box::new(Extension {
                alternatives,
                ..Extension::default()
            }));
            Err(problem)
        }
        written => written,
    }
}

/// An appointment that was written, with its ETag.
pub(super) fn answered(written: Written) -> Response {
    match written {
        Written::Applied(answer) => {
            let view: AppointmentWritten = told(answer);
            tagged(&view, view.version)
        }
        pending @ Written::Pending(_) => pending.respond(told::<AppointmentWritten>),
    }
}

/// Several states, parted by commas.
pub(super) fn states(
    given: Option<&str>,
    is_one: &dyn Fn(&str) -> bool,
) -> Result<Option<Vec<String>>, Problem> {
    let Some(given) = given else { return Ok(None) };
    let states: Vec<String> = given.split(',').map(|one| one.trim().to_owned()).collect();
    if states.iter().all(|one| is_one(one)) {
        Ok(Some(states))
    } else {
        Err(Problem::invalid("state", "names what is no state"))
    }
}

/// The keys of the patient that a list is asked for, after his chart was opened.
pub(super) async fn chart_of(
    state: &ApiState,
    trace: &Trace,
    who: &Identity,
    tx: &mut Tx<'_>,
    asked: (Option<Uuid>, Option<&str>),
) -> Result<Option<Vec<Uuid>>, Problem> {
    let (patient, keys): (Uuid, Keys) = match asked {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Problem::invalid(
                "patient_id",
                "give either patient_id or patient_identifier",
            ));
        }
        (Some(id), None) => {
            let keys = patients::keys_of_patient(tx, id)
                .await?
                .ok_or_else(super::patients::no_patient)?;
            (id, keys)
        }
        (None, Some(text)) => {
            let keys = patients::keys_of_identifier(tx, text).await?;
            let person = keys.values().flatten().next().copied().unwrap_or_default();
            (person, keys)
        }
    };
    chart::open(
        state,
        trace,
        who,
        AppointmentsRead::NAME,
        tx,
        patient,
        &keys,
    )
    .await?;
    Ok(Some(keys.into_keys().collect()))
}

/// What tells about a patient is for who works at the place, and for who may open his chart.
pub(super) async fn seen(
    state: &ApiState,
    trace: &Trace,
    who: &Identity,
    tx: &mut Tx<'_>,
    subject: Uuid,
    (facility, department): (Option<&str>, Option<&str>),
) -> Result<(), Problem> {
    let works_there = clinic::places(who, AppointmentsRead::NAME).is_some()
        && clinic::is_own(who, AppointmentsRead::NAME, facility, department);
    if works_there {
        return Ok(());
    }
    let (patient, keys) = reads::person_of_key(tx, subject).await?;
    chart::open(
        state,
        trace,
        who,
        AppointmentsRead::NAME,
        tx,
        patient.unwrap_or_default(),
        &keys,
    )
    .await
}

/// An appointment that the caller may write.
pub(crate) async fn own(
    state: &ApiState,
    who: &Identity,
    permission: &'static str,
    id: Uuid,
) -> Result<AppointmentRow, Problem> {
    let mut tx = state.read(&who.tenant).await?;
    let row = reads::appointment_row(&mut tx, id).await?;
    clinic::own(
        who,
        permission,
        row.facility.as_deref(),
        row.department.as_deref(),
    )?;
    Ok(row)
}
