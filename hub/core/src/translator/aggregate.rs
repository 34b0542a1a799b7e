//! Which lane what an instrument measured is on: the same for every protocol that names patients and tubes alone, so that two
//! instruments of one tube follow one rule.

use schemas::care::Specimen;
use schemas::ids::care_key;
use schemas::patients::Identifier;
use schemas::{ChannelId, TenantId};

/// What decides the lane: the patient; else the specimen or material, else the channel. Opaque.
#[must_use]
pub fn of_measured(
    tenant: &TenantId,
    channel: &ChannelId,
    subject: Option<&Identifier>,
    specimen: Option<&Specimen>,
) -> String {
    if let Some(subject) = subject {
        return subject.key.0.to_string();
    }
    specimen.and_then(|s| s.number.as_deref()).map_or_else(
        || channel.to_string(),
        |tube| care_key(tenant, "specimen", &[channel.as_str(), tube]).to_string(),
    )
}
