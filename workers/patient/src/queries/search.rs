//! Finding people. Only equality and ranges on text are used: other operators reach no index behind row-level security.
//!
//! What a search costs follows from the page that is asked for, not from how many people fit: `ra` is the beginning of the
//! names of tens of thousands. Numbers (an identifier, a mobile) lead to a handful of records, which are looked at whole; a
//! name alone is walked along its index, in the order of the index, until the page is full. Slow, but whole, is what nearly nobody
//! asks: two beginnings that are each common and never meet in one person, for the longer one is then walked to its end.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use sqlx::PgConnection;
use uuid::Uuid;

use super::patients::{Patient, by_ids};
use crate::similarity::{mobile, words_of};

/// What to look for; several conditions must all hold, none means everybody.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Words of the name, each from its beginning, in any order, upper or lower case.
    pub name: Option<String>,
    /// An identifier's value, or `system|value`.
    pub identifier: Option<String>,
    /// A telephone number: its last ten digits count.
    pub mobile: Option<String>,
    /// Keyset: people who come after this one.
    pub after: Option<Uuid>,
    /// At most this many.
    pub limit: i64,
}

/// Why there is no page.
#[derive(Debug)]
pub enum SearchError {
    /// The person after whom the page begins is not of that name any more: where the page begins is not known.
    PlaceGone,
    Database(sqlx::Error),
}

impl fmt::Display for SearchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlaceGone => {
                f.write_str("the last one of the page before does not fit the search any more")
            }
            Self::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SearchError {}

impl From<sqlx::Error> for SearchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Standing records: by name where nothing but a name is asked, else by id. A merged record that fits is shown as the one it
/// leads to.
///
/// # Errors
/// See [`SearchError`].
pub async fn search(conn: &mut PgConnection, search: &Search) -> Result<Vec<Patient>, SearchError> {
    let words = in_order(search.name.iter().flat_map(|name| words_of(name)).collect());
    let (system, value) = match search.identifier.as_deref().map(str::trim) {
        Some(text) => match text.split_once('|') {
            Some(("", value)) => (None, Some(value)),
            Some((system, value)) => (Some(system), Some(value)),
            None => (None, Some(text)),
        },
        None => (None, None),
    };
    // a number too short to be one finds nobody, and not everybody
    let mobile = search
        .mobile
        .as_deref()
        .map(|text| mobile(text).unwrap_or_default());
    let by_number = value.is_some() || mobile.is_some();
    let ids: Vec<Uuid> = match words.split_first() {
        Some((longest, others)) if !by_number => {
            walk_names(conn, longest, others, search.after, search.limit).await?
        }
        None if !by_number && search.name.is_some() => return Ok(Vec::new()),
        None if !by_number => {
            sqlx::query_scalar(
                "select id from patients.patients
                 where status = 'active' and id > coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid)
                 order by id limit $2",
            )
            .bind(search.after)
            .bind(search.limit)
            .fetch_all(&mut *conn)
            .await?
        }
        _ => {
            let (lows, ends) = ranges(&words);
            sqlx::query_scalar(sqlx::AssertSqlSafe(numbered()))
                .bind(lows)
                .bind(ends)
                .bind(system)
                .bind(value)
                .bind(mobile)
                .bind(search.after)
                .bind(search.limit)
                .fetch_all(&mut *conn)
                .await?
        }
    };
    let mut found = by_ids(conn, &ids).await?;
    let places: HashMap<Uuid, usize> = ids.iter().copied().zip(0..).collect();
    found.sort_by_key(|record| places.get(&record.id).copied());
    Ok(found)
}

/// Each word once, the longest first: it is likely to be the rarest, and pages must be walked along the same word each time.
fn in_order(mut words: Vec<String>) -> Vec<String> {
    words.sort_by_cached_key(|word| (Reverse(word.chars().count()), word.clone()));
    words.dedup();
    words
}

fn ranges(words: &[String]) -> (Vec<&str>, Vec<String>) {
    words
        .iter()
        .map(|word| (word.as_str(), end_of_prefix(word)))
        .unzip()
}

/// People of a name in the order of the word that is walked, then of their ids. The walk itself looks at nothing but names: it
/// passes over many. Whom it finds is looked up afterwards; some are passed over then, so it may have to go on.
async fn walk_names(
    conn: &mut PgConnection,
    longest: &str,
    others: &[String],
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Uuid>, SearchError> {
    let end = end_of_prefix(longest);
    let (lows, ends) = ranges(others);
    let mut from: (String, Uuid) = match after {
        None => (longest.to_owned(), Uuid::nil()),
        Some(last) => sqlx::query_as(sqlx::AssertSqlSafe(place()))
            .bind(longest)
            .bind(&end)
            .bind(last)
            .bind(&lows)
            .bind(&ends)
            .fetch_optional(&mut *conn)
            .await?
            .ok_or(SearchError::PlaceGone)?,
    };
    let wanted = usize::try_from(limit).unwrap_or_default();
    let mut found = Vec::new();
    loop {
        let mut query = sqlx::query_as::<sqlx::Postgres, (String, Uuid)>(sqlx::AssertSqlSafe(
            walk(others.len()),
        ))
        .bind(&end)
        .bind(&from.0)
        .bind(from.1)
        .bind(limit);
        if let (Some(low), Some(end)) = (lows.first(), ends.first()) {
            query = query.bind(low).bind(end);
        }
        if others.len() > 1 {
            query = query.bind(lows[1..].to_vec()).bind(ends[1..].to_vec());
        }
        let walked = query.fetch_all(&mut *conn).await?;
        let is_end = walked.len() < wanted;
        let Some(last) = walked.last().cloned() else {
            break;
        };
        let (keys, ids): (Vec<String>, Vec<Uuid>) = walked.into_iter().unzip();
        let people: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(met()))
            .bind(longest)
            .bind(keys)
            .bind(ids)
            .bind(&lows)
            .bind(&ends)
            .fetch_all(&mut *conn)
            .await?;
        found.extend(people);
        if is_end || found.len() >= wanted {
            break;
        }
        from = last;
    }
    found.truncate(wanted);
    Ok(found)
}

/// Each condition gives its set of records ($n is null: no such condition); the sets meet on standing records, and so does the
/// name, which a record of the same person must have.
fn numbered() -> String {
    let named = has_words("family.id", "$1", "$2");
    format!(
        "with by_identifier as (
             select i.patient_id from patients.identifiers i where i.value = $4 and ($3::text is null or i.system = $3)
         ), by_mobile as (
             select m.patient_id from patients.match_keys m where m.kind = 'mobile' and m.key = $5 collate \"C\"
         ), found as (
             select patient_id, 1 as asked from by_identifier
             union all select patient_id, 2 from by_mobile
         ), standing as (
             select case when p.status = 'merged' then patients.standing(p.id) else p.id end as id, f.asked
             from found f join patients.patients p on p.id = f.patient_id
             where p.status <> 'entered_in_error'
         ), met as (
             select id from standing
             where id > coalesce($6, '00000000-0000-0000-0000-000000000000'::uuid)
             group by id
             having count(distinct asked) = ($4::text is not null)::int + ($5::text is not null)::int
         )
         select met.id from met
         where cardinality($1::text[]) = 0
            or exists (select from patients.family_of(met.id) as family(id) where {named})
         order by met.id limit $7"
    )
}

/// The walk: names up to `$1`, after (`$2`, `$3`), at most `$4`, of records that also have a name from `$5` to `$6` where there is a
/// second word, and one for each of `$7` to `$8` where there are more. A record's other words stand beside each of its names in the
/// index; where they do not, it is looked up, and `offset 0` keeps each look-up a look-up.
fn walk(others: usize) -> String {
    let second = if others > 0 {
        "and case when m.words is not null then strpos(m.words, ' ' || $5::text) > 0 else exists (
             select from patients.match_keys o
             where o.patient_id = m.patient_id and o.kind = 'name'
               and o.key >= $5::text collate \"C\" and o.key < $6::text collate \"C\"
             offset 0) end"
    } else {
        ""
    };
    let further = if others > 1 {
        format!("and {}", has_words("m.patient_id", "$7", "$8"))
    } else {
        String::new()
    };
    format!(
        "select m.key, m.patient_id from patients.match_keys m
         where m.kind = 'name' and m.key < $1::text collate \"C\"
           and (m.key, m.patient_id) > ($2::text collate \"C\", $3::uuid)
           {second} {further}
         order by m.key, m.patient_id limit $4"
    )
}

/// Whom the walk from `$1` met at the places (`$2`, `$3`). Somebody who has several such words, or several records, is met at the
/// first of them only; nearly everybody has one record, and is not asked for others. `$4` and `$5`: the other words.
fn met() -> String {
    let named_before = has_words("b.patient_id", "$4", "$5");
    format!(
        "select s.id
         from unnest($2::text[], $3::uuid[]) with ordinality as m(key, patient_id, n)
         cross join lateral (
             select case when p.status = 'merged' then patients.standing(p.id) else p.id end as id,
                    p.status = 'active' and not exists (select from patients.patients c where c.merged_into = p.id) as alone
             from patients.patients p where p.id = m.patient_id and p.status <> 'entered_in_error'
             offset 0
         ) s
         where not exists (
               select from patients.match_keys e
               where e.patient_id = m.patient_id and e.kind = 'name'
                 and e.key >= $1::text collate \"C\" and e.key < m.key collate \"C\"
               offset 0)
           and (s.alone or not exists (
               select from patients.family_of(s.id) as family(id)
               join patients.patients r on r.id = family.id and r.status <> 'entered_in_error'
               join patients.match_keys b on b.patient_id = r.id
               where b.patient_id <> m.patient_id and b.kind = 'name' and b.key >= $1::text collate \"C\"
                 and (b.key, b.patient_id) < (m.key collate \"C\", m.patient_id) and {named_before}))
         order by m.n"
    )
}

/// Where the walk met somebody (`$3`): the first place that any record of the person has in it.
fn place() -> String {
    let named = has_words("m.patient_id", "$4", "$5");
    format!(
        "select m.key, m.patient_id
         from patients.family_of(patients.standing($3)) as family(id)
         join patients.patients r on r.id = family.id and r.status <> 'entered_in_error'
         join patients.match_keys m on m.patient_id = r.id
         where m.kind = 'name' and m.key >= $1::text collate \"C\" and m.key < $2::text collate \"C\" and {named}
         order by m.key, m.patient_id limit 1"
    )
}

/// That a record has a name for every one of these words.
fn has_words(record: &str, lows: &str, ends: &str) -> String {
    format!(
        "not exists (
             select from unnest({lows}::text[], {ends}::text[]) as w(low, high)
             where not exists (
                 select from patients.match_keys o
                 where o.patient_id = {record} and o.kind = 'name'
                   and o.key >= w.low collate \"C\" and o.key < w.high collate \"C\"))"
    )
}

/// The first text that does not begin with `prefix`, near enough: no character sorts above U+10FFFF.
fn end_of_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_word_is_walked_and_the_same_one_however_they_are_written() {
        let words = |text: &str| in_order(words_of(text).collect());
        assert_eq!(words("as sharma"), ["sharma", "as"]);
        assert_eq!(words("Sharma AS as"), ["sharma", "as"]);
        assert_eq!(words("rao asha iyer"), ["asha", "iyer", "rao"]);
    }
}
