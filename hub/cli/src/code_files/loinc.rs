//! `Loinc.csv` (or `LoincTableCore.csv`) of a LOINC release: one row a term, with a header.
//!
//! All terms are taken, also those that are deprecated: old results have them, and what is said of them is kept. The notice that some
//! terms carry for others (EXTERNAL_COPYRIGHT_NOTICE) is kept with the term, as the licence asks.

use std::io::BufRead;

use hub_core::mappings::is_loinc;
use worker_clinical::terminology::{CodeKind, Standing, Term};

use super::headed::{Fields, Headed};
use super::{CodeFile, Fault, Row, Says};

/// Columns that every table of a release has.
const COLUMNS: [&str; 5] = [
    "LOINC_NUM",
    "LONG_COMMON_NAME",
    "STATUS",
    "CLASS",
    "VersionLastChanged",
];

pub(super) struct LoincTable<R> {
    table: Headed<R>,
    newest: Option<Version>,
}

/// `2.80`; letters behind a number (`1.0i`) do not count.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    numbers: Vec<u32>,
    text: String,
}

impl Version {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let numbers = text
            .trim()
            .split('.')
            .map(|part| {
                let end = part
                    .find(|character: char| !character.is_ascii_digit())
                    .unwrap_or(part.len());
                part[..end].parse().ok()
            })
            .collect::<Option<Vec<u32>>>()?;
        Some(Self {
            numbers,
            text: text.trim().to_owned(),
        })
    }
}

impl<R: BufRead> LoincTable<R> {
    /// # Errors
    /// The header is not that of LOINC.
    pub(super) fn read(reader: R) -> Result<Self, Fault> {
        let table = Headed::read(reader)?;
        let columns = table.columns();
        if let Some(missing) = COLUMNS
            .iter()
            .find(|name| !columns.iter().any(|column| column == **name))
        {
            return Err(Fault::new(
                1,
                format!("LOINC's table has a column {missing}, this one has none"),
            ));
        }
        Ok(Self {
            table,
            newest: None,
        })
    }
}

fn term(fields: &Fields<'_>) -> Result<Term, Fault> {
    let line = fields.line;
    let code = fields.given("LOINC_NUM").unwrap_or_default();
    if !is_loinc(code) {
        return Err(Fault::new(
            line,
            format!("`{code}` is no LOINC code: its form or its check digit is wrong"),
        ));
    }
    let display = fields
        .given("LONG_COMMON_NAME")
        .or_else(|| fields.given("SHORTNAME"))
        .ok_or_else(|| Fault::new(line, format!("{code} has no name")))?;
    let status = fields.given("STATUS").unwrap_or_default();
    let standing = match status {
        "ACTIVE" => Standing::Active,
        "TRIAL" => Standing::Trial,
        "DISCOURAGED" => Standing::Discouraged,
        "DEPRECATED" => Standing::Deprecated,
        other => {
            return Err(Fault::new(
                line,
                format!("{code} has the status `{other}`, which LOINC has not"),
            ));
        }
    };
    let kept = |name: &str| fields.given(name).map(str::to_owned);
    Ok(Term {
        code: code.to_owned(),
        display: display.to_owned(),
        kind: CodeKind::Code,
        parent: kept("CLASS"),
        leaf: true,
        standing,
        notice: kept("EXTERNAL_COPYRIGHT_NOTICE"),
    })
}

impl<R: BufRead> CodeFile for LoincTable<R> {
    fn next(&mut self) -> Result<Option<Row>, Fault> {
        let Some(fields) = self.table.record()? else {
            return Ok(None);
        };
        let term = term(&fields)?;
        let changed = fields.given("VersionLastChanged").and_then(Version::parse);
        if changed > self.newest {
            self.newest = changed;
        }
        Ok(Some(Row {
            line: fields.line,
            term,
        }))
    }

    /// The table does not name its release; the newest change in it does, near enough.
    fn says(&self) -> Says {
        self.newest
            .as_ref()
            .map_or(Says::Nothing, |newest| Says::AtLeast(newest.text.clone()))
    }
}

#[cfg(test)]
mod tests {
    use worker_clinical::terminology::CodeSystem;

    use super::*;
    use crate::code_files::tests::all;

    #[test]
    fn every_term_is_read_with_its_standing_and_the_notice_of_others() {
        let (rows, file) = all(CodeSystem::Loinc, "Loinc.csv");
        let codes: Vec<(u64, &str, Standing)> = rows
            .iter()
            .map(|row| (row.line, row.term.code.as_str(), row.term.standing))
            .collect();
        assert_eq!(
            codes,
            [
                (2, "2345-7", Standing::Active),
                (3, "718-7", Standing::Active),
                (4, "6690-2", Standing::Active),
                (5, "2160-0", Standing::Active),
                (7, "9900001-0", Standing::Discouraged),
                (8, "9900002-8", Standing::Deprecated),
            ]
        );
        assert_eq!(rows[0].term.parent.as_deref(), Some("CHEM"));
        assert_eq!(rows[0].term.notice, None);
        assert!(rows[4].term.notice.is_some());
        // a field may have a line break and quotes in it
        assert_eq!(
            rows[3].term.display,
            "Creatinine [Mass/volume] in Serum or Plasma"
        );
        assert_eq!(
            rows[4].term.display,
            "An invented question, \"so to speak\""
        );
        assert_eq!(file.says(), Says::AtLeast("2.80".into()));
    }

    #[test]
    fn a_row_that_is_not_loinc_is_named() {
        let header = "LOINC_NUM,LONG_COMMON_NAME,STATUS,CLASS,VersionLastChanged\n";
        for (row, words) in [
            ("2345-8,Glucose,ACTIVE,CHEM,2.80\n", "its check digit"),
            ("2345-7,,ACTIVE,CHEM,2.80\n", "has no name"),
            ("2345-7,Glucose,OLD,CHEM,2.80\n", "the status `OLD`"),
            (
                "2345-7,Glucose,ACTIVE\n",
                "3 columns where the header has 5",
            ),
        ] {
            let text = format!("{header}{row}");
            let mut table = LoincTable::read(text.as_bytes()).unwrap();
            let fault = table.next().unwrap_err();
            assert_eq!(fault.line, 2, "{row}");
            assert!(fault.what.contains(words), "{fault}");
        }
        let fault = LoincTable::read(&b"LOINC_NUM,STATUS\n"[..])
            .map(|_| ())
            .unwrap_err();
        assert!(fault.what.contains("LONG_COMMON_NAME"), "{fault}");
    }

    #[test]
    fn releases_are_compared_by_their_numbers() {
        let version = |text: &str| Version::parse(text).unwrap();
        assert!(version("2.80") > version("2.9"));
        assert!(version("2.00") > version("1.0i"));
        assert!(version("10.1") > version("2.80"));
        assert!(Version::parse("new").is_none());
        assert!(Version::parse("").is_none());
    }
}
