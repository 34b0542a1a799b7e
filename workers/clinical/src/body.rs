//! Reading bodies so that Postgres can store what they hold.

use std::borrow::Cow;

use hub_core::{Envelope, Refusal};
use schemas::{Body, moment};
use time::OffsetDateTime;

/// Postgres text cannot hold U+0000. It never is content; a device that sends it must still be filed, so it
/// becomes U+FFFD.
pub(crate) fn storable(body: &[u8]) -> Cow<'_, [u8]> {
    const NUL: &[u8] = br"\u0000";
    if memchr::memmem::find(body, NUL).is_none() {
        return Cow::Borrowed(body);
    }
    let mut clean = body.to_vec();
    let places: Vec<usize> = memchr::memmem::find_iter(body, NUL).collect();
    for at in places {
        clean[at..at + NUL.len()].copy_from_slice(br"\ufffd");
    }
    Cow::Owned(clean)
}

/// The body as its canonical type, storable.
pub(crate) fn decode<T: Body>(envelope: &Envelope) -> Result<T, Refusal> {
    match storable(&envelope.body) {
        Cow::Borrowed(_) => envelope.decode(),
        Cow::Owned(clean) => Envelope {
            body: clean.into(),
            ..envelope.clone()
        }
        .decode(),
    }
}

/// A canonical time (RFC 3339); `field` names it in the refusal.
pub(crate) fn time(
    text: Option<&str>,
    field: &'static str,
) -> Result<Option<OffsetDateTime>, Refusal> {
    text.filter(|text| !text.is_empty())
        .map(|text| {
            moment::plausible(text).ok_or_else(|| {
                Refusal::new(
                    "clinical.time",
                    format!(
                        "`{field}` is not an RFC 3339 time of the years {} to {}; the translator must make it one or leave it out",
                        moment::FIRST_YEAR,
                        moment::LAST_YEAR
                    ),
                )
            })
        })
        .transpose()
}

/// Lines as one text; none = null.
pub(crate) fn lines(lines: &[String]) -> Option<String> {
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_becomes_a_replacement_character() {
        assert_eq!(
            storable(br#"{"a":"x\u0000y"}"#).as_ref(),
            br#"{"a":"x\ufffdy"}"#
        );
        assert!(matches!(storable(br#"{"a":"x"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn a_time_that_is_none_is_refused_by_its_field() {
        let refusal = time(Some("yesterday"), "observed_at").unwrap_err();
        assert_eq!(refusal.code, "clinical.time");
        assert!(refusal.detail.contains("observed_at") && !refusal.detail.contains("yesterday"));
        assert_eq!(time(None, "observed_at"), Ok(None));
        // what another zone puts into the year 10000 would end the worker's turn
        for no_time in ["9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00Z"] {
            let refusal = time(Some(no_time), "ordered_at").unwrap_err();
            assert_eq!(refusal.code, "clinical.time", "{no_time}");
        }
    }
}
