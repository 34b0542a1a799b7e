//! Stays as staff lead them over REST, beside what hospital systems report: one row an encounter, whoever speaks of it.
//!
//! A step is checked against the table of stages, becomes the same kind of fact that ADT messages become, and goes the same way
//! (`encounters`, `beds`, then the register of beds). The difference is what happens when the register can't follow: a hospital
//! system's word stands and the difference is listed; a step of staff is refused and leaves no trace.

use hub_core::{Refusal, Tx};

use crate::batch::Batch;
use crate::encounters::Reported;
use crate::{beds, encounters};

pub(crate) mod assignments;
pub mod bed_days;
pub(crate) mod bed_state;
pub(crate) mod differences;
pub(crate) mod gates;
mod house;
mod open;
pub(crate) mod stage;
mod step;

use differences::Reason;
pub(crate) use step::moment_or;

/// Carries out every command about the house and about stays. The house goes first; in one batch a bed may be made and given.
pub(crate) async fn command(tx: &mut Tx<'_>, batch: &mut Batch<'_>) -> Result<(), sqlx::Error> {
    house::apply(tx, batch).await?;
    open::apply(tx, batch).await?;
    step::apply(tx, batch).await?;
    differences::resolve(tx, batch).await
}

/// Begins what may have to be taken back.
async fn begin(tx: &mut Tx<'_>) -> Result<(), sqlx::Error> {
    sqlx::query("savepoint stay")
        .execute(tx.conn())
        .await
        .map(drop)
}

/// Ends it: kept, or taken back with everything that was said.
async fn end(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    outcome: Result<(), Refusal>,
) -> Result<bool, sqlx::Error> {
    let Err(refusal) = outcome else {
        sqlx::query("release savepoint stay")
            .execute(tx.conn())
            .await?;
        return Ok(true);
    };
    sqlx::query("rollback to savepoint stay")
        .execute(tx.conn())
        .await?;
    sqlx::query("release savepoint stay")
        .execute(tx.conn())
        .await?;
    batch.refuse(slot, refusal);
    Ok(false)
}

/// The fact goes the way of all facts. Where the register can't follow it, that is a refusal; what it brought up about others is
/// listed.
async fn file(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    fact: Reported<'_>,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    let key = fact.key;
    let facts = [fact];
    encounters::file(tx, batch, &facts).await?;
    let conflicts = beds::apply(tx, batch, &facts).await?;
    let (own, others): (Vec<_>, Vec<_>) = conflicts
        .into_iter()
        .partition(|one| one.found.encounter_key == key || one.found.reason == Reason::BedUnknown);
    if let Some(first) = own.first() {
        let code = match first.found.reason {
            Reason::SecondBed => "adt.already_admitted",
            _ => "adt.bed_conflict",
        };
        return Ok(Err(Refusal::new(code, first.detail.clone())));
    }
    differences::held(tx, batch, &others).await?;
    Ok(Ok(()))
}
