//! Stored messages to canonical events: results, and who they name.
//!
//! Pure and total: no clock, no I/O, no panic. One `lis.result.received` an O record. Codes and units are translated by
//! the mapping tables only; what they do not know is held. Analyzers seldom name a patient: then the report has no
//! subject and goes by its specimen number. What a message says and no event carries is listed by path. Notes and
//! refusals carry positions and paths, never values.

use hub_core::failure::Refusal;
use hub_core::mappings::Mappings;
use hub_core::translator::{Event, RawMessage, Refused, Translation, Translator};
use schemas::integration::{SearchKeys, TranslationOutcome};

use crate::link::join;
use crate::records;
use crate::settings::{Dialect, Mode};

mod au;
pub(crate) mod blocks;
mod dimension;
mod message;
mod number;
mod person;
mod result;
mod scope;
mod status;
mod time;
mod value;

use scope::Scope;

/// Most paths a message lists.
const MOST_PATHS: usize = 64;

/// The translator of one channel.
#[derive(Debug, Clone, Default)]
pub struct AstmTranslator {
    mode: Mode,
    dialect: Dialect,
}

impl AstmTranslator {
    /// A translator for lines of this mode and instruments of this dialect.
    #[must_use]
    pub fn new(mode: Mode, dialect: Dialect) -> Self {
        Self { mode, dialect }
    }
}

/// What was made of a stored unit so far.
#[derive(Debug, Default)]
struct Output {
    keys: SearchKeys,
    events: Vec<Event>,
    unmapped: Vec<String>,
    notes: Vec<String>,
    translated: bool,
    /// It asks what is to be done.
    asked: bool,
}

impl Output {
    fn unmapped(&mut self, path: String) {
        if self.unmapped.len() < MOST_PATHS && !self.unmapped.contains(&path) {
            self.unmapped.push(path);
        }
    }

    /// The kind of message that an operator searches by; the first that says something stays.
    fn kind(&mut self, kind: &str) {
        if self.keys.message_type.is_none() {
            self.keys.message_type = Some(kind.to_owned());
        }
    }
}

impl Translator for AstmTranslator {
    fn translate(&self, raw: &RawMessage, maps: &Mappings) -> Result<Translation, Box<Refused>> {
        let mut output = Output::default();
        let scope = Scope::new(raw, maps, &self.dialect);
        let done = match self.mode {
            Mode::E1381 | Mode::Bare => self.records(&scope, raw, &mut output),
            Mode::Au => au::translate(&scope, &raw.bytes, &mut output),
            Mode::Dimension => dimension::translate(&scope, &raw.bytes, &mut output),
        };
        scope.close(&mut output);
        match done {
            Ok(()) => Ok(Translation {
                outcome: match (output.translated, output.asked) {
                    (true, _) => TranslationOutcome::Translated,
                    (false, true) => TranslationOutcome::Query,
                    (false, false) => TranslationOutcome::NotTranslated,
                },
                keys: output.keys,
                events: output.events,
                attachments: Vec::new(),
                unmapped: if output.translated {
                    output.unmapped
                } else {
                    Vec::new()
                },
                notes: output.notes,
            }),
            Err(refusal) => Err(Box::new(Refused {
                refusal,
                keys: output.keys,
                notes: output.notes,
            })),
        }
    }
}

impl AstmTranslator {
    fn records(
        &self,
        scope: &Scope<'_>,
        raw: &RawMessage,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let joined = join(&raw.bytes);
        let decoded = records::decode(&joined.text, self.dialect.encoding());
        if decoded.guessed {
            scope.note("charset: the bytes are not of the expected set and were read as windows-1252 or UTF-8; set dialect.charset".to_owned());
        }
        let found = records::split(&decoded.text);
        if found.joined > 0 {
            scope.note(format!(
                "{} lines begin no record and were joined to the one before",
                found.joined
            ));
        }
        if found.skipped > 0 {
            scope.note(format!("{} lines are no records", found.skipped));
        }
        if found.headless > 0 {
            scope.note(format!(
                "{} records stand before the first H and belong to no message",
                found.headless
            ));
        }
        if found.messages.is_empty() {
            return Err(Refusal::new(
                "astm.no_header",
                if found.headless > 0 {
                    "the records have no H record, so that nobody knows their delimiters; correct the instrument's set-up, or resend with an H record"
                } else {
                    "these bytes are no E1394 records; if the instrument speaks a protocol of its own, the channel's kind or link.mode is wrong"
                },
            ));
        }
        let mut refused = None;
        let mut good = 0;
        for (n, one) in found.messages.iter().enumerate() {
            match message::translate(scope, one, output) {
                Ok(()) => good += 1,
                Err(refusal) => {
                    if found.messages.len() > 1 {
                        scope.note(format!(
                            "message {} of {} refused: {refusal}",
                            n + 1,
                            found.messages.len()
                        ));
                    }
                    refused = Some(refusal);
                }
            }
        }
        match refused {
            Some(refusal) if good == 0 => Err(refusal),
            _ => Ok(()),
        }
    }
}
