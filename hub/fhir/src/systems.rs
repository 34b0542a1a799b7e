//! Names of code systems and identifier systems, from HL7 v2's words to FHIR's URIs and back. A system that has no URI of its
//! own gets one below `urn:hub:`, so that it comes back as it went out.

pub(crate) const LOINC: &str = "http://loinc.org";
pub(crate) const UCUM: &str = "http://unitsofmeasure.org";
pub(crate) const IDENTIFIER_TYPE: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
pub(crate) const TAGS: &str = "urn:hub:tag";

const CODE: &str = "urn:hub:code:";
const IDENTIFIER: &str = "urn:hub:identifier:";

/// HL7 table 0396 names that have a URI (HL7 v2-to-FHIR IG, code system map).
const NAMES: [(&str, &str); 13] = [
    ("LN", LOINC),
    ("SCT", "http://snomed.info/sct"),
    ("SCTID", "http://snomed.info/sct"),
    ("SNOMED-CT", "http://snomed.info/sct"),
    ("UCUM", UCUM),
    ("I10", "http://hl7.org/fhir/sid/icd-10"),
    ("I10C", "http://hl7.org/fhir/sid/icd-10-cm"),
    ("ICD10", "http://hl7.org/fhir/sid/icd-10"),
    ("MDC", "urn:iso:std:iso:11073:10101"),
    ("CVX", "http://hl7.org/fhir/sid/cvx"),
    ("NDC", "http://hl7.org/fhir/sid/ndc"),
    ("RXNORM", "http://www.nlm.nih.gov/research/umls/rxnorm"),
    ("ATC", "http://www.whocc.no/atc"),
];

/// The URI of a code system.
pub(crate) fn code_system(name: &str) -> Option<String> {
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    if let Some((_, uri)) = NAMES
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
    {
        return Some((*uri).to_owned());
    }
    if let Some(table) = name
        .strip_prefix("HL7")
        .filter(|table| table.len() == 4 && table.bytes().all(|b| b.is_ascii_digit()))
    {
        return Some(format!("http://terminology.hl7.org/CodeSystem/v2-{table}"));
    }
    Some(uri(CODE, name))
}

/// What a source calls the code system of this URI.
#[must_use]
pub fn system_asked(uri: &str) -> String {
    if let Some((name, _)) = NAMES.iter().find(|(_, known)| *known == uri) {
        return (*name).to_owned();
    }
    if let Some(table) = uri.strip_prefix("http://terminology.hl7.org/CodeSystem/v2-") {
        return format!("HL7{table}");
    }
    name(CODE, uri)
}

/// The URI of an assigning authority.
#[must_use]
pub fn identifier_system(name: &str) -> String {
    uri(IDENTIFIER, name)
}

/// The authority that this URI stands for here.
#[must_use]
pub fn identifier_asked(uri: &str) -> String {
    name(IDENTIFIER, uri)
}

fn uri(prefix: &str, name: &str) -> String {
    if is_uri(name) {
        return name.to_owned();
    }
    let mut uri = String::from(prefix);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

fn name(prefix: &str, uri: &str) -> String {
    let Some(rest) = uri.strip_prefix(prefix) else {
        return uri.to_owned();
    };
    let mut bytes = Vec::with_capacity(rest.len());
    let mut left = rest.as_bytes();
    while let Some((&byte, after)) = left.split_first() {
        let decoded = (byte == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match decoded {
            Some(decoded) => {
                bytes.push(decoded);
                left = &after[2..];
            }
            None => {
                bytes.push(byte);
                left = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| rest.to_owned())
}

fn is_uri(name: &str) -> bool {
    ["http://", "https://", "urn:"]
        .iter()
        .any(|scheme| name.starts_with(scheme))
        && !name.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_comes_back_as_it_went_out() {
        for name in [
            "HOSP",
            "mrn",
            "St. Mary's & Sons",
            "अस्पताल",
            "100%",
            "https://healthid.ndhm.gov.in",
        ] {
            let uri = identifier_system(name);
            assert!(!uri.contains(' '), "{uri}");
            assert_eq!(identifier_asked(&uri), name);
        }
        for name in ["LN", "SCT", "UCUM", "I10", "MDC", "L", "99MRC", "HL70487"] {
            assert_eq!(system_asked(&code_system(name).unwrap()), name);
        }
        assert_eq!(code_system(" "), None);
        assert_eq!(code_system("ln").as_deref(), Some(LOINC));
    }
}
