//! Westgard rules as a rule pack says them (`mappings/rules/westgard.toml`). Pure.

use serde::Deserialize;
use serde_spanned::Spanned;

use crate::packs::InvalidPack;

/// The rules in force and their version.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Westgard {
    version: Spanned<String>,
    run_minutes: u32,
    #[serde(rename = "rule")]
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: Spanned<String>,
    kind: Kind,
    #[serde(default = "one")]
    count: usize,
    sd: f64,
    #[serde(default)]
    across_levels: bool,
    action: Action,
}

fn one() -> usize {
    1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Beyond,
    SameSide,
    Range,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Warn,
    Reject,
}

/// What the rules make of a result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Judged {
    /// In the order of the pack.
    pub(crate) broken: Vec<String>,
    pub(crate) rejected: bool,
}

impl Judged {
    pub(crate) fn verdict(&self) -> &'static str {
        match (self.rejected, self.broken.is_empty()) {
            (true, _) => "rejected",
            (false, false) => "warning",
            (false, true) => "in_control",
        }
    }
}

impl Default for Westgard {
    /// The pack that comes with the program.
    fn default() -> Self {
        Self::parse(include_str!("../../../../mappings/rules/westgard.toml"))
            .expect("the pack that comes with the program is good (tested)")
    }
}

impl Westgard {
    /// Reads and checks a pack.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(text: &str) -> Result<Self, InvalidPack> {
        let pack: Self = InvalidPack::read(text)?;
        if pack.version.get_ref().trim().is_empty() {
            return Err(InvalidPack::at(
                text,
                pack.version.span(),
                "the pack has no version",
            ));
        }
        for rule in &pack.rules {
            let sound =
                rule.sd.is_finite() && rule.sd >= 0.0 && (1..=Self::LONGEST).contains(&rule.count);
            if !sound || rule.name.get_ref().trim().is_empty() {
                return Err(InvalidPack::at(
                    text,
                    rule.name.span(),
                    format!(
                        "rule `{}`: it needs a name, sd of 0 or more and count from 1 to {}",
                        rule.name.get_ref(),
                        Self::LONGEST
                    ),
                ));
            }
        }
        Ok(pack)
    }

    /// Longest row that a rule may ask for, and so the history that is read.
    pub(crate) const LONGEST: usize = 20;

    pub(crate) fn version(&self) -> &str {
        self.version.get_ref()
    }

    /// Levels measured within so many minutes are one run.
    pub(crate) fn run_minutes(&self) -> i32 {
        i32::try_from(self.run_minutes).unwrap_or(i32::MAX)
    }

    /// Judges a result by its z, those before it on its level (newest first), and those of other levels of its run.
    pub(crate) fn judge(&self, z: f64, before: &[f64], others: &[f64]) -> Judged {
        let mut judged = Judged::default();
        for rule in &self.rules {
            if rule.is_broken(z, before, others) {
                judged.broken.push(rule.name.get_ref().clone());
                judged.rejected |= rule.action == Action::Reject;
            }
        }
        judged
    }
}

impl Rule {
    fn is_broken(&self, z: f64, before: &[f64], others: &[f64]) -> bool {
        let beyond = |value: f64, side: f64| value * side > self.sd;
        let side = z.signum();
        match self.kind {
            Kind::Beyond => z.abs() > self.sd,
            Kind::Range => beyond(z, side) && others.iter().any(|&other| beyond(other, -side)),
            Kind::SameSide => {
                let needed = self.count - 1;
                let in_a_row = before.len() >= needed
                    && before.iter().take(needed).all(|&other| beyond(other, side));
                let in_the_run = self.across_levels
                    && others.iter().filter(|&&other| beyond(other, side)).count() >= needed
                    && needed > 0;
                beyond(z, side) && (in_a_row || in_the_run)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Golden {
        case: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        name: String,
        z: f64,
        #[serde(default)]
        before: Vec<f64>,
        #[serde(default)]
        others: Vec<f64>,
        verdict: String,
        rules: Vec<String>,
    }

    #[test]
    fn the_pack_judges_as_its_golden_cases_say() {
        let pack = Westgard::default();
        let golden: Golden =
            toml::from_str(include_str!("../../tests/golden/westgard.toml")).unwrap();
        for case in golden.case {
            let judged = pack.judge(case.z, &case.before, &case.others);
            assert_eq!(judged.verdict(), case.verdict, "{}", case.name);
            assert_eq!(judged.broken, case.rules, "{}", case.name);
        }
    }

    #[test]
    fn a_pack_that_can_not_be_used_is_refused_with_the_reason() {
        for (text, expected) in [
            ("", "missing field"),
            ("version = \"\"\nrun_minutes = 1\nrule = []", "no version"),
            (
                "version = \"1\"\nrun_minutes = 1\n[[rule]]\nname = \"x\"\nkind = \"beyond\"\nsd = -1.0\naction = \"warn\"",
                "rule `x`",
            ),
            (
                "version = \"1\"\nrun_minutes = 1\n[[rule]]\nname = \"x\"\nkind = \"odd\"\nsd = 1.0\naction = \"warn\"",
                "unknown variant",
            ),
        ] {
            let error = Westgard::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
