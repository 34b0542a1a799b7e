//! A table of our own form, for lists that come in no other (a national edition, a hospital's extract): CSV with a header and the
//! columns `code` and `display`; `parent` and `kind` (chapter, block, category, code) where they are known.

use std::io::BufRead;

use worker_clinical::terminology::{CodeKind, CodeSystem, Standing, Term};

use super::headed::Headed;
use super::{CodeFile, Fault, Row, Says, is_icd10};

const COLUMNS: [&str; 4] = ["code", "display", "parent", "kind"];

pub(super) struct CodeTable<R> {
    table: Headed<R>,
    system: CodeSystem,
}

impl<R: BufRead> CodeTable<R> {
    /// # Errors
    /// The header has columns that nobody would read.
    pub(super) fn read(reader: R, system: CodeSystem) -> Result<Self, Fault> {
        let table = Headed::read(reader)?;
        let mut columns = table.columns().iter();
        if let Some(other) = columns.find(|name| !COLUMNS.contains(&name.as_str())) {
            return Err(Fault::new(
                1,
                format!("a column `{other}`: there are {}", COLUMNS.join(", ")),
            ));
        }
        Ok(Self { table, system })
    }
}

impl<R: BufRead> CodeFile for CodeTable<R> {
    fn next(&mut self) -> Result<Option<Row>, Fault> {
        let Some(fields) = self.table.record()? else {
            return Ok(None);
        };
        let line = fields.line;
        let kind = match fields.given("kind") {
            None | Some("code") => CodeKind::Code,
            Some("category") => CodeKind::Category,
            Some("block") => CodeKind::Block,
            Some("chapter") => CodeKind::Chapter,
            Some(other) => {
                return Err(Fault::new(
                    line,
                    format!("`{other}` is no kind: chapter, block, category, code"),
                ));
            }
        };
        let code = fields.given("code").unwrap_or_default();
        let is_used = matches!(kind, CodeKind::Category | CodeKind::Code);
        if code.is_empty() || (is_used && !is_icd10(code)) {
            return Err(Fault::new(
                line,
                format!("`{code}` is no code of {}", self.system.name()),
            ));
        }
        let display = fields
            .given("display")
            .ok_or_else(|| Fault::new(line, format!("{code} has no words")))?;
        let term = Term {
            code: code.to_owned(),
            display: display.to_owned(),
            kind,
            parent: fields.given("parent").map(str::to_owned),
            leaf: kind == CodeKind::Code,
            standing: Standing::Active,
            notice: None,
        };
        Ok(Some(Row { line, term }))
    }

    fn says(&self) -> Says {
        Says::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Result<Option<Row>, Fault> {
        CodeTable::read(text.as_bytes(), CodeSystem::Icd10)?.next()
    }

    #[test]
    fn a_table_has_codes_and_words_and_nothing_that_nobody_reads() {
        let row = first("display,code,kind,parent\n\"Sugar, sort 2\",E11,category,E10-E14\n")
            .unwrap()
            .unwrap();
        assert_eq!(row.line, 2);
        assert_eq!(row.term.code, "E11");
        assert_eq!(row.term.display, "Sugar, sort 2");
        assert_eq!(row.term.parent.as_deref(), Some("E10-E14"));
        assert!(!row.term.leaf);
        for (text, line, words) in [
            ("code,display,price\n", 1, "a column `price`"),
            ("code,display\nE1,x\n", 2, "no code of ICD-10"),
            ("code,display\nE11\n", 2, "1 columns where the header has 2"),
            ("code,display\nE11,\n", 2, "E11 has no words"),
            ("code,display,kind\nE11,x,leaf\n", 2, "`leaf` is no kind"),
        ] {
            let fault = first(text).unwrap_err();
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.what.contains(words), "{fault}");
        }
    }
}
