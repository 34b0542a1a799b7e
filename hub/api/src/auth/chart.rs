//! May this caller open this patient's chart? By his permission in the whole hospital, by a place of his where the patient
//! is, or by glass he broke. Only then is anything clinical of the patient shown.

use hub_core::Tx;
use schemas::commands::RecordAccess;
use uuid::Uuid;

use super::identity::{Identity, Place, Reach};
use super::permission::{PatientsRestrict, Permission as _, no_relationship};
use crate::command::Sender;
use crate::problem::Problem;
use crate::reads::patients::Keys;
use crate::state::ApiState;
use crate::trace::Trace;

/// Opens the part of a chart that `permission` shows, of a patient whose record was asked for as `patient`; `keys` are all
/// his identifiers'.
///
/// # Errors
/// 403 `auth.relationship`; 503 when a look through broken glass can't be put on record.
pub(crate) async fn open(
    state: &ApiState,
    trace: &Trace,
    who: &Identity,
    permission: &str,
    tx: &mut Tx<'_>,
    patient: Uuid,
    keys: &Keys,
) -> Result<(), Problem> {
    if who.reach(permission) == Reach::Everywhere
        && !state.demands_relationship(who)
        && (who.may(PatientsRestrict::NAME) || !is_restricted(tx, keys).await?)
    {
        return Ok(());
    }
    if is_at(tx, who.places(permission), keys).await? {
        return Ok(());
    }
    let mut records: Vec<Uuid> = keys.values().copied().flatten().collect();
    records.push(patient);
    if !who.broke_glass_of(&records) {
        return Err(no_relationship());
    }
    let access = RecordAccess {
        action: "chart.read_in_emergency".to_owned(),
        object: format!("patient {patient}"),
        actor: who.username.clone(),
        reason: None,
    };
    Sender::new(state, who, trace).record(&access).await
}

/// The same for a list that is asked for by an identifier, whose permission holds in the whole hospital: a restricted chart is
/// as closed there as anywhere.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_if_restricted(
    state: &ApiState,
    trace: &Trace,
    who: &Identity,
    permission: &str,
    tx: &mut Tx<'_>,
    keys: &Keys,
) -> Result<(), Problem> {
    match keys.values().flatten().next() {
        Some(patient) if !who.may(PatientsRestrict::NAME) => {
            open(state, trace, who, permission, tx, *patient, keys).await
        }
        _ => Ok(()),
    }
}

async fn is_restricted(tx: &mut Tx<'_>, keys: &Keys) -> Result<bool, Problem> {
    let mut patients: Vec<Uuid> = keys.values().copied().flatten().collect();
    patients.sort_unstable();
    patients.dedup();
    Ok(worker_patient::queries::is_restricted(tx.conn(), &patients).await?)
}

async fn is_at(tx: &mut Tx<'_>, places: Vec<Place>, keys: &Keys) -> Result<bool, Problem> {
    if places.is_empty() {
        return Ok(false);
    }
    let (facilities, departments): (Vec<String>, Vec<String>) = places
        .into_iter()
        .map(|place| (place.facility, place.department.unwrap_or_default()))
        .unzip();
    let keys: Vec<Uuid> = keys.keys().copied().collect();
    Ok(
        worker_clinical::queries::is_in_care_at(tx.conn(), &keys, &facilities, &departments)
            .await?,
    )
}
