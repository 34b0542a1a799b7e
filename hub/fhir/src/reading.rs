//! What is common to everything that somebody sends as a resource: elements that are understood, and a list of what is wrong.
//! What the hub would not keep is refused by its place: what is left out of a chart may be what mattered.

use schemas::care::Code;
use schemas::moment;
use serde_json::Value;
use uuid::Uuid;

use crate::outcome::Issue;
use crate::resource::Kind;
use crate::systems::{identifier_asked, system_asked};

/// Instruments are told times in a form of their own, in which other years can't be written.
pub(crate) const NO_TIME: &str = "must have a time and an offset, and be of the years 1800 to 2200";

/// For whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Patient(Uuid),
    /// `system|value`, or a value.
    Identifier(String),
}

/// Members that every resource may have and that are the server's to write (FHIR R4 §3.1.0.8), or for people's eyes.
const SERVERS_OWN: [&str; 4] = ["resourceType", "id", "meta", "text"];

/// A resource that is read, and what is wrong with it.
pub(crate) struct Reader<'a> {
    pub(crate) json: &'a Value,
    kind: Kind,
    wrong: Vec<Issue>,
}

impl<'a> Reader<'a> {
    /// Everything but what is `taken` is refused.
    pub(crate) fn new(kind: Kind, json: &'a Value, taken: &[&str]) -> Self {
        let mut reader = Self {
            json,
            kind,
            wrong: Vec::new(),
        };
        let all: Vec<&str> = SERVERS_OWN.iter().chain(taken).copied().collect();
        reader.only("", json, &all);
        reader
    }

    /// Refuses the members of a part that are not in `taken`. `place` is of the part, without the type.
    pub(crate) fn only(&mut self, place: &str, part: &Value, taken: &[&str]) {
        for name in part.as_object().into_iter().flat_map(|part| part.keys()) {
            if !taken.contains(&name.as_str()) {
                let place = if place.is_empty() {
                    name.clone()
                } else {
                    format!("{place}.{name}")
                };
                self.unkept(
                    &place,
                    "the hub would not keep this element, so it does not take it",
                );
            }
        }
    }

    pub(crate) fn wrong(&mut self, place: &str, words: impl Into<String>) {
        let place = format!("{}.{place}", self.kind);
        self.wrong.push(Issue::value(place, words));
    }

    pub(crate) fn unkept(&mut self, place: &str, words: impl Into<String>) {
        let place = format!("{}.{place}", self.kind);
        self.wrong.push(Issue::not_supported(place, words));
    }

    pub(crate) fn subject(&mut self, name: &str) -> Option<Subject> {
        let found = subject(&self.json[name]);
        if found.is_none() {
            self.wrong(
                name,
                "must be a reference to a Patient of this server, or an identifier",
            );
        }
        found
    }

    pub(crate) fn encounter(&mut self) -> Option<Uuid> {
        let reference = &self.json["encounter"];
        let id = local(reference, Kind::Encounter);
        if !reference.is_null() && id.is_none() {
            self.wrong("encounter", "must be an Encounter of this server");
        }
        id
    }

    /// A concept of one code, or of words.
    pub(crate) fn concept(&mut self, place: &str, concept: &Value) -> Option<Code> {
        self.only(place, concept, &["coding", "text"]);
        let codings = &concept["coding"];
        if items(codings).count() > 1 {
            self.unkept(
                &format!("{place}.coding"),
                "one code is kept, not several: send the one that is meant",
            );
        }
        let coding = items(codings).next().unwrap_or(&Value::Null);
        self.only(
            &format!("{place}.coding"),
            coding,
            &["system", "code", "display", "userSelected"],
        );
        let code = Code {
            code: owned(&coding["code"]).unwrap_or_default(),
            text: owned(&concept["text"]).or_else(|| owned(&coding["display"])),
            system: owned(&coding["system"]).map(|system| system_asked(&system)),
        };
        if code.code.is_empty() && code.text.is_none() {
            self.wrong(place, "must have a coding with a code, or a text");
            return None;
        }
        Some(code)
    }

    /// The words of a concept of which no code is kept.
    pub(crate) fn words(&mut self, place: &str, concept: &Value) -> Option<String> {
        if concept.is_null() {
            return None;
        }
        if !concept["coding"].is_null() {
            self.unkept(
                &format!("{place}.coding"),
                "the hub keeps the words of this and no code: send its text alone",
            );
        }
        self.only(place, concept, &["coding", "text"]);
        let words = owned(&concept["text"]);
        if words.is_none() {
            self.wrong(place, "must have a text");
        }
        words
    }

    /// The code of a status: one of those of its element's system.
    pub(crate) fn status(&mut self, name: &str) -> Option<&'a str> {
        let json: &'a Value = self.json;
        let concept = &json[name];
        if concept.is_null() {
            return None;
        }
        let code = code_of(concept);
        if code.is_none() {
            self.wrong(name, "must have a coding with a code");
        }
        code
    }

    /// A time of any precision, or words: `onsetDateTime`, `onsetString`.
    pub(crate) fn when(&mut self, name: &str) -> Option<String> {
        owned(&self.json[format!("{name}DateTime").as_str()])
            .or_else(|| owned(&self.json[format!("{name}String").as_str()]))
    }

    /// The number and the one unit of a quantity.
    pub(crate) fn quantity(&mut self, place: &str, quantity: &Value) -> Option<(String, String)> {
        self.only(place, quantity, &["value", "unit", "system", "code"]);
        let number = quantity["value"].as_number().map(ToString::to_string);
        let unit = owned(&quantity["unit"]);
        let code = owned(&quantity["code"]);
        if unit.is_some() && code.is_some() && unit != code {
            self.unkept(
                &format!("{place}.code"),
                "one unit is kept: send the same as unit and code",
            );
        }
        let read = number.zip(unit.or(code));
        if read.is_none() {
            self.wrong(place, "must have a value and a unit");
        }
        read
    }

    /// A time of which only the moment counts: with a time and an offset.
    pub(crate) fn moment(&mut self, place: &str, value: &Value) -> Option<String> {
        let text = owned(value);
        let fits = text
            .as_deref()
            .is_none_or(|at| moment::plausible(at).is_some());
        if !fits {
            self.wrong(place, NO_TIME);
        }
        text.filter(|_| fits)
    }

    /// The values of the extensions that are known here, each by its address and the member that holds its value; null where
    /// it is not sent. Any other is refused.
    pub(crate) fn extensions<const N: usize>(
        &mut self,
        known: [(&str, &str); N],
    ) -> [&'a Value; N] {
        static NONE: Value = Value::Null;
        let json: &'a Value = self.json;
        let mut values = [&NONE; N];
        for (index, extension) in items(&json["extension"]).enumerate() {
            let place = format!("extension[{index}]");
            let Some(at) = known.iter().position(|(url, _)| extension["url"] == *url) else {
                self.unkept(&place, "the hub does not know this extension");
                continue;
            };
            let member = known[at].1;
            let value = &extension[member];
            if value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty()) {
                self.wrong(&place, format!("must have a {member}"));
            } else {
                self.only(&place, extension, &["url", member]);
            }
            values[at] = value;
        }
        values
    }

    /// Annotations, as lines; of each only its text is kept.
    pub(crate) fn notes(&mut self) -> Option<String> {
        let json: &'a Value = self.json;
        for (index, note) in items(&json["note"]).enumerate() {
            self.only(&format!("note[{index}]"), note, &["text"]);
        }
        let lines: Vec<String> = items(&json["note"])
            .filter_map(|note| owned(&note["text"]))
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// The one that a list may have.
    pub(crate) fn only_one(&mut self, name: &str) -> &'a Value {
        static NONE: Value = Value::Null;
        let json: &'a Value = self.json;
        let mut all = items(&json[name]);
        let first = all.next();
        if all.next().is_some() {
            self.unkept(name, "one is kept, not several");
        }
        first.unwrap_or(&NONE)
    }

    /// What is read, if nothing is wrong.
    pub(crate) fn done<T>(self, read: Option<T>) -> Result<T, Vec<Issue>> {
        match read {
            Some(read) if self.wrong.is_empty() => Ok(read),
            _ => Err(self.wrong),
        }
    }
}

/// The code of a concept that has one.
pub(crate) fn code_of(concept: &Value) -> Option<&str> {
    items(&concept["coding"])
        .find_map(|coding| coding["code"].as_str())
        .filter(|code| !code.trim().is_empty())
}

pub(crate) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

pub(crate) fn owned(value: &Value) -> Option<String> {
    value
        .as_str()
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// The id behind `Patient/018f…`.
pub(crate) fn local(reference: &Value, kind: Kind) -> Option<Uuid> {
    let text = reference["reference"].as_str()?;
    let (found, id) = text.rsplit_once('/')?;
    (found.rsplit('/').next() == Some(kind.as_str()))
        .then(|| id.parse().ok())
        .flatten()
}

pub(crate) fn subject(reference: &Value) -> Option<Subject> {
    if let Some(id) = local(reference, Kind::Patient) {
        return Some(Subject::Patient(id));
    }
    let identifier = &reference["identifier"];
    let value = owned(&identifier["value"])?;
    Some(Subject::Identifier(match owned(&identifier["system"]) {
        Some(system) => format!("{}|{value}", identifier_asked(&system)),
        None => value,
    }))
}
