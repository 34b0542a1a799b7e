//! Keyset pages: a cursor is the place of the last row seen, opaque to the client.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::macros::datetime;
use uuid::Uuid;

/// The place after which a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Time of record of the row (of its report, for results).
    pub at: OffsetDateTime,
    /// Id of the row (of its report, for results).
    pub id: Uuid,
    /// Results only: item and version inside the report; -1 elsewhere.
    pub item: i16,
    pub version: i16,
}

impl Cursor {
    /// Before all rows: newest first begins at the end of time.
    pub(crate) const START: Self = Self {
        at: datetime!(9999-01-01 00:00 UTC),
        id: Uuid::max(),
        item: -1,
        version: -1,
    };

    pub(crate) fn row(at: OffsetDateTime, id: Uuid) -> Self {
        Self {
            at,
            id,
            item: -1,
            version: -1,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.at.unix_timestamp_nanos() / 1_000;
        write!(
            f,
            "{micros:x}.{}.{}.{}",
            self.id.simple(),
            self.item,
            self.version
        )
    }
}

/// The text is no cursor of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCursor;

impl fmt::Display for InvalidCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cursor is not one that a page gave out")
    }
}

impl std::error::Error for InvalidCursor {}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(InvalidCursor);
        let micros = i128::from_str_radix(next()?, 16).map_err(|_| InvalidCursor)?;
        let nanos = micros.checked_mul(1_000).ok_or(InvalidCursor)?;
        Ok(Self {
            at: OffsetDateTime::from_unix_timestamp_nanos(nanos).map_err(|_| InvalidCursor)?,
            id: next()?.parse().map_err(|_| InvalidCursor)?,
            item: next()?.parse().map_err(|_| InvalidCursor)?,
            version: next()?.parse().map_err(|_| InvalidCursor)?,
        })
    }
}

/// Which page of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Rows wanted, at most 500.
    pub limit: u16,
    /// Absent: the first page.
    pub after: Option<Cursor>,
}

impl Page {
    /// The first `limit` rows.
    #[must_use]
    pub fn first(limit: u16) -> Self {
        Self { limit, after: None }
    }

    pub(crate) fn rows(self) -> i64 {
        i64::from(self.limit.clamp(1, 500))
    }

    pub(crate) fn start(self) -> Cursor {
        self.after.unwrap_or(Cursor::START)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_junk_is_refused() {
        let cursor = Cursor {
            at: datetime!(2026-01-02 03:04:05.000006 UTC),
            id: Uuid::from_u128(7),
            item: 3,
            version: 2,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!(Cursor::START.to_string().parse(), Ok(Cursor::START));
        for junk in ["", "x", "1.2.3", "zz.00000000000000000000000000000007.1.1"] {
            assert_eq!(junk.parse::<Cursor>(), Err(InvalidCursor), "{junk:?}");
        }
    }
}
