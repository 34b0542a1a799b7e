//! Stored documents to canonical events: results, and who they name.
//!
//! Pure and total: no clock, no I/O, no panic. One `lis.result.received` for each patient or control material of a service.
//! Control and calibration material are told from patients by the message (OBS.R02) and by the object that the observations
//! stand in (CTC, CVC), never by the role code, which devices fill as they like. Codes and units are translated by the
//! mapping tables only; what they do not know is held. The device is named by the edge, from its hello.

use hub_core::failure::Refusal;
use hub_core::mappings::Mappings;
use hub_core::translator::{RawMessage, Refused, Translation, Translator};
use schemas::integration::TranslationOutcome;

use ::time::OffsetDateTime;

use crate::document::{Document, Element, Unreadable};
use crate::settings::Dialect;

mod number;
mod observation;
mod person;
mod report;
mod scope;
mod time;
mod value;

use scope::{Output, Scope};

/// The translator of one channel.
#[derive(Debug, Clone, Default)]
pub struct Poct1aTranslator {
    dialect: Dialect,
}

impl Poct1aTranslator {
    /// A translator for devices of this dialect.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect }
    }
}

impl Translator for Poct1aTranslator {
    fn translate(&self, raw: &RawMessage, maps: &Mappings) -> Result<Translation, Box<Refused>> {
        let mut output = Output::default();
        let scope = Scope::new(raw, maps, &self.dialect);
        let done = match Document::read(&raw.bytes, self.dialect.encoding()) {
            Ok(document) => {
                message(&scope, &document, &mut output);
                Ok(())
            }
            Err(error) => Err(refusal(&error)),
        };
        scope.close(&mut output);
        match done {
            Ok(()) => Ok(Translation {
                outcome: if output.translated {
                    TranslationOutcome::Translated
                } else {
                    TranslationOutcome::NotTranslated
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

/// A point in time as this device writes it.
pub(crate) fn instant(said: &str, dialect: &Dialect) -> Option<OffsetDateTime> {
    let moment = time::read(said, dialect.default_zone_minutes, dialect.ignore_zone);
    moment.ok().flatten().map(|moment| moment.at)
}

fn refusal(error: &Unreadable) -> Refusal {
    let code = match error {
        Unreadable::Dtd => "poct1a.dtd",
        Unreadable::TooDeep | Unreadable::TooMany => "poct1a.too_deep",
        Unreadable::Malformed(_) => "poct1a.malformed",
    };
    Refusal::new(
        code,
        format!("{error}; correct it and resend, or ask the maker of the device"),
    )
}

fn message(scope: &Scope<'_>, document: &Document, output: &mut Output) {
    if document.guessed {
        scope.note("charset: the bytes are not of the expected set and were read as windows-1252 or UTF-8; set dialect.charset".to_owned());
    }
    let root = &document.root;
    output.keys.message_type = Some(format!(
        "POCT1 {}",
        root.name.chars().take(40).collect::<String>()
    ));
    output.keys.control_id = document
        .control_id()
        .and_then(|id| scope.key("HDR.control_id", &id));
    let occurred = root.child("HDR").and_then(|header| {
        for name in ["HDR.message_type", "HDR.version_id"] {
            if let Some(one) = header.child(name) {
                one.pass();
            }
        }
        scope.moment(header.child("HDR.creation_dttm")?)
    });
    match root.name.as_str() {
        "OBS.R01" | "OBS.R02" => {
            report::translate(scope, root, occurred.as_ref(), output);
            if output.translated {
                root.unread(&mut |name| output.unmapped(name.to_owned()));
            }
        }
        "HEL.R01" => scope.note("the device says hello".to_owned()),
        "DST.R01" => scope.note("status of the device".to_owned()),
        "EVS.R01" => scope.note(events(root)),
        "EOT.R01" => scope.note("end of a topic".to_owned()),
        "END.R01" => scope.note("the device ended the conversation".to_owned()),
        "ESC.R01" => scope.note("the device broke off what it was told or asked".to_owned()),
        "REQ.R01" => scope.note("a request of the device".to_owned()),
        _ => scope.note("a message of no known type: kept, nothing to file".to_owned()),
    }
}

/// EVT objects by severity (N normal, W warning, C critical).
fn events(root: &Element) -> String {
    let mut all = 0;
    let mut critical = 0;
    // EVT stands in EVS or directly in the message
    for holder in std::iter::once(root).chain(root.named("EVS")) {
        for event in holder.named("EVT") {
            all += 1;
            if event.said("EVT.severity_cd").as_deref() == Some("C") {
                critical += 1;
            }
        }
    }
    format!("events of the device: {all}, critical: {critical}")
}
