//! Finding people. Only equality and ranges on text are used: other operators reach no index behind row-level security.

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
    /// Keyset: people whose id is above this one.
    pub after: Option<Uuid>,
    /// At most this many.
    pub limit: i64,
}

/// Standing records, by id. A merged record that fits is shown as the one it leads to.
///
/// # Errors
/// The database is out of reach.
pub async fn search(conn: &mut PgConnection, search: &Search) -> Result<Vec<Patient>, sqlx::Error> {
    let words: Vec<String> = search.name.iter().flat_map(|name| words_of(name)).collect();
    let ends: Vec<String> = words.iter().map(|word| end_of_prefix(word)).collect();
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
    let nothing_asked = words.is_empty() && value.is_none() && mobile.is_none();
    let ids: Vec<Uuid> = if nothing_asked {
        if search.name.is_some() {
            return Ok(Vec::new());
        }
        sqlx::query_scalar(
            "select id from patients.patients
             where status = 'active' and id > coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid)
             order by id limit $2",
        )
        .bind(search.after)
        .bind(search.limit)
        .fetch_all(&mut *conn)
        .await?
    } else {
        sqlx::query_scalar(FOUND)
            .bind(&words)
            .bind(&ends)
            .bind(system)
            .bind(value)
            .bind(mobile)
            .bind(search.after)
            .bind(search.limit)
            .fetch_all(&mut *conn)
            .await?
    };
    by_ids(conn, &ids).await
}

/// Each condition gives its set of records ($n is null or empty: no such condition); the sets meet on standing records.
const FOUND: &str = "
    with by_name as (
        select m.patient_id
        from unnest($1::text[], $2::text[]) with ordinality as w(low, high, n)
        join patients.match_keys m on m.kind = 'name' and m.key >= w.low collate \"C\" and m.key < w.high collate \"C\"
        group by m.patient_id
        having count(distinct w.n) = cardinality($1)
    ), by_identifier as (
        select i.patient_id from patients.identifiers i where i.value = $4 and ($3 is null or i.system = $3)
    ), by_mobile as (
        select m.patient_id from patients.match_keys m where m.kind = 'mobile' and m.key = $5 collate \"C\"
    ), found as (
        select patient_id, 1 as asked from by_name
        union all select patient_id, 2 from by_identifier
        union all select patient_id, 3 from by_mobile
    ), standing as (
        select case when p.status = 'merged' then patients.standing(p.id) else p.id end as id, f.asked
        from found f join patients.patients p on p.id = f.patient_id
        where p.status <> 'entered_in_error'
    )
    select id from standing
    where id > coalesce($6, '00000000-0000-0000-0000-000000000000'::uuid)
    group by id
    having count(distinct asked) = (cardinality($1) > 0)::int + ($4 is not null)::int + ($5 is not null)::int
    order by id limit $7";

/// The first text that does not begin with `prefix`, near enough: no character sorts above U+10FFFF.
fn end_of_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}
