//! Reads and checks a folder of mapping files. All faults are found in one go; any fault refuses the whole set.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use schemas::ChannelId;
use serde_spanned::Spanned;
use sha2::{Digest, Sha256};

use super::file::{AssignerEntry, CodeEntry, MappingFile, UnitEntry};
use super::index::{Limited, Tables};
use super::packs::{self, PackRows, PackUse};
use super::problem::{MappingError, MappingProblem};
use super::rows::is_ucum;

mod beds;
mod codes;
mod operators;
mod orders;

/// One file, read and parsed.
pub(super) struct Source {
    /// Relative to the folder, as people know it.
    name: PathBuf,
    text: String,
    site: bool,
    parsed: MappingFile,
    /// Its rows are for the channels that name this pack.
    pack: Option<PackRows>,
}

/// Where an entry stands, for messages.
#[derive(Clone, Copy)]
struct Origin<'s> {
    name: &'s Path,
    text: &'s str,
    site: bool,
    pack: Option<&'s PackRows>,
}

impl Origin<'_> {
    /// Of a pack that no channel names: its rows are checked and not in force.
    fn is_idle(&self) -> bool {
        self.pack.is_some_and(|pack| pack.channels.is_empty())
    }

    fn problem<T>(&self, at: &Spanned<T>, message: String, advice: &str) -> MappingProblem {
        MappingProblem::in_file(self.name, message, advice).at(self.text, &at.span())
    }
}

/// Reads `folder/tables/*.toml`, the packs, and `folder/site/*.toml`.
pub(super) fn load_tables(folder: &Path, uses: &[PackUse]) -> Result<Tables, MappingError> {
    let mut problems = Vec::new();
    let mut digest = Sha256::new();
    let mut sources = Vec::new();
    for (sub, site) in [("tables", false), ("site", true)] {
        if site {
            sources.extend(packs::sources(folder, uses, &mut digest, &mut problems));
        }
        for path in toml_files(folder, sub, site, &mut problems) {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_owned();
            if let Some(source) = read(&path, name, site, &mut digest, &mut problems) {
                sources.push(source);
            }
        }
    }
    let mut tables = Tables {
        version: hex(&digest.finalize()),
        ..Tables::default()
    };
    settings(&sources, &mut tables, &mut problems);
    units(&sources, &mut tables, &mut problems);
    assigners(&sources, &mut tables, &mut problems);
    beds::beds(&sources, &mut tables, &mut problems);
    operators::operators(&sources, &mut tables, &mut problems);
    codes::codes(&sources, &mut tables, &mut problems);
    orders::orders(&sources, &mut tables, &mut problems);
    if problems.is_empty() {
        Ok(tables)
    } else {
        Err(MappingError { problems })
    }
}

/// The files of one sub-folder in the order of their names. `site` may be missing, `tables` may not.
pub(super) fn toml_files(
    folder: &Path,
    sub: &str,
    optional: bool,
    problems: &mut Vec<MappingProblem>,
) -> Vec<PathBuf> {
    let folder = folder.join(sub);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            if !(optional && error.kind() == std::io::ErrorKind::NotFound) {
                problems.push(MappingProblem::in_file(
                    &folder,
                    format!("the folder can't be read ({error})"),
                    "Point the setting `mappings` at the folder that holds `tables`",
                ));
            }
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

/// The text of a file; its name and bytes go into the digest.
pub(super) fn read_text(
    path: &Path,
    name: &Path,
    digest: &mut Sha256,
    problems: &mut Vec<MappingProblem>,
) -> Option<String> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            problems.push(MappingProblem::in_file(
                name,
                format!("the file can't be read ({error})"),
                "Check its permissions",
            ));
            return None;
        }
    };
    digest.update(name.to_string_lossy().as_bytes());
    digest.update([0]);
    digest.update(&bytes);
    digest.update([0]);
    let Ok(text) = String::from_utf8(bytes) else {
        problems.push(MappingProblem::in_file(
            name,
            "the file is not UTF-8 text",
            "Save it as UTF-8",
        ));
        return None;
    };
    Some(text)
}

fn read(
    path: &Path,
    name: PathBuf,
    site: bool,
    digest: &mut Sha256,
    problems: &mut Vec<MappingProblem>,
) -> Option<Source> {
    let text = read_text(path, &name, digest, problems)?;
    match toml::from_str(&text) {
        Ok(parsed) => Some(Source {
            name,
            text,
            site,
            parsed,
            pack: None,
        }),
        Err(error) => {
            let problem = MappingProblem::in_file(
                &name,
                error.message().replace('\n', " "),
                "Correct the line; mappings/README.md shows the form of every table",
            );
            problems.push(match error.span() {
                Some(span) => problem.at(&text, &span),
                None => problem,
            });
            None
        }
    }
}

impl Source {
    pub(super) fn of_pack(
        name: PathBuf,
        text: String,
        parsed: MappingFile,
        pack: PackRows,
    ) -> Self {
        Self {
            name,
            text,
            site: false,
            parsed,
            pack: Some(pack),
        }
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            name: &self.name,
            text: &self.text,
            site: self.site,
            pack: self.pack.as_ref(),
        }
    }
}

fn settings(sources: &[Source], tables: &mut Tables, problems: &mut Vec<MappingProblem>) {
    // Site files come last, so that their word stands.
    for source in sources {
        let Some(entry) = &source.parsed.loinc else {
            continue;
        };
        if let Some(identity) = entry.identity {
            tables.loinc_identity = identity;
        }
        tables
            .no_loinc_identity
            .extend(channels(source.origin(), &entry.not_for, problems));
    }
}

fn units(sources: &[Source], tables: &mut Tables, problems: &mut Vec<MappingProblem>) {
    for source in sources {
        let origin = source.origin();
        for entry in &source.parsed.unit {
            let UnitEntry {
                ucum,
                raw,
                channels: limit,
            } = entry.get_ref();
            let limit = channels(origin, limit, problems);
            let target = ucum.get_ref();
            if !is_ucum(target) {
                problems.push(origin.problem(
                    ucum,
                    format!("`{target}` is no UCUM unit"),
                    "Write it as on https://ucum.org, without blanks",
                ));
            }
            if origin.pack.is_some() && !tables.units.contains_key(target.as_str()) {
                problems.push(origin.problem(
                    ucum,
                    format!("the unit `{target}` is in no unit table"),
                    "Correct it, or add a [[unit]] row for it in tables/units.toml",
                ));
            }
            if origin.is_idle() {
                continue;
            }
            for spelling in raw.0.iter().chain([target]) {
                let said = Limited {
                    to: target.as_str().into(),
                    channels: limit.clone(),
                    site: origin.site,
                };
                if let Some(other) = add(&mut tables.units, spelling, said) {
                    problems.push(origin.problem(
                        entry,
                        format!("the unit `{spelling}` stands for `{target}` here and for `{other}` in another row"),
                        "Keep one of the two, or limit them by `channels`",
                    ));
                }
            }
        }
    }
}

fn assigners(sources: &[Source], tables: &mut Tables, problems: &mut Vec<MappingProblem>) {
    let site_ids: HashSet<&str> = sources
        .iter()
        .filter(|s| s.site)
        .flat_map(|s| &s.parsed.assigner)
        .map(|a| a.get_ref().id.get_ref().as_str())
        .collect();
    let mut seen = HashSet::new();
    for source in sources {
        let origin = source.origin();
        for entry in &source.parsed.assigner {
            let AssignerEntry {
                id,
                authority,
                system,
                channels: limit,
                remove,
            } = entry.get_ref();
            if !seen.insert((origin.site, id.get_ref().as_str())) {
                problems.push(twice(origin, id));
            }
            let overruled = !origin.site && site_ids.contains(id.get_ref().as_str());
            if *remove || overruled {
                continue;
            }
            let Some(system) = system
                .as_ref()
                .filter(|s| !s.get_ref().trim().is_empty() && !s.get_ref().contains('\0'))
            else {
                problems.push(origin.problem(
                    id,
                    format!("assigner `{id}` names no system", id = id.get_ref()),
                    "Add `system = \"…\"`, for instance the hospital's short name or `abha`",
                ));
                continue;
            };
            let limit = channels(origin, limit, problems);
            for spelling in &authority.0 {
                let said = Limited {
                    to: system.get_ref().trim().into(),
                    channels: limit.clone(),
                    site: origin.site,
                };
                if let Some(other) = add(&mut tables.assigners, spelling, said) {
                    problems.push(origin.problem(
                        id,
                        format!("authority `{spelling}` leads to `{other}` in another row"),
                        "Keep one of the two, or limit them by `channels`",
                    ));
                }
            }
        }
    }
}

/// Adds to a table, the more exact entry first; gives the target of an entry that contradicts it.
fn add(table: &mut HashMap<Box<str>, Vec<Limited>>, key: &str, said: Limited) -> Option<Box<str>> {
    let entries = table.entry(key.into()).or_default();
    let rank = |e: &Limited| (e.site, !e.channels.is_empty());
    let other = entries
        .iter()
        .find(|e| e.to != said.to && rank(e) == rank(&said) && overlap(&e.channels, &said.channels))
        .map(|e| e.to.clone());
    entries.push(said);
    entries.sort_by_key(|e| std::cmp::Reverse(rank(e)));
    other
}

/// Whether two limits have a channel in common; empty is all.
fn overlap(one: &[ChannelId], two: &[ChannelId]) -> bool {
    one.is_empty() || two.is_empty() || one.iter().any(|c| two.contains(c))
}

fn channels(
    origin: Origin<'_>,
    names: &[Spanned<String>],
    problems: &mut Vec<MappingProblem>,
) -> Vec<ChannelId> {
    if let Some(pack) = origin.pack {
        if let Some(name) = names.first() {
            problems.push(origin.problem(
                name,
                "a row of a pack is for the channels that name the pack".to_owned(),
                "Leave `channels` out; what holds for one channel only belongs into site/",
            ));
        }
        return pack.channels.clone();
    }
    names
        .iter()
        .filter_map(|name| {
            ChannelId::new(name.get_ref().as_str())
                .map_err(|error| {
                    problems.push(origin.problem(
                        name,
                        error.to_string(),
                        "Write the channel's id as in hub.toml",
                    ));
                })
                .ok()
        })
        .collect()
}

fn twice(origin: Origin<'_>, id: &Spanned<String>) -> MappingProblem {
    origin.problem(
        id,
        format!("the id `{}` is given twice", id.get_ref()),
        "Give every row an id of its own",
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The entries of all files that are in force: a site row takes the place of the row with its id.
fn code_entries<'s>(
    sources: &'s [Source],
    problems: &mut Vec<MappingProblem>,
) -> Vec<(Origin<'s>, &'s CodeEntry)> {
    let mut ids = [HashSet::new(), HashSet::new()];
    for source in sources {
        let origin = source.origin();
        for entry in &source.parsed.code {
            let id = &entry.get_ref().id;
            let [table_ids, site_ids] = &mut ids;
            let level = if origin.site { site_ids } else { table_ids };
            if !level.insert(id.get_ref().as_str()) {
                problems.push(twice(origin, id));
            }
            if entry.get_ref().remove && !(origin.site && ids[0].contains(id.get_ref().as_str())) {
                problems.push(origin.problem(
                    id,
                    format!("there is no row `{}` to remove", id.get_ref()),
                    "`remove = true` belongs into site/, with the id of a row of tables/",
                ));
            }
        }
    }
    let [_, site_ids] = ids;
    sources
        .iter()
        .flat_map(|source| {
            let origin = source.origin();
            source
                .parsed
                .code
                .iter()
                .map(move |e| (origin, e.get_ref()))
        })
        .filter(|(origin, entry)| {
            !entry.remove && (origin.site || !site_ids.contains(entry.id.get_ref().as_str()))
        })
        .collect()
}
