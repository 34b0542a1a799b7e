//! One measurement on its way into the table.

use hub_core::{Envelope, Refusal};
use schemas::ChannelId;
use schemas::care::{Code, HoldReason, Value};
use schemas::devices::{Bed, TimedBy, VitalObservation, VitalsObserved};
use schemas::ids::care_key;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::MatchedBy;
use crate::code_maps::CodeMaps;
use crate::{beds, body, decimal};

/// Clocks differ by so much; a time further ahead of the arrival is wrong.
const CLOCK: Duration = Duration::minutes(5);

/// A row of `clinical.vitals`, and what decides about it.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) slot: usize,
    pub(super) origin: Uuid,
    pub(super) bed: Option<Bed>,
    /// Whose a person said the version before is.
    pub(super) inherited: Option<Uuid>,

    pub(super) key: Uuid,
    pub(super) version: i16,
    pub(super) superseded_at: Option<OffsetDateTime>,
    pub(super) observed_at: OffsetDateTime,
    pub(super) timed_by: TimedBy,
    pub(super) received_at: OffsetDateTime,
    pub(super) fact_at: OffsetDateTime,
    pub(super) channel: ChannelId,
    pub(super) subject: Option<Uuid>,
    pub(super) matched_by: Option<MatchedBy>,
    pub(super) item: Option<i64>,
    /// Key and value of the identifier that the message names.
    pub(super) named: Option<(Uuid, String)>,
    pub(super) bed_key: Option<Uuid>,
    pub(super) place: Option<serde_json::Value>,
    pub(super) device: Option<String>,
    pub(super) code: String,
    pub(super) code_system: Option<String>,
    pub(super) code_text: Option<String>,
    pub(super) alternate: Option<serde_json::Value>,
    pub(super) path: Option<String>,
    pub(super) container: Option<String>,
    pub(super) value_type: Option<String>,
    pub(super) value_kind: &'static str,
    pub(super) comparator: Option<&'static str>,
    pub(super) value_text: Option<String>,
    pub(super) value_json: Option<serde_json::Value>,
    pub(super) raw_value: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) loinc: Option<String>,
    pub(super) loinc_display: Option<String>,
    pub(super) ucum: Option<String>,
    pub(super) ucum_value: Option<String>,
    pub(super) range_text: Option<String>,
    pub(super) flags: Option<String>,
    pub(super) status: Option<String>,
    pub(super) method: Option<String>,
    pub(super) site: Option<serde_json::Value>,
    pub(super) held: Option<HoldReason>,
    pub(super) source_event: Uuid,
}

/// The rows of one message.
///
/// # Errors
/// A refusal when the body or a time can't be read.
pub(super) fn rows(slot: usize, envelope: &Envelope) -> Result<Vec<Row>, Refusal> {
    let said: VitalsObserved = body::decode(envelope)?;
    let bed = said.location.as_ref().and_then(Bed::of);
    let bed_key = bed.as_ref().map(|bed| bed.key(&envelope.tenant));
    let place = beds::json_of(said.location.as_ref());
    let named = said
        .subject
        .as_ref()
        .map(|subject| (subject.key.0, subject.value.clone()));
    let origin = super::origin(envelope);
    said.observations
        .into_iter()
        .map(|one| {
            let observed_at = body::time(one.observed_at.as_deref(), "observations.observed_at")?
                .unwrap_or(envelope.occurred_at);
            let mut row = Row {
                slot,
                origin,
                bed: bed.clone(),
                inherited: None,
                key: key(envelope, origin, &one, observed_at),
                version: 1,
                superseded_at: None,
                observed_at,
                timed_by: one.timed_by,
                received_at: envelope.recorded_at,
                fact_at: envelope.occurred_at,
                channel: said.channel.clone(),
                subject: None,
                matched_by: None,
                item: None,
                named: named.clone(),
                bed_key,
                place: place.clone(),
                device: one.device,
                code: one.code.code,
                code_system: one.code.system,
                code_text: one.code.text,
                alternate: json(one.alternate.as_ref()),
                path: one.path,
                container: one.container.map(|part| part.text.unwrap_or(part.code)),
                value_type: one.value_type,
                value_kind: "",
                comparator: None,
                value_text: None,
                value_json: None,
                raw_value: one.raw_value,
                unit: one.unit,
                loinc: None,
                loinc_display: None,
                ucum: None,
                ucum_value: None,
                range_text: one.range.map(|range| range.text),
                flags: (!one.flags.is_empty()).then(|| one.flags.join("~")),
                status: one.status,
                method: one.method,
                site: json(one.site.as_ref()),
                held: one.held,
                source_event: envelope.id,
            };
            row.set_value(one.value);
            if row.raw_value == row.value_text {
                row.raw_value = None;
            }
            if let Some(mapped) = one.mapped {
                row.loinc = Some(mapped.loinc);
                row.loinc_display = mapped.display;
                row.ucum = mapped.ucum;
                row.convert(mapped.factor.as_deref());
            }
            Ok(row)
        })
        .collect()
}

/// Origin, device, place in the device, code and time.
fn key(
    envelope: &Envelope,
    origin: Uuid,
    one: &VitalObservation,
    observed_at: OffsetDateTime,
) -> Uuid {
    care_key(
        &envelope.tenant,
        "vital",
        &[
            &envelope.source,
            &origin.to_string(),
            one.device.as_deref().unwrap_or_default(),
            one.path.as_deref().unwrap_or_default(),
            one.code.system.as_deref().unwrap_or_default(),
            &one.code.code,
            // an uncoded measurement is told apart by its name
            if one.code.code.is_empty() {
                one.code.text.as_deref().unwrap_or_default()
            } else {
                ""
            },
            &observed_at.unix_timestamp_nanos().to_string(),
        ],
    )
}

fn json(code: Option<&Code>) -> Option<serde_json::Value> {
    code.and_then(|code| serde_json::to_value(code).ok())
}

impl Row {
    pub(super) fn is_current(&self) -> bool {
        self.superseded_at.is_none()
    }

    /// The time of the measurement lies ahead of its arrival.
    pub(super) fn is_ahead(&self) -> bool {
        self.observed_at > self.received_at + CLOCK
    }

    /// What a person would be asked: channel, code system, code, unit.
    pub(super) fn question(&self) -> (&str, &str, &str, &str) {
        (
            self.channel.as_str(),
            self.code_system.as_deref().unwrap_or_default(),
            &self.code,
            self.unit.as_deref().unwrap_or_default(),
        )
    }

    /// A mapping that a person made explains what no file does.
    pub(super) fn explain(&mut self, maps: &CodeMaps) {
        if self.held.is_none() {
            return;
        }
        let (channel, system, code, _) = self.question();
        let Some(mapping) = maps.find(channel, system, code, self.unit.as_deref()) else {
            return;
        };
        self.held = None;
        let ucum = mapping.ucum_for(self.unit.as_deref()).map(str::to_owned);
        self.loinc = Some(mapping.loinc.clone());
        self.loinc_display = mapping.display.clone();
        self.ucum = ucum;
        self.convert(mapping.factor.as_deref());
    }

    fn convert(&mut self, factor: Option<&str>) {
        self.ucum_value = match (factor, self.value_kind, &self.value_text) {
            (Some(factor), "quantity", Some(number)) => decimal::product(number, factor),
            _ => None,
        };
    }

    fn set_value(&mut self, value: Value) {
        let pair = |one: &str, mark: char, two: &str| Some(format!("{one}{mark}{two}"));
        let json = serde_json::to_value(&value).ok();
        let (kind, text, json) = match value {
            Value::Quantity { comparator, number } => {
                self.comparator = comparator.map(schemas::care::Comparator::as_str);
                ("quantity", Some(number), None)
            }
            Value::Range { low, high } => ("range", pair(&low, '-', &high), json),
            Value::Ratio {
                numerator,
                denominator,
            } => ("ratio", pair(&numerator, ':', &denominator), json),
            Value::Coded { codes } => ("coded", None, serde_json::to_value(codes).ok()),
            Value::Text { text } => ("text", Some(text), None),
            Value::DateTime { value } => ("date_time", Some(value), None),
            Value::Attachment { attachment } => {
                ("attachment", None, serde_json::to_value(attachment).ok())
            }
            Value::Absent { .. } => ("absent", None, json),
        };
        self.value_kind = kind;
        self.value_text = text;
        self.value_json = json;
    }
}
