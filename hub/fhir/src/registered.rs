//! Patient, in: whom somebody registers or corrects, in the words of `schemas::patients`.

use schemas::patients::{Address, HumanName, Sex, Telecom};
use serde_json::Value;
use uuid::Uuid;

use crate::outcome::Issue;
use crate::patient::{
    MAIDEN_NAME, MARITAL_STATES, PatientIdentifier, V2_MARITAL, V3_MARITAL, address, human_name,
    telecom,
};
use crate::reading::{Reader, items, local, owned};
use crate::resource::Kind;
use crate::systems::{IDENTIFIER_TYPE, identifier_asked};

/// Whose series gives the number, where no identifier is sent; with a create.
pub const FACILITY: &str = "urn:hub:extension:facility";
/// Why it is registered although somebody on file looks like it; with a create.
pub const NOT_A_DUPLICATE: &str = "urn:hub:extension:not-a-duplicate";
/// Why it is changed; with an update.
pub const REASON: &str = "urn:hub:extension:reason";

/// Authority of an identifier that names none, as over REST.
const NO_SYSTEM: &str = "mrn";

/// What somebody writes with a Patient. What is absent is said of nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatientRequest {
    /// The first is the primary one.
    pub identifiers: Vec<PatientIdentifier>,
    pub active: Option<bool>,
    /// The first is the name, others are beside it.
    pub names: Vec<HumanName>,
    pub telecoms: Vec<Telecom>,
    pub sex: Option<Sex>,
    /// As exact as it is known.
    pub birth_date: Option<String>,
    /// RFC 3339, or empty when only the fact is known.
    pub deceased: Option<String>,
    pub addresses: Vec<Address>,
    /// HL7 table 0002.
    pub marital_status: Option<String>,
    pub mother_maiden_name: Option<String>,
    pub organization: Option<Uuid>,
    pub facility: Option<String>,
    pub not_a_duplicate: Option<String>,
    pub reason: Option<String>,
}

impl PatientRequest {
    /// What comes back as it went out is what is stored, which may be more than FHIR shows.
    #[must_use]
    pub fn keeping(
        mut self,
        names: &[&HumanName],
        telecoms: &[Telecom],
        addresses: &[Address],
    ) -> Self {
        for name in &mut self.names {
            let form = human_name(name);
            if let Some(stored) = names.iter().find(|stored| human_name(stored) == form) {
                *name = (*stored).clone();
            }
        }
        for one in &mut self.telecoms {
            let form = telecom(one);
            if let Some(stored) = telecoms.iter().find(|stored| telecom(stored) == form) {
                *one = stored.clone();
            }
        }
        for one in &mut self.addresses {
            let form = address(one);
            if let Some(stored) = addresses.iter().find(|stored| address(stored) == form) {
                *one = stored.clone();
            }
        }
        self
    }
}

/// Reads a Patient that [`crate::check`] found well-formed: a new one, or those members of one that are otherwise.
///
/// # Errors
/// Everything in it that the hub would not keep, each with its place.
pub fn read_patient(json: &Value) -> Result<PatientRequest, Vec<Issue>> {
    let taken = [
        "extension",
        "identifier",
        "active",
        "name",
        "telecom",
        "gender",
        "birthDate",
        "deceasedBoolean",
        "deceasedDateTime",
        "address",
        "maritalStatus",
        "managingOrganization",
    ];
    let mut reader = Reader::new(Kind::Patient, json, &taken);
    let mut read = PatientRequest {
        identifiers: each(&mut reader, "identifier", identifier),
        active: json["active"].as_bool(),
        names: each(&mut reader, "name", name),
        telecoms: each(&mut reader, "telecom", contact_point),
        sex: sex(&json["gender"]),
        birth_date: owned(&json["birthDate"]),
        deceased: deceased(&mut reader),
        addresses: each(&mut reader, "address", place),
        marital_status: marital_status(&mut reader),
        organization: organization(&mut reader),
        ..PatientRequest::default()
    };
    extensions(&mut reader, &mut read);
    reader.done(Some(read))
}

/// The elements of a list, each read at its place.
fn each<T>(
    reader: &mut Reader<'_>,
    list: &str,
    read: fn(&mut Reader<'_>, &str, &Value) -> Option<T>,
) -> Vec<T> {
    let json = reader.json;
    items(&json[list])
        .enumerate()
        .filter_map(|(index, one)| read(reader, &format!("{list}[{index}]"), one))
        .collect()
}

fn identifier(reader: &mut Reader<'_>, at: &str, json: &Value) -> Option<PatientIdentifier> {
    reader.only(at, json, &["use", "type", "system", "value"]);
    if matches!(json["use"].as_str(), Some("temp" | "old")) {
        reader.unkept(
            &format!("{at}.use"),
            "the hub keeps identifiers that are in use: one is ended over REST, with a reason",
        );
    }
    let value = owned(&json["value"]);
    if value.is_none() {
        reader.wrong(at, "must have a value");
    }
    let kind = identifier_kind(reader, &format!("{at}.type"), &json["type"]);
    Some(PatientIdentifier {
        system: owned(&json["system"])
            .map_or_else(|| NO_SYSTEM.to_owned(), |uri| identifier_asked(&uri)),
        value: value?,
        kind,
        old: false,
    })
}

/// A code of HL7 table 0203; its words are for people's eyes.
fn identifier_kind(reader: &mut Reader<'_>, at: &str, concept: &Value) -> Option<String> {
    if concept.is_null() {
        return None;
    }
    reader.only(at, concept, &["coding", "text"]);
    let mut codings = items(&concept["coding"]);
    let coding = codings.next().unwrap_or(&Value::Null);
    let known = coding["system"] == IDENTIFIER_TYPE;
    match owned(&coding["code"]).filter(|_| known) {
        Some(code) if codings.next().is_none() => Some(code),
        _ => {
            reader.unkept(
                at,
                format!("one code is kept, of {IDENTIFIER_TYPE}: send that alone"),
            );
            None
        }
    }
}

fn name(reader: &mut Reader<'_>, at: &str, json: &Value) -> Option<HumanName> {
    let parts = ["use", "text", "family", "given", "prefix", "suffix"];
    reader.only(at, json, &parts);
    let use_code = match json["use"].as_str() {
        Some("official") => Some("L"),
        Some("usual") => Some("D"),
        Some("maiden") => Some("M"),
        Some("nickname") => Some("N"),
        Some("anonymous") => Some("S"),
        Some("temp") => Some("TEMP"),
        Some("old") => Some("NOUSE"),
        _ => None,
    };
    let read = HumanName {
        family: owned(&json["family"]),
        given: items(&json["given"]).filter_map(owned).collect(),
        prefix: one_of(reader, at, json, "prefix"),
        suffix: one_of(reader, at, json, "suffix"),
        use_code: use_code.map(str::to_owned),
    };
    if read.family.is_none() && read.given.is_empty() {
        reader.wrong(
            at,
            "must have a family or a given name: the hub keeps the parts of a name, and writes its text from them",
        );
        return None;
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if owned(&json["text"]).is_some_and(|text| words(&text) != words(&read.display())) {
        reader.unkept(
            &format!("{at}.text"),
            "the hub writes the text from the parts, and this one is another: leave it out",
        );
    }
    Some(read)
}

/// The one text that a list of them may have.
fn one_of(reader: &mut Reader<'_>, at: &str, json: &Value, member: &str) -> Option<String> {
    let mut all = items(&json[member]);
    let first = all.next().and_then(owned);
    if all.next().is_some() {
        reader.unkept(
            &format!("{at}.{member}"),
            "one is kept, not several: send them as one text",
        );
    }
    first
}

fn contact_point(reader: &mut Reader<'_>, at: &str, json: &Value) -> Option<Telecom> {
    reader.only(at, json, &["system", "value", "use"]);
    let used = json["use"].as_str();
    let system = match (json["system"].as_str(), used) {
        (Some("phone"), Some("mobile")) => "mobile",
        (Some("phone"), _) => "phone",
        (Some("email"), _) => "email",
        (Some("other"), _) => "other",
        _ => {
            reader.unkept(&format!("{at}.system"), "must be phone, email or other");
            return None;
        }
    };
    let use_code = match used {
        None => None,
        Some("mobile") if system == "mobile" => None,
        Some("home") => Some("PRN"),
        Some("work") => Some("WPN"),
        Some(_) => {
            reader.unkept(
                &format!("{at}.use"),
                "must be home or work, of a phone also mobile, or none",
            );
            None
        }
    };
    let value = owned(&json["value"]);
    if value.is_none() {
        reader.wrong(at, "must have a value");
    }
    Some(Telecom {
        value: value?,
        system: system.to_owned(),
        use_code: use_code.map(str::to_owned),
    })
}

fn place(reader: &mut Reader<'_>, at: &str, json: &Value) -> Option<Address> {
    let parts = [
        "use",
        "line",
        "city",
        "district",
        "state",
        "postalCode",
        "country",
    ];
    reader.only(at, json, &parts);
    // an address of a patient is where he lives
    if !matches!(json["use"].as_str(), None | Some("home")) {
        reader.unkept(&format!("{at}.use"), "addresses at home are kept alone");
    }
    let read = Address {
        lines: items(&json["line"]).filter_map(owned).collect(),
        city: owned(&json["city"]),
        district: owned(&json["district"]),
        state: owned(&json["state"]),
        postal_code: owned(&json["postalCode"]),
        country: owned(&json["country"]),
    };
    if read == Address::default() {
        reader.wrong(
            at,
            "says nothing of a place: send its parts, a text is not kept",
        );
        return None;
    }
    Some(read)
}

fn sex(gender: &Value) -> Option<Sex> {
    match gender.as_str()? {
        "male" => Some(Sex::Male),
        "female" => Some(Sex::Female),
        "other" => Some(Sex::Other),
        // the structure was looked at: it is one of the four
        _ => Some(Sex::Unknown),
    }
}

fn deceased(reader: &mut Reader<'_>) -> Option<String> {
    let json = reader.json;
    if let Some(at) = owned(&json["deceasedDateTime"]) {
        if schemas::moment::plausible(&at).is_none() {
            reader.unkept(
                "deceasedDateTime",
                "a time of the years 1800 to 2200 with its zone is kept; where only the fact is known send deceasedBoolean",
            );
        }
        return Some(at);
    }
    (json["deceasedBoolean"] == true).then(String::new)
}

fn marital_status(reader: &mut Reader<'_>) -> Option<String> {
    let json = reader.json;
    let concept = &json["maritalStatus"];
    if concept.is_null() {
        return None;
    }
    reader.only("maritalStatus", concept, &["coding", "text"]);
    let mut codings = items(&concept["coding"]);
    let coding = codings.next().unwrap_or(&Value::Null);
    let code = owned(&coding["code"]);
    let known = match coding["system"].as_str() {
        Some(V3_MARITAL) => MARITAL_STATES
            .iter()
            .find(|(_, v3, _)| code.as_deref() == Some(*v3))
            .map(|(v2, _, _)| (*v2).to_owned()),
        Some(V2_MARITAL) => code,
        _ => None,
    };
    if known.is_none() || codings.next().is_some() {
        reader.unkept(
            "maritalStatus",
            format!(
                "one code is kept, of {V3_MARITAL} (D, I, L, M, S, T, U or W) or of {V2_MARITAL}"
            ),
        );
    }
    known
}

fn organization(reader: &mut Reader<'_>) -> Option<Uuid> {
    let json = reader.json;
    let reference = &json["managingOrganization"];
    let id = local(reference, Kind::Organization);
    if !reference.is_null() && id.is_none() {
        reader.wrong(
            "managingOrganization",
            "must be the Organization of this server, or none",
        );
    }
    id
}

fn extensions(reader: &mut Reader<'_>, read: &mut PatientRequest) {
    let said = [MAIDEN_NAME, FACILITY, NOT_A_DUPLICATE, REASON].map(|url| (url, "valueString"));
    let [maiden_name, facility, not_a_duplicate, reason] = reader.extensions(said).map(owned);
    read.mother_maiden_name = maiden_name;
    read.facility = facility;
    read.not_a_duplicate = not_a_duplicate;
    read.reason = reason;
}
