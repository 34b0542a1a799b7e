//! Keyset pages: a cursor names the last row seen, so deep pages cost what the first does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use time::OffsetDateTime;

/// Rows, and where to go on.
#[derive(Debug, Clone, Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Opaque; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// The cursor is not one that this hub gave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor is not valid: take `next` of the page before, unchanged")]
pub struct InvalidCursor;

/// The last row of a page of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub(super) received_at: OffsetDateTime,
    pub(super) stream_seq: i64,
    pub(super) record_index: i16,
}

impl Cursor {
    /// Reads an opaque cursor.
    ///
    /// # Errors
    /// [`InvalidCursor`].
    pub fn decode(text: &str) -> Result<Self, InvalidCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let text = String::from_utf8(bytes).map_err(|_| InvalidCursor)?;
        let mut parts = text.split('.');
        let (Some(micros), Some(seq), Some(index), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(InvalidCursor);
        };
        let nanos = micros.parse::<i64>().map_err(|_| InvalidCursor)?;
        Ok(Self {
            received_at: OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos) * 1_000)
                .map_err(|_| InvalidCursor)?,
            stream_seq: seq.parse().map_err(|_| InvalidCursor)?,
            record_index: index.parse().map_err(|_| InvalidCursor)?,
        })
    }

    /// The cursor as text.
    #[must_use]
    pub fn encode(self) -> String {
        let micros = self.received_at.unix_timestamp_nanos() / 1_000;
        URL_SAFE_NO_PAD.encode(format!(
            "{micros}.{}.{}",
            self.stream_seq, self.record_index
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_nonsense_is_refused() {
        let cursor = Cursor {
            received_at: OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000)
                .unwrap(),
            stream_seq: 42,
            record_index: 7,
        };
        assert_eq!(Cursor::decode(&cursor.encode()), Ok(cursor));
        for bad in [
            "",
            "x",
            "====",
            &URL_SAFE_NO_PAD.encode("1.2"),
            &URL_SAFE_NO_PAD.encode("99999999999999999999.1.1"),
        ] {
            assert_eq!(Cursor::decode(bad), Err(InvalidCursor), "{bad}");
        }
    }
}
