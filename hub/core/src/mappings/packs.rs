//! Instrument packs: what is known of an instrument before anybody connects one. One file an instrument or family below
//! `analyzers/`: how its channel is set, what its codes and units mean, what is odd about it, and which captured samples
//! prove all that. A hospital's own packs stand in `site/analyzers/`, where one of the same name takes the place of ours.
//!
//! A pack is defaults: what a channel says itself wins. A pack never guesses: where codes are the site's own, it has none.
//! Which kinds of channels there are and what their settings mean is not known here; `hub/cli` checks `[settings]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use schemas::ChannelId;
use serde::{Deserialize, Serialize};

use super::problem::{MappingError, MappingProblem};

mod read;

pub(super) use read::{PackRows, sources};

/// The links of a channel, of which it has one: a pack's defaults count for the one that the channel has.
const LINKS: [&str; 3] = ["server", "client", "serial"];

/// A channel and the pack that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackUse {
    pub channel: ChannelId,
    pub pack: String,
}

/// How an instrument is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The instrument dials; the channel listens (`[channel.settings.server]`).
    Dials,
    /// The instrument, or the serial server in front of it, listens; the channel dials (`[channel.settings.client]`).
    Listens,
    /// RS-232 or USB (`[channel.settings.serial]`).
    Serial,
}

/// What a sample file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SampleClass {
    /// Bytes of a real instrument.
    Capture,
    /// The text of a real instrument's message, written down by somebody else.
    Transcript,
    /// Made up. It shows what its author believed and proves nothing.
    Synthetic,
}

/// What a sample shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proves {
    Results,
    Control,
    Query,
}

impl Proves {
    /// For people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Control => "control samples",
            Self::Query => "host query",
        }
    }
}

/// `[[proved_by]]`: a sample and what it was expected to show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Path in the public corpus, which is not in this repository.
    pub file: String,
    pub sample: SampleClass,
    pub proves: Vec<Proves>,
    /// What is to be seen.
    pub shows: String,
    /// The logger's damage must be undone first (`hub try --repair`).
    #[serde(default)]
    pub repair: bool,
}

/// `[sample]`: messages as the instrument writes them, one record or segment a line, with places for numbers and times.
/// Written by us from the description; `hub simulate` plays them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Samples {
    pub results: Option<String>,
    pub control: Option<String>,
    pub query: Option<String>,
}

/// One pack.
#[derive(Debug, Clone)]
pub struct Pack {
    /// The file's name without `.toml`: what a channel says in `pack`.
    pub name: String,
    /// For people: `Sysmex XP-100 and XP-300`.
    pub title: String,
    pub vendor: String,
    pub models: Vec<String>,
    /// Kind of channel.
    pub kind: String,
    /// How it is connected, the likeliest first.
    pub reach: Vec<Reach>,
    /// TCP port that is usual for it.
    pub port: Option<u16>,
    /// Where this is known from.
    pub source: Vec<String>,
    pub quirks: Vec<String>,
    /// The instrument's own flags, in words.
    pub flags: BTreeMap<String, String>,
    /// Defaults of `[channel.settings]`.
    pub settings: toml::Table,
    pub proofs: Vec<Proof>,
    pub samples: Samples,
    /// Codes that the pack knows, and the LOINC row or code that each means.
    pub codes: BTreeMap<String, String>,
    /// As people know it, relative to the mappings folder.
    pub file: PathBuf,
    text: String,
}

impl Pack {
    /// Settings of a channel that names this pack: the pack's, and over them the channel's own, key by key. Of the links
    /// (`server`, `client`, `serial`) only the one that the channel has.
    #[must_use]
    pub fn settings_for(&self, own: &toml::Table) -> toml::Table {
        let mut settings = self.settings.clone();
        settings.retain(|key, _| !LINKS.contains(&key) || own.contains_key(key));
        lay_over(&mut settings, own);
        settings
    }

    /// The samples that prove something: captures and transcripts.
    pub fn evidence(&self) -> impl Iterator<Item = &Proof> {
        self.proofs
            .iter()
            .filter(|proof| proof.sample != SampleClass::Synthetic)
    }

    /// What the samples prove, each once.
    #[must_use]
    pub fn proven(&self) -> Vec<Proves> {
        let mut all: Vec<Proves> = self
            .evidence()
            .flat_map(|p| p.proves.iter().copied())
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// One line on what proves the pack, as it says itself: nobody looked for the samples here.
    #[must_use]
    pub fn standing(&self) -> String {
        let proven = self.proven();
        if proven.is_empty() {
            return if self.proofs.is_empty() {
                "unproven".to_owned()
            } else {
                "unproven (made-up samples only)".to_owned()
            };
        }
        let words: Vec<&str> = proven.iter().map(|p| p.as_str()).collect();
        let files: Vec<&str> = self.evidence().map(|p| p.file.as_str()).collect();
        let results = if proven.contains(&Proves::Results) {
            ""
        } else {
            "; results are unproven"
        };
        format!(
            "proved by {} ({}){results}",
            files.join(", "),
            words.join(", ")
        )
    }

    /// A fault at a key of the file, as `settings.dialect.specimen`; at the deepest part of the path that is there.
    #[must_use]
    pub fn problem(&self, path: &str, message: impl Into<String>, advice: &str) -> MappingProblem {
        let problem = MappingProblem::in_file(&self.file, message, advice);
        match read::span_of(&self.text, path) {
            Some(span) => problem.at(&self.text, &span),
            None => problem,
        }
    }
}

/// Every pack, by name.
#[derive(Debug, Clone, Default)]
pub struct Packs {
    by_name: BTreeMap<String, Pack>,
}

impl Packs {
    /// Reads `folder/analyzers/*.toml` and `folder/site/analyzers/*.toml`; neither need be there.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(folder: &Path) -> Result<Self, MappingError> {
        let packs = read::packs(folder)?.into_iter();
        Ok(Self {
            by_name: packs.map(|pack| (pack.name.clone(), pack)).collect(),
        })
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Pack> {
        self.by_name.get(name)
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Pack> {
        self.by_name.values()
    }

    /// Takes the word of a pack for no sample that `is_there` does not find: it proves nothing then. What was taken out.
    pub fn retain_proofs(&mut self, is_there: impl Fn(&Proof) -> bool) -> Vec<MappingProblem> {
        let mut missing = Vec::new();
        for pack in self.by_name.values_mut() {
            let (kept, gone): (Vec<_>, Vec<_>) = std::mem::take(&mut pack.proofs)
                .into_iter()
                .enumerate()
                .partition(|(_, proof)| is_there(proof));
            pack.proofs = kept.into_iter().map(|(_, proof)| proof).collect();
            missing.extend(gone.into_iter().map(|(n, proof)| {
                pack.problem(
                    &format!("proved_by.{n}.file"),
                    format!("there is no sample `{}` in the corpus", proof.file),
                    "Name a file of the corpus, or leave out what nothing proves",
                )
            }));
        }
        missing
    }

    /// All names with commas, for a person who misspelt one.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

/// Tables key by key, everything else as a whole.
fn lay_over(below: &mut toml::Table, above: &toml::Table) {
    for (key, value) in above {
        match (below.get_mut(key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => lay_over(under, over),
            _ => {
                below.insert(key.clone(), value.clone());
            }
        }
    }
}
