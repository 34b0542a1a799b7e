//! Rounds of observations that staff enter, the score that the rule pack makes of each, and the tasks that follow from it.
//!
//! What is entered stands beside what devices measure (`clinical.vitals`). A value is corrected by a next version, and the score
//! of its round is made anew; nothing is deleted. A score is never filled by guesses: a part that nobody entered and no device
//! measured in time is missing.

use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::rounds::{
    AdvanceTask, CorrectObservation, EndOxygenTarget, OrderOxygenTarget, RecordObservations,
};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::batch::Batch;
use crate::body;

mod entered;
pub(crate) mod news2;
mod oxygen;
mod person;
mod scoring;
mod tasks;

use news2::News2;

/// What a command came to: done, or refused without a trace.
type Outcome = Result<Result<(), Refusal>, sqlx::Error>;

/// Name in `clinical.vitals.channel` of what people entered; no link may have it (`clinical.vitals.matched_by` is `entry`).
pub(crate) const STAFF: &str = "staff";

/// One after the other: what follows may rest on what goes before.
pub(crate) async fn command(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    pack: &News2,
) -> Result<(), sqlx::Error> {
    for slot in 0..batch.envelopes.len() {
        let envelope = &batch.envelopes[slot];
        macro_rules! run {
            ($kind:ty, |$command:ident| $apply:expr) => {
                match body::decode::<$kind>(envelope) {
                    Ok($command) => $apply.await?,
                    Err(refusal) => Err(refusal),
                }
            };
        }
        let done = match envelope.name.as_str() {
            RecordObservations::NAME => {
                run!(RecordObservations, |command| entered::record(
                    tx, batch, slot, pack, &command
                ))
            }
            CorrectObservation::NAME => {
                run!(CorrectObservation, |command| entered::correct(
                    tx, batch, slot, pack, &command
                ))
            }
            OrderOxygenTarget::NAME => {
                run!(OrderOxygenTarget, |command| oxygen::order(
                    tx, batch, slot, &command
                ))
            }
            EndOxygenTarget::NAME => {
                run!(EndOxygenTarget, |command| oxygen::end(
                    tx, batch, slot, &command
                ))
            }
            AdvanceTask::NAME => {
                run!(AdvanceTask, |command| tasks::advance(
                    tx, batch, slot, &command
                ))
            }
            _ => continue,
        };
        if let Err(refusal) = done {
            batch.refuse(slot, refusal);
        }
    }
    Ok(())
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}
