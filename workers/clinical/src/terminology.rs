//! The import of a release of a code system, with all its codes, in one transaction.
//!
//! Whoever reads meanwhile sees the release before; an import that ends early leaves nothing. It knows no file format (`hub/cli`
//! does), decides nothing about licences, and takes no code away: what a release has no more stays to be read, out of force.

use hub_core::{Refusal, Tx};
use schemas::platform::platform;
use sqlx::PgPool;

use crate::audit;

mod system;
mod words;

pub use system::CodeSystem;
pub(crate) use words::{line_of, words_of};

/// What a code is in its system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeKind {
    Chapter,
    Block,
    /// It has finer codes below it, and may be used itself where nobody knows better.
    Category,
    Code,
}

impl CodeKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chapter => "chapter",
            Self::Block => "block",
            Self::Category => "category",
            Self::Code => "code",
        }
    }
}

/// What the publisher says of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Active,
    Trial,
    Discouraged,
    Deprecated,
}

impl Standing {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Trial => "trial",
            Self::Discouraged => "discouraged",
            Self::Deprecated => "deprecated",
        }
    }
}

/// One code of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub code: String,
    pub display: String,
    pub kind: CodeKind,
    /// The code above it; class of a LOINC term.
    pub parent: Option<String>,
    /// Nothing more exact stands below it.
    pub leaf: bool,
    pub standing: Standing,
    /// Copyright of others, to be shown with it.
    pub notice: Option<String>,
}

/// The release of a system that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    pub number: i32,
    pub release: String,
    pub digest: Vec<u8>,
    pub codes: i32,
}

/// What is said of a release when all its codes are there.
#[derive(Debug, Clone)]
pub struct Release {
    /// As its publisher calls it.
    pub name: String,
    /// What the file says of itself.
    pub title: Option<String>,
    /// SHA-256 of the file.
    pub digest: [u8; 32],
    /// Fewer than half of the codes in force before are meant.
    pub smaller: bool,
    /// Who imports, for the trail.
    pub actor: String,
}

/// What an import came to, against the release that was in force before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    pub codes: i32,
    pub added: i32,
    pub reworded: i32,
    pub retired: i32,
}

/// Why a release did not come into force.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Refused(Refusal),
}

/// An import under way. Dropped before [`finish`](Self::finish), it leaves nothing.
pub struct Import {
    tx: Tx<'static>,
    system: CodeSystem,
    before: Option<InForce>,
    number: i32,
    codes: i32,
    added: i32,
    reworded: i32,
}

/// The release in force.
///
/// # Errors
/// The database failed.
pub async fn in_force(tx: &mut Tx<'_>, system: CodeSystem) -> Result<Option<InForce>, sqlx::Error> {
    let row: Option<(i32, String, Vec<u8>, i32)> = sqlx::query_as(
        "select number, release, digest, codes from clinical.code_releases where system = $1 order by number desc limit 1",
    )
    .bind(system.symbol())
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|(number, release, digest, codes)| InForce {
        number,
        release,
        digest,
        codes,
    }))
}

impl Import {
    /// Begins. Another import of the same system waits until this one is over.
    ///
    /// # Errors
    /// The database failed.
    pub async fn begin(pool: &PgPool, system: CodeSystem) -> Result<Self, sqlx::Error> {
        let mut tx = Tx::begin(pool, &platform()).await?;
        sqlx::query("select pg_advisory_xact_lock(hashtextextended('clinical.codes ' || $1, 0))")
            .bind(system.symbol())
            .execute(tx.conn())
            .await?;
        let before = in_force(&mut tx, system).await?;
        let number = before.as_ref().map_or(1, |release| release.number + 1);
        Ok(Self {
            tx,
            system,
            before,
            number,
            codes: 0,
            added: 0,
            reworded: 0,
        })
    }

    /// The release that this one takes the place of.
    #[must_use]
    pub fn before(&self) -> Option<&InForce> {
        self.before.as_ref()
    }

    /// Some of its codes, in any order, each once. A thousand or so at a time cost least.
    ///
    /// # Errors
    /// The database failed, or a code came twice.
    pub async fn put(&mut self, terms: &[Term]) -> Result<(), ImportError> {
        if terms.is_empty() {
            return Ok(());
        }
        let before = self.before.as_ref().map_or(0, |release| release.number);
        let column = |of: fn(&Term) -> String| terms.iter().map(of).collect::<Vec<String>>();
        let (added, reworded, written): (i64, i64, i64) = sqlx::query_as(
            "with given as (
                 select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::text[], $9::text[])
                     as g(code, display, words, kind, parent, leaf, standing, notice)
             ), compared as (
                 select count(*) filter (where c.code is null or c.seen < $10) as added,
                        count(*) filter (where c.seen = $10 and c.display <> g.display) as reworded
                 from given g left join clinical.codes c on c.system = $1 and c.code = g.code
             ), written as (
                 insert into clinical.codes as c
                     (system, code, display, words, kind, parent, leaf, standing, notice, since, seen)
                 select $1, g.code, g.display, g.words, g.kind, g.parent, g.leaf, g.standing, g.notice, $11, $11 from given g
                 on conflict (system, code) do update set display = excluded.display, words = excluded.words, kind = excluded.kind,
                     parent = excluded.parent, leaf = excluded.leaf, standing = excluded.standing, notice = excluded.notice,
                     seen = excluded.seen
                 where c.seen < excluded.seen
                 returning 1
             )
             select added, reworded, (select count(*) from written) from compared",
        )
        .bind(self.system.symbol())
        .bind(column(|term| term.code.clone()))
        .bind(column(|term| term.display.clone()))
        .bind(column(|term| line_of(&term.display)))
        .bind(column(|term| term.kind.as_str().to_owned()))
        .bind(
            terms
                .iter()
                .map(|term| term.parent.clone())
                .collect::<Vec<Option<String>>>(),
        )
        .bind(terms.iter().map(|term| term.leaf).collect::<Vec<bool>>())
        .bind(column(|term| term.standing.as_str().to_owned()))
        .bind(
            terms
                .iter()
                .map(|term| term.notice.clone())
                .collect::<Vec<Option<String>>>(),
        )
        .bind(before)
        .bind(self.number)
        .fetch_one(self.tx.conn())
        .await?;
        if usize::try_from(written).ok() != Some(terms.len()) {
            return Err(ImportError::Refused(Refusal::new(
                "codes.repeated",
                "a code stands in the file twice",
            )));
        }
        self.put_words(terms).await?;
        self.codes += small(written);
        self.added += small(added);
        self.reworded += small(reworded);
        Ok(())
    }

    async fn put_words(&mut self, terms: &[Term]) -> Result<(), sqlx::Error> {
        let (mut words, mut codes) = (Vec::new(), Vec::new());
        for term in terms {
            for word in words_of(&term.display) {
                words.push(word);
                codes.push(term.code.clone());
            }
        }
        sqlx::query(
            "insert into clinical.code_words (system, word, code, seen)
             select $1, w.word, w.code, $4 from unnest($2::text[], $3::text[]) as w(word, code)
             on conflict (system, word, code) do update set seen = excluded.seen",
        )
        .bind(self.system.symbol())
        .bind(&words)
        .bind(&codes)
        .bind(self.number)
        .execute(self.tx.conn())
        .await?;
        Ok(())
    }

    /// All its codes are there: it comes into force, for everybody at once.
    ///
    /// # Errors
    /// There are no codes, or suspiciously few; or the database failed.
    pub async fn finish(mut self, release: &Release) -> Result<Imported, ImportError> {
        if self.codes == 0 {
            return Err(ImportError::Refused(Refusal::new(
                "codes.none",
                "the file has no codes",
            )));
        }
        if let Some(before) = &self.before
            && self.codes < before.codes / 2
            && !release.smaller
        {
            return Err(ImportError::Refused(Refusal::new(
                "codes.fewer",
                format!(
                    "the file has {} codes, and release {}, which is in force, has {}: is it whole?",
                    self.codes, before.release, before.codes
                ),
            )));
        }
        let before = self.before.as_ref().map_or(0, |before| before.number);
        let retired: i64 = sqlx::query_scalar(
            "select count(*) from clinical.codes where system = $1 and seen = $2",
        )
        .bind(self.system.symbol())
        .bind(before)
        .fetch_one(self.tx.conn())
        .await?;
        let imported = Imported {
            codes: self.codes,
            added: self.added,
            reworded: self.reworded,
            retired: small(retired),
        };
        sqlx::query(
            "insert into clinical.code_releases
                 (system, number, release, title, digest, codes, added, reworded, retired, imported_by)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(self.system.symbol())
        .bind(self.number)
        .bind(&release.name)
        .bind(&release.title)
        .bind(&release.digest[..])
        .bind(imported.codes)
        .bind(imported.added)
        .bind(imported.reworded)
        .bind(imported.retired)
        .bind(&release.actor)
        .execute(self.tx.conn())
        .await?;
        audit::entry(
            &mut self.tx,
            &release.actor,
            "clinical.codes.import",
            &format!("codes:{}", self.system.symbol()),
            &[],
            Some(serde_json::json!({
                "release": release.name, "number": self.number, "codes": imported.codes, "added": imported.added,
                "reworded": imported.reworded, "retired": imported.retired,
            })),
        )
        .await?;
        self.tx.commit().await?;
        Ok(imported)
    }
}

/// A release has some 100,000 codes; a count beyond `i32` is no release.
fn small(count: i64) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
