//! What makes two messages the same report.
//!
//! - Channel, patient, order number, OBR-4 code and time of observation together. Analyzers count OBR-3 from `1`
//!   after each restart, so number alone is nothing; the same result sent again under a new control id
//!   has all five the same, so it finds its report and changes nothing (specs/lab-devices.md §1.3).
//! - The number is the filler's, else the placer's, else the specimen's. Where no patient is named the
//!   specimen's belongs to the key as well: it is all that tells two samples apart.
//! - OBR-7 missing: the first OBX-14 stands for it.
//! - No number, no specimen and no time: nothing to recognise it by, so each event is a report of its own.
//! - A correction whose time was corrected too does not find its key; [`Identity::thread`] then leads to the
//!   newest report of the same patient, number and code, but never to that of another tube.

use schemas::ids::care_key;
use schemas::{IdentifierKey, TenantId};
use time::OffsetDateTime;
use uuid::Uuid;

use super::incoming::{Report, said};

/// The keys of one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// `clinical.reports.report_key`.
    pub(crate) key: Uuid,
    /// All runs of one order and code for one patient: the key without the time.
    pub(crate) thread: Uuid,
}

/// The number a report goes by.
pub(crate) fn number<'r>(report: &'r Report<'_>) -> Option<&'r str> {
    said(report.filler_number.as_ref())
        .or_else(|| said(report.placer_number.as_ref()))
        .or_else(|| specimen_number(report))
}

/// The specimen's own number, else the filler's for it.
pub(crate) fn specimen_number<'r>(report: &'r Report<'_>) -> Option<&'r str> {
    let specimen = report.specimen.as_ref()?;
    [&specimen.number, &specimen.filler_number]
        .into_iter()
        .flatten()
        .map(String::as_str)
        .find(|number| !number.is_empty())
}

/// Derives the keys; `observed_at` is OBR-7, else the first OBX-14.
pub(crate) fn identity(
    tenant: &TenantId,
    event: Uuid,
    report: &Report<'_>,
    observed_at: Option<OffsetDateTime>,
) -> Identity {
    let number = number(report);
    if number.is_none() && observed_at.is_none() {
        let key = care_key(tenant, "report-event", &[&event.to_string()]);
        return Identity { key, thread: key };
    }
    let mut buffer = Uuid::encode_buffer();
    let (subject, sample) = match &report.subject {
        Some(subject) => (&*subject.key.0.simple().encode_lower(&mut buffer), ""),
        None => ("", specimen_number(report).unwrap_or_default()),
    };
    let thread = care_key(
        tenant,
        "report",
        &[
            report.channel.as_str(),
            subject,
            number.unwrap_or_default(),
            sample,
            report.code.code.as_str(),
            // an uncoded service is told apart by its name
            if report.code.code.as_str().is_empty() {
                said(report.code.text.as_ref()).unwrap_or_default()
            } else {
                ""
            },
        ],
    );
    Identity {
        key: observed_at.map_or(thread, |at| timed(thread, at)),
        thread,
    }
}

/// The key of a report that has all five, for who writes very many at once (`hub load --seed`).
#[must_use]
pub fn report_key(
    tenant: &TenantId,
    channel: &str,
    subject: IdentifierKey,
    number: &str,
    code: &str,
    observed_at: OffsetDateTime,
) -> Uuid {
    let mut buffer = Uuid::encode_buffer();
    let subject = &*subject.0.simple().encode_lower(&mut buffer);
    let thread = care_key(tenant, "report", &[channel, subject, number, "", code, ""]);
    timed(thread, observed_at)
}

/// Joins a thread and a time. The first four bytes are the minute, so that keys of one day are neighbours in the
/// index and inserts stay in warm pages; the rest is a digest of both.
fn timed(thread: Uuid, at: OffsetDateTime) -> Uuid {
    let digest = Uuid::new_v5(&thread, &at.unix_timestamp_nanos().to_be_bytes());
    let mut bytes = *digest.as_bytes();
    let minute = u32::try_from(at.unix_timestamp().max(0) / 60).unwrap_or(u32::MAX);
    bytes[..4].copy_from_slice(&minute.to_be_bytes());
    Uuid::new_v8(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use time::macros::datetime;

    fn key(body: &serde_json::Value, at: Option<OffsetDateTime>, event: u128) -> Identity {
        let text = body.to_string();
        let report: Report<'_> = serde_json::from_str(&text).unwrap();
        identity(
            &TenantId::new("demo").unwrap(),
            Uuid::from_u128(event),
            &report,
            at,
        )
    }

    #[test]
    fn a_reused_number_is_another_report_when_patient_or_time_differ() {
        let at = Some(datetime!(2026-01-02 03:04:05 UTC));
        let later = Some(datetime!(2026-01-02 03:04:06 UTC));
        let of = |subject: u128| {
            json!({"channel": "lab", "filler_number": "1", "code": {"code": "CBC"}, "results": [],
                   "subject": {"key": Uuid::from_u128(subject)}})
        };
        assert_eq!(key(&of(1), at, 1), key(&of(1), at, 2));
        assert_ne!(key(&of(1), at, 1).key, key(&of(2), at, 1).key);
        assert_ne!(key(&of(1), at, 1).key, key(&of(1), later, 1).key);
        assert_eq!(key(&of(1), at, 1).thread, key(&of(1), later, 1).thread);
        assert_eq!(
            key(&of(1), at, 1).key.as_bytes()[..4],
            key(&of(2), later, 1).key.as_bytes()[..4]
        );
    }

    #[test]
    fn without_number_and_time_every_event_is_its_own_report() {
        let body = json!({"channel": "lab", "code": {"code": "CBC"}, "results": []});
        assert_ne!(key(&body, None, 1).key, key(&body, None, 2).key);
    }

    #[test]
    fn without_a_patient_the_sample_tells_reports_apart() {
        let of = |sample: &str| {
            json!({"channel": "lab", "filler_number": "1", "code": {"code": "CBC"}, "results": [],
                   "specimen": {"number": sample}})
        };
        assert_ne!(key(&of("A"), None, 1).key, key(&of("B"), None, 1).key);
    }

    #[test]
    fn a_key_that_is_made_of_its_five_parts_is_the_key_of_the_message_that_says_them() {
        let at = datetime!(2026-01-02 03:04:05 UTC);
        let subject = IdentifierKey(Uuid::from_u128(7));
        let body = json!({"channel": "lab", "filler_number": "F1", "code": {"code": "CBC", "text": "Blood count", "system": "L"},
                          "specimen": {"number": "S1"}, "results": [], "subject": {"key": subject}});
        assert_eq!(
            report_key(
                &TenantId::new("demo").unwrap(),
                "lab",
                subject,
                "F1",
                "CBC",
                at
            ),
            key(&body, Some(at), 1).key
        );
    }
}
