//! Keys to find records by, and the suggestions that follow from them.

use std::collections::HashMap;

use schemas::TenantId;
use schemas::patients::Identifier;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::index::Index;
use crate::similarity::{Candidates, Likeness, MOST_ALIKE, kind, match_keys, name_words};

pub(super) async fn save(
    conn: &mut PgConnection,
    tenant: &TenantId,
    index: &Index,
) -> Result<Candidates, sqlx::Error> {
    let mut candidates = Candidates::default();
    for (record, owner) in &index.shared {
        if index.standing(*record) != index.standing(*owner) {
            candidates.add(*record, *owner, Likeness::SharedIdentifier);
        }
    }
    let (kinds, keys, owners) = write_keys(conn, tenant, index).await?;
    if !owners.is_empty() {
        compare(conn, index, (kinds, keys, owners), &mut candidates).await?;
    }
    if !candidates.is_empty() {
        suggest(conn, tenant, &candidates).await?;
    }
    Ok(candidates)
}

type KeyColumns = (Vec<&'static str>, Vec<String>, Vec<Uuid>);

async fn write_keys(
    conn: &mut PgConnection,
    tenant: &TenantId,
    index: &Index,
) -> Result<KeyColumns, sqlx::Error> {
    let mut identifiers: HashMap<Uuid, Vec<&Identifier>> = HashMap::new();
    for (identifier, owner) in &index.new_identifiers {
        identifiers.entry(*owner).or_default().push(identifier);
    }
    let (mut kinds, mut keys, mut owners) = (Vec::new(), Vec::new(), Vec::new());
    let mut words: Vec<Option<String>> = Vec::new();
    let mut rewritten = Vec::new();
    for record in index.records.values().filter(|record| record.keys_changed) {
        if !record.is_new() {
            rewritten.push(record.id);
        }
        let own = identifiers.get(&record.id).into_iter().flatten().copied();
        let found_by = match_keys(&record.demographics, own);
        let names = name_words(&found_by);
        for (kind, key) in found_by {
            words.push(names.clone().filter(|_| kind == kind::NAME));
            kinds.push(kind);
            keys.push(key);
            owners.push(record.id);
        }
    }
    if !rewritten.is_empty() {
        // identifiers are never taken away, so what follows from them stays
        sqlx::query(
            "delete from patients.match_keys where patient_id = any($1) and kind <> 'abha'",
        )
        .bind(rewritten)
        .execute(&mut *conn)
        .await?;
    }
    if !owners.is_empty() {
        sqlx::query(
            "insert into patients.match_keys (tenant_id, kind, key, patient_id, words)
             select $1, r.kind, r.key, r.patient_id, r.words
             from unnest($2::text[], $3::text[], $4::uuid[], $5::text[]) as r(kind, key, patient_id, words)
             on conflict do nothing",
        )
        .bind(tenant.as_str())
        .bind(&kinds)
        .bind(&keys)
        .bind(&owners)
        .bind(&words)
        .execute(&mut *conn)
        .await?;
    }
    Ok((kinds, keys, owners))
}

/// Who else has one of these keys. `offset 0` keeps the planner from turning the look-ups around, which it does while the
/// tables are young and have no statistics, and then the cost is that of all keys times all patients.
/// Of two records registered in one batch the later is compared to the earlier.
async fn compare(
    conn: &mut PgConnection,
    index: &Index,
    (kinds, keys, owners): KeyColumns,
    candidates: &mut Candidates,
) -> Result<(), sqlx::Error> {
    let compared: Vec<usize> = (0..kinds.len())
        .filter(|&place| Likeness::of_key(kinds[place]).is_some())
        .collect();
    if compared.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Uuid, String, Uuid, Uuid)> = sqlx::query_as(
        "select k.patient_id, k.kind, m.patient_id, p.standing
         from unnest($1::text[], $2::text[], $3::uuid[]) as k(kind, key, patient_id)
         cross join lateral (
             select m.patient_id, count(*) over () as alike
             from (select s.patient_id from patients.match_keys s
                   where s.kind = k.kind and s.key = k.key collate \"C\" limit $4 + 1) m
         ) m
         cross join lateral (
             select case when p.status = 'merged' then patients.standing(p.id) else p.id end as standing
             from patients.patients p where p.id = m.patient_id and p.status <> 'entered_in_error'
             offset 0
         ) p
         where m.alike <= $4 and m.patient_id <> k.patient_id",
    )
    .bind(
        compared
            .iter()
            .map(|&place| kinds[place])
            .collect::<Vec<_>>(),
    )
    .bind(
        compared
            .iter()
            .map(|&place| keys[place].as_str())
            .collect::<Vec<_>>(),
    )
    .bind(
        compared
            .iter()
            .map(|&place| owners[place])
            .collect::<Vec<_>>(),
    )
    .bind(MOST_ALIKE)
    .fetch_all(conn)
    .await?;
    let order: HashMap<Uuid, usize> = index
        .registered
        .iter()
        .enumerate()
        .map(|(place, id)| (*id, place))
        .collect();
    for (record, kind, other, standing) in rows {
        let is_later = match (order.get(&record), order.get(&other)) {
            (Some(own), Some(theirs)) => own > theirs,
            (None, Some(_)) => false,
            _ => true,
        };
        if is_later
            && index.standing(record) != standing
            && let Some(likeness) = Likeness::of_key(&kind)
        {
            candidates.add(record, standing, likeness);
        }
    }
    Ok(())
}

async fn suggest(
    conn: &mut PgConnection,
    tenant: &TenantId,
    candidates: &Candidates,
) -> Result<(), sqlx::Error> {
    let (mut records, mut others, mut scores, mut reasons) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (record, other, score, why) in candidates.rows() {
        records.push(record);
        others.push(other);
        scores.push(score);
        reasons.push(why.join(","));
    }
    sqlx::query(
        "insert into patients.duplicate_candidates as d (tenant_id, patient_id, other_id, score, reasons)
         select $1, r.patient_id, r.other_id, r.score, string_to_array(r.reasons, ',')
         from unnest($2::uuid[], $3::uuid[], $4::smallint[], $5::text[]) as r(patient_id, other_id, score, reasons)
         order by r.patient_id, r.other_id
         on conflict (patient_id, other_id) do update
             set score = greatest(d.score, excluded.score),
                 reasons = (select array_agg(distinct reason order by reason) from unnest(d.reasons || excluded.reasons) reason)
             where d.state = 'open' and not d.reasons @> excluded.reasons",
    )
    .bind(tenant.as_str())
    .bind(records)
    .bind(others)
    .bind(scores)
    .bind(reasons)
    .execute(conn)
    .await?;
    Ok(())
}
