//! Verification: results of analyzers may be acted on when the rules or a person say so.
//!
//! Whatever changes what is known of such a result (it came, was amended, mapped, matched, ordered) touches its report in the
//! batch; at the batch's end the rules look at what is touched and still open. They never look at a version that was decided,
//! never release a correction of what was released, and never verify by a pack that nobody approved. Results of channels that
//! need no verification have no rows here and cost nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hub_core::Tx;
use schemas::{ChannelId, TenantId};
use uuid::Uuid;

use crate::batch::Batch;
use crate::packs::RulePacks;

mod around;
mod candidates;
pub(crate) mod checks;
pub(crate) mod decide;
pub(crate) mod pack;
mod release;
mod rerun;
mod runs;
pub(crate) mod state;
mod writes;

use candidates::Candidate;
pub(crate) use checks::of_rejected;
use checks::{Check, Failure};
use pack::Release;
use runs::Run;
use state::{Action, State, transition};
use writes::Write;

/// Stands in `decided_by` for the machine.
pub(crate) const RULES: &str = "rules";

/// Channels whose results must be verified here before anybody may act on them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channels(BTreeMap<TenantId, BTreeSet<ChannelId>>);

impl Channels {
    pub(crate) fn new(channels: impl IntoIterator<Item = (TenantId, ChannelId)>) -> Self {
        let mut by_tenant: BTreeMap<TenantId, BTreeSet<ChannelId>> = BTreeMap::new();
        for (tenant, channel) in channels {
            by_tenant.entry(tenant).or_default().insert(channel);
        }
        Self(by_tenant)
    }

    pub(crate) fn of(&self, tenant: &TenantId) -> &BTreeSet<ChannelId> {
        static NONE: BTreeSet<ChannelId> = BTreeSet::new();
        self.0.get(tenant).unwrap_or(&NONE)
    }
}

/// What the rules make of a result.
enum Verdict {
    Pass,
    Fail(Failure),
    /// Another run counts.
    Drop,
    /// On file, and replaced before anybody saw it.
    Past,
}

/// Looks at every report that the batch touched.
pub(crate) async fn judge(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    channels: &BTreeSet<ChannelId>,
    packs: &RulePacks,
) -> Result<(), sqlx::Error> {
    let (mut touched, before) = batch.take_touched();
    if touched.is_empty() {
        return Ok(());
    }
    let reports: Vec<Uuid> = touched.keys().copied().collect();
    let retired = writes::retire(tx, &before).await?;
    let mut candidates = candidates::load(tx, &reports, channels).await?;
    if candidates.is_empty() && retired == 0 {
        return Ok(());
    }
    let runs = candidates::other_runs(tx, &candidates, packs).await?;
    let dropped = settle_runs(&mut candidates, &runs, packs);

    let mut verdicts: Vec<Verdict> = candidates.iter().map(|one| alone(one, packs)).collect();
    let passing: Vec<usize> = (0..verdicts.len())
        .filter(|place| matches!(verdicts[*place], Verdict::Pass))
        .collect();
    let surroundings = around::load(tx, &candidates, &passing, &packs.autoverify).await?;
    for (place, around) in passing.into_iter().zip(&surroundings) {
        if let Err(failure) =
            checks::around(&candidates[place].facts(packs), around, &packs.autoverify)
        {
            verdicts[place] = Verdict::Fail(failure);
        }
    }
    follow(&candidates, &mut verdicts, packs);

    let rows: Vec<Write<'_>> = candidates
        .iter()
        .zip(verdicts)
        .filter_map(|(one, verdict)| write(one, verdict, packs))
        .collect();
    writes::save(tx, &rows, &packs.autoverify).await?;
    writes::drop_runs(tx, &dropped).await?;
    let slot_of: HashMap<Uuid, usize> = touched.iter().map(|(id, slot)| (*id, *slot)).collect();
    for run in runs.iter().filter(|run| dropped.contains(&run.id)) {
        if let Some(slot) = candidates
            .iter()
            .find(|one| one.is_run_with(run))
            .and_then(|one| slot_of.get(&one.report_id))
        {
            touched.entry(run.report_id).or_insert(*slot);
        }
    }
    let mut on_file = before;
    on_file.extend(
        runs.iter()
            .map(|run| run.report_id)
            .filter(|id| touched.contains_key(id)),
    );
    release::lock(tx, &on_file).await?;
    release::settle(tx, batch, &touched, packs.autoverify.release).await
}

fn alone(one: &Candidate, packs: &RulePacks) -> Verdict {
    if !one.current {
        return Verdict::Past;
    }
    if one.dropped {
        return Verdict::Drop;
    }
    match checks::by_itself(&one.facts(packs), &packs.autoverify) {
        Err(failure) => Verdict::Fail(failure),
        Ok(()) if one.rerun => Verdict::Fail(Failure::of(Check::Run, "another run was asked for")),
        Ok(()) => Verdict::Pass,
    }
}

/// Of several runs of one test the rule of the device says which counts. Marks the candidates that do not, and those that
/// would replace what was released; answers the rows on file that no longer count.
fn settle_runs(
    candidates: &mut [Candidate],
    others: &[candidates::OtherRun],
    packs: &RulePacks,
) -> Vec<i64> {
    let mut groups: BTreeMap<candidates::RunKey, Vec<usize>> = BTreeMap::new();
    for (place, one) in candidates.iter().enumerate() {
        if let Some(key) = one.run_key(packs) {
            groups.entry(key).or_default().push(place);
        }
    }
    let mut dropped = Vec::new();
    for (key, places) in groups {
        let on_file: Vec<&candidates::OtherRun> =
            others.iter().filter(|run| run.key() == key).collect();
        if places.len() + on_file.len() < 2 {
            continue;
        }
        let channel = packs.autoverify.channel(&key.channel);
        let alarm = |flags: Option<&str>, kind: &str, rerun: bool| {
            let flags = flags.unwrap_or_default().split('~');
            let (action, _) = packs.autoverify.worst_flag(&key.channel, flags);
            rerun || kind == "absent" || action != pack::FlagAction::None
        };
        let mut runs: Vec<Run> = Vec::with_capacity(on_file.len() + places.len());
        for (filed, run) in on_file.iter().enumerate() {
            runs.push(Run {
                measured_at: run.measured_at,
                filed,
                alarm: alarm(run.flags.as_deref(), &run.value_kind, run.rerun),
            });
        }
        for (nth, &place) in places.iter().enumerate() {
            let one = &candidates[place];
            runs.push(Run {
                measured_at: one.measured_at,
                filed: on_file.len() + nth,
                alarm: alarm(one.flags.as_deref(), &one.value_kind, one.rerun),
            });
        }
        let Some(counts) = runs::counting(channel.runs, &runs) else {
            continue;
        };
        for (nth, &place) in places.iter().enumerate() {
            let one = &mut candidates[place];
            let mut released = on_file
                .iter()
                .filter(|run| State::stored(&run.state) == State::Released);
            if on_file.len() + nth != counts || released.clone().any(|run| run.says_the_same(one)) {
                // a rerun of a whole panel repeats what was good: it confirms, and corrects nothing
                one.dropped = true;
            } else {
                one.corrects_released |= released.next().is_some();
            }
        }
        dropped.extend(
            on_file
                .iter()
                .enumerate()
                .filter(|(nth, run)| {
                    *nth != counts && transition(State::stored(&run.state), Action::Drop).is_some()
                })
                .map(|(_, run)| run.id),
        );
    }
    dropped
}

/// The interpretation of a number (Abbott's line `I`) goes the way of the number.
fn follow(candidates: &[Candidate], verdicts: &mut [Verdict], packs: &RulePacks) {
    for place in 0..candidates.len() {
        let one = &candidates[place];
        if !one.current || !one.interprets(packs) {
            continue;
        }
        let belongs = |other: &Candidate| {
            other.current
                && other.report_id == one.report_id
                && other.code == one.code
                && !other.interprets(packs)
        };
        let before = candidates[..place].iter().rposition(belongs);
        let number = before.or_else(|| candidates.iter().position(belongs));
        if let Some(number) = number {
            verdicts[place] = match &verdicts[number] {
                Verdict::Pass => Verdict::Pass,
                Verdict::Fail(failure) => Verdict::Fail(failure.clone()),
                Verdict::Drop => Verdict::Drop,
                Verdict::Past => continue,
            };
        }
    }
}

fn write<'c>(one: &'c Candidate, verdict: Verdict, packs: &RulePacks) -> Option<Write<'c>> {
    let from = one.state.as_deref().map_or(State::Received, State::stored);
    let (action, failure) = match verdict {
        Verdict::Pass => (Action::Pass, None),
        Verdict::Drop => (
            Action::Drop,
            Some(Failure::of(Check::Run, "another run of this sample counts")),
        ),
        Verdict::Past => (Action::Wait, None),
        Verdict::Fail(failure) if failure.check == Check::Final => (Action::Wait, Some(failure)),
        Verdict::Fail(failure) => (Action::Fail, Some(failure)),
    };
    let mut state = transition(from, action)?;
    if packs.autoverify.release == Release::Each {
        state = transition(state, Action::Release).unwrap_or(state);
    }
    Some(Write {
        one,
        state,
        failure,
        decided: matches!(action, Action::Pass | Action::Drop),
    })
}

/// Orders came for numbers on tubes: what waits for one of them is looked at again.
pub(crate) async fn ordered(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    opened: &BTreeMap<&str, (Uuid, usize)>,
) -> Result<(), sqlx::Error> {
    if opened.is_empty() {
        return Ok(());
    }
    let waiting: Vec<(Uuid, String)> = sqlx::query_as(
        "select distinct report_id, specimen_number from clinical.verifications \
         where specimen_number = any($1) and current and state = 'needs_review' and failed = 'order'",
    )
    .bind(opened.keys().copied().collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    for (report, number) in waiting {
        if let Some((_, slot)) = opened.get(number.as_str()) {
            batch.touch(report, *slot);
        }
    }
    Ok(())
}

/// A specimen was rejected: what was measured of it and is not out yet waits for a person, and the rules look at none of it again
/// before its check is made.
pub(crate) async fn doubt(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    slot: usize,
    (number, subject): (&str, Uuid),
    why: &str,
) -> Result<(), sqlx::Error> {
    // reports before their rows, as who decides about them locks them
    sqlx::query(
        "select from clinical.reports where specimen_number = $1 and subject_key = $2 order by id for update",
    )
    .bind(number)
    .bind(subject)
    .execute(tx.conn())
    .await?;
    let from: Vec<&str> = State::ALL
        .into_iter()
        .filter(|from| transition(*from, Action::Doubt).is_some())
        .map(State::as_str)
        .collect();
    let in_doubt: Vec<Uuid> = sqlx::query_scalar(
        "with doubted as ( \
             update clinical.verifications set state = 'needs_review', failed = $4, reason = $5, blocked = true, \
             decided_by = null, decided_at = null, revision = revision + 1 \
             where specimen_number = $1 and subject_key = $2 and current and state = any($3) returning report_id) \
         select distinct report_id from doubted order by report_id",
    )
    .bind(number)
    .bind(subject)
    .bind(from)
    .bind(Check::Specimen.as_str())
    .bind(why)
    .fetch_all(tx.conn())
    .await?;
    for report in in_doubt {
        batch.touch(report, slot);
    }
    Ok(())
}

/// A person entered or edited results of these reports (of one code, or all): where two persons are asked for, another verifies.
pub(crate) async fn made_by(
    tx: &mut Tx<'_>,
    reports: &[Uuid],
    code: Option<&str>,
    actor: &str,
) -> Result<(), sqlx::Error> {
    if reports.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update clinical.verifications set makers = array_append(makers, $3), revision = revision + 1 \
         where report_id = any($1) and ($2::text is null or code = $2) and current \
         and state in ('received', 'needs_review') and not makers @> array[$3]",
    )
    .bind(reports)
    .bind(code)
    .bind(actor)
    .execute(tx.conn())
    .await?;
    Ok(())
}
