//! A patient identifier as callers write it: the value (`12345`), the whole CX text as it stands in PID-3
//! (`12345^^^HOSP^MR`, HL7 v2.5.1 §2.A.14), or `system|value`.

use std::borrow::Cow;

/// System of identifiers whose sender names no assigning authority (workers/patient, schemas).
const NO_AUTHORITY: &str = "mrn";

/// One identifier that a caller asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) system: Option<String>,
    pub(crate) value: String,
}

impl Asked {
    /// Every identifier in the text: a PID-3 copied whole may hold several, parted by `~`.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        if let Some((system, value)) = text.split_once('|') {
            return one(value, system).into_iter().collect();
        }
        // `^` and `~` are delimiters only in a CX: a plain value may hold a `~`
        if !text.contains('^') {
            return one(text, "").into_iter().collect();
        }
        text.split('~').filter_map(Self::of_cx).collect()
    }

    /// CX.1 is the value, CX.4 the assigning authority, of which the first part is its name.
    fn of_cx(text: &str) -> Option<Self> {
        let mut components = text.split('^');
        let value = components.next()?;
        let authority = components.nth(2).unwrap_or_default();
        one(value, authority.split('&').next().unwrap_or_default())
    }

    /// What `worker_patient::queries` takes.
    pub(crate) fn query(&self) -> Cow<'_, str> {
        match &self.system {
            Some(system) => Cow::Owned(format!("{system}|{}", self.value)),
            // an empty system means: whichever, and keeps a `|` in the value from being read as one
            None => Cow::Owned(format!("|{}", self.value)),
        }
    }

    /// The system that an identifier of this form is keyed with while no table says otherwise.
    pub(crate) fn key_system(&self) -> &str {
        self.system.as_deref().unwrap_or(NO_AUTHORITY)
    }
}

fn one(value: &str, system: &str) -> Option<Asked> {
    let value = value.trim();
    let system = system.trim();
    (!value.is_empty()).then(|| Asked {
        system: (!system.is_empty()).then(|| system.to_owned()),
        value: value.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_in_each_of_its_forms() {
        for (text, expected) in [
            ("12345", vec![(None, "12345")]),
            (" 12345 ", vec![(None, "12345")]),
            ("a~b", vec![(None, "a~b")]),
            ("12345^^^HOSP^MR", vec![(Some("HOSP"), "12345")]),
            ("12345^^^HOSP&1.2.3&ISO^MR", vec![(Some("HOSP"), "12345")]),
            ("12345^^^^MR", vec![(None, "12345")]),
            ("1^^^A~2^^^B", vec![(Some("A"), "1"), (Some("B"), "2")]),
            ("HOSP|12345", vec![(Some("HOSP"), "12345")]),
            ("|12345", vec![(None, "12345")]),
            ("", vec![]),
            ("^^^HOSP", vec![]),
            ("HOSP|", vec![]),
        ] {
            let found: Vec<_> = Asked::all(text)
                .into_iter()
                .map(|asked| (asked.system, asked.value))
                .collect();
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(system, value)| (system.map(str::to_owned), value.to_owned()))
                .collect();
            assert_eq!(found, expected, "{text:?}");
        }
    }
}
