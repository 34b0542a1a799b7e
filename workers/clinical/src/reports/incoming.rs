//! `lis.result.received` decoded without copies.
//!
//! The canonical types own every string and buffer each value, because their enum is tagged inside; at
//! twelve results a message that costs more than all else the worker does. These mirror them field by
//! field and borrow from the envelope's bytes. A test keeps the two in step.

use std::borrow::Cow;

use hub_core::{Envelope, Refusal};
use schemas::care::{HoldReason, ResultReceived};
use schemas::{Body, IdentifierKey};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Text that borrows where the JSON has no escapes (`Option<Cow<str>>` would always copy).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text of an optional field; an empty one says nothing.
pub(crate) fn said<'t>(text: Option<&'t Text<'_>>) -> Option<&'t str> {
    text.map(Text::as_str).filter(|text| !text.is_empty())
}

#[derive(Debug, Deserialize)]
pub(crate) struct Subject {
    pub(crate) key: IdentifierKey,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Code<'a> {
    #[serde(borrow, default)]
    pub(crate) code: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) text: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) system: Option<Text<'a>>,
}

/// Every form of [`schemas::care::Value`] in one small struct; `kind` says what the fields are. Forms share fields,
/// because what is decoded is moved several times.
#[derive(Debug, Deserialize)]
pub(crate) struct Value<'a> {
    #[serde(borrow)]
    pub(crate) kind: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) comparator: Option<Text<'a>>,
    /// The only or the first text of the form.
    #[serde(
        borrow,
        default,
        alias = "number",
        alias = "text",
        alias = "value",
        alias = "low",
        alias = "numerator",
        alias = "reason"
    )]
    pub(crate) first: Option<Text<'a>>,
    /// The second, of forms that have two.
    #[serde(borrow, default, alias = "high", alias = "denominator")]
    pub(crate) second: Option<Text<'a>>,
    /// The JSON of forms that are kept as such.
    #[serde(borrow, default, alias = "codes", alias = "attachment")]
    pub(crate) json: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ReferenceRange<'a> {
    #[serde(borrow, default)]
    pub(crate) text: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) low: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) high: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Mapped<'a> {
    #[serde(borrow)]
    pub(crate) loinc: Text<'a>,
    #[serde(borrow, default)]
    pub(crate) display: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) ucum: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) factor: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Observation<'a> {
    #[serde(borrow)]
    pub(crate) code: Code<'a>,
    #[serde(borrow, default)]
    pub(crate) alternate: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(crate) sub_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) value_type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) value: Value<'a>,
    #[serde(borrow, default)]
    pub(crate) raw_value: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) unit: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) range: Option<ReferenceRange<'a>>,
    #[serde(borrow, default)]
    pub(crate) flags: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) observed_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) device: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) notes: Vec<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) mapped: Option<Mapped<'a>>,
    #[serde(default)]
    pub(crate) held: Option<HoldReason>,
    /// See [`super::Filing::ask_units`].
    #[serde(skip)]
    pub(crate) asks_unit: bool,
}

impl Observation<'_> {
    /// Why it waits once it is known whose it is: for what its code means, if no table said so. Pictures, documents and what
    /// has no value mean nothing that a code would tell.
    pub(crate) fn without_question_of_patient(&self) -> Option<HoldReason> {
        let meant =
            self.mapped.is_some() || matches!(self.value.kind.as_str(), "attachment" | "absent");
        (!meant).then(|| self.meaning_asked())
    }

    /// What must be asked of it, where no table told what it means.
    pub(crate) fn meaning_asked(&self) -> HoldReason {
        if self.asks_unit {
            HoldReason::UnknownUnit
        } else {
            HoldReason::UnknownCode
        }
    }
}

/// One report as received.
#[derive(Debug, Deserialize)]
pub(crate) struct Report<'a> {
    pub(crate) channel: schemas::ChannelId,
    #[serde(default)]
    pub(crate) subject: Option<Subject>,
    #[serde(borrow, default)]
    pub(crate) visit_number: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) placer_number: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) filler_number: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) code: Code<'a>,
    #[serde(borrow, default)]
    pub(crate) status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) observed_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(crate) issued_at: Option<Text<'a>>,
    /// Rare enough to be owned.
    #[serde(default)]
    pub(crate) specimen: Option<schemas::care::Specimen>,
    #[serde(borrow)]
    pub(crate) results: Vec<Observation<'a>>,
    #[serde(borrow, default)]
    pub(crate) notes: Vec<Text<'a>>,
}

impl<'a> Report<'a> {
    /// Decodes a body (made storable by [`crate::body::storable`]).
    ///
    /// # Errors
    /// A refusal that names the place in the JSON, never the content.
    pub(crate) fn decode(envelope: &Envelope, body: &'a [u8]) -> Result<Self, Refusal> {
        serde_json::from_slice(body).map_err(|error| {
            Refusal::new(
                "envelope.body",
                format!(
                    "body of {} v{} does not fit its schema at line {} column {}",
                    ResultReceived::NAME,
                    envelope.version,
                    error.line(),
                    error.column()
                ),
            )
        })
    }
}
