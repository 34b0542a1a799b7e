//! Specimens: found, labelled, collected, received, rejected.

use uuid::Uuid;

use super::asking::Desk;
use super::step::{Refusals, refusals};
use crate::auth::identity::Reach;
use crate::auth::permission::{Permission, no_relationship};
use crate::problem::Problem;
use crate::reads::specimens as reads;
use crate::routing::Routes;

mod finding;
mod labels;
mod steps;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .merge(finding::routes())
        .merge(labels::routes())
        .merge(steps::routes())
}

fn no_specimen() -> Problem {
    Problem::unknown("specimens.unknown", "no specimen has this id")
}

/// The lane of a specimen, once it is clear that the caller may see it.
async fn opened<P: Permission>(desk: &Desk<P>, id: Uuid) -> Result<String, Problem> {
    let mut tx = desk.tx().await?;
    let row = reads::kept(&mut tx, id).await?.ok_or_else(no_specimen)?;
    let subject = row.specimen.subject_key;
    // what is nobody's is in no place
    if subject.is_none() && desk.who().reach(P::NAME) != Reach::Everywhere {
        return Err(no_relationship());
    }
    desk.sight().open_tube(&mut tx, subject).await?;
    Ok(subject.unwrap_or(id).to_string())
}

/// What a step or a change of a specimen may be refused with.
struct StepRefusals;

impl utoipa::IntoResponses for StepRefusals {
    fn responses() -> Refusals {
        refusals(&[
            (
                "403",
                "the permission is missing (`auth.permission`), or the chart is closed to you (`auth.relationship`)",
            ),
            ("404", "no specimen has this id (`specimens.unknown`)"),
            (
                "409",
                "not possible from where it stands; the detail names from, to and allowed (`clinical.specimen_conflict`)",
            ),
            (
                "412",
                "somebody changed it meanwhile (`clinical.specimen_stale`)",
            ),
        ])
    }
}
