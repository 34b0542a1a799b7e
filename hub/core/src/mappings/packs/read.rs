//! Reads pack files: their form, their faults, their rows for the code tables.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};

use schemas::ChannelId;
use serde::Deserialize;
use serde_spanned::Spanned;
use sha2::{Digest as _, Sha256};

use super::super::file::{CodeEntry, MappingFile, OneOrMany, OrderEntry, UnitEntry};
use super::super::load::{Source, read_text, toml_files};
use super::super::problem::{MappingError, MappingProblem};
use super::super::rows::Systems;
use super::{Pack, PackUse, Proof, Reach, Samples};

/// Every pack, ours before the site's.
pub(super) fn packs(folder: &Path) -> Result<Vec<Pack>, MappingError> {
    let mut problems = Vec::new();
    let mut digest = Sha256::new();
    let mut packs = Vec::new();
    for file in pack_files(folder, &mut problems) {
        if let Some((text, parsed)) = parse(folder, &file, &mut digest, &mut problems) {
            packs.push(pack_of(&file, folder, text, parsed));
        }
    }
    if problems.is_empty() {
        Ok(packs)
    } else {
        Err(MappingError { problems })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PackFile {
    title: String,
    vendor: String,
    models: Vec<String>,
    kind: String,
    reach: Vec<Reach>,
    port: Option<u16>,
    source: Vec<String>,
    #[serde(default)]
    quirks: Vec<String>,
    #[serde(default)]
    flags: BTreeMap<String, String>,
    #[serde(default)]
    settings: toml::Table,
    #[serde(default)]
    proved_by: Vec<Proof>,
    #[serde(default)]
    sample: Samples,
    /// Code → id of a row of `tables/`: one meaning, said once.
    #[serde(default)]
    codes: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    code: Vec<Spanned<CodeEntry>>,
    #[serde(default)]
    order: Vec<Spanned<OrderEntry>>,
    /// Spelling → UCUM.
    #[serde(default)]
    units: BTreeMap<Spanned<String>, Spanned<String>>,
}

/// Rows of a pack, as the loader of tables takes them: for the channels that name the pack, or for none.
#[derive(Debug)]
pub(in super::super) struct PackRows {
    pub(in super::super) channels: Vec<ChannelId>,
    /// Code → id of a row.
    pub(in super::super) short: Vec<(Spanned<String>, Spanned<String>)>,
    /// Under which system its instruments send their codes, where that is known; `None`: as the row says.
    pub(in super::super) systems: Option<Systems>,
    /// `<pack>/`, before every id.
    pub(in super::super) prefix: String,
}

/// The packs as sources of rows; a channel that names a pack that is not there is a problem.
pub(in super::super) fn sources(
    folder: &Path,
    uses: &[PackUse],
    digest: &mut Sha256,
    problems: &mut Vec<MappingProblem>,
) -> Vec<Source> {
    let mut by_name: BTreeMap<String, Source> = BTreeMap::new();
    for file in pack_files(folder, problems) {
        let Some((text, parsed)) = parse(folder, &file, digest, problems) else {
            continue;
        };
        let name = stem(&file);
        let prefix = format!("{name}/");
        let named =
            |id: &Spanned<String>| Spanned::new(id.span(), format!("{prefix}{}", id.get_ref()));
        let code = parsed.code.into_iter().map(|mut entry| {
            entry.get_mut().id = named(&entry.get_ref().id);
            entry
        });
        let order = parsed.order.into_iter().map(|mut entry| {
            entry.get_mut().id = named(&entry.get_ref().id);
            entry
        });
        let unit = parsed.units.into_iter().map(|(raw, ucum)| {
            let entry = UnitEntry {
                raw: OneOrMany(vec![raw.get_ref().clone()]),
                ucum,
                channels: Vec::new(),
            };
            Spanned::new(raw.span(), entry)
        });
        let rows = MappingFile {
            code: code.collect(),
            order: order.collect(),
            unit: unit.collect(),
            ..MappingFile::default()
        };
        let pack = PackRows {
            channels: uses
                .iter()
                .filter(|one| one.pack == name)
                .map(|one| one.channel.clone())
                .collect(),
            systems: systems_of(&parsed.kind, &parsed.settings),
            short: parsed.codes.into_iter().collect(),
            prefix,
        };
        by_name.insert(
            name,
            Source::of_pack(relative(folder, &file), text, rows, pack),
        );
    }
    for one in uses.iter().filter(|one| !by_name.contains_key(&one.pack)) {
        let names: Vec<&str> = by_name.keys().map(String::as_str).collect();
        problems.push(MappingProblem::in_file(
            Path::new("analyzers"),
            format!(
                "channel `{}` names the pack `{}`, which is not there",
                one.channel, one.pack
            ),
            format!("Known packs: {}", names.join(", ")),
        ));
    }
    by_name.into_values().collect()
}

/// ASTM records name no code system: their codes have the dialect's, which is none on most instruments.
fn systems_of(kind: &str, settings: &toml::Table) -> Option<Systems> {
    let system = || settings.get("dialect")?.get("code_system")?.as_str();
    (kind == "astm").then(|| match system() {
        Some(name) => Systems::Named(vec![name.to_owned()]),
        None => Systems::Local,
    })
}

/// Ours first, then the site's, so that the site's stand in their place.
fn pack_files(folder: &Path, problems: &mut Vec<MappingProblem>) -> Vec<PathBuf> {
    ["analyzers", "site/analyzers"]
        .into_iter()
        .flat_map(|sub| toml_files(folder, sub, true, problems))
        .collect()
}

fn parse(
    folder: &Path,
    path: &Path,
    digest: &mut Sha256,
    problems: &mut Vec<MappingProblem>,
) -> Option<(String, PackFile)> {
    let name = relative(folder, path);
    let text = read_text(path, &name, digest, problems)?;
    match toml::from_str::<PackFile>(&text) {
        Ok(parsed) => {
            check(&name, &text, &parsed, problems);
            Some((text, parsed))
        }
        Err(error) => {
            let problem = MappingProblem::in_file(
                &name,
                error.message().replace('\n', " "),
                "Correct the line; mappings/analyzers/README.md shows the form of a pack",
            );
            problems.push(match error.span() {
                Some(span) => problem.at(&text, &span),
                None => problem,
            });
            None
        }
    }
}

fn check(name: &Path, text: &str, parsed: &PackFile, problems: &mut Vec<MappingProblem>) {
    let mut fault = |path: &str, message: &str, advice: &str| {
        let problem = MappingProblem::in_file(name, message, advice);
        problems.push(match span_of(text, path) {
            Some(span) => problem.at(text, &span),
            None => problem,
        });
    };
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !stem(name).chars().all(good) {
        fault(
            "title",
            "the file's name is no name of a pack",
            "Use small letters, digits and hyphens",
        );
    }
    for (path, said) in [("title", &parsed.title), ("vendor", &parsed.vendor)] {
        if said.trim().is_empty() {
            fault(
                path,
                "nobody can tell which instrument this is",
                "Write it as people know it",
            );
        }
    }
    if parsed.models.iter().all(|one| one.trim().is_empty()) {
        fault(
            "models",
            "which instruments this pack is for is not said",
            "Name the models for which it was written",
        );
    }
    if parsed.reach.is_empty() {
        fault(
            "reach",
            "how the instrument is reached is not said",
            "Write one or more of dials, listens, serial",
        );
    }
    if parsed.source.iter().all(|one| one.trim().is_empty()) {
        fault(
            "source",
            "where this is known from is not said",
            "Name the manual, the description or the capture",
        );
    }
    for (n, proof) in parsed.proved_by.iter().enumerate() {
        let path = format!("proved_by.{n}");
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
        if proof.file.trim().is_empty() || !Path::new(&proof.file).components().all(inside) {
            fault(
                &format!("{path}.file"),
                "this is no path in the corpus",
                "Write it as from the corpus' own folder: lab/demo/capture.txt",
            );
        }
        if proof.proves.is_empty() || proof.shows.trim().is_empty() {
            fault(
                &path,
                "a sample without what it shows proves nothing",
                "Fill `proves` and `shows`",
            );
        }
    }
}

fn pack_of(path: &Path, folder: &Path, text: String, parsed: PackFile) -> Pack {
    let short = parsed
        .codes
        .iter()
        .map(|(code, row)| (code.get_ref().clone(), row.get_ref().clone()));
    let long = parsed.code.iter().flat_map(|entry| {
        let entry = entry.get_ref();
        let loinc = entry
            .loinc
            .as_ref()
            .map_or_else(String::new, |l| l.get_ref().clone());
        entry
            .code
            .0
            .iter()
            .map(move |code| (code.clone(), loinc.clone()))
    });
    Pack {
        name: stem(path),
        codes: short.chain(long).collect(),
        title: parsed.title,
        vendor: parsed.vendor,
        models: parsed.models,
        kind: parsed.kind,
        reach: parsed.reach,
        port: parsed.port,
        source: parsed.source,
        quirks: parsed.quirks,
        flags: parsed.flags,
        settings: parsed.settings,
        proofs: parsed.proved_by,
        samples: parsed.sample,
        file: relative(folder, path),
        text,
    }
}

fn stem(path: &Path) -> String {
    path.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn relative(folder: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(folder).unwrap_or(path).to_owned()
}

/// Where a dotted path stands in a TOML text, as deep as it is there.
pub(super) fn span_of(text: &str, path: &str) -> Option<Range<usize>> {
    use toml::de::DeValue;
    let parsed = toml::de::DeTable::parse(text).ok()?;
    let mut found: Option<Range<usize>> = None;
    let mut table = Some(parsed.get_ref());
    let mut list: Option<&toml::de::DeArray<'_>> = None;
    for part in path.split('.') {
        let value = if let Some(table) = table {
            let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == part) else {
                break;
            };
            found = Some(key.span());
            value
        } else if let Some(list) = list {
            let Some(value) = part.parse::<usize>().ok().and_then(|n| list.get(n)) else {
                break;
            };
            found = Some(value.span());
            value
        } else {
            break;
        };
        (table, list) = match value.get_ref() {
            DeValue::Table(table) => (Some(table), None),
            DeValue::Array(list) => (None, Some(list)),
            _ => (None, None),
        };
    }
    found
}
