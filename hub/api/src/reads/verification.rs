//! The verification worklist, and everything that is held, through the queries of two workers.

use std::collections::{HashMap, HashSet};

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;
use worker_clinical::queries::{self, UnmatchedFilter, VerificationFilter, VerificationRow};
use worker_integration::queries as integration;
use worker_integration::queries::HeldSearch;

use super::worklists::{key, listed, moment, open_reports};
use crate::auth::chart::Sight;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::reads::care::patients_of;
use crate::reads::patients::Keys;
use crate::views::care::LabResult;
use crate::views::integration::HeldItem;
use crate::views::verification::{Comment, Verification, VerificationDetail, Waiting};
use crate::views::worklists::Unmatched;

pub(crate) async fn list(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    mut filter: VerificationFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Verification>, Problem> {
    filter.after = Cursor::key(cursor)?;
    filter.limit = limit.rows();
    let rows = queries::verifications(tx.conn(), &filter).await?;
    page(tx, sight, rows, limit).await
}

/// Results that a control result puts in doubt; `None`: there is no such control result.
pub(crate) async fn affected(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    control: i64,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Option<Page<Verification>>, Problem> {
    let after = Cursor::key(cursor)?;
    let rows = queries::affected_by_control(tx.conn(), control, after, limit.rows()).await?;
    match rows {
        Some(rows) => page(tx, sight, rows, limit).await.map(Some),
        None => Ok(None),
    }
}

async fn page(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    rows: Vec<VerificationRow>,
    limit: Limit,
) -> Result<Page<Verification>, Problem> {
    let next = rows
        .last()
        .filter(|_| limit.is_full(rows.len()))
        .map(|row| row.id);
    let keys = patients_of(tx, rows.iter().map(|row| row.result.subject_key)).await?;
    let closed = sight.closed_tubes(tx, &keys).await?;
    let rows = closed.pass(rows, |row| {
        row.result
            .subject_key
            .and_then(|key| keys.get(&key).copied().flatten())
    });
    Ok(Page::of(rows, next, |row| Verification::of(row, &keys)))
}

pub(crate) async fn one(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: i64,
) -> Result<Option<VerificationDetail>, Problem> {
    let Some(row) = queries::verification(tx.conn(), id).await? else {
        return Ok(None);
    };
    sight.open_tube(tx, row.result.subject_key).await?;
    let runs = queries::verification_runs(tx.conn(), id).await?;
    let comments = queries::verification_comments(tx.conn(), id).await?;
    let keys = patients_of(tx, [row.result.subject_key]).await?;
    Ok(Some(VerificationDetail {
        item: Verification::of(row, &keys),
        runs: runs
            .into_iter()
            .map(|row| Verification::of(row, &keys))
            .collect(),
        comments: comments
            .into_iter()
            .map(|row| Comment {
                by: row.actor,
                comment: row.comment,
                at: row.at,
            })
            .collect(),
    }))
}

/// What decides the lane of a command about it: its patient, as for the messages about it. What the caller's list does not show him
/// is refused.
pub(crate) async fn aggregate(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    id: i64,
) -> Result<Option<String>, Problem> {
    let Some(row) = queries::verification(tx.conn(), id).await? else {
        return Ok(None);
    };
    let subject = row.result.subject_key;
    listed(tx, sight, vec![subject]).await?;
    Ok(Some(subject.unwrap_or(row.result.report_id).to_string()))
}

/// Refuses to decide about items of which the caller's list shows one not.
pub(crate) async fn all_listed(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    ids: &[i64],
) -> Result<(), Problem> {
    let subjects = queries::subjects_of_verifications(tx.conn(), ids).await?;
    listed(tx, sight, subjects).await
}

impl Verification {
    fn of(row: VerificationRow, keys: &Keys) -> Self {
        let patient = row
            .result
            .subject_key
            .and_then(|key| keys.get(&key).copied().flatten());
        Self {
            id: row.id,
            revision: row.revision,
            state: row.result.verification.clone().unwrap_or_default(),
            failed: row.result.failed.clone(),
            reason: row.result.reason.clone(),
            blocked: row.blocked,
            corrects_released: row.corrects_released,
            counts: row.counts,
            pack: row.pack,
            approved_by: row.approved_by,
            decided_by: row.result.decided_by.clone(),
            decided_at: row.result.decided_at,
            released_at: row.released_at,
            rerun_by: row.rerun_by,
            rerun_at: row.rerun_at,
            rerun_order_id: row.rerun_order,
            makers: row.makers,
            measured_at: row.measured_at,
            at: row.at,
            result: LabResult::of(row.result, patient),
        }
    }
}

/// The place of the last item of each of the two lists that a page was put together from.
type Places = (Option<i64>, Option<(String, Uuid)>);

/// Open questions on codes and on patients in one list, oldest first.
pub(crate) async fn waiting(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    channel: Option<&str>,
    reason: Option<&str>,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Waiting>, Problem> {
    let (mut held_place, mut unmatched_place) = Cursor::key::<Places>(cursor)?.unwrap_or_default();
    let held = integration::held_items(
        tx.conn(),
        &HeldSearch {
            state: Some("open".to_owned()),
            reason: reason.map(str::to_owned),
            channel: channel.map(str::to_owned),
            after: held_place,
            limit: limit.rows(),
            ..HeldSearch::default()
        },
    )
    .await?;
    let after = unmatched_place
        .as_ref()
        .map(|(at, id)| moment(at).map(|at| (at, *id)))
        .transpose()?;
    let unmatched = queries::unmatched(
        tx.conn(),
        &UnmatchedFilter {
            state: Some("open".to_owned()),
            reason: reason.map(str::to_owned),
            channel: channel.map(str::to_owned),
            after,
            limit: limit.rows(),
        },
    )
    .await?;
    let named = unmatched
        .iter()
        .flat_map(|row| [row.named_key, row.subject_key]);
    let keys = patients_of(tx, named).await?;
    let shown = open_reports(tx, sight, &keys, unmatched.clone()).await?;
    let shown: HashSet<Uuid> = shown.into_iter().map(|row| row.report_id).collect();
    let held = veiled(tx, sight, held).await?;

    let (mut held, mut unmatched) = (
        held.into_iter().peekable(),
        unmatched.into_iter().peekable(),
    );
    let mut items = Vec::new();
    let mut seen = 0;
    while seen < usize::from(limit.count()) {
        let code_first = match (held.peek(), unmatched.peek()) {
            (Some(code), Some(report)) => code.first_at <= report.at,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => break,
        };
        seen += 1;
        if code_first {
            if let Some(row) = held.next() {
                held_place = Some(row.id);
                items.push(of_code(row.first_at, HeldItem::of(row)));
            }
        } else if let Some(row) = unmatched.next() {
            unmatched_place = key(row.key());
            if shown.contains(&row.report_id) {
                items.push(of_patient(Unmatched::of(row, &keys)));
            }
        }
    }
    let next = limit.is_full(seen).then_some((held_place, unmatched_place));
    Ok(Page::of(items, next, |item| item))
}

/// A question on a code is nobody's; the sample that helps to answer it is somebody's, and stays away where his chart is closed.
pub(crate) async fn veiled(
    tx: &mut Tx<'_>,
    sight: &Sight<'_>,
    mut rows: Vec<integration::HeldItem>,
) -> Result<Vec<integration::HeldItem>, Problem> {
    let reports: Vec<Uuid> = rows.iter().filter_map(|row| row.sample_report).collect();
    let subjects: HashMap<Uuid, Uuid> = queries::subjects_of_reports(tx.conn(), &reports)
        .await?
        .into_iter()
        .collect();
    let keys = patients_of(tx, subjects.values().map(|key| Some(*key))).await?;
    let closed = sight.closed_tubes(tx, &keys).await?;
    let patient = |report: &Uuid| {
        let key = subjects.get(report)?;
        keys.get(key).copied().flatten()
    };
    let open: HashSet<Uuid> = closed.pass(reports, patient).into_iter().collect();
    for row in &mut rows {
        if row
            .sample_report
            .is_some_and(|report| !open.contains(&report))
        {
            row.sample_report = None;
            row.sample_value = None;
        }
    }
    Ok(rows)
}

fn of_code(since: OffsetDateTime, item: HeldItem) -> Waiting {
    // what is no code is closed without a mapping
    let way = if item.code.is_empty() {
        "resolve"
    } else {
        "map"
    };
    Waiting {
        kind: "code",
        reason: item.reason.clone(),
        channel: item.channel.clone(),
        since,
        resolve: format!("/api/v1/held/{}/{way}", item.id),
        held: Some(item),
        unmatched: None,
    }
}

fn of_patient(item: Unmatched) -> Waiting {
    Waiting {
        kind: "patient",
        reason: item.reason.clone(),
        channel: item.channel.clone(),
        since: item.at,
        resolve: format!("/api/v1/worklists/unmatched/{}/claim", item.report_id),
        held: None,
        unmatched: Some(item),
    }
}
