//! What the machine may verify, as a rule pack says it (`mappings/rules/autoverify.toml`). Pure.
//!
//! A pack counts only when it is approved: an approval names the pack by version and by the digest of its text, so that whoever
//! changes a limit has a draft again. Of a draft every check is made and shown, and nothing is verified by it.

use std::collections::{BTreeSet, HashMap, HashSet};

use schemas::ChannelId;
use serde::Deserialize;

use crate::packs::InvalidPack;

mod file;

/// The rules in force, their version, and whether they are approved.
#[derive(Debug, Clone)]
pub struct Autoverify {
    version: String,
    digest: String,
    standing: Standing,
    on: bool,
    /// Channels that the approval switches off.
    channels_off: Vec<ChannelId>,
    pub(crate) release: Release,
    pub(crate) second_person: bool,
    pub(crate) needs_order: bool,
    pub(crate) first: i64,
    pub(crate) qc_hours: i64,
    flags: HashMap<String, Vec<Flag>>,
    channels: HashMap<String, Channel>,
    analytes: HashMap<(String, String), Analyte>,
    pub(crate) siblings: Vec<Sibling>,
}

/// Whether a pack may verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody approved it.
    Draft,
    /// The approval is of another version or text.
    Changed,
    Approved {
        by: String,
        /// As written.
        at: String,
    },
}

/// When a verified result goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Release {
    /// Each at once.
    #[default]
    Each,
    /// With its report, when every result of it is decided.
    Report,
}

/// Which of several runs of one test on one sample counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Runs {
    #[default]
    Last,
    FirstWithoutAlarm,
}

/// What a flag of an instrument does; the greater stands above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FlagAction {
    None,
    Review,
    Block,
}

#[derive(Debug, Clone)]
struct Flag {
    /// Empty: all.
    channels: Vec<ChannelId>,
    action: FlagAction,
}

/// What holds for one channel.
#[derive(Debug, Clone)]
pub(crate) struct Channel {
    pub(crate) autoverify: bool,
    pub(crate) runs: Runs,
    /// Kinds of lines (`sub_id`) that interpret the number of the same code, and go its way.
    pub(crate) interpretations: Vec<String>,
}

/// Limits of one analyte in one unit.
#[derive(Debug, Clone)]
pub(crate) struct Analyte {
    /// What the method measures; beyond it a number means nothing.
    pub(crate) amr: Option<Bounds>,
    /// What the machine may verify.
    pub(crate) range: Bounds,
    pub(crate) delta: Vec<Delta>,
    /// False: has no control of its own (calculated).
    pub(crate) qc: bool,
}

/// Both inclusive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
}

impl Bounds {
    pub(crate) fn hold(&self, number: f64) -> bool {
        self.low.is_none_or(|low| number >= low) && self.high.is_none_or(|high| number <= high)
    }
}

/// How much a number may differ from the one before; it fails when every limit that is given is exceeded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Delta {
    pub(crate) days: u32,
    pub(crate) absolute: Option<f64>,
    pub(crate) percent: Option<f64>,
    pub(crate) per_day: Option<f64>,
}

/// A relation between results of one sample: `(plus - minus) / (over - over_minus) * factor` lies within bounds.
#[derive(Debug, Clone)]
pub(crate) struct Sibling {
    pub(crate) name: String,
    /// LOINC codes that it is about.
    pub(crate) of: HashSet<String>,
    pub(crate) plus: Vec<Term>,
    pub(crate) minus: Vec<Term>,
    pub(crate) over: Vec<Term>,
    pub(crate) over_minus: Vec<Term>,
    pub(crate) factor: f64,
    pub(crate) bounds: Bounds,
}

/// LOINC code and unit.
pub(crate) type Term = (String, String);

impl Default for Autoverify {
    /// The pack that comes with the program: a draft.
    fn default() -> Self {
        Self::parse(include_str!("../../../../mappings/rules/autoverify.toml"))
            .expect("the pack that comes with the program is good (tested)")
    }
}

impl Autoverify {
    /// Reads and checks a pack. It is a draft until [`Autoverify::approved`].
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(text: &str) -> Result<Self, InvalidPack> {
        let file: file::Pack = InvalidPack::read(text)?;
        file::Checked { text }.pack(file)
    }

    /// Lays an approval beside it.
    #[must_use]
    pub fn approved(mut self, approval: &Approval) -> Self {
        let same =
            approval.version == self.version && approval.sha256.eq_ignore_ascii_case(&self.digest);
        self.on &= !approval.off;
        self.channels_off.clone_from(&approval.channels_off);
        self.standing = if same {
            Standing::Approved {
                by: approval.by.clone(),
                at: approval.at.clone(),
            }
        } else {
            Standing::Changed
        };
        self
    }

    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the text, lower-case hex: what an approval names.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    #[must_use]
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Channels that rows or the approval name.
    #[must_use]
    pub fn channels_named(&self) -> BTreeSet<&str> {
        let of_flags = self
            .flags
            .values()
            .flatten()
            .flat_map(|flag| &flag.channels);
        self.channels
            .keys()
            .map(String::as_str)
            .chain(of_flags.chain(&self.channels_off).map(ChannelId::as_str))
            .collect()
    }

    pub(crate) fn approved_by(&self) -> Option<&str> {
        match &self.standing {
            Standing::Approved { by, .. } => Some(by),
            Standing::Draft | Standing::Changed => None,
        }
    }

    /// Why nothing of this channel is verified by the machine.
    pub(crate) fn off(&self, channel: &str) -> Option<&'static str> {
        match self.standing {
            Standing::Draft => Some("the rule pack is a draft: nobody approved it"),
            Standing::Changed => Some("the rule pack was changed after its approval"),
            Standing::Approved { .. } if !self.on => Some("autoverification is switched off"),
            Standing::Approved { .. }
                if !self.channel(channel).autoverify
                    || self.channels_off.iter().any(|off| off.as_str() == channel) =>
            {
                Some("autoverification of this channel is switched off")
            }
            Standing::Approved { .. } => None,
        }
    }

    pub(crate) fn channel(&self, channel: &str) -> &Channel {
        static PLAIN: Channel = Channel {
            autoverify: true,
            runs: Runs::Last,
            interpretations: Vec::new(),
        };
        self.channels.get(channel).unwrap_or(&PLAIN)
    }

    pub(crate) fn analyte(&self, loinc: &str, ucum: &str) -> Option<&Analyte> {
        self.analytes.get(&(loinc.to_owned(), ucum.to_owned()))
    }

    /// What a flag does; the row for the channel counts more, and what no row names is looked at by a person.
    pub(crate) fn flag(&self, channel: &str, text: &str) -> FlagAction {
        let rows = self.flags.get(text).map(Vec::as_slice).unwrap_or_default();
        let named = rows
            .iter()
            .find(|row| row.channels.iter().any(|one| one.as_str() == channel));
        named
            .or_else(|| rows.iter().find(|row| row.channels.is_empty()))
            .map_or(FlagAction::Review, |row| row.action)
    }

    /// The worst of several flags, and which it is.
    pub(crate) fn worst_flag<'t>(
        &self,
        channel: &str,
        flags: impl IntoIterator<Item = &'t str>,
    ) -> (FlagAction, &'t str) {
        flags
            .into_iter()
            .map(str::trim)
            .filter(|flag| !flag.is_empty())
            .map(|flag| (self.flag(channel, flag), flag))
            .fold((FlagAction::None, ""), |worst, one| {
                if one.0 > worst.0 { one } else { worst }
            })
    }
}

/// Who approved which pack (`mappings/rules/autoverify.approval.toml`).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    pub version: String,
    /// Of the pack's text; `hub check` says it.
    pub sha256: String,
    pub by: String,
    /// When.
    pub at: String,
    /// True: nothing is verified by the machine for now. Stands here because switching off needs no new approval.
    #[serde(default)]
    pub off: bool,
    /// Channels of which nothing is verified by the machine for now.
    #[serde(default)]
    pub channels_off: Vec<ChannelId>,
}

impl Approval {
    /// Reads an approval.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(text: &str) -> Result<Self, InvalidPack> {
        let approval: Self = InvalidPack::read(text)?;
        if [&approval.by, &approval.at]
            .iter()
            .any(|text| text.trim().is_empty())
        {
            return Err(InvalidPack::new(
                "an approval says who gave it (`by`) and when (`at`)",
            ));
        }
        Ok(approval)
    }
}

#[cfg(test)]
mod tests;
