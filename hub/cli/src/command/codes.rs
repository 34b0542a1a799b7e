//! `hub codes`: releases of code systems, from the files of their publishers. Needs the database, not a running hub.
//!
//! What a release is made of is in no message and no command: a hundred thousand rows are no fact about anybody. They are written by
//! the function of the worker that owns them, in one transaction, and the trail of the tenant `platform` says who did it.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use hub_core::{Tx, db};
use schemas::platform::platform;
use sha2::{Digest as _, Sha256};
use time::format_description::well_known::Rfc3339;
use worker_clinical::queries;
use worker_clinical::terminology::{CodeSystem, Import, ImportError, Imported, Release, Term};

use super::{ConfigArgument, operator};
use crate::code_files::{self, CodeFile, Says, Version, is_release};
use crate::compose;

/// Code systems: ICD-10, ICD-10-CM, LOINC.
#[derive(clap::Args, Debug)]
pub(super) struct Codes {
    #[command(flatten)]
    config: ConfigArgument,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Read a release from its publisher's file; all of it comes into force at once, or nothing does. The same file again changes
    /// nothing. mappings/CODES.md says where the files are had, and under which licence.
    Import {
        /// I10 (ICD-10 of the WHO), I10C (ICD-10-CM), LN (LOINC); also icd10, icd10-cm, loinc.
        #[arg(value_parser = system)]
        system: CodeSystem,
        file: PathBuf,
        /// As the publisher calls it (2019, 2026, 2.80); needed where the file does not say it.
        #[arg(long)]
        release: Option<String>,
        /// It is right that it has fewer than half of the codes in force.
        #[arg(long)]
        smaller: bool,
        /// Also when this file is in force already.
        #[arg(long)]
        again: bool,
        /// Read the file to its end, and change nothing.
        #[arg(long)]
        dry_run: bool,
        #[arg(long)]
        json: bool,
    },
    /// Show what was imported, and whose it is.
    List {
        #[arg(long)]
        json: bool,
    },
}

fn system(text: &str) -> Result<CodeSystem, String> {
    CodeSystem::parse(text).ok_or_else(|| {
        let all: Vec<&str> = CodeSystem::ALL
            .iter()
            .map(|system| system.symbol())
            .collect();
        format!("one of: {}", all.join(", "))
    })
}

/// What somebody wants imported.
struct Wanted {
    system: CodeSystem,
    file: PathBuf,
    release: Option<String>,
    smaller: bool,
    again: bool,
}

/// What was read.
struct Read {
    codes: usize,
    release: String,
    title: Option<String>,
}

/// Written to the database at a time.
const BATCH: usize = 1_000;
/// How often somebody who waits is told.
const TOLD_EVERY: usize = 20_000;

impl Codes {
    /// Does it.
    ///
    /// # Errors
    /// The file is not what it should be, or no database.
    pub(super) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Import {
                system,
                file,
                release,
                smaller,
                again,
                dry_run,
                json,
            } => {
                let wanted = Wanted {
                    system,
                    file,
                    release,
                    smaller,
                    again,
                };
                if dry_run {
                    let read = rehearse(&wanted).await?;
                    told(&wanted, &read, None, json);
                } else {
                    import(&self.config, &wanted, json).await?;
                }
            }
            What::List { json } => list(&self.config, json).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn pool(config: &ConfigArgument) -> anyhow::Result<sqlx::PgPool> {
    let loaded = config.load()?;
    let url = loaded
        .config
        .postgres
        .url
        .resolve()
        .map_err(anyhow::Error::msg)?;
    Ok(db::pool(compose::pg_options(&url)?, 2))
}

async fn import(config: &ConfigArgument, wanted: &Wanted, json: bool) -> anyhow::Result<()> {
    // a file that is something else is refused before the database is asked
    let mut file = open(wanted)?;
    let digest = digest(&wanted.file)?;
    let pool = pool(config)?;
    let mut import = Import::begin(&pool, wanted.system)
        .await
        .context("can't reach Postgres")?;
    if let Some(before) = import.before()
        && before.digest[..] == digest
        && !wanted.again
    {
        if wanted
            .release
            .as_ref()
            .is_some_and(|release| *release != before.release)
        {
            bail!(
                "this file is in force as release {}; --again imports it under another name",
                before.release
            );
        }
        if json {
            println!(
                "{}",
                serde_json::json!({
                    "system": wanted.system.symbol(), "release": before.release, "codes": before.codes, "imported": false,
                })
            );
        } else {
            println!(
                "{} {} is in force already, with {} codes",
                wanted.system.name(),
                before.release,
                before.codes
            );
        }
        return Ok(());
    }
    let read = read(wanted, file.as_mut(), Some(&mut import)).await?;
    let release = Release {
        name: read.release.clone(),
        title: read.title.clone(),
        digest,
        smaller: wanted.smaller,
        actor: operator::actor(),
    };
    let imported = match import.finish(&release).await {
        Ok(imported) => imported,
        Err(ImportError::Refused(refusal)) if refusal.code == "codes.fewer" => {
            bail!(
                "nothing was imported: {} --smaller says that it is",
                refusal.detail
            )
        }
        Err(error) => return Err(error).context("nothing was imported"),
    };
    told(wanted, &read, Some(imported), json);
    Ok(())
}

async fn rehearse(wanted: &Wanted) -> anyhow::Result<Read> {
    let mut file = open(wanted)?;
    read(wanted, file.as_mut(), None).await
}

fn open(wanted: &Wanted) -> anyhow::Result<Box<dyn CodeFile>> {
    if let Some(release) = &wanted.release
        && !is_release(release)
    {
        bail!("--release {release}: one word of letters, digits, points and hyphens, at most 40");
    }
    code_files::open(wanted.system, &wanted.file).with_context(|| wanted.file.display().to_string())
}

fn digest(path: &Path) -> anyhow::Result<[u8; 32]> {
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0_u8; 256 * 1024];
    loop {
        let read = file
            .read(&mut buffer)
            .with_context(|| path.display().to_string())?;
        if read == 0 {
            return Ok(digest.finalize().into());
        }
        digest.update(&buffer[..read]);
    }
}

/// Reads the file to its end, into an import where there is one. Whatever is wrong with it is told with its line.
async fn read(
    wanted: &Wanted,
    file: &mut dyn CodeFile,
    mut into: Option<&mut Import>,
) -> anyhow::Result<Read> {
    let named = || wanted.file.display().to_string();
    let mut lines: HashMap<String, u64> = HashMap::new();
    let mut batch: Vec<Term> = Vec::with_capacity(BATCH);
    while let Some(row) = file.next().with_context(named)? {
        if let Some(first) = lines.insert(row.term.code.clone(), row.line) {
            bail!(
                "{}: line {}: {} stands on line {first} already",
                named(),
                row.line,
                row.term.code
            );
        }
        if lines.len().is_multiple_of(TOLD_EVERY) {
            eprintln!("{} codes …", lines.len());
        }
        batch.push(row.term);
        if batch.len() == BATCH {
            put(&mut into, &mut batch).await?;
        }
    }
    put(&mut into, &mut batch).await?;
    if lines.is_empty() {
        bail!("{}: it has no codes", named());
    }
    Ok(Read {
        codes: lines.len(),
        release: release(wanted.release.as_deref(), &file.says()).with_context(named)?,
        title: file.title(),
    })
}

async fn put(into: &mut Option<&mut Import>, batch: &mut Vec<Term>) -> anyhow::Result<()> {
    if let Some(import) = into {
        import.put(batch).await.context("nothing was imported")?;
    }
    batch.clear();
    Ok(())
}

/// Which release it is, by the file and by who imports it: what they say must agree.
fn release(given: Option<&str>, says: &Says) -> anyhow::Result<String> {
    match (given, says) {
        (Some(given), Says::Nothing) => Ok(given.to_owned()),
        (None, Says::Nothing) => {
            bail!("the file does not say which release it is: --release names it (2026)")
        }
        (Some(given), Says::Exactly(named)) if given != named => {
            bail!("the file says that it is release {named}, not {given}: leave --release away")
        }
        (_, Says::Exactly(named)) => Ok(named.clone()),
        (None, Says::AtLeast(newest)) => Ok(newest.clone()),
        (Some(given), Says::AtLeast(newest)) => {
            if Version::parse(given) < Version::parse(newest) {
                bail!("the file has changes of release {newest}: it is not {given}");
            }
            Ok(given.to_owned())
        }
    }
}

fn told(wanted: &Wanted, read: &Read, imported: Option<Imported>, json: bool) {
    let system = wanted.system;
    if json {
        let mut line = serde_json::json!({
            "system": system.symbol(), "release": read.release, "title": read.title, "codes": read.codes,
            "imported": imported.is_some(),
        });
        if let Some(imported) = imported {
            line["added"] = serde_json::json!(imported.added);
            line["reworded"] = serde_json::json!(imported.reworded);
            line["retired"] = serde_json::json!(imported.retired);
        }
        println!("{line}");
        return;
    }
    match imported {
        Some(imported) => println!(
            "{} {} is in force: {} codes, {} of them new, {} with other words; {} are there no more",
            system.name(),
            read.release,
            imported.codes,
            imported.added,
            imported.reworded,
            imported.retired
        ),
        None => println!(
            "{} {}: {} codes; nothing was imported (--dry-run)",
            system.name(),
            read.release,
            read.codes
        ),
    }
    println!("{}", system.notice());
}

async fn list(config: &ConfigArgument, json: bool) -> anyhow::Result<()> {
    let pool = pool(config)?;
    let mut tx = Tx::begin(&pool, &platform())
        .await
        .context("can't reach Postgres")?;
    let rows = queries::code_releases(tx.conn()).await?;
    for row in &rows {
        let at = row.imported_at.format(&Rfc3339)?;
        if json {
            println!(
                "{}",
                serde_json::json!({
                    "system": row.system, "release": row.release, "title": row.title, "in_force": row.in_force,
                    "codes": row.codes, "added": row.added, "reworded": row.reworded, "retired": row.retired,
                    "imported_at": at, "imported_by": row.imported_by,
                })
            );
        } else {
            println!(
                "{:<5} {:<12} {:<9} {:>7} codes  {at}  {}",
                row.system,
                row.release,
                if row.in_force { "in force" } else { "before" },
                row.codes,
                row.imported_by
            );
        }
    }
    if rows.is_empty() && !json {
        println!("nothing is imported: codes of conditions are looked up nowhere");
    }
    if !json {
        for system in CodeSystem::ALL {
            if rows.iter().any(|row| row.system == system.symbol()) {
                println!("\n{}", system.notice());
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_and_who_imports_it_must_agree_on_the_release() {
        let exactly = Says::Exactly("2019".into());
        let at_least = Says::AtLeast("2.80".into());
        for (given, says, expected) in [
            (Some("2026"), &Says::Nothing, Ok("2026")),
            (None, &Says::Nothing, Err("--release names it")),
            (None, &exactly, Ok("2019")),
            (Some("2019"), &exactly, Ok("2019")),
            (Some("2016"), &exactly, Err("leave --release away")),
            (None, &at_least, Ok("2.80")),
            (Some("2.81"), &at_least, Ok("2.81")),
            (Some("2.9"), &at_least, Err("it is not 2.9")),
        ] {
            match (release(given, says), expected) {
                (Ok(release), Ok(expected)) => assert_eq!(release, expected),
                (Err(error), Err(words)) => {
                    assert!(error.to_string().contains(words), "{error}");
                }
                (said, expected) => panic!("{given:?} {says:?}: {said:?} instead of {expected:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_code_that_stands_twice_is_named_with_both_lines() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("codes.csv");
        std::fs::write(
            &file,
            "code,display\nE11,Sugar\nE12,Salt\nE11,Sugar again\n",
        )
        .unwrap();
        let wanted = Wanted {
            system: CodeSystem::Icd10,
            file,
            release: Some("1".into()),
            smaller: false,
            again: false,
        };
        let error = rehearse(&wanted).await.map(|_| ()).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("line 4: E11 stands on line 2 already"),
            "{error}"
        );
    }
}
