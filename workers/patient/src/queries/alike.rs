//! Who on file looks like somebody who is about to be registered. The worker refuses by it, and REST shows the same list.

use std::collections::{BTreeMap, BTreeSet};

use schemas::patients::{HumanName, Identifier};
use schemas::registration::Stated;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::demographics::Demographics;
use crate::similarity::{Likeness, MOST_ALIKE, match_keys, similar_names};

/// From this score on a registration needs a person's word: the same ABHA, the same name and date of birth, or the same
/// mobile and given name. A mobile alone is a family's.
pub const WARNING: i16 = 70;

/// A person on file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alike {
    /// The record that stands.
    pub patient_id: Uuid,
    /// 1 to 100.
    pub score: i16,
    pub reasons: Vec<&'static str>,
}

/// Likeliest first; those below [`WARNING`] too.
///
/// # Errors
/// The database is out of reach.
pub async fn alike(
    conn: &mut PgConnection,
    stated: &Stated,
    identifiers: &[Identifier],
) -> Result<Vec<Alike>, sqlx::Error> {
    let mut demographics = Demographics::default();
    demographics.state(stated);
    let (mut kinds, mut keys) = (Vec::new(), Vec::new());
    for (kind, key) in match_keys(&demographics, identifiers.iter()) {
        if Likeness::of_key(kind).is_some() {
            kinds.push(kind);
            keys.push(key);
        }
    }
    if kinds.is_empty() {
        return Ok(Vec::new());
    }
    // as the comparison of records on file does it (store/save/likenesses.rs): look-ups by key, none for a key of many
    let rows: Vec<(String, Uuid, Option<Json<HumanName>>)> = sqlx::query_as(
        "select k.kind, p.standing, n.name
         from unnest($1::text[], $2::text[]) as k(kind, key)
         cross join lateral (
             select m.patient_id, count(*) over () as alike
             from (select s.patient_id from patients.match_keys s
                   where s.kind = k.kind and s.key = k.key collate \"C\" limit $3 + 1) m
         ) m
         cross join lateral (
             select case when p.status = 'merged' then patients.standing(p.id) else p.id end as standing
             from patients.patients p where p.id = m.patient_id and p.status <> 'entered_in_error'
             offset 0
         ) p
         join patients.patients n on n.id = p.standing
         where m.alike <= $3",
    )
    .bind(kinds)
    .bind(keys)
    .bind(MOST_ALIKE)
    .fetch_all(conn)
    .await?;
    let mut found: BTreeMap<Uuid, BTreeSet<Likeness>> = BTreeMap::new();
    for (kind, standing, name) in rows {
        let Some(likeness) = Likeness::of_key(&kind) else {
            continue;
        };
        let likenesses = found.entry(standing).or_default();
        likenesses.insert(likeness);
        if likeness == Likeness::SameMobile
            && let (Some(mine), Some(Json(theirs))) = (&demographics.name, &name)
            && similar_names(mine, theirs)
        {
            likenesses.insert(Likeness::SimilarName);
        }
    }
    let mut alike: Vec<Alike> = found
        .into_iter()
        .map(|(patient_id, likenesses)| Alike {
            patient_id,
            score: likenesses
                .iter()
                .map(|likeness| likeness.weight())
                .sum::<i16>()
                .min(100),
            reasons: likenesses.into_iter().map(Likeness::as_str).collect(),
        })
        .collect();
    alike.sort_by_key(|one| (std::cmp::Reverse(one.score), one.patient_id));
    Ok(alike)
}
