//! The form of a mapping file. Any file may hold any of these tables.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_spanned::Spanned;

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingFile {
    #[serde(default)]
    pub(super) code: Vec<Spanned<CodeEntry>>,
    #[serde(default)]
    pub(super) order: Vec<Spanned<OrderEntry>>,
    #[serde(default)]
    pub(super) unit: Vec<Spanned<UnitEntry>>,
    #[serde(default)]
    pub(super) assigner: Vec<Spanned<AssignerEntry>>,
    #[serde(default)]
    pub(super) bed: Vec<Spanned<BedEntry>>,
    #[serde(default)]
    pub(super) operator: Vec<Spanned<OperatorEntry>>,
    pub(super) loinc: Option<LoincEntry>,
}

/// `[[code]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeEntry {
    pub(super) id: Spanned<String>,
    #[serde(default)]
    pub(super) code: OneOrMany,
    pub(super) system: Option<OneOrMany>,
    /// Types of specimen; left out: blood, serum, plasma.
    pub(super) specimen: Option<OneOrMany>,
    #[serde(default)]
    pub(super) channels: Vec<Spanned<String>>,
    pub(super) loinc: Option<Spanned<String>>,
    pub(super) display: Option<String>,
    pub(super) ucum: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) units: Vec<UnitRuleEntry>,
    pub(super) fixed_unit: Option<Spanned<String>>,
    /// In `site/`: the row of this id is not in force here.
    #[serde(default)]
    pub(super) remove: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitRuleEntry {
    pub(super) from: Spanned<String>,
    pub(super) factor: Spanned<String>,
}

/// `[[order]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderEntry {
    pub(super) id: Spanned<String>,
    /// As ordered.
    #[serde(default)]
    pub(super) code: OneOrMany,
    pub(super) system: Option<OneOrMany>,
    #[serde(default)]
    pub(super) channels: Vec<Spanned<String>>,
    /// What the instrument calls it.
    #[serde(default)]
    pub(super) instrument: OneOrMany,
    /// In `site/`: the row of this id is not in force here.
    #[serde(default)]
    pub(super) remove: bool,
}

/// `[[unit]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnitEntry {
    pub(super) ucum: Spanned<String>,
    #[serde(default)]
    pub(super) raw: OneOrMany,
    #[serde(default)]
    pub(super) channels: Vec<Spanned<String>>,
}

/// `[[assigner]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AssignerEntry {
    pub(super) id: Spanned<String>,
    #[serde(default)]
    pub(super) authority: OneOrMany,
    #[serde(default)]
    pub(super) system: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) channels: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) remove: bool,
}

/// `[[bed]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BedEntry {
    pub(super) id: Spanned<String>,
    /// As a device writes it: `ward^room^bed^facility`.
    #[serde(default)]
    pub(super) sent: OneOrMany,
    /// As the hospital system writes it.
    pub(super) is: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) channels: Vec<Spanned<String>>,
    /// In `site/`: the row of this id is not in force here.
    #[serde(default)]
    pub(super) remove: bool,
}

/// `[[operator]]`, in `site/` only
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorEntry {
    /// As the device reads it from the badge.
    pub(super) id: Spanned<String>,
    pub(super) name: Option<String>,
    /// What the device calls his level; 1 where none is given.
    pub(super) level: Option<Spanned<String>>,
    /// What he is certified for, as the device calls it; `ALL` where none is given.
    #[serde(default)]
    pub(super) methods: OneOrMany,
    /// The devices he is certified for.
    #[serde(default)]
    pub(super) channels: Vec<Spanned<String>>,
    /// First and last day of the certification.
    pub(super) from: Option<Spanned<String>>,
    pub(super) until: Option<Spanned<String>>,
}

/// `[loinc]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LoincEntry {
    /// A code that the sender names as LOINC stands for itself.
    pub(super) identity: Option<bool>,
    /// Channels whose LOINC codes are not to be trusted.
    #[serde(default)]
    pub(super) not_for: Vec<Spanned<String>>,
}

/// `"HGB"` or `["HGB", "Hb"]`.
#[derive(Debug, Default)]
pub(super) struct OneOrMany(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;
        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMany;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of texts")
            }
            fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![text.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = list.next_element()? {
                    all.push(text);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(Texts)
    }
}
