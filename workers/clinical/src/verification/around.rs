//! What stands around a result: the result before, the controls next to it, the other results of its sample, how many like it
//! people verified. Four statements a batch, and none when nothing passed by itself.

use std::collections::{BTreeSet, HashMap};

use hub_core::Tx;
use time::OffsetDateTime;
use uuid::Uuid;

use super::candidates::Candidate;
use super::checks::{Around, Level, Measured, Previous};
use super::pack::{Autoverify, Term};

/// By the order of `passing`.
pub(super) async fn load(
    tx: &mut Tx<'_>,
    candidates: &[Candidate],
    passing: &[usize],
    pack: &Autoverify,
) -> Result<Vec<Around>, sqlx::Error> {
    if passing.is_empty() {
        return Ok(Vec::new());
    }
    let asked: Vec<&Candidate> = passing.iter().map(|&place| &candidates[place]).collect();
    let mut around: Vec<Around> = asked
        .iter()
        .map(|one| Around {
            at: one.measured_at,
            previous: None,
            controls: Vec::new(),
            siblings: HashMap::new(),
            seen: 0,
        })
        .collect();
    previous(tx, &asked, pack, &mut around).await?;
    controls(tx, &asked, pack, &mut around).await?;
    siblings(tx, &asked, pack, &mut around).await?;
    seen(tx, &asked, pack, &mut around).await?;
    Ok(around)
}

fn analyte<'p>(one: &Candidate, pack: &'p Autoverify) -> Option<&'p super::pack::Analyte> {
    pack.analyte(one.loinc.as_deref()?, one.ucum.as_deref()?)
}

fn place(at: i64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

async fn previous(
    tx: &mut Tx<'_>,
    asked: &[&Candidate],
    pack: &Autoverify,
    around: &mut [Around],
) -> Result<(), sqlx::Error> {
    let (mut places, mut days) = (Vec::new(), Vec::new());
    for (nth, one) in asked.iter().enumerate() {
        let window =
            analyte(one, pack).and_then(|analyte| analyte.delta.iter().map(|rule| rule.days).max());
        if let Some(window) = window {
            places.push(nth);
            days.push(i32::try_from(window).unwrap_or(i32::MAX));
        }
    }
    if places.is_empty() {
        return Ok(());
    }
    let of = |read: fn(&Candidate) -> Option<&str>| -> Vec<Option<&str>> {
        places.iter().map(|&nth| read(asked[nth])).collect()
    };
    let found: Vec<(i64, String, OffsetDateTime)> = sqlx::query_as(
        "select wanted.place, before.number, before.at \
         from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[], $8::integer[]) \
         as wanted (place, subject_key, loinc, ucum, at, report_id, specimen_number, days) \
         cross join lateral ( \
             select coalesce(result.ucum_value, result.value_text) as number, \
             coalesce(result.observed_at, report.observed_at, report.received_at) as at \
             from clinical.reports as report join clinical.results as result on result.report_id = report.id \
             left join clinical.verifications as standing on standing.report_id = result.report_id \
                 and standing.item = result.item and standing.version = result.version \
             where report.subject_key = wanted.subject_key and report.id <> wanted.report_id \
             and report.specimen_number is distinct from coalesce(wanted.specimen_number, '') \
             and result.loinc = wanted.loinc and result.ucum = wanted.ucum and result.superseded_at is null \
             and result.value_kind = 'quantity' and result.comparator is null and result.held is null \
             and coalesce(result.ucum_value, result.value_text) ~ '^[+-]?([0-9]+\\.?[0-9]*|\\.[0-9]+)$' \
             and coalesce(result.status, report.status, 'F') not in ('P', 'R', 'S', 'I', 'O', 'N', 'M', 'X', 'D', 'W') \
             and coalesce(standing.state, 'released') = 'released' \
             and coalesce(result.observed_at, report.observed_at, report.received_at) < wanted.at \
             and coalesce(result.observed_at, report.observed_at, report.received_at) >= wanted.at - make_interval(days => wanted.days) \
             order by 2 desc limit 1) as before",
    )
    .bind(places.iter().map(|&nth| nth as i64).collect::<Vec<_>>())
    .bind(places.iter().map(|&nth| asked[nth].subject_key).collect::<Vec<_>>())
    .bind(of(|one| one.loinc.as_deref()))
    .bind(of(|one| one.ucum.as_deref()))
    .bind(places.iter().map(|&nth| asked[nth].measured_at).collect::<Vec<_>>())
    .bind(places.iter().map(|&nth| asked[nth].report_id).collect::<Vec<_>>())
    .bind(of(|one| one.specimen_number.as_deref()))
    .bind(days)
    .fetch_all(tx.conn())
    .await?;
    for (nth, number, at) in found {
        if let (Some(around), Ok(number)) = (around.get_mut(place(nth)), number.parse()) {
            around.previous = Some(Previous { number, at });
        }
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Control {
    place: i64,
    level: String,
    before_at: Option<OffsetDateTime>,
    before_good: Option<bool>,
    after_at: Option<OffsetDateTime>,
    after_good: Option<bool>,
}

/// In control or a warning, or accepted by a person; not what a person voided.
const GOOD: &str = "control.state = 'accepted' or control.verdict in ('in_control', 'warning') and control.state <> 'rejected'";

async fn controls(
    tx: &mut Tx<'_>,
    asked: &[&Candidate],
    pack: &Autoverify,
    around: &mut [Around],
) -> Result<(), sqlx::Error> {
    let places: Vec<usize> = (0..asked.len())
        .filter(|&nth| analyte(asked[nth], pack).is_some_and(|analyte| analyte.qc))
        .collect();
    if places.is_empty() {
        return Ok(());
    }
    let query = format!(
        "select wanted.place, target.level, before.observed_at as before_at, before.good as before_good, \
         after.observed_at as after_at, after.good as after_good \
         from unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[]) as wanted (place, channel, code, at) \
         cross join lateral (select distinct level from clinical.qc_targets as target \
             where target.channel = wanted.channel and target.code = wanted.code) as target \
         left join lateral (select control.observed_at, {GOOD} as good from clinical.qc_results as control \
             where control.channel = wanted.channel and control.code = wanted.code and control.level = target.level \
             and control.z is not null and control.observed_at <= wanted.at \
             order by control.observed_at desc, control.id desc limit 1) as before on true \
         left join lateral (select control.observed_at, {GOOD} as good from clinical.qc_results as control \
             where control.channel = wanted.channel and control.code = wanted.code and control.level = target.level \
             and control.z is not null and control.observed_at > wanted.at \
             order by control.observed_at, control.id limit 1) as after on true \
         order by wanted.place, target.level"
    );
    let found: Vec<Control> = sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(places.iter().map(|&nth| nth as i64).collect::<Vec<_>>())
        .bind(
            places
                .iter()
                .map(|&nth| asked[nth].channel.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            places
                .iter()
                .map(|&nth| asked[nth].code.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            places
                .iter()
                .map(|&nth| asked[nth].measured_at)
                .collect::<Vec<_>>(),
        )
        .fetch_all(tx.conn())
        .await?;
    let measured = |at: Option<OffsetDateTime>, good: Option<bool>| {
        Some(Measured {
            at: at?,
            good: good?,
        })
    };
    for control in found {
        if let Some(around) = around.get_mut(place(control.place)) {
            around.controls.push(Level {
                level: control.level,
                before: measured(control.before_at, control.before_good),
                after: measured(control.after_at, control.after_good),
            });
        }
    }
    Ok(())
}

#[derive(sqlx::FromRow)]
struct Number {
    id: Uuid,
    subject_key: Option<Uuid>,
    specimen_number: Option<String>,
    loinc: String,
    ucum: String,
    number: String,
}

async fn siblings(
    tx: &mut Tx<'_>,
    asked: &[&Candidate],
    pack: &Autoverify,
    around: &mut [Around],
) -> Result<(), sqlx::Error> {
    let concerned = |one: &Candidate| {
        one.loinc
            .as_ref()
            .is_some_and(|loinc| pack.siblings.iter().any(|rule| rule.of.contains(loinc)))
    };
    let places: Vec<usize> = (0..asked.len())
        .filter(|&nth| concerned(asked[nth]))
        .collect();
    if places.is_empty() {
        return Ok(());
    }
    let terms: BTreeSet<&Term> = pack
        .siblings
        .iter()
        .flat_map(|rule| [&rule.plus, &rule.minus, &rule.over, &rule.over_minus])
        .flatten()
        .collect();
    let reports: BTreeSet<Uuid> = places.iter().map(|&nth| asked[nth].report_id).collect();
    let numbers: BTreeSet<&str> = places
        .iter()
        .filter_map(|&nth| asked[nth].specimen_number.as_deref())
        .collect();
    let found: Vec<Number> = sqlx::query_as(
        "with same as ( \
             select id, subject_key, specimen_number from clinical.reports where id = any($1) \
             union \
             select id, subject_key, specimen_number from clinical.reports where specimen_number = any($2) \
             and received_at > now() - interval '7 days') \
         select same.id, same.subject_key, same.specimen_number, result.loinc, result.ucum, \
         coalesce(result.ucum_value, result.value_text) as number \
         from same join clinical.results as result on result.report_id = same.id \
         join (select * from unnest($3::text[], $4::text[])) as term (loinc, ucum) \
             on term.loinc = result.loinc and term.ucum = result.ucum \
         left join clinical.verifications as standing on standing.report_id = result.report_id \
             and standing.item = result.item and standing.version = result.version \
         where result.superseded_at is null and result.value_kind = 'quantity' and result.comparator is null \
         and standing.state is distinct from 'rejected' \
         order by result.observed_at nulls first, same.id, result.item",
    )
    .bind(reports.into_iter().collect::<Vec<_>>())
    .bind(numbers.into_iter().collect::<Vec<_>>())
    .bind(terms.iter().map(|term| term.0.as_str()).collect::<Vec<_>>())
    .bind(terms.iter().map(|term| term.1.as_str()).collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    for nth in places {
        let one = asked[nth];
        let Some(around) = around.get_mut(nth) else {
            continue;
        };
        for other in &found {
            let same_sample = other.id == one.report_id
                || other.specimen_number.is_some()
                    && other.specimen_number == one.specimen_number
                    && other.subject_key == one.subject_key;
            if let Ok(number) = other.number.parse()
                && same_sample
            {
                // the newest of each counts
                around
                    .siblings
                    .insert((other.loinc.clone(), other.ucum.clone()), number);
            }
        }
        // itself, whatever other run of the sample is newer
        if let (Some(loinc), Some(ucum), Some(Ok(number))) =
            (&one.loinc, &one.ucum, one.number.as_deref().map(str::parse))
        {
            around
                .siblings
                .insert((loinc.clone(), ucum.clone()), number);
        }
    }
    Ok(())
}

async fn seen(
    tx: &mut Tx<'_>,
    asked: &[&Candidate],
    pack: &Autoverify,
    around: &mut [Around],
) -> Result<(), sqlx::Error> {
    if pack.first == 0 {
        return Ok(());
    }
    let kinds: BTreeSet<(&str, &str, &str)> = asked
        .iter()
        .filter_map(|one| {
            Some((
                one.channel.as_str(),
                one.loinc.as_deref()?,
                one.ucum.as_deref()?,
            ))
        })
        .collect();
    let found: Vec<(String, String, String, i64)> = sqlx::query_as(
        "select wanted.channel, wanted.loinc, wanted.ucum, \
         (select count(*) from (select from clinical.verifications as standing \
             where standing.channel = wanted.channel and standing.loinc = wanted.loinc and standing.ucum = wanted.ucum \
             and standing.state in ('verified', 'released') and standing.decided_by <> 'rules' limit $4) as few) \
         from unnest($1::text[], $2::text[], $3::text[]) as wanted (channel, loinc, ucum)",
    )
    .bind(kinds.iter().map(|kind| kind.0).collect::<Vec<_>>())
    .bind(kinds.iter().map(|kind| kind.1).collect::<Vec<_>>())
    .bind(kinds.iter().map(|kind| kind.2).collect::<Vec<_>>())
    .bind(pack.first)
    .fetch_all(tx.conn())
    .await?;
    let found: HashMap<(&str, &str, &str), i64> = found
        .iter()
        .map(|(channel, loinc, ucum, count)| {
            ((channel.as_str(), loinc.as_str(), ucum.as_str()), *count)
        })
        .collect();
    for (one, around) in asked.iter().zip(around) {
        if let (Some(loinc), Some(ucum)) = (one.loinc.as_deref(), one.ucum.as_deref()) {
            around.seen = found
                .get(&(one.channel.as_str(), loinc, ucum))
                .copied()
                .unwrap_or_default();
        }
    }
    Ok(())
}
