//! What is to be played, and what is told of it.

use serde::Serialize;

use super::template::{Filling, Template};

/// One message to play.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) play: Play,
    pub(crate) specimen: String,
    /// Records or segments.
    pub(crate) lines: Vec<String>,
    /// For a query whose orders are then done: the results to choose from.
    pub(crate) results: Option<(Template, Filling)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Play {
    Results,
    Control,
    Query,
}

impl Play {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Control => "control",
            Self::Query => "query",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Told {
    /// Which line is taken.
    Line { what: String },
    /// A message of ours, and what the hub said to it.
    Sent {
        play: &'static str,
        specimen: String,
        answer: String,
        accepted: bool,
    },
    /// A message of the hub's, and what we said to it.
    Received { lines: Vec<String>, answer: String },
    /// A query has no answer in time.
    Unanswered { specimen: String },
    /// How we misbehave, and what is odd on the line.
    Odd { what: String },
}

impl Told {
    pub(crate) fn odd(what: impl Into<String>) -> Self {
        Self::Odd { what: what.into() }
    }
}

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line { what } => f.write_str(what),
            Self::Sent {
                play,
                specimen,
                answer,
                ..
            } => write!(f, "{play} of {specimen}: {answer}"),
            Self::Received { lines, answer } => {
                write!(f, "the hub sends (answered {answer}):")?;
                lines.iter().try_for_each(|line| write!(f, "\n    {line}"))
            }
            Self::Unanswered { specimen } => write!(f, "query for {specimen}: NO ANSWER"),
            Self::Odd { what } => write!(f, "  {what}"),
        }
    }
}

impl Job {
    /// The results of which those go out that were ordered; `None` when the answer to a query is only to be shown.
    pub(crate) fn results(&self) -> Option<Vec<String>> {
        let (template, filling) = self.results.as_ref()?;
        Some(template.fill(filling))
    }

    /// The message with these results of the same tube.
    pub(crate) fn reporting(&self, lines: Vec<String>) -> Self {
        Self {
            play: Play::Results,
            specimen: self.specimen.clone(),
            lines,
            results: None,
        }
    }
}
