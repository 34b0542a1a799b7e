//! Reading a configuration: from its file, then from the environment. What is wrong is said with file and line.

use std::path::{Path, PathBuf};

use super::{ChannelSettings, Config, Secret};
use crate::mappings::PackUse;

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: PathBuf,
    /// From 1; absent when the whole file is meant.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.message),
            None => write!(f, "{}: {}", self.file.display(), self.message),
        }
    }
}

/// A configuration with the text it came from, so that later checks can name lines.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub file: PathBuf,
    text: String,
}

impl Loaded {
    /// Reads and checks a file, then applies `HUB_NATS_URL`, `HUB_POSTGRES_URL`, `HUB_API_ADDR`.
    ///
    /// # Errors
    /// All problems found, each with its line.
    pub fn from_file(file: &Path) -> Result<Self, Vec<Problem>> {
        let text = std::fs::read_to_string(file).map_err(|error| {
            vec![Problem {
                file: file.to_owned(),
                line: None,
                message: format!("can't be read: {error}"),
            }]
        })?;
        Self::from_text(file, text)
    }

    /// The same for a text that was made in memory.
    ///
    /// # Errors
    /// All problems found, each with its line.
    pub fn from_text(file: &Path, text: String) -> Result<Self, Vec<Problem>> {
        let mut config: Config = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| line_of(&text, span.start));
            vec![Problem {
                file: file.to_owned(),
                line,
                message: error.message().to_owned(),
            }]
        })?;
        if let Ok(url) = std::env::var("HUB_NATS_URL") {
            config.nats.url = url;
        }
        if let Ok(url) = std::env::var("HUB_POSTGRES_URL") {
            config.postgres.url = Secret::literal(url);
        }
        if let Ok(address) = std::env::var("HUB_API_ADDR") {
            config.api.address = address;
        }
        let loaded = Self {
            config,
            file: file.to_owned(),
            text,
        };
        let problems = loaded.problems();
        if problems.is_empty() {
            Ok(loaded)
        } else {
            Err(problems)
        }
    }

    /// A problem at a byte of the text.
    #[must_use]
    pub fn problem_at(&self, start: usize, message: impl Into<String>) -> Problem {
        Problem {
            file: self.file.clone(),
            line: Some(line_of(&self.text, start)),
            message: message.into(),
        }
    }

    /// A problem with a key inside a channel's settings; falls back to the line of the table.
    #[must_use]
    pub fn problem_in_settings(
        &self,
        channel: &ChannelSettings,
        key: Option<&str>,
        message: impl Into<String>,
    ) -> Problem {
        let start = channel
            .settings
            .as_ref()
            .map_or(channel.id.span().start, |settings| {
                let span = settings.span();
                key.and_then(|key| {
                    let from = span.start.min(self.text.len());
                    let body = self.text.get(from..)?;
                    body.lines()
                        .scan(from, |at, line| {
                            let start = *at;
                            *at += line.len() + 1;
                            Some((start, line))
                        })
                        .take_while(|(start, line)| {
                            *start == from || !line.trim_start().starts_with("[[")
                        })
                        .find(|(_, line)| line.trim_start().starts_with(key))
                        .map(|(start, _)| start)
                })
                .unwrap_or(span.start)
            });
        self.problem_at(start, message)
    }

    pub(super) fn problem_of_file(&self, message: String) -> Problem {
        Problem {
            file: self.file.clone(),
            line: None,
            message,
        }
    }

    /// Which channel names which pack.
    #[must_use]
    pub fn packs_in_use(&self) -> Vec<PackUse> {
        let of = |channel: &ChannelSettings| {
            Some(PackUse {
                channel: channel.id.get_ref().clone(),
                pack: channel.pack.as_ref()?.get_ref().clone(),
            })
        };
        self.config.channels.iter().filter_map(of).collect()
    }

    /// The mappings folder, relative to the configuration file.
    #[must_use]
    pub fn mappings_folder(&self) -> PathBuf {
        self.file
            .parent()
            .unwrap_or(Path::new("."))
            .join(&self.config.mappings.folder)
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(at)
        .filter(|byte| **byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::super::GOOD;
    use super::*;

    fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
        Loaded::from_text(Path::new("hub.toml"), text.to_owned())
    }

    #[test]
    fn a_good_file_loads() {
        let loaded = load(GOOD).unwrap();
        assert_eq!(loaded.config.channels.len(), 1);
        assert_eq!(loaded.config.nats.replicas, 1);
    }

    #[test]
    fn what_has_no_form_is_said_with_its_line() {
        let cases = [
            (
                GOOD.replace("\"lab\"", "\"Lab 1\""),
                Some(6),
                "not a valid name",
            ),
            (GOOD.replace("kind", "kin"), None, "kin"),
            (
                GOOD.replace("[postgres]\n", "[postgres]\nurll = 1\n"),
                Some(2),
                "urll",
            ),
        ];
        for (text, line, words) in cases {
            let problems = load(&text).unwrap_err();
            assert!(
                problems
                    .iter()
                    .any(|p| p.message.contains(words) && (line.is_none() || p.line == line)),
                "{words}: {problems:?}"
            );
        }
    }
}
