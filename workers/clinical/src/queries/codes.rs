//! Codes of the systems that were imported: which release is in force, and codes by words, by their beginning, by what they
//! stand under. Only comparisons of text are used to find them: other operators reach no index behind row-level security.

use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;

use crate::terminology::{CodeSystem, words_of};

/// A release that was imported.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CodeReleaseRow {
    /// `I10`, `I10C`, `LN`.
    pub system: String,
    pub release: String,
    pub title: Option<String>,
    pub codes: i32,
    pub added: i32,
    pub reworded: i32,
    pub retired: i32,
    pub imported_at: OffsetDateTime,
    pub imported_by: String,
    /// The newest of its system.
    pub in_force: bool,
}

/// Every release, those in force first, then newest first.
///
/// # Errors
/// The database failed.
pub async fn code_releases(conn: &mut PgConnection) -> Result<Vec<CodeReleaseRow>, sqlx::Error> {
    sqlx::query_as(
        "select r.system, r.release, r.title, r.codes, r.added, r.reworded, r.retired, r.imported_at, r.imported_by,
             r.number = max(r.number) over (partition by r.system) as in_force
         from clinical.code_releases r order by in_force desc, r.system, r.number desc",
    )
    .fetch_all(conn)
    .await
}

/// One code.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CodeRow {
    pub code: String,
    pub display: String,
    /// `chapter`, `block`, `category`, `code`.
    pub kind: String,
    pub parent: Option<String>,
    pub leaf: bool,
    /// `active`, `trial`, `discouraged`, `deprecated`.
    pub standing: String,
    pub notice: Option<String>,
    /// False: an earlier release had it, the one in force has not.
    pub in_force: bool,
}

/// What to look for; several conditions must all hold.
#[derive(Debug, Clone, Default)]
pub struct CodeSearch {
    /// The beginning of a code, or words, each from its beginning, in any order, upper or lower case.
    pub text: Option<String>,
    /// Exactly this code, also when it is not in force any more.
    pub code: Option<String>,
    /// What stands right under this one.
    pub parent: Option<String>,
    /// Keyset: codes after this one.
    pub after: Option<String>,
    pub limit: i64,
}

/// Codes of the release in force, by code; `None` when no release of the system is imported.
///
/// # Errors
/// The database failed.
pub async fn codes(
    conn: &mut PgConnection,
    system: CodeSystem,
    search: &CodeSearch,
) -> Result<Option<Vec<CodeRow>>, sqlx::Error> {
    let number: Option<i32> =
        sqlx::query_scalar("select max(number) from clinical.code_releases where system = $1")
            .bind(system.symbol())
            .fetch_one(&mut *conn)
            .await?;
    let Some(number) = number else {
        return Ok(None);
    };
    let rows = match &search.text {
        None => listed(conn, system, number, search).await?,
        Some(text) => found(conn, system, number, text, search).await?,
    };
    Ok(Some(rows))
}

async fn listed(
    conn: &mut PgConnection,
    system: CodeSystem,
    number: i32,
    search: &CodeSearch,
) -> Result<Vec<CodeRow>, sqlx::Error> {
    sqlx::query_as(
        "select c.code, c.display, c.kind, c.parent, c.leaf, c.standing, c.notice, c.seen = $2 as in_force
         from clinical.codes c
         where c.system = $1 and (c.seen = $2 or c.code = $3) and ($3::text is null or c.code = $3)
             and ($4::text is null or c.parent = $4) and c.code > coalesce($5, '')
         order by c.code limit $6",
    )
    .bind(system.symbol())
    .bind(number)
    .bind(&search.code)
    .bind(&search.parent)
    .bind(&search.after)
    .bind(search.limit)
    .fetch_all(conn)
    .await
}

async fn found(
    conn: &mut PgConnection,
    system: CodeSystem,
    number: i32,
    text: &str,
    search: &CodeSearch,
) -> Result<Vec<CodeRow>, sqlx::Error> {
    let words: Vec<String> = words_of(text).into_iter().collect();
    // the longest word has the fewest codes, near enough; the others are looked for in what it finds
    let longest = words
        .iter()
        .max_by_key(|word| word.chars().count())
        .cloned()
        .unwrap_or_default();
    // what can't be the beginning of a code, or has no words, finds nothing there, and not everything
    let beginning = beginning_of_code(system, text).unwrap_or_default();
    let others: Vec<String> = words
        .iter()
        .filter(|word| **word != longest)
        .map(|word| format!(" {word}"))
        .collect();
    sqlx::query_as(FOUND)
        .bind(system.symbol())
        .bind(number)
        .bind(&beginning)
        .bind(end_of_prefix(&beginning))
        .bind(&longest)
        .bind(end_of_prefix(&longest))
        .bind(&others)
        .bind(&search.code)
        .bind(&search.parent)
        .bind(&search.after)
        .bind(search.limit)
        .fetch_all(conn)
        .await
}

const FOUND: &str = "
    with found as (
        select c.code from clinical.codes c
        where $3 <> '' and c.system = $1 and c.code >= $3 collate \"C\" and c.code < $4 collate \"C\"
        union
        select w.code from clinical.code_words w
        where $5 <> '' and w.system = $1 and w.word >= $5 collate \"C\" and w.word < $6 collate \"C\" and w.seen = $2
    )
    select c.code, c.display, c.kind, c.parent, c.leaf, c.standing, c.notice, true as in_force
    from found f join clinical.codes c on c.system = $1 and c.code = f.code
    where c.seen = $2 and not exists (select from unnest($7::text[]) as o(word) where strpos(c.words, o.word) = 0)
        and ($8::text is null or c.code = $8) and ($9::text is null or c.parent = $9) and c.code > coalesce($10, '')
    order by c.code limit $11";

/// What `text` may be the beginning of, as codes are written: `e119` is `E11.9`. Two characters at least: one finds too much.
fn beginning_of_code(system: CodeSystem, text: &str) -> Option<String> {
    let text = text.trim().to_ascii_uppercase();
    if system == CodeSystem::Loinc {
        let is_one = text.len() >= 2
            && text.starts_with(|first: char| first.is_ascii_digit())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'-');
        return is_one.then_some(text);
    }
    let plain: String = text.chars().filter(|character| *character != '.').collect();
    let bytes = plain.as_bytes();
    let is_one = (2..=7).contains(&bytes.len())
        && bytes[0].is_ascii_uppercase()
        && bytes[1].is_ascii_digit()
        && bytes.iter().all(u8::is_ascii_alphanumeric);
    if !is_one {
        return None;
    }
    if plain.len() > 3 {
        let (category, rest) = plain.split_at(3);
        return Some(format!("{category}.{rest}"));
    }
    Some(plain)
}

/// The first text that does not begin with `prefix`, near enough: no character sorts above U+10FFFF.
fn end_of_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_by_its_beginning_with_or_without_its_point() {
        for (system, text, beginning) in [
            (CodeSystem::Icd10, "E11", Some("E11")),
            (CodeSystem::Icd10, "e11.9", Some("E11.9")),
            (CodeSystem::Icd10, " e119 ", Some("E11.9")),
            (CodeSystem::Icd10, "E1", Some("E1")),
            (CodeSystem::Icd10, "E", None),
            (CodeSystem::Icd10, "type 2 diabetes", None),
            (CodeSystem::Icd10, "A00-A09", None),
            (CodeSystem::Icd10Cm, "s72001a", Some("S72.001A")),
            (CodeSystem::Loinc, "2345", Some("2345")),
            (CodeSystem::Loinc, "2345-7", Some("2345-7")),
            (CodeSystem::Loinc, "glucose", None),
            (CodeSystem::Loinc, "2", None),
        ] {
            assert_eq!(
                beginning_of_code(system, text).as_deref(),
                beginning,
                "{text}"
            );
        }
    }
}
