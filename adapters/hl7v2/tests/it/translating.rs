//! Runs the translator in tests: one tenant, one channel, the tables of the repository.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use adapter_hl7v2::translate::{Hl7v2Translator, TranslatorSettings};
use bytes::Bytes;
use hub_core::mappings::{MappingStore, Mappings};
use hub_core::translator::{RawMessage, Refused, Translation, Translator as _};
use hub_core::{Event, Position};
use schemas::{ChannelId, RawId, TenantId};
use serde_json::Value;
use time::OffsetDateTime;

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

static MAPPINGS: LazyLock<Arc<Mappings>> = LazyLock::new(|| {
    // Only what the program brings: a site's own rows must not change what tests see.
    MappingStore::load(repository().join("mappings"))
        .unwrap_or_else(|error| panic!("{error}"))
        .current()
});

pub(crate) fn raw(bytes: &[u8]) -> RawMessage {
    let tenant = TenantId::new("demo").unwrap();
    let channel = ChannelId::new("lab").unwrap();
    RawMessage {
        id: RawId::of(&tenant, &channel, bytes),
        tenant,
        channel,
        bytes: Bytes::copy_from_slice(bytes),
        peer: None,
        received_at: OffsetDateTime::UNIX_EPOCH,
        notes: Vec::new(),
        quarantine: None,
        parent: None,
        position: Position::default(),
        traceparent: None,
    }
}

pub(crate) fn translate_with(
    settings: TranslatorSettings,
    bytes: &[u8],
) -> Result<Translation, Box<Refused>> {
    Hl7v2Translator::new(settings).translate(&raw(bytes), &MAPPINGS)
}

pub(crate) fn translate(bytes: &[u8]) -> Result<Translation, Box<Refused>> {
    translate_with(TranslatorSettings::default(), bytes)
}

/// The beginning of a header, up to MSH-8.
pub(crate) const MSH: &str = "MSH|^~\\&|DEV|LAB|||20260112100000||";

/// A message with line feeds, for [`events`]: its type, and what follows the header.
pub(crate) fn message(kind: &str, rest: &str) -> String {
    format!("{MSH}{kind}|7|P|2.5.1\n{rest}")
}

/// Translates text with line feeds where the message has CR.
pub(crate) fn events(text: &str) -> Vec<(&'static str, Value)> {
    let bytes = text.trim().replace('\n', "\r");
    bodies(&translate(bytes.as_bytes()).unwrap_or_else(|r| panic!("{}", r.refusal)))
}

pub(crate) fn bodies(translation: &Translation) -> Vec<(&'static str, Value)> {
    translation
        .events
        .iter()
        .map(|event| (event.name, body(event)))
        .collect()
}

pub(crate) fn body(event: &Event) -> Value {
    serde_json::from_slice(&event.body).unwrap()
}
