//! Code systems and their codes.

use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;
use worker_clinical::queries::{CodeReleaseRow, CodeRow};
use worker_clinical::terminology::CodeSystem;

/// A release of a code system that was imported.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "system": "LN", "name": "LOINC", "uri": "http://loinc.org", "release": "2.80", "in_force": true, "codes": 104673,
    "added": 1123, "reworded": 210, "retired": 0, "notice": "This material contains content from LOINC (http://loinc.org). …",
    "imported_at": "2026-01-31T08:30:00Z", "imported_by": "ravi (command line)"
}))]
pub(crate) struct CodeRelease {
    /// As codes of conditions and results name it: `I10`, `I10C`, `LN`.
    pub system: String,
    pub name: &'static str,
    /// As FHIR names it.
    pub uri: &'static str,
    /// As its publisher calls it.
    pub release: String,
    /// What the file says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The newest of its system: codes are looked up in it.
    pub in_force: bool,
    pub codes: i32,
    /// Against the release before: codes that it had not.
    pub added: i32,
    /// Codes that have other words.
    pub reworded: i32,
    /// Codes that are there no more.
    pub retired: i32,
    /// Whose it is: to be shown where its codes are.
    pub notice: &'static str,
    #[serde(with = "time::serde::rfc3339")]
    pub imported_at: OffsetDateTime,
    pub imported_by: String,
}

impl CodeRelease {
    /// `None` for a system that this program does not know: a later one imported it.
    pub(crate) fn of(row: CodeReleaseRow) -> Option<Self> {
        let system = CodeSystem::parse(&row.system)?;
        Some(Self {
            system: row.system,
            name: system.name(),
            uri: system.uri(),
            release: row.release,
            title: row.title,
            in_force: row.in_force,
            codes: row.codes,
            added: row.added,
            reworded: row.reworded,
            retired: row.retired,
            notice: system.notice(),
            imported_at: row.imported_at,
            imported_by: row.imported_by,
        })
    }
}

/// A code of a system.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(example = json!({
    "code": "2345-7", "display": "Glucose [Mass/volume] in Serum or Plasma", "kind": "code", "parent": "CHEM", "leaf": true,
    "standing": "active", "in_force": true
}))]
pub(crate) struct SystemCode {
    pub code: String,
    pub display: String,
    /// `chapter` and `block`: groups, which nothing is coded with; `category`: finer codes stand below it; `code`.
    pub kind: String,
    /// The code it stands under; class of a LOINC term.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Nothing more exact stands below it.
    pub leaf: bool,
    /// What its publisher says of it: `active`, `trial`, `discouraged`, `deprecated`.
    pub standing: String,
    /// Copyright of others, to be shown with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
    /// False: an earlier release had it, the one in force has not.
    pub in_force: bool,
}

impl SystemCode {
    pub(crate) fn of(row: CodeRow) -> Self {
        Self {
            code: row.code,
            display: row.display,
            kind: row.kind,
            parent: row.parent,
            leaf: row.leaf,
            standing: row.standing,
            notice: row.notice,
            in_force: row.in_force,
        }
    }
}
