//! What kind of specimen a result is of, as far as it decides what its code means: `GLU` of a urine is another test than `GLU` of
//! a serum (specs/lab-devices.md §5: device model, code system, code, specimen type).
//!
//! Rows are for blood, serum and plasma unless they name a type. The type of anything else stands behind the code system, as `@UR`, so
//! that everything that asks about a code (held items, what people map, releases) tells the two apart. Nothing here may take a type
//! that it does not know for blood.

use super::loinc::is_loinc_system;

/// Stands between code system and type.
const MARK: char = '@';
/// The type of a row that is for any specimen.
const ANY: &str = "*";
/// A longer name of a type is cut.
const LONGEST: usize = 40;

/// Blood and what is made of it: HL7 tables 0070 and 0487, SNOMED CT, and what analyzers write.
const BLOOD: &[&str] = &[
    "119294007",
    "119297000",
    "119361006",
    "119364003",
    "122552005",
    "122554006",
    "122555007",
    "258580003",
    "440500007",
    "ART",
    "ARTERIAL",
    "BLD",
    "BLDA",
    "BLDC",
    "BLDCO",
    "BLDV",
    "CAP",
    "CAPILLARY",
    "CENTBLOOD",
    "CITRATE",
    "EDTA",
    "HEPARIN",
    "LITHIUM HEPARIN",
    "MIXED VENOUS",
    "PACKEDCELLS",
    "PLAS",
    "PLB",
    "PLC",
    "PPP",
    "PRP",
    "RBC",
    "SER",
    "SERPLAS",
    "VEN",
    "VENOUS",
    "W",
    "WB",
    "WHOLEBLOOD",
];
/// One of these words says blood, where no other kind is named beside it.
const BLOOD_WORDS: &[&str] = &["BLOOD", "PLASMA", "SERA", "SERUM"];
/// Words that name something else, whatever stands beside them.
const OTHER_WORDS: &[&str] = &[
    "CEREBROSPINAL",
    "CSF",
    "DIALYSATE",
    "FAECES",
    "FECES",
    "FLUID",
    "OCCULT",
    "STOOL",
    "URINE",
];
/// Spellings of one type, by HL7 table 0487.
const SPELLINGS: &[(&str, &str)] = &[
    ("119339001", "STL"),
    ("122575003", "UR"),
    ("258450006", "CSF"),
    ("78014005", "UR"),
    ("CEREBROSPINAL FLUID", "CSF"),
    ("FAECES", "STL"),
    ("FECES", "STL"),
    ("RANDOM URINE", "UR"),
    ("STOOL", "STL"),
    ("U", "UR"),
    ("URINE", "UR"),
    ("URINE SPECIMEN", "UR"),
    ("URN", "UR"),
];

/// The type of a specimen, where it makes another test of a code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecimenType(Option<String>);

impl SpecimenType {
    /// Blood, serum or plasma; or nothing is said, which on most analyzers means that.
    pub const BLOOD: Self = Self(None);

    /// The type that code and words of a specimen name (SPM-4, OBR-15, O.16).
    #[must_use]
    pub fn of(code: &str, words: Option<&str>) -> Self {
        let said = [Some(code), words]
            .map(|text| text.map(normal).filter(|text| !text.is_empty()))
            .into_iter()
            .flatten();
        let mut other = None;
        // the code comes first; its words count where it is a house's own
        for text in said {
            if is_blood(&text) {
                return Self::BLOOD;
            }
            if let Some((_, kind)) = SPELLINGS
                .iter()
                .find(|(said, kind)| *said == text || *kind == text)
            {
                return Self(Some((*kind).to_owned()));
            }
            other.get_or_insert(text);
        }
        Self(other)
    }

    /// The type of control material: a word that is no known type marks the control (`CTRL`), and says nothing of what it is made like.
    #[must_use]
    pub fn of_control(self) -> Self {
        let known = |kind: &String| SPELLINGS.iter().any(|(_, known)| *known == kind.as_str());
        Self(self.0.filter(known))
    }

    /// Whether what analyzers usually measure is measured in it.
    #[must_use]
    pub fn is_blood(&self) -> bool {
        self.0.is_none()
    }

    /// The code system under which a code of this specimen is looked up, and asked about. LOINC terms name their specimen themselves.
    #[must_use]
    pub fn system(&self, system: Option<String>) -> Option<String> {
        match &self.0 {
            Some(kind) if !system.as_deref().is_some_and(is_loinc_system) => {
                Some(format!("{}{MARK}{kind}", system.unwrap_or_default()))
            }
            _ => system,
        }
    }
}

/// The types that a row names; none: blood.
pub(super) fn of_row(said: &[String]) -> Vec<String> {
    said.iter()
        .map(|one| {
            if one.trim() == ANY {
                return ANY.to_owned();
            }
            SpecimenType::of(one, None).0.unwrap_or_default()
        })
        .collect()
}

/// Whether a row for these types is for one.
pub(super) fn includes(types: &[String], kind: &str) -> bool {
    if types.is_empty() {
        return kind.is_empty();
    }
    types.iter().any(|one| one == ANY || one == kind)
}

/// Whether two rows are for one specimen.
pub(super) fn overlap(one: &[String], two: &[String]) -> bool {
    let blood = [String::new()];
    let (one, two) = (
        if one.is_empty() { &blood[..] } else { one },
        if two.is_empty() { &blood[..] } else { two },
    );
    one.iter()
        .any(|kind| kind == ANY || two.iter().any(|other| other == ANY || other == kind))
}

/// Code system and type of what [`SpecimenType::system`] made; the type is empty for blood.
pub(super) fn split(system: &str) -> (&str, &str) {
    system.split_once(MARK).unwrap_or((system, ""))
}

/// Upper case, single blanks, without what would end the type.
fn normal(text: &str) -> String {
    let text = text.replace([MARK, '\0', '"'], " ").to_uppercase();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

fn is_blood(text: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    if words.clone().any(|word| OTHER_WORDS.contains(&word)) {
        return false;
    }
    BLOOD.contains(&text) || words.any(|word| BLOOD_WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_blood_is_a_type_of_its_own() {
        for (code, words) in [
            ("", None),
            ("SER", Some("Serum")),
            ("serum", None),
            ("26", Some("Serum")),
            ("Whole blood", None),
            ("122554006", Some("Capillary blood specimen")),
            ("BLDV", None),
            ("CENTBLOOD", None),
            ("Serum/Plasma", None),
            ("Arterial", None),
            (" ", Some(" ")),
        ] {
            assert!(SpecimenType::of(code, words).is_blood(), "{code} {words:?}");
        }
        for (code, words, system) in [
            ("UR", None, "@UR"),
            ("urine", None, "@UR"),
            ("", Some("Urine"), "@UR"),
            ("CSF", Some("Cerebrospinal fluid"), "@CSF"),
            ("UR", Some("Urine, blood seen"), "@UR"),
            ("26", Some("Urine"), "@UR"),
            ("SWAB", Some("Swab of nose"), "@SWAB"),
            ("5", None, "@5"),
            ("Blood stained fluid", None, "@BLOOD STAINED FLUID"),
            ("a@b", None, "@A B"),
        ] {
            let kind = SpecimenType::of(code, words);
            assert_eq!(kind.system(None).as_deref(), Some(system), "{code}");
        }
        let urine = SpecimenType::of("UR", None);
        let of = |system: &str| urine.system(Some(system.to_owned())).unwrap();
        assert_eq!(of("99MRC"), "99MRC@UR");
        assert_eq!(of("LN"), "LN");
        assert_eq!(SpecimenType::BLOOD.system(None), None);
        assert_eq!(split("99MRC@UR"), ("99MRC", "UR"));
        assert!(SpecimenType::of("CTRL", None).of_control().is_blood());
        assert!(!urine.of_control().is_blood());
    }

    #[test]
    fn a_row_is_for_the_types_that_it_names_and_else_for_blood() {
        let types = |said: &[&str]| {
            let said: Vec<String> = said.iter().map(|one| (*one).to_owned()).collect();
            of_row(&said)
        };
        assert!(includes(&types(&[]), "") && !includes(&types(&[]), "UR"));
        assert!(includes(&types(&["Urine"]), "UR") && !includes(&types(&["Urine"]), ""));
        assert!(
            includes(&types(&["serum", "CSF"]), "") && includes(&types(&["SER", "CSF"]), "CSF")
        );
        assert!(includes(&types(&["*"]), "") && includes(&types(&["*"]), "5"));
        assert!(!overlap(&types(&[]), &types(&["UR"])));
        assert!(overlap(&types(&["SER"]), &types(&[])));
        assert!(overlap(&types(&["*"]), &types(&["UR"])));
    }
}
