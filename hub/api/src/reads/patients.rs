//! Patients, through `worker_patient::queries`.

use std::collections::HashMap;

use hub_core::Tx;
use schemas::IdentifierKey;
use schemas::patients::Identifier;
use uuid::Uuid;
use worker_patient::queries;

use crate::identifier::Asked;
use crate::page::{Cursor, Limit, Page};
use crate::problem::Problem;
use crate::views::patients::{Duplicate, Patient};

impl From<queries::SearchError> for Problem {
    fn from(error: queries::SearchError) -> Self {
        match error {
            queries::SearchError::PlaceGone => Cursor::refused(),
            queries::SearchError::Database(error) => error.into(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct PatientFilter {
    pub(crate) name: Option<String>,
    /// In any of its forms.
    pub(crate) identifier: Option<String>,
    pub(crate) mobile: Option<String>,
}

/// Identifier keys as clinical rows carry them, each with the standing record of its person where the
/// index knows one.
pub(crate) type Keys = HashMap<Uuid, Option<Uuid>>;

/// Suggestions shown of one record: more are a sign of bad data, not of work to do.
const MOST_DUPLICATES: i64 = 100;

pub(crate) async fn search(
    tx: &mut Tx<'_>,
    filter: &PatientFilter,
    cursor: Option<&Cursor>,
    limit: Limit,
) -> Result<Page<Patient>, Problem> {
    let after = Cursor::key::<Uuid>(cursor)?;
    let mut search = queries::Search {
        name: filter.name.clone(),
        identifier: None,
        mobile: filter.mobile.clone(),
        after,
        limit: limit.rows(),
    };
    let rows = match filter.identifier.as_deref() {
        None => queries::search(tx.conn(), &search).await?,
        Some(text) => {
            let mut found = Vec::new();
            for form in forms(text) {
                search.identifier = Some(form);
                found = queries::search(tx.conn(), &search).await?;
                if !found.is_empty() {
                    break;
                }
            }
            found
        }
    };
    let next = limit
        .is_full(rows.len())
        .then(|| rows.last().map(|row| row.id));
    Ok(Page::of(rows, next.flatten(), |row| Patient::of(row, &[])))
}

/// The identifier as it is asked for, then by its value alone: an authority may be known here by the
/// name that a mapping table gives it, and not by the one that was sent.
fn forms(text: &str) -> Vec<String> {
    let mut forms = Vec::new();
    if let Some(asked) = Asked::all(text).into_iter().next() {
        forms.push(asked.query().into_owned());
        if asked.system.is_some() {
            let value = asked.value;
            forms.push(
                Asked {
                    system: None,
                    value,
                }
                .query()
                .into_owned(),
            );
        }
    }
    forms
}

/// One record as it is; the standing one with the identifiers of all that lead to it.
pub(crate) async fn one(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Patient>, Problem> {
    let Some(person) = queries::get(tx.conn(), id).await? else {
        return Ok(None);
    };
    if person.patient.id == id {
        return Ok(Some(Patient::of(person.patient, &person.merged)));
    }
    Ok(person
        .merged
        .into_iter()
        .find(|record| record.id == id)
        .map(|record| Patient::of(record, &[])))
}

/// All records of the person whose record this is; `None` when there is no such record.
pub(crate) async fn family(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Vec<Uuid>>, Problem> {
    let Some(person) = queries::get(tx.conn(), id).await? else {
        return Ok(None);
    };
    let merged = person.merged.iter().map(|record| record.id);
    Ok(Some(
        std::iter::once(person.patient.id).chain(merged).collect(),
    ))
}

/// Records that may be the same person, likeliest first; `None` when there is no such record.
pub(crate) async fn duplicates(
    tx: &mut Tx<'_>,
    id: Uuid,
) -> Result<Option<Vec<Duplicate>>, Problem> {
    if queries::record(tx.conn(), id).await?.is_none() {
        return Ok(None);
    }
    let pairs = queries::duplicates(tx.conn(), Some(id), None, MOST_DUPLICATES).await?;
    let mut duplicates = Vec::with_capacity(pairs.len());
    for pair in pairs {
        let other = if pair.patient_id == id {
            pair.other_id
        } else {
            pair.patient_id
        };
        if let Some(record) = queries::record(tx.conn(), other).await? {
            duplicates.push(Duplicate {
                patient: Patient::of(record, &[]),
                score: pair.score,
                reasons: pair.reasons,
                state: pair.state,
            });
        }
    }
    duplicates.sort_by_key(|duplicate| std::cmp::Reverse(duplicate.score));
    Ok(Some(duplicates))
}

/// Whom an identifier means.
pub(crate) enum Named {
    One(Identifier),
    /// Two systems gave one value to two people, both registered.
    Several,
    Nobody,
}

/// The person and the identifier as it was registered, so that what is written carries the key that others carry.
pub(crate) async fn named(tx: &mut Tx<'_>, text: &str) -> Result<Named, Problem> {
    let mut found = Vec::new();
    for form in forms(text) {
        found = queries::identifiers_named(tx.conn(), &form).await?;
        if !found.is_empty() {
            break;
        }
    }
    // an instrument that sends a number without its system mentions somebody: who asks means the one who is registered
    if found.iter().any(|one| !one.provisional) {
        found.retain(|one| !one.provisional);
    }
    let Some(first) = found.first() else {
        return Ok(Named::Nobody);
    };
    if found
        .iter()
        .any(|other| other.patient_id != first.patient_id)
    {
        return Ok(Named::Several);
    }
    Ok(Named::One(Identifier {
        key: IdentifierKey(first.key),
        system: first.system.clone(),
        value: first.value.clone(),
        kind: first.kind.clone(),
    }))
}

/// The standing record behind an identifier.
pub(crate) async fn person_of(
    tx: &mut Tx<'_>,
    key: IdentifierKey,
) -> Result<Option<queries::PersonOfKey>, Problem> {
    Ok(queries::people_of_keys(tx.conn(), &[key.0]).await?.pop())
}

/// Keys of a person, those of merged records included; `None` when there is no such record.
pub(crate) async fn keys_of_patient(tx: &mut Tx<'_>, id: Uuid) -> Result<Option<Keys>, Problem> {
    if queries::record(tx.conn(), id).await?.is_none() {
        return Ok(None);
    }
    let keys = queries::subject_keys_for_patient(tx.conn(), id).await?;
    Ok(Some(by_key(keys)))
}

/// Keys of everyone who has this identifier.
pub(crate) async fn keys_of_identifier(tx: &mut Tx<'_>, text: &str) -> Result<Keys, Problem> {
    let mut keys = Keys::new();
    for asked in Asked::all(text) {
        let mut found = queries::subject_keys_for_identifier(tx.conn(), &asked.query()).await?;
        if found.is_empty() && asked.system.is_some() {
            let value = asked.value.clone();
            let any = Asked {
                system: None,
                value,
            };
            found = queries::subject_keys_for_identifier(tx.conn(), &any.query()).await?;
        }
        if found.is_empty() {
            // clinical rows may be ahead of the index: the key follows from the identifier alone
            let key = IdentifierKey::of(tx.tenant(), asked.key_system(), &asked.value);
            keys.insert(key.0, None);
        }
        keys.extend(by_key(found));
    }
    Ok(keys)
}

fn by_key(keys: Vec<queries::SubjectKey>) -> Keys {
    keys.into_iter()
        .map(|found| (found.key, Some(found.patient_id)))
        .collect()
}
