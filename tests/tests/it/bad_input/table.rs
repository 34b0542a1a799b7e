//! A row: what is sent, what is answered, what is kept; and the table as a page.

use std::fmt::Write as _;
use std::time::Duration;

/// What the peer does.
pub(crate) enum Step {
    Write(Vec<u8>),
    /// One byte a millisecond.
    Trickle(Vec<u8>),
    /// Silence is part of the input.
    Quiet(Duration),
    /// Sends no more, still reads.
    EndWriting,
    /// Closes.
    Leave,
    /// Closes with a reset, as a machine that was switched off and on.
    Reset,
}

/// The connection after the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// The next good message is acknowledged on it.
    Open,
    /// The hub closes it.
    Closed,
}

/// What must be in the ledger.
pub(crate) struct Keep {
    pub(crate) bytes: Vec<u8>,
    pub(crate) control_id: Option<String>,
    pub(crate) outcome: &'static str,
    pub(crate) reason: Option<&'static str>,
}

pub(crate) struct Row {
    pub(crate) group: &'static str,
    pub(crate) name: &'static str,
    pub(crate) channel: &'static str,
    pub(crate) steps: Vec<Step>,
    /// MSA-1 and MSA-2 of each answer, in order.
    pub(crate) answers: Vec<(String, String)>,
    pub(crate) after: After,
    pub(crate) kept: Vec<Keep>,
    pub(crate) remark: &'static str,
}

impl Row {
    pub(crate) fn new(group: &'static str, name: &'static str) -> Self {
        Self {
            group,
            name,
            channel: "lab",
            steps: Vec::new(),
            answers: Vec::new(),
            after: After::Open,
            kept: Vec::new(),
            remark: "",
        }
    }

    pub(crate) fn on(mut self, channel: &'static str) -> Self {
        self.channel = channel;
        self
    }

    pub(crate) fn write(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.steps.push(Step::Write(bytes.as_ref().to_vec()));
        self
    }

    /// `bytes` in two packets, cut at `at`.
    pub(crate) fn cut(self, bytes: &[u8], at: usize, pause: Duration) -> Self {
        self.write(&bytes[..at])
            .step(Step::Quiet(pause))
            .write(&bytes[at..])
    }

    pub(crate) fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    pub(crate) fn answer(mut self, code: &str, control_id: impl Into<String>) -> Self {
        self.answers.push((code.to_owned(), control_id.into()));
        self
    }

    pub(crate) fn closes(mut self) -> Self {
        self.after = After::Closed;
        self
    }

    /// A message that can be read is found by its control id, if it has one.
    pub(crate) fn keeps(mut self, bytes: impl AsRef<[u8]>, outcome: &'static str) -> Self {
        let bytes = bytes.as_ref().to_vec();
        self.kept.push(Keep {
            control_id: control_id(&bytes),
            bytes,
            outcome,
            reason: None,
        });
        self
    }

    pub(crate) fn keeps_dead(mut self, bytes: impl AsRef<[u8]>, reason: &'static str) -> Self {
        self.kept.push(Keep {
            bytes: bytes.as_ref().to_vec(),
            control_id: None,
            outcome: "dead",
            reason: Some(reason),
        });
        self
    }

    pub(crate) fn remark(mut self, text: &'static str) -> Self {
        self.remark = text;
        self
    }
}

/// A longer number is no search key.
const LONGEST_KEY: usize = 250;

/// MSH-10 of the first message, where the delimiters are the usual ones.
fn control_id(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let header = &text[text.find("MSH|")?..];
    let id = header.split(['\r', '\n']).next()?.split('|').nth(9)?;
    (1..=LONGEST_KEY).contains(&id.len()).then(|| id.to_owned())
}

/// The rows as a page.
pub(crate) fn document(rows: &[Row]) -> String {
    let mut page = String::from(
        "# What an HL7 v2 channel answers\n\n\
         Written from the rows of `tests/tests/it/bad_input/rows`, which play every line against the running program\n\
         (`UPDATE_DOCS=1 cargo test -p tests answers` writes this page). Everything that is kept is found by\n\
         `GET /api/v1/messages`, byte by byte; a dead letter carries the reason that stands in brackets.\n",
    );
    let mut group = "";
    for row in rows {
        if row.group != group {
            group = row.group;
            let _ = write!(
                page,
                "\n## {group}\n\n| Input | Answer | Connection | Kept as | Remark |\n|---|---|---|---|---|\n"
            );
        }
        let codes = counted(row.answers.iter().map(|(code, _)| code.clone()));
        let kept = counted(row.kept.iter().map(|keep| match keep.reason {
            Some(reason) => format!("{} ({reason})", keep.outcome),
            None => keep.outcome.replace('_', " "),
        }));
        let ends = row
            .steps
            .iter()
            .any(|step| matches!(step, Step::Leave | Step::Reset));
        let connection = match row.after {
            _ if ends => "the peer's end",
            After::Open => "goes on",
            After::Closed => "closed",
        };
        let or = |text: String, otherwise: &str| {
            if text.is_empty() {
                otherwise.to_owned()
            } else {
                text
            }
        };
        let _ = writeln!(
            page,
            "| {} | {} | {connection} | {} | {} |",
            row.name,
            or(codes, "none"),
            or(kept, "nothing to keep"),
            row.remark
        );
    }
    page
}

/// `AA, AA, AA` as `3 × AA`.
fn counted(words: impl Iterator<Item = String>) -> String {
    let mut runs: Vec<(usize, String)> = Vec::new();
    for word in words {
        match runs.last_mut() {
            Some((count, last)) if *last == word => *count += 1,
            _ => runs.push((1, word)),
        }
    }
    let texts: Vec<String> = runs
        .into_iter()
        .map(|(count, word)| {
            if count == 1 {
                word
            } else {
                format!("{count} × {word}")
            }
        })
        .collect();
    texts.join(", ")
}
