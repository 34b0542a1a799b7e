//! What a merge would do, put together from what stands in both records and charts. Decides nothing: the worker does.

use hub_core::Tx;
use serde_json::{Value, json};
use uuid::Uuid;
use worker_clinical::queries::{self, ChartFilter};

use crate::problem::Problem;
use crate::reads::patients::keys_of_patient;
use crate::views::patients::Patient;
use crate::views::registration::{Charts, MergePreview};

pub(crate) async fn merge(
    tx: &mut Tx<'_>,
    survivor: Patient,
    retired: Patient,
) -> Result<MergePreview, Problem> {
    let refusal = refusal(&survivor, &retired);
    let mine = keys(tx, survivor.id).await?;
    let theirs = keys(tx, retired.id).await?;
    let mut warnings = warnings(&survivor, &retired);
    let (listed, none) = (
        [allergic(tx, &mine).await?, allergic(tx, &theirs).await?],
        [
            queries::no_known_allergies(tx.conn(), &mine)
                .await?
                .is_some(),
            queries::no_known_allergies(tx.conn(), &theirs)
                .await?
                .is_some(),
        ],
    );
    if (listed[0] && none[1]) || (listed[1] && none[0]) {
        warnings.push("no_known_allergies_against_allergies");
    }
    let mut all: Vec<Uuid> = mine.iter().chain(&theirs).copied().collect();
    all.sort_unstable();
    all.dedup();
    Ok(MergePreview {
        possible: refusal.is_none(),
        refusal,
        differences: differences(&survivor, &retired),
        identifiers: all.len(),
        charts: Charts {
            survivor: queries::chart_counts(tx.conn(), &mine).await?.into(),
            retired: queries::chart_counts(tx.conn(), &theirs).await?.into(),
        },
        warnings,
        survivor,
        retired,
    })
}

/// What the worker would say (workers/patient, index/merging.rs).
fn refusal(survivor: &Patient, retired: &Patient) -> Option<&'static str> {
    let in_error = |record: &Patient| record.status == "entered_in_error";
    if survivor.id == retired.id {
        Some("patients.self_merge")
    } else if in_error(survivor) || in_error(retired) {
        Some("patients.entered_in_error")
    } else if survivor.merged_into == Some(retired.id) {
        Some("patients.cycle")
    } else if retired.merged_into.is_some() {
        Some("patients.already_merged")
    } else {
        None
    }
}

async fn keys(tx: &mut Tx<'_>, id: Uuid) -> Result<Vec<Uuid>, Problem> {
    Ok(keys_of_patient(tx, id)
        .await?
        .unwrap_or_default()
        .into_keys()
        .collect())
}

async fn allergic(tx: &mut Tx<'_>, keys: &[Uuid]) -> Result<bool, Problem> {
    let filter = ChartFilter {
        state: Some("active".to_owned()),
        limit: 1,
        ..ChartFilter::default()
    };
    Ok(!queries::chart_entries(tx, "allergy", keys, &filter)
        .await?
        .is_empty())
}

fn differences(survivor: &Patient, retired: &Patient) -> Vec<&'static str> {
    let shown = |record: &Patient| -> Vec<(&'static str, Value)> {
        vec![
            ("name", json!(record.name)),
            ("other_names", json!(record.other_names)),
            ("birth_date", json!(record.birth_date)),
            ("sex", json!(record.sex)),
            ("telecoms", json!(record.telecoms)),
            ("addresses", json!(record.addresses)),
            ("mother_maiden_name", json!(record.mother_maiden_name)),
            ("marital_status", json!(record.marital_status)),
            ("deceased", json!(record.deceased)),
        ]
    };
    shown(survivor)
        .into_iter()
        .zip(shown(retired))
        .filter(|((_, mine), (_, theirs))| mine != theirs)
        .map(|((field, _), _)| field)
        .collect()
}

fn warnings(survivor: &Patient, retired: &Patient) -> Vec<&'static str> {
    let mut warnings = Vec::new();
    let both = |one: &Option<String>, other: &Option<String>| {
        one.as_ref()
            .zip(other.as_ref())
            .map(|(one, other)| (one.clone(), other.clone()))
    };
    if let Some((one, other)) = both(&survivor.sex, &retired.sex)
        && one != other
        && one != "unknown"
        && other != "unknown"
    {
        warnings.push("different_sex");
    }
    // 1980 and 1980-05-17 may be one date
    if let Some((one, other)) = both(&survivor.birth_date, &retired.birth_date)
        && !one.starts_with(&other)
        && !other.starts_with(&one)
    {
        warnings.push("different_birth_date");
    }
    if survivor.deceased.is_some() != retired.deceased.is_some() {
        warnings.push("deceased_against_alive");
    }
    if survivor.restricted || retired.restricted {
        warnings.push("restricted");
    }
    warnings
}
