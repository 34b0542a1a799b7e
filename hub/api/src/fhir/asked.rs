//! What a search asks for: criteria, page, order, includes; and what of it the hub does not know.

use hub_fhir::{Issue, Kind};

use super::dates;
use super::table::{How, Param, Wired, wired};
use crate::page::{Cursor, encode};
use crate::problem::Problem;

/// Matches on a page when the caller does not say.
const DEFAULT_COUNT: usize = 50;
/// Largest page.
const MAX_COUNT: usize = 500;
/// Values of one parameter, and parameters of one search: more is a mistake or an attack.
const MOST: usize = 100;

/// One condition: one of its values must fit.
#[derive(Debug, Clone)]
pub(crate) struct Criterion {
    pub(crate) param: &'static Param,
    pub(crate) modifier: Option<Modifier>,
    /// `patient.identifier`
    pub(crate) by_identifier: bool,
    pub(crate) values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Modifier {
    Missing,
    Not,
    Exact,
    Contains,
    /// `actor:identifier`
    Identifier,
    /// `subject:Patient`
    Type(Kind),
}

/// An include: from a type, by a parameter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Include {
    pub(crate) param: &'static Param,
    /// Only resources of this type.
    pub(crate) target: Option<Kind>,
}

/// A search, read.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) criteria: Vec<Criterion>,
    pub(crate) count: usize,
    /// `_summary=count`, or `_count=0`: the number alone.
    pub(crate) number_only: bool,
    /// Parameter, and whether the greatest comes first.
    pub(crate) sort: Vec<(&'static Param, bool)>,
    pub(crate) includes: Vec<Include>,
    /// `_revinclude=Provenance:target`
    pub(crate) provenance: bool,
    pub(crate) elements: Option<Vec<String>>,
    pub(crate) cursor: Option<Place>,
    /// Parameters that were understood, as they came, for the self link.
    pub(crate) understood: Vec<(String, String)>,
    /// What is said of those that were not.
    pub(crate) remarks: Vec<Issue>,
}

/// Where the page before ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Place {
    /// The source's own word.
    Row(String),
    /// Of a sorted list: what the last one shown is sorted by, and its id.
    After(Vec<Option<String>>, String),
}

impl Place {
    pub(crate) fn text(&self) -> String {
        encode(self)
    }
}

/// The name of the parameter that carries it.
pub(crate) const CURSOR: &str = "_cursor";

/// `_elements`, where it stands.
pub(crate) fn elements(pairs: &[(String, String)]) -> Option<Vec<String>> {
    let names: Vec<String> = pairs
        .iter()
        .filter(|(name, _)| name == "_elements")
        .flat_map(|(_, value)| value.split(','))
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .collect();
    (!names.is_empty()).then_some(names)
}

impl Asked {
    /// Reads the pairs of a query or a form.
    ///
    /// # Errors
    /// A value that can't be read, a modifier or sort order that is not there; in strict handling an unknown parameter too.
    pub(crate) fn read(
        wired: &'static Wired,
        pairs: &[(String, String)],
        strict: bool,
    ) -> Result<Self, Problem> {
        if pairs.len() > MOST {
            return Err(Problem::invalid(
                "query",
                format!("has more than {MOST} parameters"),
            ));
        }
        let mut asked = Self {
            count: DEFAULT_COUNT,
            elements: elements(pairs),
            ..Self::default()
        };
        for (name, value) in pairs {
            if asked.take(wired, name, value)? {
                asked.understood.push((name.clone(), value.clone()));
            } else if strict {
                return Err(Problem::invalid(
                    name.as_str(),
                    "is not a parameter of this search (Prefer: handling=strict)",
                ));
            } else {
                asked.remarks.push(
                    Issue::warning(
                        "not-supported",
                        format!("{name} is not a parameter of this search, and was ignored"),
                    )
                    .at(name.as_str()),
                );
            }
        }
        Ok(asked)
    }

    /// True when it is known.
    fn take(&mut self, wired: &'static Wired, name: &str, value: &str) -> Result<bool, Problem> {
        match name {
            "_count" => {
                let count: usize = value.parse().map_err(|_| {
                    Problem::invalid("_count", format!("must be from 0 to {MAX_COUNT}"))
                })?;
                // more than there may be on a page is no error: the server decides (FHIR R4 §3.1.1.5.2)
                self.count = count.min(MAX_COUNT);
                self.number_only |= count == 0;
            }
            "_summary" => match value {
                "count" => self.number_only = true,
                "false" => {}
                _ => return Ok(false),
            },
            "_sort" => {
                for part in value.split(',') {
                    self.sort.push(sorted(wired, part)?);
                }
            }
            "_include" => return self.include(wired, value),
            "_revinclude" => return self.revinclude(wired, value),
            CURSOR => {
                self.cursor = Cursor::key(serde_json::from_value(value.into()).ok().as_ref())?;
            }
            "_elements" | "_format" | "_pretty" => {}
            "_total" if matches!(value, "none" | "estimate" | "accurate") => {}
            _ => return self.criterion(wired, name, value),
        }
        Ok(true)
    }

    fn include(&mut self, source: &'static Wired, value: &str) -> Result<bool, Problem> {
        let mut parts = value.split(':');
        let (from, name, target) = (parts.next(), parts.next(), parts.next());
        if from != Some(source.kind.as_str()) {
            return Ok(false);
        }
        let target = match target {
            None => None,
            Some(target) => match target.parse() {
                Ok(kind) => Some(kind),
                Err(()) => return Ok(false),
            },
        };
        let of = |param| Include { param, target };
        match name {
            Some("*") => self.includes.extend(source.references().map(of)),
            Some(name) => match source.references().find(|param| param.name == name) {
                Some(param) => self.includes.push(of(param)),
                None => return Ok(false),
            },
            None => {
                return Err(Problem::invalid(
                    "_include",
                    "must be [type]:[parameter], as Observation:specimen",
                ));
            }
        }
        Ok(true)
    }

    fn revinclude(&mut self, source: &'static Wired, value: &str) -> Result<bool, Problem> {
        let known = value == "Provenance:target"
            && super::table::WITH_PROVENANCE.contains(&source.kind)
            && wired(Kind::Provenance).is_some();
        self.provenance |= known;
        Ok(known)
    }

    fn criterion(
        &mut self,
        wired: &'static Wired,
        name: &str,
        value: &str,
    ) -> Result<bool, Problem> {
        let (base, chain) = match name.split_once('.') {
            Some((base, chain)) => (base, Some(chain)),
            None => (name, None),
        };
        let (base, modifier) = match base.split_once(':') {
            Some((base, modifier)) => (base, Some(modifier)),
            None => (base, None),
        };
        let Some(param) = wired.param(base) else {
            return Ok(false);
        };
        let chained = match chain {
            None => false,
            Some("identifier") if param.how == How::Reference && leads_to_patient(param) => true,
            Some(_) => return Ok(false),
        };
        let modifier = modifier
            .map(|text| modifier_of(param, name, text))
            .transpose()?;
        // of a patient both mean whoever has it: a reference to him holds no identifier
        let marked = modifier == Some(Modifier::Identifier) && leads_to_patient(param);
        let by_identifier = chained || marked;
        let modifier = modifier.filter(|_| !marked);
        let values = split(value, ',');
        if values.len() > MOST {
            return Err(Problem::invalid(
                name,
                format!("has more than {MOST} values"),
            ));
        }
        if param.how == How::Date && modifier.is_none() {
            let wrong = values.iter().find(|value| dates::asked(value).is_none());
            if wrong.is_some() {
                return Err(Problem::invalid(
                    name,
                    "must be a date of FHIR, with or without a prefix: ge2026-01-31",
                ));
            }
        }
        if modifier == Some(Modifier::Missing)
            && values
                .iter()
                .any(|value| !matches!(value.as_str(), "true" | "false"))
        {
            return Err(Problem::invalid(name, "must be true or false"));
        }
        self.criteria.push(Criterion {
            param,
            modifier,
            by_identifier,
            values,
        });
        Ok(true)
    }

    /// Conditions on this parameter.
    pub(crate) fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Criterion> {
        self.criteria
            .iter()
            .filter(move |criterion| criterion.param.name == name)
    }

    /// Takes those conditions out that `name` names and that have no modifier: the source keeps them itself.
    pub(crate) fn take_out(&mut self, names: &[&str]) -> Vec<Criterion> {
        let (taken, left) = std::mem::take(&mut self.criteria)
            .into_iter()
            .partition(|criterion| {
                names.contains(&criterion.param.name)
                    && matches!(criterion.modifier, None | Some(Modifier::Type(_)))
            });
        self.criteria = left;
        taken
    }
}

fn leads_to_patient(param: &Param) -> bool {
    matches!(param.name, "patient" | "subject")
}

fn modifier_of(param: &Param, name: &str, text: &str) -> Result<Modifier, Problem> {
    let modifier = match (param.how, text) {
        (_, "missing") => Some(Modifier::Missing),
        (How::Token, "not") => Some(Modifier::Not),
        (How::Text, "exact") => Some(Modifier::Exact),
        (How::Text, "contains") => Some(Modifier::Contains),
        (How::Reference, "identifier") => Some(Modifier::Identifier),
        (How::Reference, kind) => kind.parse().ok().map(Modifier::Type),
        _ => None,
    };
    // FHIR R4 §3.1.1.4.5: a modifier that is not supported must be refused, however lenient the handling
    modifier.ok_or_else(|| Problem::invalid(name, "has a modifier that is not supported"))
}

fn sorted(wired: &'static Wired, part: &str) -> Result<(&'static Param, bool), Problem> {
    let part = part.trim();
    let (name, down) = match part.strip_prefix('-') {
        Some(name) => (name, true),
        None => (part, false),
    };
    wired
        .param(name)
        .filter(|param| param.how != How::Reference)
        .map(|param| (param, down))
        .ok_or_else(|| {
            Problem::invalid(
                "_sort",
                "must name parameters of this search that are no references, as -date",
            )
        })
}

/// Parts at a mark that is not escaped, with the escapes taken off (FHIR R4 §3.1.1.4.11).
pub(crate) fn split(text: &str, mark: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == mark {
            parts.push(String::new());
            continue;
        }
        let Some(part) = parts.last_mut() else {
            continue;
        };
        match c {
            // of `|` and `$` the escape stays until they are looked at
            '\\' => match chars.next() {
                Some(escaped) if escaped == ',' || escaped == '\\' => part.push(escaped),
                Some(escaped) => {
                    part.push('\\');
                    part.push(escaped);
                }
                None => part.push('\\'),
            },
            c => part.push(c),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: Kind, query: &str, strict: bool) -> Result<Asked, Problem> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        Asked::read(wired(kind).unwrap(), &pairs, strict)
    }

    #[test]
    fn what_is_known_is_read_and_what_is_not_is_said_or_refused() {
        let asked = read(
            Kind::Observation,
            "patient=1&code=http://loinc.org|2345-7,GLU&date=ge2026&_count=7&_sort=-date&_include=Observation:specimen&colour=red",
            false,
        )
        .unwrap();
        assert_eq!(asked.criteria.len(), 3);
        assert_eq!(asked.criteria[1].values.len(), 2);
        assert_eq!(
            (asked.count, asked.sort.len(), asked.includes.len()),
            (7, 1, 1)
        );
        assert_eq!(asked.remarks.len(), 1);
        assert!(asked.understood.iter().all(|(name, _)| name != "colour"));
        for (query, field) in [
            ("colour=red", "colour"),
            ("_include=Observation:colour", "_include"),
            ("patient.name=x", "patient.name"),
        ] {
            let problem = read(Kind::Observation, query, true).unwrap_err();
            assert_eq!(problem.fields[0].field, field, "{query}");
            assert_eq!(
                read(Kind::Observation, query, false).unwrap().remarks.len(),
                1
            );
        }
    }

    #[test]
    fn what_can_not_be_read_is_refused_however_lenient() {
        for query in [
            "_count=x",
            "_count=-1",
            "date=yesterday",
            "code:above=x",
            "patient:missing=maybe",
            "_sort=patient",
            "_sort=colour",
            "_cursor=x",
        ] {
            let problem = read(Kind::Observation, query, false).unwrap_err();
            assert_eq!(problem.status.as_u16(), 400, "{query}");
        }
    }

    #[test]
    fn an_escaped_comma_is_no_end_of_a_value() {
        assert_eq!(split(r"a\,b,c", ','), ["a,b", "c"]);
        assert_eq!(split(r"a\|b|c", ','), [r"a\|b|c"]);
        assert_eq!(split("a\\", ','), ["a\\"]);
    }
}
