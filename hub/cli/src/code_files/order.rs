//! The order file of ICD-10-CM (`icd10cm_order_2026.txt` of the CDC): every header and every code, one a line, by columns:
//! order number (1-5), code without its point (7-13), 1 for a code that is valid in itself and 0 for a header (15), short words
//! (17-76), long words (78 to the end).

use std::io::BufRead;

use worker_clinical::terminology::{CodeKind, Standing, Term};

use super::{CodeFile, Fault, Row, Says, is_icd10};

pub(super) struct OrderFile<R> {
    reader: R,
    line: u64,
    /// Order number of the line before.
    order: u32,
    /// Headers that are open, each the beginning of the next.
    above: Vec<String>,
}

impl<R: BufRead> OrderFile<R> {
    pub(super) fn read(reader: R) -> Self {
        Self {
            reader,
            line: 0,
            order: 0,
            above: Vec::new(),
        }
    }

    fn term(&mut self, text: &str) -> Result<Term, Fault> {
        let line = self.line;
        let (order, code, is_valid, short, long) = columns(text).ok_or_else(|| {
            Fault::new(
                line,
                "this is no line of an order file (number, code, 0 or 1, words by their columns)",
            )
        })?;
        // whatever was cut out, or put in, breaks the row of numbers
        if order != self.order + 1 {
            return Err(Fault::new(
                line,
                format!(
                    "order number {order} follows {}: something is missing or twice",
                    self.order
                ),
            ));
        }
        self.order = order;
        let code = pointed(code);
        if !is_icd10(&code) {
            return Err(Fault::new(
                line,
                format!("`{code}` is no code of ICD-10-CM"),
            ));
        }
        let display = if long.is_empty() { short } else { long };
        if display.is_empty() {
            return Err(Fault::new(line, format!("{code} has no words")));
        }
        while self
            .above
            .last()
            .is_some_and(|above| !code.starts_with(above.as_str()))
        {
            self.above.pop();
        }
        let parent = self.above.last().cloned();
        if !is_valid {
            self.above.push(code.clone());
        }
        Ok(Term {
            code,
            display: display.to_owned(),
            kind: if is_valid {
                CodeKind::Code
            } else {
                CodeKind::Category
            },
            parent,
            leaf: is_valid,
            standing: Standing::Active,
            notice: None,
        })
    }
}

impl<R: BufRead> CodeFile for OrderFile<R> {
    fn next(&mut self) -> Result<Option<Row>, Fault> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let at = self.line + 1;
            let read = self
                .reader
                .read_until(b'\n', &mut bytes)
                .map_err(|error| Fault::new(at, format!("can't be read: {error}")))?;
            if read == 0 {
                return Ok(None);
            }
            self.line = at;
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Fault::new(at, "this is not UTF-8"))?
                .trim_end();
            if text.is_empty() {
                continue;
            }
            let term = self.term(text)?;
            return Ok(Some(Row { line: at, term }));
        }
    }

    fn says(&self) -> Says {
        Says::Nothing
    }
}

/// True for a line of an order file.
pub(super) fn is_line(text: &str) -> bool {
    columns(text).is_some()
}

/// Order number, code, is it valid, short words, long words.
fn columns(text: &str) -> Option<(u32, &str, bool, &str, &str)> {
    let number = text.get(..5)?;
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let gaps = text.get(5..6)? == " " && text.get(13..14)? == " " && text.get(15..16)? == " ";
    let code = text.get(6..13)?.trim_end();
    let is_code = (3..=7).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let is_valid = match text.get(14..15)? {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    if !(gaps && is_code) {
        return None;
    }
    // a line that ends early has short words only
    let short = text.get(16..76).or_else(|| text.get(16..))?.trim();
    let long = text.get(77..).unwrap_or_default().trim();
    Some((number.parse().ok()?, code, is_valid, short, long))
}

fn pointed(code: &str) -> String {
    match code.split_at_checked(3) {
        Some((category, rest)) if !rest.is_empty() => format!("{category}.{rest}"),
        _ => code.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use worker_clinical::terminology::CodeSystem;

    use super::*;
    use crate::code_files::tests::all;

    #[test]
    fn headers_and_codes_are_read_and_each_stands_under_the_header_before_it() {
        let (rows, file) = all(CodeSystem::Icd10Cm, "icd10cm_order.txt");
        let read: Vec<(&str, Option<&str>, bool)> = rows
            .iter()
            .map(|row| {
                let term = &row.term;
                (term.code.as_str(), term.parent.as_deref(), term.leaf)
            })
            .collect();
        assert_eq!(
            read,
            [
                ("E11", None, false),
                ("E11.0", Some("E11"), false),
                ("E11.00", Some("E11.0"), true),
                ("E11.9", Some("E11"), true),
                ("I10", None, true),
                ("S72", None, false),
                ("S72.0", Some("S72"), false),
                ("S72.00", Some("S72.0"), false),
                ("S72.001", Some("S72.00"), false),
                ("S72.001A", Some("S72.001"), true),
            ]
        );
        assert_eq!(
            rows[3].term.display,
            "Second sugar disease, nothing more to say of it"
        );
        // where the long words are missing the short ones stand
        assert_eq!(rows[4].term.display, "High pressure");
        assert_eq!(file.says(), Says::Nothing);
    }

    #[test]
    fn a_line_that_is_missing_cut_or_foreign_is_named() {
        let line =
            |number: u32, code: &str| format!("{number:05} {code:<7} 1 {:<60} Words\n", "Words");
        for (text, at, words) in [
            (
                line(1, "A00") + &line(3, "A01"),
                2,
                "order number 3 follows 1",
            ),
            (
                line(1, "A00") + &line(1, "A00"),
                2,
                "order number 1 follows 1",
            ),
            (line(2, "A00"), 1, "order number 2 follows 0"),
            (
                line(1, "A00") + "00002 A01\n",
                2,
                "no line of an order file",
            ),
            (
                line(1, "A00") + "Add:  A01     1 x\n",
                2,
                "no line of an order file",
            ),
            (line(1, "0A0"), 1, "no code of ICD-10-CM"),
        ] {
            let mut file = OrderFile::read(text.as_bytes());
            let fault = loop {
                match file.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{text}"),
                    Err(fault) => break fault,
                }
            };
            assert_eq!(fault.line, at, "{text}");
            assert!(fault.what.contains(words), "{fault}");
        }
    }
}
