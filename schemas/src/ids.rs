//! Newtype identifiers. Each is deterministic where a replay must find the same row again.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A token that may stand in a NATS subject, a durable name and a SQL key: `[a-z0-9_-]{1,32}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid name: use 1 to 32 of a-z, 0-9, `_` and `-`, beginning with a letter or digit"
)]
pub struct InvalidToken(pub String);

fn check_token(text: &str) -> Result<(), InvalidToken> {
    let ok = (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
        && text
            .as_bytes()
            .first()
            .is_some_and(u8::is_ascii_alphanumeric);
    if ok {
        Ok(())
    } else {
        Err(InvalidToken(text.to_owned()))
    }
}

macro_rules! token {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(#[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_-]{0,31}$"))] String);

        impl $name {
            /// Checks the form: `[a-z0-9][a-z0-9_-]{0,31}`.
            ///
            /// # Errors
            /// [`InvalidToken`] with the text that was refused.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidToken> {
                let text = text.into();
                check_token(&text)?;
                Ok(Self(text))
            }

            /// The token as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidToken;
            fn from_str(text: &str) -> Result<Self, InvalidToken> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(de)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

token!(
    /// One customer: a hospital or a group of hospitals.
    TenantId
);
token!(
    /// One configured link to one outside system.
    ChannelId
);

/// Identity of a raw message: a digest of tenant, channel and the exact bytes, so that the same
/// bytes on the same channel are the same message however often they arrive (design.md §4.3).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct RawId(pub Uuid);

impl fmt::Display for RawId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

const RAW_NAMESPACE: Uuid = Uuid::from_u128(0x5a6e_6761_6d00_4000_8000_7261_7700_0001);
const IDENTIFIER_NAMESPACE: Uuid = Uuid::from_u128(0x5a6e_6761_6d00_4000_8000_6964_6500_0001);
const CARE_NAMESPACE: Uuid = Uuid::from_u128(0x5a6e_6761_6d00_4000_8000_6361_7265_0001);

impl RawId {
    /// Hash of tenant, channel and bytes (UUIDv5).
    #[must_use]
    pub fn of(tenant: &TenantId, channel: &ChannelId, bytes: &[u8]) -> Self {
        let mut name =
            Vec::with_capacity(tenant.as_str().len() + channel.as_str().len() + 2 + bytes.len());
        name.extend_from_slice(tenant.as_str().as_bytes());
        name.push(0);
        name.extend_from_slice(channel.as_str().as_bytes());
        name.push(0);
        name.extend_from_slice(bytes);
        Self(Uuid::new_v5(&RAW_NAMESPACE, &name))
    }

    /// Identity of a deliberate child of another message (an edited resend, a forced replay): the
    /// parent, the bytes and the request that asked for it.
    #[must_use]
    pub fn child(parent: Self, request: Uuid, bytes: &[u8]) -> Self {
        let mut name = Vec::with_capacity(32 + bytes.len());
        name.extend_from_slice(parent.0.as_bytes());
        name.extend_from_slice(request.as_bytes());
        name.extend_from_slice(bytes);
        Self(Uuid::new_v5(&RAW_NAMESPACE, &name))
    }
}

/// Identity of the event that stands at `index` among those made from one message (design.md §4.3).
#[must_use]
pub fn event_id(parent: Uuid, index: u32) -> Uuid {
    Uuid::new_v5(&parent, &index.to_be_bytes())
}

/// Key of one identifier of a person: a digest of tenant, system and value.
///
/// Clinical rows carry this key as they were sent and are never re-pointed: a merge or an unmerge
/// changes only which patient an identifier leads to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct IdentifierKey(pub Uuid);

impl IdentifierKey {
    /// Digest of tenant, system and value.
    #[must_use]
    pub fn of(tenant: &TenantId, system: &str, value: &str) -> Self {
        Self(Uuid::new_v5(
            &IDENTIFIER_NAMESPACE,
            format!("{tenant}\u{0}{system}\u{0}{value}").as_bytes(),
        ))
    }
}

/// Key of a clinical thing (encounter, order, specimen, report): a digest of its kind and of the
/// parts that identify it, in order.
#[must_use]
pub fn care_key(tenant: &TenantId, kind: &str, parts: &[&str]) -> Uuid {
    let mut name = String::with_capacity(96);
    name.push_str(tenant.as_str());
    name.push('\u{0}');
    name.push_str(kind);
    for part in parts {
        name.push('\u{0}');
        name.push_str(part);
    }
    Uuid::new_v5(&CARE_NAMESPACE, name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_could_break_a_subject_is_refused() {
        for bad in ["", "a.b", "a b", "A", "*", ">", "-a", &"x".repeat(33), "é"] {
            assert!(TenantId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            TenantId::new("st-marys_2").map(|t| t.to_string()),
            Ok("st-marys_2".to_owned())
        );
    }

    #[test]
    fn the_same_bytes_on_the_same_channel_have_the_same_id_and_only_they() {
        let (t, c, d) = (
            TenantId::new("demo").unwrap(),
            ChannelId::new("lab").unwrap(),
            ChannelId::new("lab2").unwrap(),
        );
        assert_eq!(RawId::of(&t, &c, b"x"), RawId::of(&t, &c, b"x"));
        assert_ne!(RawId::of(&t, &c, b"x"), RawId::of(&t, &d, b"x"));
        assert_ne!(RawId::of(&t, &c, b"x"), RawId::of(&t, &c, b"y"));
    }
}
