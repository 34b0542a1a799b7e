//! What comes with the matches of a search: what they refer to (`_include`), and where they come from
//! (`_revinclude=Provenance:target`). What the caller may not see is left out, as if it were not there.

use std::collections::HashSet;

use axum::http::StatusCode;
use hub_fhir::{Issue, Kind};

use super::asked::Include;
use super::call::Call;
use super::doors::Doors;
use super::fits::{found, target};
use super::source::{self, Found, Ground};
use super::table::wired;
use crate::auth::identity::{Identity, Reach};
use crate::auth::{chart, clinic};
use crate::problem::Problem;
use crate::state::ApiState;

/// Resources that may come with one page.
const MOST: usize = 1_000;

/// What is asked in.
pub(crate) struct Visit<'a> {
    pub(crate) state: &'a ApiState,
    pub(crate) call: &'a Call,
    pub(crate) who: &'a Identity,
}

impl Visit<'_> {
    /// May the caller see this?
    pub(crate) async fn sees(
        &self,
        ground: &mut Ground<'_, '_>,
        doors: &mut Doors,
        found: &Found,
    ) -> Result<bool, Problem> {
        match self.admitted(ground, doors, found).await {
            Ok(()) => Ok(true),
            Err(problem) if problem.status == StatusCode::FORBIDDEN => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// The same, with the reason why not. Whoever works on specimens comes to what is about a tube by the tube, as in REST; where it
    /// was the patient who was asked for, [`Visit::admitted_by_chart`] decides.
    pub(crate) async fn admitted(
        &self,
        ground: &mut Ground<'_, '_>,
        doors: &mut Doors,
        found: &Found,
    ) -> Result<(), Problem> {
        if found.is_of_tube() && chart::works_on_tubes(self.state, self.who, found.permission) {
            return Ok(());
        }
        self.admitted_by_chart(ground, doors, found).await
    }

    /// As one entry of a patient's chart.
    pub(crate) async fn admitted_by_chart(
        &self,
        ground: &mut Ground<'_, '_>,
        doors: &mut Doors,
        found: &Found,
    ) -> Result<(), Problem> {
        // as in REST: a desk sees who is booked there
        let works_there = found.clinic.as_ref().is_some_and(|at| {
            clinic::places(self.who, found.permission).is_some()
                && clinic::is_own(
                    self.who,
                    found.permission,
                    at.facility.as_deref(),
                    at.department.as_deref(),
                )
        });
        if found.of_chart && !works_there {
            return doors
                .open(
                    self.state,
                    self.call,
                    self.who,
                    ground.tx,
                    found.permission,
                    found.patient,
                )
                .await;
        }
        match self.who.reach(found.permission) {
            Reach::Nowhere => Err(Problem::forbidden(found.permission)),
            Reach::Everywhere | Reach::Places(_) => Ok(()),
        }
    }

    /// Everything that the matches refer to by these parameters.
    pub(crate) async fn included(
        &self,
        ground: &mut Ground<'_, '_>,
        doors: &mut Doors,
        matches: &[Found],
        includes: &[Include],
        remarks: &mut Vec<Issue>,
    ) -> Result<Vec<Found>, Problem> {
        let mut seen: HashSet<String> = matches
            .iter()
            .map(|found| found.resource.reference())
            .collect();
        let mut all = Vec::new();
        for reference in matches.iter().flat_map(|one| references(one, includes)) {
            if !seen.insert(reference.clone()) {
                continue;
            }
            if all.len() >= MOST {
                remarks.push(Issue::warning(
                    "incomplete",
                    format!("more than {MOST} resources would come with this page: ask for fewer matches"),
                ));
                break;
            }
            let (kind, id) = target(&reference);
            let Some(kind) = kind.and_then(|kind| kind.parse::<Kind>().ok()) else {
                continue;
            };
            if wired(kind).is_none() {
                continue;
            }
            if let Some(found) = source::one(ground, kind, id).await?
                && self.sees(ground, doors, &found).await?
            {
                all.push(found);
            }
        }
        Ok(all)
    }
}

fn references(one: &Found, includes: &[Include]) -> Vec<String> {
    includes
        .iter()
        .flat_map(|include| {
            found(include.param, one.resource.json())
                .into_iter()
                .filter_map(|value| value.get("reference")?.as_str().map(str::to_owned))
                .filter(|reference| {
                    include
                        .target
                        .is_none_or(|kind| target(reference).0 == Some(kind.as_str()))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}
