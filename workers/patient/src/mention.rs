//! The common case, made cheap: an order or a result that names a person whom we know.

use hub_core::Envelope;
use schemas::patients::{Assertion, PatientReported};
use schemas::{Body, IdentifierKey};
use serde::Deserialize;

/// How a mention's body begins: canonical bodies are written in the order of the type's fields. Another order is no
/// error, it only takes the slow way.
const START: &[u8] = br#"{"assertion":"mentioned","#;

#[derive(Deserialize)]
struct Mention {
    assertion: Assertion,
    identifiers: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    key: IdentifierKey,
}

/// The primary identifier's key, if this is a report that only mentions the person. Demographics are not decoded.
pub(crate) fn primary_key(message: &Envelope) -> Option<IdentifierKey> {
    if message.name != PatientReported::NAME || !message.body.starts_with(START) {
        return None;
    }
    let mention: Mention = serde_json::from_slice(&message.body).ok()?;
    (mention.assertion == Assertion::Mentioned)
        .then(|| mention.identifiers.first().map(|first| first.key))
        .flatten()
}
