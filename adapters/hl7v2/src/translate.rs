//! Messages to canonical events: ADT, merges, orders and results.
//!
//! Pure and total: no clock, no I/O, no panic; the same bytes and mappings give the same events. What a message says
//! and no event carries is listed by path, never dropped without a word. Codes and units are translated by the
//! mapping tables only; what they do not know is held. Notes and refusals carry positions and paths, never values.

use std::borrow::Cow;
use std::collections::BTreeMap;

use adapter_link::TubeNumbers;
use bytes::Bytes;
use hub_core::failure::Refusal;
use hub_core::mappings::Mappings;
use hub_core::translator::{Event, RawMessage, Refused, Translation, Translator};
use schemas::integration::{SearchKeys, TranslationOutcome};
use serde::{Deserialize, Serialize};

use crate::charset::{self, Charset, Decoded};
use crate::message::{Hl7Parser, Limits, Message, ParseError};
use crate::orders::question;
use crate::settings::OrderSettings;
use crate::{Header, batch};

mod adt;
mod alarm;
mod asked;
mod attachment;
mod codes;
mod control;
mod groups;
mod keys;
mod merge;
mod mindray_control;
mod monitor;
mod notes;
mod number;
mod order;
mod person;
mod possible;
mod receipt;
mod result;
mod scope;
mod specimen;
mod unmapped;
mod value;
mod vitals;

pub use control::ControlMark;
pub use possible::Possible;
use scope::Scope;

/// How the messages of one channel are to be understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TranslatorSettings {
    /// Character set of all messages of this channel, whatever MSH-18 says: `UTF-8`, `8859/1`, `windows-1252`,
    /// `GB 18030-2000` … Left out: MSH-18, then UTF-8 if the bytes are, then windows-1252.
    pub charset: Option<String>,
    /// Zone of time stamps that carry none, in minutes east of Greenwich. India: 330.
    pub default_zone_minutes: i16,
    /// Where the number on the tube stands, in the order of asking. The first that has a value wins. Many analyzers
    /// put it into `OBR-3` or `OBR-2`, which hospitals use for order numbers: add those only for such an analyzer.
    pub specimen_number: Vec<SpecimenSource>,
    /// How that number differs from the order's: zeros before it, check digits behind it.
    pub tube: TubeNumbers,
    /// Accept any version in MSH-12, also none. Otherwise only 2.1 to 2.9 are read.
    pub accept_any_version: bool,
    /// Numbers come with a decimal comma: `7,41`.
    pub decimal_comma: bool,
    /// Value types (OBX-2) of lines that are no results but settings and alarms (Mindray BC: `["IS"]`). They go to the notes
    /// of the report. Default: none.
    pub side_types: Vec<String>,
    /// Codes of such lines; `*` at the end stands for any rest. Pictures are filed all the same. Default: none.
    pub side_codes: Vec<String>,
    /// Limits of what the numbers of a test can be at all (blood gas: fractions from 0 to 100). What lies outside is filed
    /// without a value, as not measured, and shown as it was sent. Default: none.
    pub possible: Vec<Possible>,
    /// How the numbers on the tubes of control material begin, for devices that mark it in no other way. Default: none.
    pub control_begins: Vec<String>,
    /// What marks control material besides SPM-11 Q and MSH-11 Q or QR: `{ path = "OBR-4", is = ["00003"] }`, `{ path = "OBR-3.2",
    /// begins = ["QC"] }`. Default: none.
    pub control: Vec<ControlMark>,
    /// What the sender calls types of specimen (SPM-4, OBR-15), where these are neither words nor codes of HL7 table 0487: as sent, and
    /// by that table. What is known neither from here nor as blood, serum or plasma is looked up in code rows that name it, else held.
    /// Default: none.
    pub specimen_types: BTreeMap<String, String>,
    /// Whether an ORU^R01 of this channel reports laboratory results or what a bedside device measured.
    pub observations: Observations,
    /// Numbers that monitors send when they have no value: dropped from what bedside devices measure, whatever the code.
    /// Laboratory results are not looked at.
    pub no_value: Vec<String>,
}

/// What the observations of a channel are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Observations {
    /// As each message says of itself: the IHE PCD profile in MSH-21, MDC codes in OBX-3, or a Mindray monitor in OBR-4 make it
    /// vitals; anything else is laboratory.
    #[default]
    Auto,
    /// Laboratory results, also with MDC codes.
    Laboratory,
    /// Vitals of a bedside device, whatever the codes.
    Vitals,
    /// Vitals, and codes without a system are those of Mindray monitors (`101^HR`): for gateways that send rows alone.
    MindrayMonitor,
}

impl Default for TranslatorSettings {
    fn default() -> Self {
        Self {
            charset: None,
            default_zone_minutes: 330,
            tube: TubeNumbers::default(),
            specimen_number: vec![
                SpecimenSource::Spm2,
                SpecimenSource::Spm2Filler,
                SpecimenSource::Sac3,
                SpecimenSource::Sac4,
            ],
            accept_any_version: true,
            decimal_comma: false,
            side_types: Vec::new(),
            side_codes: Vec::new(),
            possible: Vec::new(),
            control_begins: Vec::new(),
            control: Vec::new(),
            specimen_types: BTreeMap::new(),
            observations: Observations::default(),
            no_value: ["8388607", "-8388608", "-999", "-99.9", "-100"]
                .map(str::to_owned)
                .to_vec(),
        }
    }
}

/// A field that may hold the number on the tube.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpecimenSource {
    /// Placer's specimen id.
    #[serde(rename = "SPM-2.1")]
    Spm2,
    /// Filler's specimen id.
    #[serde(rename = "SPM-2.2")]
    Spm2Filler,
    /// Container id.
    #[serde(rename = "SAC-3")]
    Sac3,
    /// Primary (parent) container id.
    #[serde(rename = "SAC-4")]
    Sac4,
    #[serde(rename = "OBR-2")]
    Obr2,
    #[serde(rename = "OBR-3")]
    Obr3,
    /// Erba H360.
    #[serde(rename = "OBR-5")]
    Obr5,
}

/// Settings that can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error(
        "charset `{0}` is unknown: use a name of table HL70211, such as `UNICODE UTF-8` or `8859/1`"
    )]
    Charset(String),
    #[error("default_zone_minutes {0} is not between -840 and 840")]
    Zone(i16),
    #[error("an empty text in {0} would take everything")]
    Everything(&'static str),
    #[error("possible: each needs codes, and low or high as decimal numbers such as \"0\"")]
    Possible,
    #[error(
        "control `{0}`: each needs a path in MSH, ORC, OBR, SPM, SAC or OBX such as `OBR-4`, and words in is or begins"
    )]
    Control(String),
    #[error("no_value `{0}` is no decimal number such as `-99.9`")]
    NoValue(String),
}

/// The translator of one channel.
#[derive(Debug, Clone, Default)]
pub struct Hl7v2Translator {
    settings: TranslatorSettings,
    /// How this channel's instruments ask, if they are answered.
    orders: Option<OrderSettings>,
    charset: Option<Charset>,
    limits: Limits,
}

impl Hl7v2Translator {
    /// A translator with these settings. An unknown charset counts as none given, a zone out of range as India's:
    /// call [`TranslatorSettings::check`] where a person can still be told.
    #[must_use]
    pub fn new(mut settings: TranslatorSettings) -> Self {
        let charset = settings.charset.as_deref().and_then(Charset::named);
        if !ZONES.contains(&settings.default_zone_minutes) {
            settings.default_zone_minutes = TranslatorSettings::default().default_zone_minutes;
        }
        Self {
            charset,
            settings,
            orders: None,
            limits: Limits::default(),
        }
    }

    /// With what the channel's instruments are told: queries are known by it, and the order's number in what comes back.
    #[must_use]
    pub fn with_orders(mut self, orders: Option<OrderSettings>) -> Self {
        self.orders = orders;
        self
    }
}

const ZONES: std::ops::RangeInclusive<i16> = -840..=840;

impl TranslatorSettings {
    /// Whether the settings can be used.
    ///
    /// # Errors
    /// The first that can't.
    pub fn check(&self) -> Result<(), SettingsError> {
        if let Some(name) = &self.charset
            && Charset::named(name).is_none()
        {
            return Err(SettingsError::Charset(name.clone()));
        }
        if !ZONES.contains(&self.default_zone_minutes) {
            return Err(SettingsError::Zone(self.default_zone_minutes));
        }
        let lists = [
            ("side_types", &self.side_types),
            ("side_codes", &self.side_codes),
            ("control_begins", &self.control_begins),
        ];
        for (name, list) in lists {
            if list
                .iter()
                .any(|one| one.trim_end_matches('*').trim().is_empty())
            {
                return Err(SettingsError::Everything(name));
            }
        }
        if !self.possible.iter().all(Possible::is_usable) {
            return Err(SettingsError::Possible);
        }
        if let Some(mark) = self.control.iter().find(|mark| !mark.is_usable()) {
            return Err(SettingsError::Control(mark.path.clone()));
        }
        if let Some(text) = self
            .no_value
            .iter()
            .find(|text| number::decimal(text, false).is_none())
        {
            return Err(SettingsError::NoValue(text.clone()));
        }
        Ok(())
    }
}

/// What was made of one message of possibly several.
#[derive(Debug, Default)]
struct Output {
    keys: SearchKeys,
    events: Vec<Event>,
    attachments: Vec<(String, Bytes)>,
    unmapped: Vec<String>,
    notes: Vec<String>,
    /// What it is, where it has no effect by nature.
    without_effect: Option<TranslationOutcome>,
}

/// One message could not be used.
struct Unusable {
    refusal: Refusal,
    output: Output,
}

impl Translator for Hl7v2Translator {
    fn translate(&self, raw: &RawMessage, maps: &Mappings) -> Result<Translation, Box<Refused>> {
        if batch::is_batch(&raw.bytes) {
            return self.batch(raw, maps, &raw.bytes);
        }
        let decoded = charset::decode(&raw.bytes, self.charset);
        // Wide characters hide line starts from the splitter until they are decoded.
        if !decoded.charset.is_ascii_based() && batch::is_batch(decoded.text.as_bytes()) {
            return self.batch(raw, maps, decoded.text.as_bytes());
        }
        match self.one(raw, maps, decoded) {
            Ok(output) => Ok(finish(output)),
            Err(unusable) => Err(Box::new(Refused {
                refusal: unusable.refusal,
                keys: unusable.output.keys,
                notes: unusable.output.notes,
            })),
        }
    }
}

impl Hl7v2Translator {
    /// The good messages of a batch are translated, each bad one is a note; nothing good at all is a refusal.
    fn batch(
        &self,
        raw: &RawMessage,
        maps: &Mappings,
        bytes: &[u8],
    ) -> Result<Translation, Box<Refused>> {
        let split = batch::split(bytes);
        let mut whole = Output::default();
        whole
            .notes
            .extend(split.notes.iter().map(|note| notes::batch(*note)));
        let mut good = 0;
        let mut translated = 0;
        let mut effect = None;
        let mut bad = None;
        for (n, range) in split.messages.iter().enumerate() {
            let one = bytes.get(range.clone()).unwrap_or_default();
            let (output, refusal) = match self.one(raw, maps, charset::decode(one, self.charset)) {
                Ok(output) => {
                    good += 1;
                    translated += usize::from(output.without_effect.is_none());
                    effect = effect.or(output.without_effect);
                    (output, None)
                }
                Err(unusable) => (unusable.output, Some(unusable.refusal)),
            };
            let label = format!("message {} of {}", n + 1, split.messages.len());
            if let Some(refusal) = &refusal {
                whole.notes.push(format!("{label} refused: {refusal}"));
            }
            whole
                .notes
                .extend(output.notes.iter().map(|note| format!("{label}: {note}")));
            if whole.keys == SearchKeys::default() {
                whole.keys = output.keys;
            } else {
                whole.keys.also_about(&output.keys);
            }
            whole.events.extend(output.events);
            whole.attachments.extend(output.attachments);
            for path in output.unmapped {
                unmapped::push(&mut whole.unmapped, path);
            }
            bad = bad.or(refusal);
        }
        if good == 0 {
            let refusal = bad.unwrap_or_else(|| {
                Refusal::new(
                    "hl7.empty_batch",
                    "the batch holds no message; ask the sender what was meant",
                )
            });
            return Err(Box::new(Refused {
                refusal,
                keys: whole.keys,
                notes: whole.notes,
            }));
        }
        whole.without_effect = effect.filter(|_| translated == 0);
        Ok(finish(whole))
    }

    fn one(
        &self,
        raw: &RawMessage,
        maps: &Mappings,
        decoded: Decoded<'_>,
    ) -> Result<Output, Box<Unusable>> {
        let mut output = Output::default();
        output
            .notes
            .extend(decoded.notes.iter().map(notes::charset));
        let text: Cow<'_, str> = decoded.text;
        let message = match Message::parse_with(text.as_ref(), &self.limits, &Hl7Parser) {
            Ok(message) => message,
            Err(error) => {
                output.keys = keys::of_header(Header::read(text.as_bytes()).ok().as_ref());
                return Err(Box::new(Unusable {
                    refusal: unreadable(&error),
                    output,
                }));
            }
        };
        output
            .notes
            .extend(message.notes().iter().map(notes::oddity));
        let scope =
            Scope::new(raw, maps, &self.settings, &message).with_orders(self.orders.as_ref());
        output.keys = keys::of_message(&scope);
        let version_known = self.settings.accept_any_version
            || scope
                .header()
                .is_some_and(|msh| keys::is_version_2(msh.field(12).component(1).raw()));
        let done = if version_known {
            dispatch(&scope, &message, &mut output)
        } else {
            Err(Refusal::new(
                "hl7.version",
                "MSH-12 is no version from 2.1 to 2.9; correct the sender, or set accept_any_version for the channel",
            ))
        };
        scope.close(&mut output.unmapped, &mut output.notes);
        match done {
            Ok(()) => Ok(output),
            Err(refusal) => Err(Box::new(Unusable { refusal, output })),
        }
    }
}

/// Set when an ORU^R01 is of a bedside device.
fn form_of_vitals(scope: &Scope<'_>) -> Option<monitor::Form> {
    match scope.settings.observations {
        Observations::Auto => monitor::recognised(scope),
        Observations::Laboratory => None,
        Observations::Vitals => {
            Some(monitor::recognised(scope).unwrap_or(monitor::Form::Nomenclature))
        }
        Observations::MindrayMonitor => Some(monitor::Form::Mindray),
    }
}

/// Hands the message to the translator of its type.
fn dispatch(scope: &Scope<'_>, message: &Message, output: &mut Output) -> Result<(), Refusal> {
    let (code, trigger) = keys::message_type(scope);
    match (code, trigger) {
        ("QBP" | "QRY" | "QCN" | "QSX", _) => asked::translate(scope, output),
        ("ORM", _) if question::asks_for_work(message) => asked::translate(scope, output),
        ("ORU", "R40") => alarm::translate(scope, output),
        ("ORU", "R01" | "") => match form_of_vitals(scope) {
            Some(form) => vitals::translate(scope, form, output),
            None => result::translate(scope, output),
        },
        ("ADT", "A30" | "A34" | "A39" | "A40" | "A47") => merge::translate(scope, output),
        ("ADT", trigger) => match adt::Kind::of(trigger) {
            Some(kind) => adt::translate(scope, kind, output),
            None => not_translated(output),
        },
        ("ORM", "O01" | "") | ("OML", "O21" | "O33" | "O35") => {
            order::translate(scope, code, output)
        }
        ("ORU", "R30" | "R31" | "R32") | ("OUL", "R21" | "R22" | "R23" | "R24") => {
            result::translate(scope, output)
        }
        _ if code == "ACK" || scope.first("MSA").is_some() => {
            output.without_effect = Some(TranslationOutcome::Answer);
            Ok(())
        }
        _ => not_translated(output),
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "an arm of a match whose other arms can refuse"
)]
fn not_translated(output: &mut Output) -> Result<(), Refusal> {
    output.without_effect = Some(TranslationOutcome::NotTranslated);
    Ok(())
}

fn finish(output: Output) -> Translation {
    Translation {
        outcome: output
            .without_effect
            .unwrap_or(TranslationOutcome::Translated),
        keys: output.keys,
        events: output.events,
        attachments: output.attachments,
        // Of a message that nobody reads, every field would be listed.
        unmapped: if output.without_effect.is_some() {
            Vec::new()
        } else {
            output.unmapped
        },
        notes: output.notes,
    }
}

fn unreadable(error: &ParseError) -> Refusal {
    let code = match error {
        ParseError::NoHeader => "hl7.no_msh",
        ParseError::Separators(_) => "hl7.separators",
        ParseError::TooBig { .. } | ParseError::TooManyDelimiters { .. } => "hl7.too_big",
        _ => "hl7.unreadable",
    };
    Refusal::new(
        code,
        format!("{error}; correct the message and resend it, or ask the sender's maker"),
    )
}
