//! Rejections that source systems report (SPM-21, HL7 table 0490): the same as those over REST, and another one is always asked for,
//! because the table has no word for orders that are given up.

use std::collections::BTreeMap;

use hub_core::Tx;
use schemas::care::Code;
use schemas::specimens::RejectReason;
use uuid::Uuid;

use super::key_of;
use super::step::{self, Why};
use crate::batch::Batch;

/// What a message says of a specimen that is kept.
pub(crate) struct Rejection<'r> {
    pub(crate) slot: usize,
    /// Of the specimen (`SpecimenRow`).
    pub(crate) key: Uuid,
    pub(crate) reasons: &'r [Code],
}

/// Rejects them, in the order of their keys; what was rejected before stays as it is.
pub(crate) async fn reject(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    mut all: Vec<Rejection<'_>>,
) -> Result<(), sqlx::Error> {
    // the first of several messages that say it is the one that did it
    all.sort_by_key(|one| one.key);
    all.dedup_by_key(|one| one.key);
    for one in all {
        let Some((reason, text)) = why(one.reasons) else {
            continue;
        };
        let Some(id) = of_key(tx, one.key).await? else {
            continue;
        };
        let why = Why {
            reason,
            text: text.as_deref(),
            recollect: true,
        };
        step::reported(tx, batch, one.slot, id, &why).await?;
    }
    Ok(())
}

/// Orders came for numbers whose tubes were rejected before anybody knew whose they are (`rejected::as_nobody_s`): they are rejected as
/// their patients', each by the message that ordered, and the word is used up, since the next tube with the number is another one.
pub(crate) async fn catch_up(
    tx: &mut Tx<'_>,
    batch: &mut Batch<'_>,
    ordered: &BTreeMap<&str, (Uuid, usize)>,
) -> Result<(), sqlx::Error> {
    if ordered.is_empty() {
        return Ok(());
    }
    let said: Vec<(String, String, Option<String>)> = sqlx::query_as(
        "with said as ( \
             select id, coalesce(number, filler_number) as label, reject_reason, reject_text from clinical.specimens \
             where coalesce(number, filler_number) = any($1) and subject_key is null \
             and rejected_at > now() - interval '7 days' order by id for update), \
         used_up as ( \
             update clinical.specimens as specimen set rejected_at = null, rejected_by = null, reject_reason = null, \
             reject_text = null, recollect = null, version = specimen.version + 1, updated_at = now() \
             from said where specimen.id = said.id) \
         select label, reject_reason, reject_text from said order by label",
    )
    .bind(ordered.keys().copied().collect::<Vec<_>>())
    .fetch_all(tx.conn())
    .await?;
    let tenant = tx.tenant().clone();
    for (label, reason, text) in said {
        let Some(&(subject, slot)) = ordered.get(label.as_str()) else {
            continue;
        };
        let id = of_key(tx, key_of(&tenant, &label, Some(subject))).await?;
        let reason = RejectReason::ALL
            .into_iter()
            .find(|one| one.as_str() == reason);
        if let (Some(id), Some(reason)) = (id, reason) {
            let why = Why {
                reason,
                text: text.as_deref(),
                recollect: true,
            };
            step::reported(tx, batch, slot, id, &why).await?;
        }
    }
    Ok(())
}

async fn of_key(tx: &mut Tx<'_>, key: Uuid) -> Result<Option<Uuid>, sqlx::Error> {
    sqlx::query_scalar("select id from clinical.specimens where specimen_key = $1")
        .bind(key)
        .fetch_optional(tx.conn())
        .await
}

/// The first reason that the table has, else `Other`; and in words what it does not say.
fn why(reasons: &[Code]) -> Option<(RejectReason, Option<String>)> {
    let known: Vec<Option<RejectReason>> = reasons.iter().map(known).collect();
    let first = known.iter().position(Option::is_some);
    let reason = first
        .and_then(|place| known[place])
        .unwrap_or(RejectReason::Other);
    let mut words: Vec<String> = Vec::new();
    for (place, code) in reasons.iter().enumerate() {
        let said = match known[place] {
            Some(known) => {
                let name = known.as_str().replace('_', " ");
                let text = text(code).filter(|text| !text.eq_ignore_ascii_case(&name));
                match text {
                    Some(text) => Some(text.to_owned()),
                    None => (first != Some(place)).then_some(name),
                }
            }
            None => unknown(code),
        };
        words.extend(said);
    }
    if reason == RejectReason::Other && words.is_empty() {
        return None;
    }
    Some((reason, (!words.is_empty()).then(|| words.join("; "))))
}

/// Of a code of the table, or of no table that is named.
fn known(code: &Code) -> Option<RejectReason> {
    let system = code.system.as_deref().unwrap_or_default();
    let is_of_table = system.is_empty() || system.ends_with("0490");
    RejectReason::of_code(code.code.trim()).filter(|_| is_of_table)
}

fn text(code: &Code) -> Option<&str> {
    code.text
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// A code that the table has not, as it was sent.
fn unknown(code: &Code) -> Option<String> {
    let of_code = code.code.trim();
    match text(code) {
        Some(text) if of_code.is_empty() || text == of_code => Some(text.to_owned()),
        Some(text) => Some(format!("{of_code} {text}")),
        None => (!of_code.is_empty()).then(|| of_code.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(code: &str, text: &str, system: &str) -> Code {
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Code {
            code: code.to_owned(),
            text: said(text),
            system: said(system),
        }
    }

    #[test]
    fn a_reason_is_the_word_of_the_table_and_the_rest_keeps_its_words() {
        use RejectReason::{BrokenContainer, Haemolysed, Other};
        let table = [
            (vec![code("RH", "", "")], Haemolysed, None),
            (
                vec![code("RB", "Broken container", "HL70490")],
                BrokenContainer,
                None,
            ),
            (
                vec![code("RH", "plasma red", "HL70490")],
                Haemolysed,
                Some("plasma red"),
            ),
            (
                vec![code("RH", "Rhesus", "99LIS")],
                Other,
                Some("RH Rhesus"),
            ),
            (vec![code("X9", "", "")], Other, Some("X9")),
            (vec![code("", "spilt", "")], Other, Some("spilt")),
            (vec![code("spilt", "spilt", "")], Other, Some("spilt")),
            (
                vec![
                    code("X9", "spilt", "L"),
                    code("RH", "", ""),
                    code("RB", "", ""),
                ],
                Haemolysed,
                Some("X9 spilt; broken container"),
            ),
        ];
        for (reasons, reason, text) in table {
            let (read, words) = why(&reasons).unwrap();
            assert_eq!((read, words.as_deref()), (reason, text), "{reasons:?}");
        }
        assert_eq!(why(&[]), None);
        assert_eq!(why(&[code(" ", " ", "")]), None);
    }
}
