//! One result as it will stand in `clinical.results`, still borrowing from the message.

use std::borrow::Cow;

use schemas::care::HoldReason;
use time::OffsetDateTime;

use super::incoming::{Observation, Text, Value, said};
use super::status;
use crate::code_maps::CodeMaps;
use crate::decimal;

/// Columns of a result that come from the message and from the mappings.
#[derive(Debug, Clone)]
pub(crate) struct Row<'r> {
    pub(crate) observed_at: Option<OffsetDateTime>,
    pub(crate) code: &'r str,
    pub(crate) code_system: Option<&'r str>,
    pub(crate) code_text: Option<&'r str>,
    pub(crate) alternate: Option<&'r str>,
    pub(crate) sub_id: Option<&'r str>,
    pub(crate) value_type: Option<&'r str>,
    pub(crate) value_kind: &'r str,
    pub(crate) comparator: Option<&'r str>,
    pub(crate) value_text: Option<Cow<'r, str>>,
    pub(crate) value_json: Option<Cow<'r, str>>,
    pub(crate) raw_value: Option<&'r str>,
    pub(crate) unit: Option<&'r str>,
    pub(crate) loinc: Option<&'r str>,
    pub(crate) loinc_display: Option<&'r str>,
    pub(crate) ucum: Option<&'r str>,
    pub(crate) ucum_value: Option<String>,
    pub(crate) range_text: Option<&'r str>,
    pub(crate) range_low: Option<&'r str>,
    pub(crate) range_high: Option<&'r str>,
    pub(crate) flags: Option<Cow<'r, str>>,
    pub(crate) status: Option<&'r str>,
    pub(crate) device: Option<&'r str>,
    pub(crate) notes: Option<Cow<'r, str>>,
    pub(crate) held: Option<HoldReason>,
    /// What it waits for, if no table told what it means.
    pub(crate) meaning_asked: HoldReason,
}

impl<'r> Row<'r> {
    /// Lays an observation out; a mapping that a person made is looked up before it is held.
    pub(crate) fn of(
        channel: &str,
        observation: &'r Observation<'r>,
        observed_at: Option<OffsetDateTime>,
        maps: &'r CodeMaps,
    ) -> Self {
        let status = said(observation.status.as_ref());
        let raw = said(observation.raw_value.as_ref());
        let mut row = Row {
            observed_at,
            code: observation.code.code.as_str(),
            code_system: said(observation.code.system.as_ref()),
            code_text: said(observation.code.text.as_ref()),
            alternate: observation.alternate.map(serde_json::value::RawValue::get),
            sub_id: said(observation.sub_id.as_ref()),
            value_type: said(observation.value_type.as_ref()),
            value_kind: observation.value.kind.as_str(),
            comparator: said(observation.value.comparator.as_ref()),
            value_text: None,
            value_json: None,
            raw_value: raw,
            unit: said(observation.unit.as_ref()),
            loinc: None,
            loinc_display: None,
            ucum: None,
            ucum_value: None,
            range_text: None,
            range_low: None,
            range_high: None,
            flags: joined(&observation.flags, "~"),
            status,
            device: said(observation.device.as_ref()),
            notes: joined(&observation.notes, "\n"),
            held: observation.held,
            meaning_asked: observation.meaning_asked(),
        };
        if status.is_some_and(status::has_no_value) {
            row.value_kind = "absent";
            row.comparator = None;
            row.value_json = Some(Cow::Borrowed(r#"{"reason":"cancelled"}"#));
        } else {
            row.set_value(&observation.value);
        }
        if row.value_text.as_deref() == raw {
            row.raw_value = None;
        }
        if let Some(range) = &observation.range {
            row.range_text = Some(range.text.as_str());
            row.range_low = said(range.low.as_ref());
            row.range_high = said(range.high.as_ref());
        }
        if let Some(mapped) = &observation.mapped {
            row.loinc = Some(mapped.loinc.as_str());
            row.loinc_display = said(mapped.display.as_ref());
            row.set_ucum(said(mapped.ucum.as_ref()), said(mapped.factor.as_ref()));
        }
        if row.held.is_some()
            && row.loinc.is_none_or(|_| !row.waits_for_patient())
            && let Some(mapping) = maps.find(
                channel,
                row.code_system.unwrap_or_default(),
                row.code,
                row.unit,
            )
        {
            // a result without a patient gets its meaning and waits on
            row.held = row.held.filter(|held| held.is_about_patient());
            row.loinc = Some(&mapping.loinc);
            row.loinc_display = mapping.display.as_deref();
            row.set_ucum(mapping.ucum_for(row.unit), mapping.factor.as_deref());
        }
        row
    }

    pub(crate) fn waits_for_patient(&self) -> bool {
        self.held.is_some_and(HoldReason::is_about_patient)
    }

    /// True when somebody must say what its code or unit means, whoever the patient is.
    pub(crate) fn waits_for_meaning(&self) -> bool {
        self.held.is_some_and(|held| !held.is_about_patient())
            || self.waits_for_patient()
                && self.loinc.is_none()
                && !matches!(self.value_kind, "attachment" | "absent")
    }

    /// Term, unit and number of a measured value, as the tables convert it.
    pub(crate) fn measured(&self) -> Option<(&str, &str, &str)> {
        if self.value_kind != "quantity" {
            return None;
        }
        let number = self.ucum_value.as_deref().or(self.value_text.as_deref())?;
        Some((self.loinc?, self.ucum?, number))
    }

    /// It is known whose it is: what is left to ask is what it means.
    pub(crate) fn has_patient(&mut self) {
        if self.waits_for_patient() {
            self.held = self.waits_for_meaning().then_some(self.meaning_asked);
        }
    }

    fn set_ucum(&mut self, ucum: Option<&'r str>, factor: Option<&str>) {
        self.ucum = ucum;
        self.ucum_value = match (factor, self.value_kind, &self.value_text) {
            (Some(factor), "quantity", Some(number)) => decimal::product(number, factor),
            _ => None,
        };
    }

    fn set_value(&mut self, value: &'r Value<'r>) {
        let first = value.first.as_ref().map(Text::as_str);
        let second = value.second.as_ref().map_or("", Text::as_str);
        match self.value_kind {
            "quantity" | "text" | "date_time" => self.value_text = first.map(Cow::Borrowed),
            "range" => self.set_pair(["low", "high"], [first.unwrap_or_default(), second], '-'),
            "ratio" => self.set_pair(
                ["numerator", "denominator"],
                [first.unwrap_or_default(), second],
                ':',
            ),
            "coded" | "attachment" => {
                self.value_json = value.json.map(|json| Cow::Borrowed(json.get()));
            }
            _ => self.value_json = first.map(|reason| json_of(&[("reason", reason)])),
        }
    }

    fn set_pair(&mut self, names: [&str; 2], values: [&str; 2], mark: char) {
        self.value_text = Some(format!("{}{mark}{}", values[0], values[1]).into());
        self.value_json = Some(json_of(&[(names[0], values[0]), (names[1], values[1])]));
    }
}

fn json_of(fields: &[(&str, &str)]) -> Cow<'static, str> {
    let object: serde_json::Map<String, serde_json::Value> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).into()))
        .collect();
    serde_json::Value::Object(object).to_string().into()
}

/// Texts as one; none = null, one = itself.
pub(crate) fn joined<'r>(texts: &'r [Text<'r>], by: &str) -> Option<Cow<'r, str>> {
    match texts {
        [] => None,
        [one] => Some(Cow::Borrowed(one.as_str())),
        many => Some(
            many.iter()
                .map(Text::as_str)
                .collect::<Vec<_>>()
                .join(by)
                .into(),
        ),
    }
}
