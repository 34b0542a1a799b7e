//! The rule packs of the laboratory that are in force, and how they change while the worker runs: all of them at once, and
//! only when every one of them is good. Reads no files; what is wrong with a text is said with its place in it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::controls::westgard::Westgard;
use crate::criticals::limits::CriticalLimits;
use crate::rounds::news2::News2;
use crate::verification::pack::Autoverify;

/// A pack that can't be used: what is wrong with it, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPack {
    /// Line and column, from 1; absent when the text as a whole is meant.
    pub at: Option<(usize, usize)>,
    pub message: String,
}

impl InvalidPack {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
        }
    }

    /// What is wrong with the words at a byte range.
    pub(crate) fn at(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
        let column = before
            .get(line_start..)
            .map_or(0, |rest| rest.chars().count())
            + 1;
        Self {
            at: Some((line, column)),
            message: message.into(),
        }
    }

    /// Reads TOML.
    ///
    /// # Errors
    /// With the place that TOML names.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Self> {
        toml::from_str(text).map_err(|error| match error.span() {
            Some(span) => Self::at(text, span, error.message()),
            None => Self::new(error.message()),
        })
    }
}

impl fmt::Display for InvalidPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some((line, column)) => write!(f, "line {line}, column {column}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for InvalidPack {}

/// One set of packs.
#[derive(Debug, Clone, Default)]
pub struct RulePacks {
    /// How control results are judged.
    pub westgard: Westgard,
    /// Results that somebody must be called about.
    pub critical: CriticalLimits,
    /// Results that the machine may verify.
    pub autoverify: Autoverify,
    /// The early warning score of rounds that staff enter.
    pub news2: News2,
}

/// The packs in force. A batch takes them once; they do not change under it.
#[derive(Debug, Default)]
pub struct RuleStore(ArcSwap<RulePacks>);

impl RuleStore {
    /// These are in force.
    #[must_use]
    pub fn new(packs: RulePacks) -> Self {
        Self(ArcSwap::from_pointee(packs))
    }

    /// The set in force now.
    #[must_use]
    pub fn current(&self) -> Arc<RulePacks> {
        self.0.load_full()
    }

    /// From now on these.
    pub fn put(&self, packs: RulePacks) {
        self.0.store(Arc::new(packs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_counted_in_lines_and_characters() {
        let text = "a = 1\nü = \"x\"\n";
        let at = text.find("\"x\"").unwrap();
        let invalid = InvalidPack::at(text, at..at + 3, "no");
        assert_eq!(invalid.to_string(), "line 2, column 5: no");
        let broken = InvalidPack::read::<toml::Table>("a = 1\nb = \n").unwrap_err();
        assert_eq!(broken.at.map(|(line, _)| line), Some(2), "{broken}");
    }
}
