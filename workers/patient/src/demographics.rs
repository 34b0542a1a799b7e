//! What is known of a person beside the identifiers, and how a report changes it.

use schemas::Patch;
use schemas::patients::{Address, HumanName, PatientReported, Sex, Telecom};
use schemas::registration::Stated;

/// Demographics of one record. An empty list is the absence of a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Demographics {
    pub(crate) name: Option<HumanName>,
    pub(crate) other_names: Vec<HumanName>,
    pub(crate) birth_date: Option<String>,
    pub(crate) sex: Option<Sex>,
    pub(crate) telecoms: Vec<Telecom>,
    pub(crate) addresses: Vec<Address>,
    pub(crate) mother_maiden_name: Option<String>,
    pub(crate) marital_status: Option<String>,
    pub(crate) deceased: Option<String>,
    /// Fields that a sender deleted on purpose.
    pub(crate) cleared: Vec<String>,
}

/// What a report may do to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The newest fact: keep, clear or set as sent.
    Overwrite,
    /// An older fact: sets what is empty and was not deleted since; deletes nothing.
    FillEmpty,
}

impl Demographics {
    /// Applies a report and returns the names of the fields that changed.
    pub(crate) fn apply(&mut self, report: &PatientReported, reach: Reach) -> Vec<String> {
        let mut pass = Pass {
            reach,
            cleared: &mut self.cleared,
            changed: Vec::new(),
        };
        let other_names = if report.other_names.is_empty() {
            Patch::Keep
        } else {
            Patch::Set(report.other_names.clone())
        };
        pass.field("name", &mut self.name, &report.name);
        pass.list("other_names", &mut self.other_names, &other_names);
        pass.field("birth_date", &mut self.birth_date, &report.birth_date);
        pass.field("sex", &mut self.sex, &report.sex);
        pass.list("telecoms", &mut self.telecoms, &report.telecoms);
        pass.list("addresses", &mut self.addresses, &report.addresses);
        pass.field(
            "mother_maiden_name",
            &mut self.mother_maiden_name,
            &report.mother_maiden_name,
        );
        pass.field(
            "marital_status",
            &mut self.marital_status,
            &report.marital_status,
        );
        pass.field("deceased", &mut self.deceased, &report.deceased);
        pass.changed
    }
}

impl Demographics {
    /// Applies what a person says, and returns the names of the fields that changed.
    pub(crate) fn state(&mut self, stated: &Stated) -> Vec<String> {
        let mut pass = Pass {
            reach: Reach::Overwrite,
            cleared: &mut self.cleared,
            changed: Vec::new(),
        };
        pass.field("name", &mut self.name, &stated.name);
        pass.list("other_names", &mut self.other_names, &stated.other_names);
        pass.field("birth_date", &mut self.birth_date, &stated.birth_date);
        pass.field("sex", &mut self.sex, &stated.sex);
        pass.list("telecoms", &mut self.telecoms, &stated.telecoms);
        pass.list("addresses", &mut self.addresses, &stated.addresses);
        pass.field(
            "mother_maiden_name",
            &mut self.mother_maiden_name,
            &stated.mother_maiden_name,
        );
        pass.field(
            "marital_status",
            &mut self.marital_status,
            &stated.marital_status,
        );
        pass.field("deceased", &mut self.deceased, &stated.deceased);
        pass.changed
    }
}

struct Pass<'a> {
    reach: Reach,
    cleared: &'a mut Vec<String>,
    changed: Vec<String>,
}

impl Pass<'_> {
    fn field<T: Clone + PartialEq>(
        &mut self,
        name: &str,
        stored: &mut Option<T>,
        patch: &Patch<T>,
    ) {
        if self.reach == Reach::FillEmpty && (stored.is_some() || self.was_cleared(name)) {
            return;
        }
        match patch {
            Patch::Keep => {}
            Patch::Clear => self.clear(name, stored.take().is_some()),
            Patch::Set(value) => {
                self.cleared.retain(|field| field != name);
                if stored.as_ref() != Some(value) {
                    *stored = Some(value.clone());
                    self.changed.push(name.to_owned());
                }
            }
        }
    }

    /// Repetitions replace whole: a list is a snapshot (specs/hl7-fhir.md §3.5).
    fn list<T: Clone + PartialEq>(
        &mut self,
        name: &str,
        stored: &mut Vec<T>,
        patch: &Patch<Vec<T>>,
    ) {
        let mut value = (!stored.is_empty()).then(|| std::mem::take(stored));
        self.field(name, &mut value, patch);
        *stored = value.unwrap_or_default();
    }

    fn clear(&mut self, name: &str, had_value: bool) {
        if self.reach == Reach::FillEmpty {
            return;
        }
        if !self.was_cleared(name) {
            self.cleared.push(name.to_owned());
        }
        if had_value {
            self.changed.push(name.to_owned());
        }
    }

    fn was_cleared(&self, name: &str) -> bool {
        self.cleared.iter().any(|field| field == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::patients::Assertion;

    fn report() -> PatientReported {
        PatientReported {
            assertion: Assertion::Asserted,
            identifiers: Vec::new(),
            name: Patch::Keep,
            other_names: Vec::new(),
            birth_date: Patch::Keep,
            sex: Patch::Keep,
            telecoms: Patch::Keep,
            addresses: Patch::Keep,
            mother_maiden_name: Patch::Keep,
            marital_status: Patch::Keep,
            deceased: Patch::Keep,
            occurred_at: None,
        }
    }

    #[test]
    fn a_field_is_kept_cleared_or_set_and_only_changes_are_named() {
        let mut known = Demographics {
            birth_date: Some("1980".into()),
            sex: Some(Sex::Female),
            marital_status: Some("M".into()),
            ..Demographics::default()
        };
        let changed = known.apply(
            &PatientReported {
                birth_date: Patch::Set("1980-05-17".into()),
                sex: Patch::Set(Sex::Female),
                marital_status: Patch::Clear,
                ..report()
            },
            Reach::Overwrite,
        );
        assert_eq!(changed, ["birth_date", "marital_status"]);
        assert_eq!(known.birth_date.as_deref(), Some("1980-05-17"));
        assert_eq!(known.marital_status, None);
        assert_eq!(known.cleared, ["marital_status"]);
    }

    #[test]
    fn an_older_fact_fills_what_is_empty_but_not_what_was_deleted() {
        let mut known = Demographics {
            birth_date: Some("1980".into()),
            cleared: vec!["marital_status".into()],
            ..Demographics::default()
        };
        let changed = known.apply(
            &PatientReported {
                birth_date: Patch::Set("1981".into()),
                sex: Patch::Set(Sex::Male),
                marital_status: Patch::Set("M".into()),
                telecoms: Patch::Clear,
                ..report()
            },
            Reach::FillEmpty,
        );
        assert_eq!(changed, ["sex"]);
        assert_eq!(known.birth_date.as_deref(), Some("1980"));
        assert_eq!(known.marital_status, None);
    }
}
