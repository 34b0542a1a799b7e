//! Steps towards the door: the discharge is initiated, its gates are cleared, the patient leaves, the stay is closed.

use hub_core::{Refusal, Tx};
use schemas::Patch;
use schemas::care::EncounterAction;
use schemas::stays::{DischargeInitiated, Disposition, Gate, GateCleared, Step};
use serde_json::{Value, json};

use super::{Outcome, Says, Walk};
use crate::batch::Batch;
use crate::body;
use crate::encounters::Desk;
use crate::stays::gates;
use crate::stays::stage::{self, Move, Stage};

impl Walk<'_> {
    pub(super) async fn initiate(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        disposition: Disposition,
        expected_at: Option<&str>,
    ) -> Outcome {
        let to = match self.next(Move::InitiateDischarge) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let expected = match body::time(expected_at, "expected_at") {
            Ok(expected) => expected,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let needed = gates::put_up(tx, &self.encounter).await?;
        let desk = Desk {
            expected_at: expected.into(),
            ending: Patch::Set(json!({ "disposition": disposition.as_str() })),
            ..self.desk(to)
        };
        let said = self.say(tx, batch, Says::only(desk)).await?;
        batch.say(
            self.slot,
            &DischargeInitiated {
                encounter_id: self.encounter.id,
                disposition,
                expected_at: expected_at.map(str::to_owned),
                gates: needed,
            },
        );
        Ok(said)
    }

    pub(super) async fn clear(
        &self,
        tx: &mut Tx<'_>,
        batch: &mut Batch<'_>,
        gate: Gate,
        note: Option<&str>,
        despite: Option<&str>,
    ) -> Outcome {
        let open: Vec<Gate> = gates::standing(tx, self.encounter.id)
            .await?
            .into_iter()
            .filter(|(_, state)| state == "open")
            .map(|(gate, _)| gate)
            .collect();
        let left: Vec<Gate> = open.iter().copied().filter(|one| *one != gate).collect();
        let step = if left.is_empty() {
            Move::ClearLastGate
        } else {
            Move::ClearGate
        };
        let to = match self.next(step) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if gate == Gate::Clinical && despite.is_none() {
            let blocking = gates::blocking(tx.conn(), self.encounter.id).await?;
            if !blocking.is_empty() {
                let links: Vec<String> = blocking
                    .iter()
                    .take(20)
                    .map(|one| format!("/api/v1/orders/{}", one.order_id))
                    .collect();
                return Ok(Err(Refusal::new(
                    "adt.gate_conflict",
                    format!(
                        "{} open orders stand before the clinical gate: {}",
                        blocking.len(),
                        links.join(", ")
                    ),
                )));
            }
        }
        if !gates::clear(
            tx,
            self.encounter.id,
            gate,
            &self.command.actor,
            despite.or(note),
        )
        .await?
        {
            return Ok(Err(Refusal::new(
                "adt.gate_closed",
                format!("the gate {} is not open", gate.as_str()),
            )));
        }
        let said = self.say(tx, batch, Says::only(self.desk(to))).await?;
        batch.say(
            self.slot,
            &GateCleared {
                encounter_id: self.encounter.id,
                gate,
                by: self.command.actor.clone(),
                open: left,
            },
        );
        Ok(said)
    }

    pub(super) async fn leave(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        let Step::Leave {
            disposition,
            cause_of_death,
            form,
            note,
        } = &self.command.step
        else {
            return Ok(Ok(()));
        };
        let initiated = self
            .encounter
            .ending
            .as_ref()
            .and_then(|ending| serde_json::from_value(ending["disposition"].clone()).ok());
        let disposition = disposition.or(initiated).unwrap_or(Disposition::Home);
        let step = if disposition == Disposition::Home {
            Move::Leave
        } else {
            Move::LeaveUncleared
        };
        let to = match self.next(step) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(self.gated(tx, refusal).await?)),
        };
        if disposition == Disposition::Death && cause_of_death.is_none() {
            return Ok(Err(Refusal::new(
                "adt.cause_of_death",
                "a death needs `cause_of_death`",
            )));
        }
        if let Some(refusal) = self.too_early(tx).await? {
            return Ok(Err(refusal));
        }
        // who goes without them leaves them behind: they stand before the closing of the stay
        if gates::standing(tx, self.encounter.id).await?.is_empty() {
            gates::put_up(tx, &self.encounter).await?;
        }
        let mut ending = json!({ "disposition": disposition.as_str() });
        for (name, value) in [
            ("cause_of_death", cause_of_death),
            ("form", form),
            ("note", note),
        ] {
            if let Some(value) = value {
                ending[name] = Value::from(value.as_str());
            }
        }
        let desk = Desk {
            ending: Patch::Set(ending),
            ..self.desk(to)
        };
        self.say(
            tx,
            batch,
            Says {
                disposition: Some(disposition.as_str().to_owned()),
                left: true,
                ..Says::fact(EncounterAction::Discharged, desk)
            },
        )
        .await
    }

    pub(super) async fn close(&self, tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Outcome {
        let to = match self.next(Move::Close) {
            Ok(to) => to,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if let Some(refusal) = self.open_gates(tx).await? {
            return Ok(Err(refusal));
        }
        self.say(tx, batch, Says::only(self.desk(to))).await
    }

    /// Refused for its stage; where gates are why, each is named.
    pub(super) async fn gated(
        &self,
        tx: &mut Tx<'_>,
        refusal: Refusal,
    ) -> Result<Refusal, sqlx::Error> {
        if self.from != Some(Stage::DischargeInitiated) {
            return Ok(refusal);
        }
        Ok(self.open_gates(tx).await?.unwrap_or(refusal))
    }

    pub(super) async fn open_gates(&self, tx: &mut Tx<'_>) -> Result<Option<Refusal>, sqlx::Error> {
        let open: Vec<&'static str> = gates::standing(tx, self.encounter.id)
            .await?
            .iter()
            .filter(|(_, state)| state == "open")
            .map(|(gate, _)| gate.as_str())
            .collect();
        Ok((!open.is_empty()).then(|| {
            Refusal::new(
                "adt.gates_conflict",
                format!(
                    "gates are open: {}; see /api/v1/encounters/{}/gates; from: {}; allowed: {}",
                    open.join(", "),
                    self.encounter.id,
                    self.from.map_or("unknown", Stage::as_str),
                    stage::steps(self.from).join(", ")
                ),
            )
        }))
    }
}
