//! Which charts the caller may open: the rules are `auth::chart`'s; here they are asked once a patient and permission.

use std::collections::HashMap;

use axum::http::StatusCode;
use hub_core::Tx;
use uuid::Uuid;

use super::call::Call;
use crate::auth::chart;
use crate::auth::identity::{Identity, Reach};
use crate::auth::permission::{PatientsRestrict, Permission as _};
use crate::problem::Problem;
use crate::reads::patients;
use crate::state::ApiState;

/// Charts that were asked for in one request, and what came of it.
#[derive(Default)]
pub(crate) struct Doors {
    asked: HashMap<(Uuid, &'static str), Option<Problem>>,
}

impl Doors {
    /// May the caller see this, which is in this patient's chart, under this permission?
    ///
    /// # Errors
    /// 403, or that it could not be told.
    pub(crate) async fn open(
        &mut self,
        state: &ApiState,
        call: &Call,
        who: &Identity,
        tx: &mut Tx<'_>,
        permission: &'static str,
        patient: Option<Uuid>,
    ) -> Result<(), Problem> {
        match who.reach(permission) {
            Reach::Nowhere => return Err(Problem::forbidden(permission)),
            // of a patient his chart may still be restricted, which `auth::chart` asks
            Reach::Everywhere
                if !state.demands_relationship(who)
                    && (patient.is_none() || who.may(PatientsRestrict::NAME)) =>
            {
                return Ok(());
            }
            Reach::Everywhere | Reach::Places(_) => {}
        }
        let Some(patient) = patient else {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "auth.scope",
                format!("this is on nobody's chart: it needs {permission} for the whole hospital"),
            )
            .lacking(permission));
        };
        if let Some(known) = self.asked.get(&(patient, permission)) {
            return known.clone().map_or(Ok(()), Err);
        }
        let keys = patients::keys_of_patient(tx, patient)
            .await?
            .unwrap_or_default();
        let opened = chart::open(state, &call.trace, who, permission, tx, patient, &keys).await;
        match opened {
            Err(problem) if problem.status != StatusCode::FORBIDDEN => Err(problem),
            opened => {
                self.asked
                    .insert((patient, permission), opened.clone().err());
                opened
            }
        }
    }
}
