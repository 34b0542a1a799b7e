//! Invented blood counts of invented people, ten results each, one every thirty seconds from 2024 on. Half of them are spread over
//! everybody; the other half are those of the one patient in fifty who comes again and again, whose charts are long.

use schemas::{ChannelId, IdentifierKey, TenantId, event_id};
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::copy::Rows;
use super::people::Person;

/// Results of one report.
pub(super) const RESULTS: u64 = 10;
/// One patient in so many has half of all reports.
const OFTEN: u64 = 50;
const CODE: &str = "CBC";
pub(super) const FIRST: OffsetDateTime = datetime!(2024-01-01 00:00 UTC);
const EVERY: Duration = Duration::seconds(30);

pub(super) const REPORTS_COLUMNS: &str = "tenant_id, id, report_key, subject_key, source_event, received_at, observed_at, \
    issued_at, fact_at, channel, filler_number, specimen_number, code, code_system, code_text, status";
pub(super) const RESULTS_COLUMNS: &str = "tenant_id, report_id, item, version, code, code_system, code_text, value_type, \
    value_kind, value_text, unit, loinc, loinc_display, ucum, range_text, range_low, range_high, flags, status";

/// What a blood count measures; the range in tenths of the unit.
struct Measured {
    code: &'static str,
    text: &'static str,
    loinc: &'static str,
    display: &'static str,
    unit: &'static str,
    ucum: &'static str,
    range: (u64, u64),
}

const fn measured(
    [code, text, loinc, display, unit, ucum]: [&'static str; 6],
    range: (u64, u64),
) -> Measured {
    Measured {
        code,
        text,
        loinc,
        display,
        unit,
        ucum,
        range,
    }
}

#[rustfmt::skip]
const COUNT: [Measured; RESULTS as usize] = [
    measured(["WBC", "White blood cells", "6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10^3/uL", "10*3/uL"], (40, 110)),
    measured(["RBC", "Red blood cells", "789-8", "Erythrocytes [#/volume] in Blood by Automated count", "10^6/uL", "10*6/uL"], (42, 59)),
    measured(["HGB", "Haemoglobin", "718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", "g/dL"], (120, 170)),
    measured(["HCT", "Haematocrit", "4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "%", "%"], (360, 500)),
    measured(["MCV", "Mean cell volume", "787-2", "MCV [Entitic volume] by Automated count", "fL", "fL"], (800, 1_000)),
    measured(["MCH", "Mean cell haemoglobin", "785-6", "MCH [Entitic mass] by Automated count", "pg", "pg"], (270, 330)),
    measured(["MCHC", "Mean cell haemoglobin concentration", "786-4", "MCHC [Mass/volume] by Automated count", "g/dL", "g/dL"], (320, 360)),
    measured(["PLT", "Platelets", "777-3", "Platelets [#/volume] in Blood by Automated count", "10^3/uL", "10*3/uL"], (1_500, 4_000)),
    measured(["RDW", "Red cell width", "788-0", "Erythrocyte distribution width [Ratio] by Automated count", "%", "%"], (115, 145)),
    measured(["MPV", "Mean platelet volume", "32623-1", "Platelet mean volume [Entitic volume] in Blood by Automated count", "fL", "fL"], (75, 115)),
];

/// Whose the n-th report is.
pub(in crate::command::load) fn whose(n: u64, patients: u64) -> u64 {
    if n.is_multiple_of(2) {
        scattered(n / 2, patients)
    } else {
        let often = (patients / OFTEN).max(1);
        (n / 2 % often) * OFTEN % patients
    }
}

/// A number below `bound` that follows from `n` and looks like chance (splitmix64).
pub(in crate::command::load) fn scattered(n: u64, bound: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) % bound
}

/// One report.
pub(super) struct Report {
    n: u64,
    pub(super) specimen: String,
    pub(super) id: Uuid,
    key: Uuid,
    subject: IdentifierKey,
    filler: String,
    received_at: OffsetDateTime,
    observed_at: OffsetDateTime,
}

impl Report {
    /// The n-th, from 0.
    pub(super) fn number(tenant: &TenantId, channel: &ChannelId, n: u64, patients: u64) -> Self {
        let subject = Person::number(tenant, whose(n, patients)).identifier.key;
        let filler = format!("SF{n:08}");
        let received_at = FIRST + EVERY * i32::try_from(n).unwrap_or(i32::MAX);
        let observed_at = received_at - Duration::minutes(20);
        let key = worker_clinical::report_key(
            tenant,
            channel.as_str(),
            subject,
            &filler,
            CODE,
            observed_at,
        );
        // ids rise with time, as those of the worker do
        let millis = u64::try_from(received_at.unix_timestamp()).unwrap_or_default() * 1_000;
        let digest = event_id(key, 0);
        let mut random = [0; 10];
        random.copy_from_slice(&digest.as_bytes()[..10]);
        Self {
            n,
            specimen: format!("SS{n:08}"),
            id: uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid(),
            key,
            subject,
            filler,
            received_at,
            observed_at,
        }
    }

    /// Its row and those of its results.
    pub(super) fn write(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        reports: &mut Rows,
        results: &mut Rows,
    ) -> anyhow::Result<()> {
        let tenant = tenant.as_str();
        let id = self.id.to_string();
        let received_at = self.received_at.format(&Rfc3339)?;
        let issued_at = (self.received_at - Duration::minutes(1)).format(&Rfc3339)?;
        reports.push(&[
            Some(tenant),
            Some(&id),
            Some(&self.key.to_string()),
            Some(&self.subject.0.to_string()),
            // no message brought it: an id that none has
            Some(&event_id(self.id, 0).to_string()),
            Some(&received_at),
            Some(&self.observed_at.format(&Rfc3339)?),
            Some(&issued_at),
            Some(&received_at),
            Some(channel.as_str()),
            Some(&self.filler),
            Some(&self.specimen),
            Some(CODE),
            Some("L"),
            Some("Blood count"),
            Some("F"),
        ]);
        for (item, measured) in (0..RESULTS).zip(&COUNT) {
            let (low, high) = measured.range;
            let value =
                low - (high - low) / 8 + scattered(self.n * RESULTS + item, (high - low) * 5 / 4);
            let flag = if value < low {
                Some("L")
            } else if value > high {
                Some("H")
            } else {
                None
            };
            let (low, high) = (tenths(low), tenths(high));
            results.push(&[
                Some(tenant),
                Some(&id),
                Some(&item.to_string()),
                Some("1"),
                Some(measured.code),
                Some("L"),
                Some(measured.text),
                Some("NM"),
                Some("quantity"),
                Some(&tenths(value)),
                Some(measured.unit),
                Some(measured.loinc),
                Some(measured.display),
                Some(measured.ucum),
                Some(&format!("{low}-{high}")),
                Some(&low),
                Some(&high),
                flag,
                Some("F"),
            ]);
        }
        Ok(())
    }
}

fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_times_rise_and_everybody_reported_on_is_there() {
        let tenant = TenantId::new("demo").unwrap();
        let channel = ChannelId::new("lab").unwrap();
        let reports: Vec<Report> = (0..500)
            .map(|n| Report::number(&tenant, &channel, n, 100))
            .collect();
        assert!(reports.is_sorted_by(|one, next| one.id < next.id));
        assert!((0..500).all(|n| whose(n, 100) < 100));
        // two who come again and again
        let often = (0..500).filter(|n| [0, 50].contains(&whose(*n, 100)));
        assert!(often.count() >= 250);
        let mut keys: Vec<Uuid> = reports.iter().map(|report| report.key).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 500);
    }
}
