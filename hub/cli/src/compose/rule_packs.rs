//! Rule packs of the laboratory: `rules/` beside the mapping tables. A file that is not there means the pack that comes with
//! the program. Files are looked at while the hub runs; a set with a mistake changes nothing, and at the start it stops the start.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hub_core::config::Problem;
use tokio_util::sync::CancellationToken;
use worker_clinical::{
    Approval, Autoverify, CriticalLimits, InvalidPack, News2, RulePacks, RuleStore, Standing,
    Westgard,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Who approved the pack of autoverification; without it the pack is a draft.
const APPROVAL: &str = "autoverify.approval.toml";

/// What is wrong with the files.
#[derive(Debug)]
pub(crate) struct Faults(pub(crate) Vec<Problem>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Faults {}

/// The packs in a folder of mappings.
///
/// # Errors
/// What is wrong, of every file, with line and column.
pub(crate) fn load(mappings: &Path) -> Result<RulePacks, Faults> {
    let mut faults = Vec::new();
    let mut packs = RulePacks::default();
    if let Some(pack) = pack(mappings, "westgard.toml", Westgard::parse, &mut faults) {
        packs.westgard = pack;
    }
    if let Some(pack) = pack(
        mappings,
        "critical.toml",
        CriticalLimits::parse,
        &mut faults,
    ) {
        packs.critical = pack;
    }
    if let Some(pack) = pack(mappings, "news2.toml", News2::parse, &mut faults) {
        packs.news2 = pack;
    }
    if let Some(pack) = pack(mappings, "autoverify.toml", Autoverify::parse, &mut faults) {
        packs.autoverify = pack;
    }
    if let Some(approval) = pack(mappings, APPROVAL, Approval::parse, &mut faults) {
        packs.autoverify = packs.autoverify.approved(&approval);
    }
    if faults.is_empty() {
        Ok(packs)
    } else {
        Err(Faults(faults))
    }
}

/// One file, if it is there; what is wrong with it goes to `faults`.
fn pack<P>(
    mappings: &Path,
    name: &str,
    parse: fn(&str) -> Result<P, InvalidPack>,
    faults: &mut Vec<Problem>,
) -> Option<P> {
    let file = mappings.join("rules").join(name);
    let fault = |line, message| Problem {
        file: file.clone(),
        line,
        message,
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => match parse(&text) {
            Ok(pack) => return Some(pack),
            Err(InvalidPack { at, message }) => faults.push(match at {
                Some((line, column)) => fault(Some(line), format!("column {column}: {message}")),
                None => fault(None, message),
            }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => faults.push(fault(None, format!("can't be read: {error}"))),
    }
    None
}

/// What people must know of packs that are good: whether the machine may verify, and how it comes to.
pub(crate) fn notes(packs: &RulePacks) -> Vec<String> {
    let pack = &packs.autoverify;
    let how = || {
        format!(
            "to approve it, put into rules/{APPROVAL}: version = \"{}\", sha256 = \"{}\", by = \"…\", at = \"…\"",
            pack.version(),
            pack.digest()
        )
    };
    vec![match pack.standing() {
        Standing::Draft => format!(
            "rules/autoverify.toml {} is a draft: nothing is verified by the machine; {}",
            pack.version(),
            how()
        ),
        Standing::Changed => format!(
            "rules/autoverify.toml {} is not the one that was approved: nothing is verified by the machine; {}",
            pack.version(),
            how()
        ),
        Standing::Approved { by, at } => format!(
            "rules/autoverify.toml {} is approved by {by}, {at}",
            pack.version()
        ),
    }]
}

/// Reads the files again when they change.
pub(super) async fn watch(mappings: PathBuf, rules: Arc<RuleStore>, stop: CancellationToken) {
    let mut seen = stamp(&mappings);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        look(&mappings, &rules, &mut seen);
    }
}

/// One look: a set that is good and new is in force from now on.
fn look(mappings: &Path, rules: &RuleStore, seen: &mut Stamp) {
    let now = stamp(mappings);
    if now == *seen {
        return;
    }
    *seen = now;
    match load(mappings) {
        Err(error) => {
            metrics::counter!("hub_rule_reload_failures_total").increment(1);
            tracing::error!(%error, "the rule packs have a problem; those in use stay as they are");
        }
        Ok(packs) => {
            for note in notes(&packs) {
                tracing::info!("rule packs read again; {note}");
            }
            rules.put(packs);
        }
    }
}

type Stamp = BTreeSet<(String, u64, Option<SystemTime>)>;

/// Names, sizes and times of all files of rules.
fn stamp(mappings: &Path) -> Stamp {
    std::fs::read_dir(mappings.join("rules"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            Some((
                entry.path().display().to_string(),
                data.len(),
                data.modified().ok(),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let rules = home.path().join("rules");
        std::fs::create_dir(&rules).unwrap();
        (home, rules)
    }

    #[test]
    fn without_files_the_packs_of_the_program_hold_and_autoverification_is_a_draft() {
        let (home, _rules) = folder();
        let packs = load(home.path()).unwrap();
        assert_eq!(packs.autoverify.standing(), &Standing::Draft);
        assert!(
            notes(&packs)[0].contains("is a draft"),
            "{:?}",
            notes(&packs)
        );
    }

    #[test]
    fn every_mistake_is_said_with_file_line_and_column() {
        let (home, rules) = folder();
        std::fs::write(
            rules.join("westgard.toml"),
            "version = \"1\"\nrun_minutes = x\n",
        )
        .unwrap();
        std::fs::write(
            rules.join("critical.toml"),
            "version = \"1\"\ncall_minutes = 30\n[[limit]]\nloinc = \"2823-3\"\nucum = \"\"\nlow = \"1\"\n",
        )
        .unwrap();
        std::fs::write(
            rules.join("autoverify.toml"),
            "version = \"1\"\nfirst = 0\nqc_hours = 24\n[[analyte]]\nloinc = \"2823-9\"\nucum = \"mmol/L\"\nrange = { low = \"1\" }\n",
        )
        .unwrap();
        std::fs::write(rules.join(APPROVAL), "version = \"1\"\n").unwrap();
        let Faults(faults) = load(home.path()).unwrap_err();
        let said: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 4, "{said:?}");
        for (said, (file, place)) in said.iter().zip([
            ("westgard.toml", ":2: column"),
            ("critical.toml", ":3: column 1: limit of `2823-3`"),
            ("autoverify.toml", ":5: column 9: `2823-9` is no LOINC code"),
            (APPROVAL, "missing field"),
        ]) {
            assert!(said.contains(file) && said.contains(place), "{said}");
        }
    }

    #[test]
    fn an_approval_is_of_one_text_and_a_change_makes_a_draft_again() {
        let (home, rules) = folder();
        let pack = "version = \"7\"\nfirst = 0\nqc_hours = 24\n";
        std::fs::write(rules.join("autoverify.toml"), pack).unwrap();
        let digest = load(home.path()).unwrap().autoverify.digest().to_owned();
        let approval = format!(
            "version = \"7\"\nsha256 = \"{digest}\"\nby = \"Dr. Rao\"\nat = \"2026-02-01\"\n"
        );
        std::fs::write(rules.join(APPROVAL), approval).unwrap();
        let packs = load(home.path()).unwrap();
        assert!(
            matches!(packs.autoverify.standing(), Standing::Approved { by, .. } if by == "Dr. Rao")
        );
        std::fs::write(
            rules.join("autoverify.toml"),
            format!("{pack}needs_order = false\n"),
        )
        .unwrap();
        let packs = load(home.path()).unwrap();
        assert_eq!(packs.autoverify.standing(), &Standing::Changed);
        assert!(notes(&packs)[0].contains("not the one that was approved"));
    }

    #[test]
    fn a_changed_file_is_in_force_without_a_restart_and_a_mistake_in_another_changes_nothing() {
        let (home, rules) = folder();
        let store = RuleStore::new(load(home.path()).unwrap());
        let mut seen = stamp(home.path());
        let mut after = |file: &str, text: Option<&str>| {
            match text {
                Some(text) => std::fs::write(rules.join(file), text).unwrap(),
                None => std::fs::remove_file(rules.join(file)).unwrap(),
            }
            look(home.path(), &store, &mut seen);
            store.current().autoverify.version().to_owned()
        };
        let pack = |version: &str| format!("version = \"{version}\"\nfirst = 0\nqc_hours = 24\n");
        assert_eq!(after("autoverify.toml", Some(&pack("8"))), "8");
        assert_eq!(after("westgard.toml", Some("version = 1")), "8");
        assert_eq!(after("autoverify.toml", Some(&pack("nine"))), "8");
        assert_eq!(after("westgard.toml", None), "nine");
    }
}
