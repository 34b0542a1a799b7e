//! Whose a report is, by the orders on its specimen: by exactly that number, never by a name.
//!
//! One look-up a batch of the numbers that its reports carry. A report that names no patient gets the one of the order; one
//! that names another than the order goes on nobody's chart until a person says whose it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hub_core::Tx;
use uuid::Uuid;

use super::filing::Filing;
use crate::tubes::{self, Owner};
use crate::unmatched::Reason;

/// Settles every filing; answers the numbers on which orders wait for these reports, each with the message that came last.
pub(super) async fn settle(
    tx: &mut Tx<'_>,
    filings: &mut [Filing<'_>],
) -> Result<BTreeMap<String, usize>, sqlx::Error> {
    let owners = {
        let nameless: BTreeSet<&str> = filings
            .iter()
            .filter(|filing| filing.named().is_none())
            .filter_map(Filing::specimen_number)
            .collect();
        let all: BTreeSet<&str> = filings.iter().filter_map(Filing::specimen_number).collect();
        tubes::lock(tx, &nameless).await?;
        tubes::owners(tx, &all).await?
    };
    let mut awaited = BTreeMap::new();
    for filing in filings {
        let number = filing.specimen_number().map(str::to_owned);
        let owner = number.as_ref().and_then(|number| owners.get(number));
        let verdict = match filing.named() {
            Some(named) => agrees(named, owner),
            None => found(number.as_deref(), &owners),
        };
        filing.settle(verdict);
        if let (Ok(_), Some(number)) = (verdict, number)
            && owner.is_some_and(|owner| owner.open.is_some())
        {
            awaited.insert(number, filing.slot);
        }
    }
    Ok(awaited)
}

fn agrees(named: Uuid, owner: Option<&Owner>) -> Result<Uuid, Reason> {
    if owner.is_some_and(|owner| owner.is_not(named)) {
        Err(Reason::PatientMismatch)
    } else {
        Ok(named)
    }
}

fn found(number: Option<&str>, owners: &HashMap<String, Owner>) -> Result<Uuid, Reason> {
    let number = number.ok_or(Reason::NoSpecimen)?;
    let owner = owners.get(number).ok_or(Reason::UnknownSpecimen)?;
    owner.subject().ok_or(Reason::NoOpenOrder)
}
