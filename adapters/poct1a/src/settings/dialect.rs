//! How a device fills the elements of its observations. An instrument pack is exactly this struct in a file.

use adapter_link::{Fault, Faults};
use encoding_rs::Encoding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[channel.settings.dialect]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Dialect {
    /// Character set of all documents. Default: the declared one, else UTF-8 if the bytes are, else windows-1252.
    pub charset: Option<String>,
    /// Zone of times that carry none, and of the times we write, in minutes east of Greenwich. Default: 330.
    pub default_zone_minutes: i16,
    /// The zone that the device writes is not the one of its clock: its times are read in `default_zone_minutes`. Times with
    /// the offset `-00:00`, which says that it is not known, are read so in any case. Default: false.
    pub ignore_zone: bool,
    /// Elements that hold the patient's number, in the order of asking; in PT, ORD, SPC or SVC. A device that asks its
    /// operator for a sample number under the name of the patient (PixCell HemoScreen) has none: `[]`. Default:
    /// `["PT.patient_id"]`.
    pub patient: Vec<String>,
    /// Words that stand where no patient was named, compared without regard to case. Default: `["UNKNOWN"]`.
    pub no_patient: Vec<String>,
    /// Elements that hold the number of order or specimen by which the result finds its order, in the order of asking;
    /// PixCell HemoScreen: `["PT.patient_id"]`. Default: `["ORD.order_id"]`.
    pub specimen: Vec<String>,
    /// Parts of CTC or CVC that together name a control material, joined by `/`: each lot and level has a target of its own.
    /// Default: `["lot_number", "level_cd"]`.
    pub control_material: Vec<String>,
    /// Code system of observations that name none (`SN`). Default: none.
    pub code_system: Option<String>,
    /// Notes that say nothing. Default: none.
    pub silent_notes: Vec<String>,
    /// Numbers come with a decimal comma. Default: false.
    pub decimal_comma: bool,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            charset: None,
            default_zone_minutes: 330,
            ignore_zone: false,
            patient: vec!["PT.patient_id".to_owned()],
            no_patient: vec!["UNKNOWN".to_owned()],
            specimen: vec!["ORD.order_id".to_owned()],
            control_material: vec!["lot_number".to_owned(), "level_cd".to_owned()],
            code_system: None,
            silent_notes: Vec::new(),
            decimal_comma: false,
        }
    }
}

impl Dialect {
    /// The channel's character set, when one is set.
    #[must_use]
    pub fn encoding(&self) -> Option<&'static Encoding> {
        Encoding::for_label(self.charset.as_deref()?.trim().as_bytes())
    }

    /// Everything wrong with these settings. Empty when nothing is.
    #[must_use]
    pub fn validate(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        if let Some(name) = &self.charset
            && self.encoding().is_none_or(|e| !e.is_ascii_compatible())
        {
            faults.add(
                "charset",
                format!(
                    "`{name}` is no set that can be read here: use UTF-8, windows-1252 or GB18030"
                ),
            );
        }
        if !(-840..=840).contains(&self.default_zone_minutes) {
            faults.add("default_zone_minutes", "must be between -840 and 840");
        }
        for (name, places) in [("patient", &self.patient), ("specimen", &self.specimen)] {
            for place in places.iter().filter(|place| parent(place).is_none()) {
                faults.add(
                    name,
                    format!("`{place}` is no element of PT, ORD, SPC or SVC: write PT.patient_id"),
                );
            }
        }
        if self.control_material.is_empty() {
            faults.add("control_material", "name at least one part");
        }
        for part in self.control_material.iter().filter(|part| !is_name(part)) {
            faults.add(
                "control_material",
                format!("`{part}` is no part of CTC: write lot_number, level_cd or name"),
            );
        }
        faults.into_vec()
    }
}

/// The object that an element stands in: `PT` of `PT.patient_id`.
pub(crate) fn parent(place: &str) -> Option<&str> {
    let (object, name) = place.split_once('.')?;
    (matches!(object, "PT" | "ORD" | "SPC" | "SVC") && is_name(name)).then_some(object)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_a_table_with_the_same_names() {
        let pack: Dialect = toml::from_str(
            "patient = []\nspecimen = [\"PT.patient_id\"]\ncontrol_material = [\"name\"]\n",
        )
        .unwrap();
        assert_eq!(pack.validate(), []);
        let wrong: Dialect = toml::from_str(
            "charset = \"UTF-16LE\"\npatient = [\"OBS.value\"]\nspecimen = [\"order_id\"]\ncontrol_material = []\n",
        )
        .unwrap();
        let paths: Vec<_> = wrong.validate().into_iter().map(|f| f.path).collect();
        assert_eq!(
            paths,
            ["charset", "patient", "specimen", "control_material"]
        );
        assert!(toml::from_str::<Dialect>("patients = []").is_err());
    }
}
