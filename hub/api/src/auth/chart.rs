//! May this caller open this patient's chart? By his permission in the whole hospital, by a place of his where the patient
//! is, or by glass he broke. Only then is anything clinical of the patient shown.

use std::collections::{BTreeMap, HashSet};

use axum::http::StatusCode;
use hub_core::Tx;
use schemas::commands::RecordAccess;
use uuid::Uuid;

use super::identity::{Identity, Place, Reach};
use super::permission::{PatientsRestrict, Permission as _, SpecimensAll, no_relationship};
use crate::command::Sender;
use crate::problem::Problem;
use crate::reads::chart;
use crate::reads::patients::{self, Keys};
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

/// How a caller looks at rows that he did not come to through one patient's chart: lists by an identifier, a number or a state, and
/// things that are read by their own id. The one place that decides which of them he sees.
///
/// A restricted chart is as closed there as anywhere, save to who works on specimens ([`SpecimensAll`]): the laboratory must see
/// every tube, whosever it is, and comes to it by the tube and not by the patient.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) state: &'a ApiState,
    pub(crate) trace: &'a Trace,
    pub(crate) who: &'a Identity,
    pub(crate) permission: &'static str,
}

impl<'a> Sight<'a> {
    pub(crate) fn new(
        state: &'a ApiState,
        trace: &'a Trace,
        who: &'a Identity,
        permission: &'static str,
    ) -> Self {
        Self {
            state,
            trace,
            who,
            permission,
        }
    }

    /// Of the people whom an identifier means, those whose charts are open. Several may have the same number in different systems,
    /// and a way to one of them is none to the others.
    ///
    /// # Errors
    /// 403 `auth.relationship` when all of them are closed; as [`open`].
    pub(crate) async fn narrowed(&self, tx: &mut Tx<'_>, keys: Keys) -> Result<Keys, Problem> {
        if self.who.may(PatientsRestrict::NAME) {
            return Ok(keys);
        }
        let mut refused = None;
        let mut seen = Keys::new();
        for (patient, of_him) in by_person(&keys) {
            match self.opened(tx, patient, &of_him).await? {
                Ok(()) => seen.extend(of_him),
                Err(problem) => refused = Some(problem),
            }
        }
        // keys of nobody whom the index knows: clinical rows may be ahead of it
        seen.extend(keys.into_iter().filter(|(_, patient)| patient.is_none()));
        match refused {
            Some(problem) if seen.is_empty() => Err(problem),
            _ => Ok(seen),
        }
    }

    /// Of the people whose rows these are, those whose charts are closed; rows of a chart, not of a tube.
    ///
    /// # Errors
    /// As [`open`].
    pub(crate) async fn closed(&self, tx: &mut Tx<'_>, keys: &Keys) -> Result<Closed, Problem> {
        if self.who.may(PatientsRestrict::NAME) {
            return Ok(Closed::default());
        }
        let mut people: Vec<Uuid> = keys.values().copied().flatten().collect();
        people.sort_unstable();
        people.dedup();
        let restricted = worker_patient::queries::restricted(tx.conn(), &people).await?;
        let mut closed = Closed::default();
        for patient in restricted {
            // a row names him by one of his numbers: where he is, any of them may say
            let all = patients::keys_of_patient(tx, patient)
                .await?
                .unwrap_or_default();
            if self.opened(tx, patient, &all).await?.is_err() {
                closed.0.insert(patient);
            }
        }
        Ok(closed)
    }

    /// The same of rows about tubes: orders, reports, results, and what waits in the laboratory.
    ///
    /// # Errors
    /// As [`open`].
    pub(crate) async fn closed_tubes(
        &self,
        tx: &mut Tx<'_>,
        keys: &Keys,
    ) -> Result<Closed, Problem> {
        if self.works_on_tubes() {
            return Ok(Closed::default());
        }
        self.closed(tx, keys).await
    }

    /// Opens one thing that was found by its own id, and is about a tube: whose it is; `None`: nobody's.
    ///
    /// # Errors
    /// As [`open`].
    pub(crate) async fn open_tube(
        &self,
        tx: &mut Tx<'_>,
        subject: Option<Uuid>,
    ) -> Result<Option<Uuid>, Problem> {
        let Some(key) = subject else {
            return Ok(None);
        };
        let (patient, keys) = chart::whose(tx, key).await?;
        if !self.works_on_tubes() {
            self.opened(tx, patient.unwrap_or_default(), &keys)
                .await??;
        }
        Ok(patient)
    }

    fn works_on_tubes(&self) -> bool {
        works_on_tubes(self.state, self.who, self.permission)
    }

    /// Whether this chart is open; the outer error says that it could not be told.
    async fn opened(
        &self,
        tx: &mut Tx<'_>,
        patient: Uuid,
        keys: &Keys,
    ) -> Result<Result<(), Problem>, Problem> {
        let Self {
            state,
            trace,
            who,
            permission,
        } = *self;
        match open(state, trace, who, permission, tx, patient, keys).await {
            Err(problem) if problem.status != StatusCode::FORBIDDEN => Err(problem),
            told => Ok(told),
        }
    }
}

/// He sees under this permission what every tube holds, whosever it is.
pub(crate) fn works_on_tubes(state: &ApiState, who: &Identity, permission: &str) -> bool {
    who.reach(permission) == Reach::Everywhere
        && who.may(SpecimensAll::NAME)
        && !state.demands_relationship(who)
}

/// People whose charts are closed to a caller.
#[derive(Debug, Default)]
pub(crate) struct Closed(HashSet<Uuid>);

impl Closed {
    /// The rows of the others; a row of nobody is no chart's.
    pub(crate) fn pass<R>(&self, rows: Vec<R>, patient: impl Fn(&R) -> Option<Uuid>) -> Vec<R> {
        if self.0.is_empty() {
            return rows;
        }
        let open = |row: &R| patient(row).is_none_or(|patient| !self.0.contains(&patient));
        rows.into_iter().filter(open).collect()
    }

    /// The same of what was asked for by a number. When nothing is left the caller is told why: a tube that seems to be empty is
    /// ordered again.
    ///
    /// # Errors
    /// 403 `auth.relationship`.
    pub(crate) fn show<R>(
        &self,
        rows: Vec<R>,
        patient: impl Fn(&R) -> Option<Uuid>,
    ) -> Result<Vec<R>, Problem> {
        let found = !rows.is_empty();
        let open = self.pass(rows, patient);
        if found && open.is_empty() {
            return Err(no_relationship());
        }
        Ok(open)
    }
}

/// The keys of each person among these.
fn by_person(keys: &Keys) -> BTreeMap<Uuid, Keys> {
    let mut people: BTreeMap<Uuid, Keys> = BTreeMap::new();
    for (key, patient) in keys {
        if let Some(patient) = patient {
            let of_him = people.entry(*patient).or_default();
            of_him.insert(*key, Some(*patient));
        }
    }
    people
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
