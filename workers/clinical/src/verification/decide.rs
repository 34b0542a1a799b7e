//! What people decide: verify, reject, reopen, comment. Each item by itself: one that can't be decided stops no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hub_core::mappings::Mappings;
use hub_core::{Refusal, Tx};
use schemas::Body;
use schemas::verification::{CommentResult, DecideResults, Decision, RerunResult, Seen};
use serde_json::json;
use uuid::Uuid;

use super::pack::{Autoverify, Release};
use super::state::{Action, State, transition};
use super::{release, rerun};
use crate::batch::Batch;
use crate::criticals::{self, Suspects};
use crate::packs::RulePacks;
use crate::{audit, body};

mod record;

pub(super) use record::note;
use record::{replace_runs, write};

/// Items in one command: an answer stays readable and a transaction short.
const MOST: usize = 200;

/// A row as it stands, locked.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct Item {
    pub(super) id: i64,
    pub(super) report_id: Uuid,
    pub(super) channel: String,
    pub(super) code: String,
    code_system: Option<String>,
    sub_id: Option<String>,
    value_kind: String,
    pub(super) loinc: Option<String>,
    pub(super) specimen_number: Option<String>,
    pub(super) subject_key: Option<Uuid>,
    pub(super) current: bool,
    state: String,
    blocked: bool,
    /// The laboratory rejected its specimen: before it was measured, after, or since it was decided; whatever check its row names.
    of_rejected: bool,
    decided_by: Option<String>,
    pub(super) rerun_by: Option<String>,
    pub(super) rerun_order: Option<Uuid>,
    makers: Vec<String>,
    pub(super) revision: i32,
    held: Option<String>,
}

impl Item {
    pub(super) fn state(&self) -> State {
        State::stored(&self.state)
    }

    /// A run of the same test on the same sample: one of them counts.
    fn is_run_with(&self, other: &Self) -> bool {
        let measured = |item: &Self| matches!(item.value_kind.as_str(), "quantity" | "absent");
        measured(self)
            && measured(other)
            && self.specimen_number.is_some()
            && self.specimen_number == other.specimen_number
            && self.subject_key == other.subject_key
            && self.channel == other.channel
            && self.code == other.code
            && self.code_system == other.code_system
            && self.sub_id == other.sub_id
    }
}

/// Carries out the commands of a batch.
pub(crate) async fn command(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    packs: &RulePacks,
    maps: &Mappings,
) -> Result<(), sqlx::Error> {
    for slot in batch.named(DecideResults::NAME) {
        match body::decode::<DecideResults>(&batch.envelopes[slot]).and_then(checked) {
            Ok(command) => decide(tx, batch, slot, &command, packs).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for slot in batch.named(RerunResult::NAME) {
        match body::decode::<RerunResult>(&batch.envelopes[slot]) {
            Ok(command) => rerun::ask(tx, batch, slot, &command, maps).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    for slot in batch.named(CommentResult::NAME) {
        match body::decode::<CommentResult>(&batch.envelopes[slot]) {
            Ok(command) => remark(tx, batch, slot, &command).await?,
            Err(refusal) => batch.refuse(slot, refusal),
        }
    }
    Ok(())
}

fn checked(mut command: DecideResults) -> Result<DecideResults, Refusal> {
    command.comment = command
        .comment
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    let distinct: BTreeSet<i64> = command
        .items
        .iter()
        .map(|item| item.verification_id)
        .collect();
    if command.items.is_empty() || command.items.len() > MOST {
        return Err(Refusal::new(
            "clinical.verification_items",
            format!("1 to {MOST} items are decided at once"),
        ));
    }
    if distinct.len() != command.items.len() {
        return Err(Refusal::new(
            "clinical.verification_items",
            "an item stands twice",
        ));
    }
    if command.comment.is_none() && command.decision != Decision::Verify {
        return Err(Refusal::new(
            "clinical.verification_comment",
            "say why in the comment",
        ));
    }
    Ok(command)
}

/// Locks the rows, their reports first, as filing does.
pub(super) async fn lock(tx: &mut Tx<'_>, ids: &[i64]) -> Result<HashMap<i64, Item>, sqlx::Error> {
    sqlx::query(
        "select from clinical.reports where id in (select report_id from clinical.verifications where id = any($1)) \
         order by id for update",
    )
    .bind(ids)
    .execute(tx.conn())
    .await?;
    let items: Vec<Item> = sqlx::query_as(
        "select standing.id, standing.report_id, standing.channel, standing.code, standing.code_system, standing.sub_id, \
         result.value_kind, standing.loinc, standing.specimen_number, \
         standing.subject_key, standing.current, standing.state, standing.blocked, standing.decided_by, \
         standing.rerun_by, standing.rerun_order, standing.makers, standing.revision, result.held, \
         exists (select from clinical.specimens as specimen \
             where coalesce(specimen.number, specimen.filler_number) = standing.specimen_number \
             and specimen.subject_key = standing.subject_key and specimen.rejected_at is not null) as of_rejected \
         from clinical.verifications as standing join clinical.results as result on result.report_id = standing.report_id \
         and result.item = standing.item and result.version = standing.version \
         where standing.id = any($1) order by standing.id for update of standing",
    )
    .bind(ids)
    .fetch_all(tx.conn())
    .await?;
    Ok(items.into_iter().map(|item| (item.id, item)).collect())
}

/// What an item comes to.
enum Outcome {
    /// It was decided so before, by the same person, from what he saw: a repeat.
    Stands(State, i32),
    Becomes(State, i32),
    Refused(Refusal),
}

/// The refusals that every command on an item shares.
pub(super) fn seen(item: Option<&Item>, seen: Seen) -> Result<&Item, Refusal> {
    let item = item.ok_or_else(unknown)?;
    if item.revision != seen.revision {
        return Err(Refusal::new(
            "clinical.verification_stale",
            format!("it has changed since: it is revision {} now", item.revision),
        ));
    }
    if !item.current {
        return Err(Refusal::new(
            "clinical.verification_not_open",
            "a later version or run of the result counts",
        ));
    }
    Ok(item)
}

fn unknown() -> Refusal {
    Refusal::new(
        "clinical.verification_unknown",
        "no result to verify has this id",
    )
}

fn outcome(
    item: Option<&Item>,
    wanted: Seen,
    command: &DecideResults,
    pack: &Autoverify,
) -> Outcome {
    if let Some(item) = item
        && is_repeat(item, wanted, command)
    {
        return Outcome::Stands(item.state(), item.revision);
    }
    match seen(item, wanted).and_then(|item| decided(item, command, pack)) {
        Ok(state) => Outcome::Becomes(state, wanted.revision + 1),
        Err(refusal) => Outcome::Refused(refusal),
    }
}

/// The same person's same decision, from a revision before this one: an answer was lost on its way.
fn is_repeat(item: &Item, wanted: Seen, command: &DecideResults) -> bool {
    let reached = match command.decision {
        Decision::Verify => matches!(item.state(), State::Verified | State::Released),
        Decision::Reject => item.state() == State::Rejected,
        Decision::Reopen => false,
    };
    reached
        && wanted.revision < item.revision
        && item.decided_by.as_deref() == Some(command.actor.as_str())
}

fn decided(item: &Item, command: &DecideResults, pack: &Autoverify) -> Result<State, Refusal> {
    let action = match command.decision {
        Decision::Verify => Action::Verify,
        Decision::Reject => Action::Reject,
        Decision::Reopen => Action::Reopen,
    };
    let state = transition(item.state(), action).ok_or_else(|| {
        Refusal::new(
            "clinical.verification_not_open",
            format!("it is {} already", item.state().as_str()),
        )
    })?;
    if command.decision != Decision::Verify {
        return Ok(state);
    }
    // a number without meaning is nothing to act on; a remark of the instrument is read as it stands
    let a_number = matches!(item.value_kind.as_str(), "quantity" | "range" | "ratio");
    if item.subject_key.is_none() || item.held.is_some() && a_number {
        return Err(Refusal::new(
            "clinical.verification_held",
            "it is not known what it means or whose it is; decide that first (worklists/held)",
        ));
    }
    if pack.second_person && item.makers.contains(&command.actor) {
        return Err(Refusal::new(
            "clinical.verification_not_allowed",
            "who entered or edited a result can't verify it",
        ));
    }
    if item.of_rejected && command.comment.is_none() {
        return Err(Refusal::new(
            "clinical.verification_comment",
            "its specimen was rejected; say in the comment why the result is good all the same",
        ));
    }
    if item.blocked && command.comment.is_none() {
        return Err(Refusal::new(
            "clinical.verification_comment",
            "the instrument flagged it as not to be used; say in the comment why it is good",
        ));
    }
    Ok(match pack.release {
        Release::Each => transition(state, Action::Release).unwrap_or(state),
        Release::Report => state,
    })
}

async fn decide(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &DecideResults,
    packs: &RulePacks,
) -> Result<(), sqlx::Error> {
    let pack = &packs.autoverify;
    let ids: Vec<i64> = command
        .items
        .iter()
        .map(|item| item.verification_id)
        .collect();
    let rows = lock(tx, &ids).await?;
    let mut answers = Vec::with_capacity(ids.len());
    let mut changed: Vec<(&Item, State)> = Vec::new();
    let mut first_refusal = None;
    for wanted in &command.items {
        let id = wanted.verification_id;
        let item = rows.get(&id);
        let other_run = item.is_some_and(|item| {
            command.decision == Decision::Verify
                && changed.iter().any(|(one, _)| one.is_run_with(item))
        });
        let outcome = match outcome(item, *wanted, command, pack) {
            Outcome::Becomes(..) if other_run => Outcome::Refused(Refusal::new(
                "clinical.verification_conflict",
                "another run of this sample is verified by the same command",
            )),
            outcome => outcome,
        };
        match outcome {
            Outcome::Stands(state, revision) => answers.push(
                json!({ "id": id, "outcome": "applied", "state": state.as_str(), "revision": revision }),
            ),
            Outcome::Becomes(state, revision) => {
                changed.extend(item.map(|item| (item, state)));
                answers.push(
                    json!({ "id": id, "outcome": "applied", "state": state.as_str(), "revision": revision }),
                );
            }
            Outcome::Refused(refusal) => {
                answers.push(
                    json!({ "id": id, "outcome": "refused", "code": refusal.code, "detail": refusal.detail }),
                );
                first_refusal.get_or_insert(refusal);
            }
        }
    }
    if let (1, false, Some(refusal)) = (command.items.len(), command.item_by_item, first_refusal) {
        batch.refuse(slot, refusal);
        return Ok(());
    }
    let ids: Vec<i64> = changed.iter().map(|(item, _)| item.id).collect();
    write(tx, &changed, command).await?;
    let mut reports: BTreeMap<Uuid, usize> = changed
        .iter()
        .map(|(item, _)| (item.report_id, slot))
        .collect();
    if command.decision == Decision::Verify {
        for report in replace_runs(tx, &ids).await? {
            reports.insert(report, slot);
        }
    }
    batch.answer(slot, json!({ "items": answers }));
    if ids.is_empty() {
        return Ok(());
    }
    let to_lock: Vec<Uuid> = reports.keys().copied().collect();
    release::lock(tx, &to_lock).await?;
    release::settle(tx, batch, &reports, pack.release).await?;
    if command.decision == Decision::Verify {
        // nobody was called about them while their tube was all that was known of them
        let mut suspects = Suspects::new(&packs.critical);
        for (item, _) in changed.iter().filter(|(item, _)| item.of_rejected) {
            suspects.add(item.report_id, slot);
        }
        criticals::raise(tx, batch, &suspects).await?;
    }
    let overridden: Vec<i64> = changed
        .iter()
        .filter(|(item, _)| {
            (item.blocked || item.of_rejected) && command.decision == Decision::Verify
        })
        .map(|(item, _)| item.id)
        .collect();
    let subjects: Vec<Uuid> = changed
        .iter()
        .filter_map(|(item, _)| item.subject_key)
        .collect();
    audit::about(
        tx,
        &command.actor,
        DecideResults::NAME,
        &format!("verifications:{}", ids.len()),
        &[batch.envelopes[slot].id],
        Some(json!({
            "decision": command.decision, "ids": ids, "comment": command.comment,
            "against_a_blocking_flag": overridden, "pack": pack.version(),
        })),
        &subjects,
    )
    .await
}

async fn remark(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    command: &CommentResult,
) -> Result<(), sqlx::Error> {
    let id = command.verification_id;
    if command.comment.trim().is_empty() {
        batch.refuse(
            slot,
            Refusal::new("clinical.verification_comment", "the comment is empty"),
        );
        return Ok(());
    }
    let rows = lock(tx, &[id]).await?;
    let Some(item) = rows.get(&id) else {
        batch.refuse(slot, unknown());
        return Ok(());
    };
    note(tx, &[id], &command.actor, command.comment.trim()).await?;
    batch.answer(slot, json!({ "id": id }));
    audit::about(
        tx,
        &command.actor,
        CommentResult::NAME,
        &format!("verification:{id}"),
        &[batch.envelopes[slot].id],
        None,
        item.subject_key.as_slice(),
    )
    .await
}
