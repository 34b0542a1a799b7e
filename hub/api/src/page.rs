//! Pages by key: `{items, next_cursor}`, and the types that every search shares.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use crate::nul;
use crate::problem::Problem;

/// One page. The next one is asked for with `cursor=<next_cursor>` and the same filters; the last has none.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A list that is whole.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self {
            items,
            next_cursor: None,
        }
    }

    /// One page of rows as the worker's queries give them, with the key of the next.
    ///
    /// # Errors
    /// Never for keys that serialise.
    pub(crate) fn of<R, K: Serialize>(
        rows: Vec<R>,
        next: Option<K>,
        view: impl FnMut(R) -> T,
    ) -> Self {
        Self {
            items: rows.into_iter().map(view).collect(),
            next_cursor: next.map(|key| encode(&key)),
        }
    }

    /// The same page in another view.
    pub(crate) fn map<U>(self, view: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(view).collect(),
            next_cursor: self.next_cursor,
        }
    }
}

/// Items on a page when the caller does not say.
const DEFAULT_LIMIT: u16 = 50;
/// Largest page: one answer stays well under a megabyte.
const MAX_LIMIT: u16 = 500;

/// How many items a page may have: 1 to 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limit(u16);

impl Limit {
    pub(crate) fn rows(self) -> i64 {
        i64::from(self.0)
    }

    pub(crate) fn count(self) -> u16 {
        self.0
    }

    /// True when a page with this many rows may have a successor.
    pub(crate) fn is_full(self, rows: usize) -> bool {
        rows >= usize::from(self.0)
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let limit = u16::deserialize(de).unwrap_or(0);
        if (1..=MAX_LIMIT).contains(&limit) {
            Ok(Self(limit))
        } else {
            Err(serde::de::Error::custom(format!(
                "must be from 1 to {MAX_LIMIT}"
            )))
        }
    }
}

/// A time in a query: RFC 3339 with any offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) OffsetDateTime);

impl Moment {
    /// RFC 3339, as commands carry it.
    pub(crate) fn text(self) -> Option<String> {
        self.0.format(&Rfc3339).ok()
    }

    /// Refuses a year that no record can speak of: what is searched for may lie anywhere, what is written down not.
    pub(crate) fn plausible(at: Option<Self>, field: &str) -> Result<(), Problem> {
        match at {
            Some(Self(at)) if !schemas::moment::is_plausible(at) => {
                Err(Problem::invalid(field, "is not of the years 1800 to 2200"))
            }
            _ => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        let text = String::deserialize(de)?;
        // a `+` that the caller did not escape arrives as a space
        OffsetDateTime::parse(&text.replace(' ', "+"), &Rfc3339)
            .ok()
            .and_then(|time| time.checked_to_offset(time::UtcOffset::UTC))
            .map(Self)
            .ok_or_else(|| {
                serde::de::Error::custom(
                    "must be a time with offset as in RFC 3339: 2026-01-31T08:30:00Z",
                )
            })
    }
}

/// Opaque to the caller: where the page before ended.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct Cursor(String);

impl Cursor {
    /// The key it stands for.
    pub(crate) fn key<K: DeserializeOwned>(cursor: Option<&Self>) -> Result<Option<K>, Problem> {
        let Some(Self(text)) = cursor else {
            return Ok(None);
        };
        URL_SAFE_NO_PAD
            .decode(text)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
            // who makes a cursor himself may put one in
            .filter(|key| nul::within(key).is_none())
            .and_then(|key| serde_json::from_value(key).ok())
            .map(Some)
            .ok_or_else(Self::refused)
    }

    /// The text is no cursor of this search.
    pub(crate) fn refused() -> Problem {
        Problem::invalid("cursor", "is not a next_cursor that this search gave")
    }
}

pub(crate) fn encode<K: Serialize>(key: &K) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_the_key_it_was_made_of_and_another_is_refused() {
        let cursor = Cursor(encode(&(7_i64, "x")));
        assert_eq!(
            Cursor::key::<(i64, String)>(Some(&cursor)).unwrap(),
            Some((7, "x".to_owned()))
        );
        assert!(Cursor::key::<(i64, String)>(Some(&Cursor("%%".into()))).is_err());
        assert!(Cursor::key::<uuid::Uuid>(Some(&cursor)).is_err());
        for own in ["\0", "a\0b"] {
            let cursor = Cursor(encode(&own));
            assert!(Cursor::key::<String>(Some(&cursor)).is_err(), "{own:?}");
            let cursor = Cursor(encode(&(7, own)));
            assert!(Cursor::key::<(i64, String)>(Some(&cursor)).is_err());
        }
        let cursor = Cursor(URL_SAFE_NO_PAD.encode(br#""\U0000""#));
        assert!(Cursor::key::<String>(Some(&cursor)).is_err(), "no JSON");
        // a backslash before it: six characters that spell it, no NUL
        let spelled = r"\u0000".to_owned();
        let cursor = Cursor(encode(&spelled));
        assert_eq!(Cursor::key::<String>(Some(&cursor)).unwrap(), Some(spelled));
    }

    #[test]
    fn a_limit_is_from_1_to_500_and_a_time_has_an_offset() {
        for (text, ok) in [
            ("1", true),
            ("500", true),
            ("0", false),
            ("501", false),
            ("-1", false),
            ("x", false),
        ] {
            assert_eq!(
                serde_urlencoded::from_str::<Vec<(String, Limit)>>(&format!("limit={text}"))
                    .is_ok(),
                ok,
                "{text}"
            );
        }
        for (text, ok) in [
            ("2026-01-31T08:30:00Z", true),
            ("2026-01-31T08:30:00+05:30", true),
            ("2026-01-31T08:30:00 05:30", true),
            ("2026-01-31", false),
            ("9999-12-31T23:59:59-01:00", false),
        ] {
            assert_eq!(
                serde_json::from_value::<Moment>(serde_json::Value::from(text)).is_ok(),
                ok,
                "{text}"
            );
        }
    }
}
