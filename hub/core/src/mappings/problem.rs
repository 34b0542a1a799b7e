//! What is wrong with a mapping file, where, and what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One fault in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingProblem {
    pub file: PathBuf,
    /// Line and column, from 1; `None` when the file as a whole is meant.
    pub at: Option<(usize, usize)>,
    pub message: String,
    /// What to do.
    pub advice: String,
}

impl MappingProblem {
    pub(super) fn in_file(
        file: &Path,
        message: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            file: file.to_owned(),
            at: None,
            message: message.into(),
            advice: advice.into(),
        }
    }

    /// A fault at a byte range of the file's text.
    pub(super) fn at(mut self, text: &str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |n| n + 1);
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let column = before
            .get(line_start..)
            .map_or(0, |rest| rest.chars().count())
            + 1;
        self.at = Some((line, column));
        self
    }
}

impl fmt::Display for MappingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}. {}", self.message, self.advice)
    }
}

/// The files can't be used. The version in force stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingError {
    /// Never empty.
    pub problems: Vec<MappingProblem>,
}

impl fmt::Display for MappingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for MappingError {}
