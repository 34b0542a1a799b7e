//! What staff say of an encounter over REST beside what hospital systems say; and whose word stands where both speak of its place.

use hub_core::Tx;
use schemas::Patch;
use schemas::care::{EncounterAction, Location};
use schemas::devices::Bed;
use serde_json::Value;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use super::{Encounter, Reported, Stage, stored};
use crate::stays::differences::{Found, Reason};

/// What only staff say of an encounter.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) encounter_id: Uuid,
    /// Absent: it stays.
    pub(crate) stage: Option<Stage>,
    pub(crate) department_id: Option<Uuid>,
    pub(crate) token: Option<(Date, i32)>,
    pub(crate) reason: Patch<String>,
    pub(crate) priority: Patch<String>,
    pub(crate) payer: Patch<String>,
    pub(crate) ward_class: Patch<String>,
    pub(crate) medico_legal: Option<bool>,
    pub(crate) expected_at: Patch<OffsetDateTime>,
    pub(crate) ending: Patch<Value>,
}

impl Desk {
    pub(super) fn apply_to(&self, encounter: &mut Encounter) {
        encounter.desk = true;
        if let Some(stage) = self.stage {
            encounter.stage = Some(stage.as_str().to_owned());
        }
        encounter.department_id = self.department_id.or(encounter.department_id);
        if let Some((day, token)) = self.token {
            encounter.token_day = Some(day);
            encounter.token = Some(token);
        }
        self.reason.apply_to(&mut encounter.reason);
        self.priority.apply_to(&mut encounter.priority);
        self.payer.apply_to(&mut encounter.payer);
        self.ward_class.apply_to(&mut encounter.ward_class);
        encounter.medico_legal = self.medico_legal.or(encounter.medico_legal);
        self.expected_at.apply_to(&mut encounter.expected_at);
        self.ending.apply_to(&mut encounter.ending);
    }
}

/// An update (A08) repeats where its system believes the patient to be. Where staff have moved him over REST, that moves nobody back:
/// it is listed. A transfer (A02) is a movement whoever says it.
pub(super) async fn kept_where_staff_say(
    tx: &mut Tx<'_>,
    reported: &mut [Reported<'_>],
) -> Result<Vec<Found>, sqlx::Error> {
    let places = |one: &Reported<'_>| {
        one.said.action == EncounterAction::Updated && one.said.location.as_set().is_some()
    };
    let keys: Vec<Uuid> = reported
        .iter()
        .filter(|one| places(one))
        .map(|one| one.key)
        .collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let led = stored::led_by_staff(tx, &keys).await?;
    let mut differ = Vec::new();
    for one in reported.iter_mut().filter(|one| places(one)) {
        let Some((id, stands)) = led.get(&one.key) else {
            continue;
        };
        let Patch::Set(named) = std::mem::take(&mut one.said.location) else {
            continue;
        };
        one.said.prior_location = Patch::Keep;
        let stands: Location = stands
            .clone()
            .and_then(|place| serde_json::from_value(place).ok())
            .unwrap_or_default();
        let same = match (Bed::of(&named), Bed::of(&stands)) {
            (Some(named), Some(stands)) => named.may_be(&stands),
            (Some(_), None) => false,
            (None, _) => {
                named.point_of_care.is_none() || named.point_of_care == stands.point_of_care
            }
        };
        if !same {
            differ.push(Found {
                slot: one.slot,
                reason: Reason::MovedElsewhere,
                encounter_key: one.key,
                encounter_id: Some(*id),
                bed_key: Bed::of(&named).map_or(Uuid::nil(), |bed| bed.key(&one.envelope.tenant)),
                bed_id: None,
                place: serde_json::to_value(&named).ok(),
            });
        }
    }
    Ok(differ)
}
