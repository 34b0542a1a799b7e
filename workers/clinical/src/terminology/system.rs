//! Which code systems the hub keeps, what others call them, and whose they are.

/// A code system that the hub keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CodeSystem {
    /// ICD-10 of the WHO.
    Icd10,
    /// Its clinical modification of the United States.
    Icd10Cm,
    Loinc,
}

impl CodeSystem {
    pub const ALL: [Self; 3] = [Self::Icd10, Self::Icd10Cm, Self::Loinc];

    /// As HL7 table 0396 calls it, and as the hub's own messages do.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Icd10 => "I10",
            Self::Icd10Cm => "I10C",
            Self::Loinc => "LN",
        }
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Icd10 => "ICD-10",
            Self::Icd10Cm => "ICD-10-CM",
            Self::Loinc => "LOINC",
        }
    }

    /// As FHIR names it.
    #[must_use]
    pub fn uri(self) -> &'static str {
        match self {
            Self::Icd10 => "http://hl7.org/fhir/sid/icd-10",
            Self::Icd10Cm => "http://hl7.org/fhir/sid/icd-10-cm",
            Self::Loinc => "http://loinc.org",
        }
    }

    /// Whose it is, in the words that its publisher wants to be shown where its codes are.
    #[must_use]
    pub fn notice(self) -> &'static str {
        match self {
            Self::Icd10 => {
                "International Statistical Classification of Diseases and Related Health Problems, 10th Revision: copyright World \
                 Health Organization. Whoever imported this release did so under a licence of the WHO."
            }
            Self::Icd10Cm => {
                "ICD-10-CM is published by the National Center for Health Statistics (CDC) for use in the United States. ICD-10, on \
                 which it stands, is copyright World Health Organization."
            }
            Self::Loinc => {
                "This material contains content from LOINC (http://loinc.org). LOINC is copyright Regenstrief Institute, Inc. and \
                 the Logical Observation Identifiers Names and Codes (LOINC) Committee and is available at no cost under the license \
                 at http://loinc.org/license. LOINC is a registered United States trademark of Regenstrief Institute, Inc."
            }
        }
    }

    /// By its symbol, its name or its URI, upper or lower case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|system| {
            [system.symbol(), system.name(), system.uri()]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(text))
                || system
                    .name()
                    .replacen("ICD-", "ICD", 1)
                    .eq_ignore_ascii_case(text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::CodeSystem;

    #[test]
    fn a_system_is_known_by_its_symbol_its_name_and_its_uri() {
        for (text, system) in [
            ("I10", Some(CodeSystem::Icd10)),
            ("icd-10", Some(CodeSystem::Icd10)),
            ("icd10", Some(CodeSystem::Icd10)),
            ("http://hl7.org/fhir/sid/icd-10", Some(CodeSystem::Icd10)),
            ("I10C", Some(CodeSystem::Icd10Cm)),
            ("ICD-10-CM", Some(CodeSystem::Icd10Cm)),
            ("icd10-cm", Some(CodeSystem::Icd10Cm)),
            ("LN", Some(CodeSystem::Loinc)),
            ("loinc", Some(CodeSystem::Loinc)),
            ("SCT", None),
            ("", None),
        ] {
            assert_eq!(CodeSystem::parse(text), system, "{text}");
        }
    }
}
