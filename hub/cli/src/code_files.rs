//! Files in which publishers give out their code systems, read one code at a time.
//!
//! A file that is not what it should be is refused with its line, never read as far as it goes: codes that are missing would be
//! refused on charts. Nothing is fetched, no entity expanded; what is read goes to `worker_clinical::terminology`.

use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _};
use std::path::Path;

use worker_clinical::terminology::{CodeSystem, Term};

mod claml;
mod csv;
mod headed;
mod loinc;
mod order;
mod table;

pub(crate) use loinc::Version;

/// A code, and where it stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) line: u64,
    pub(crate) term: Term,
}

/// What is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// From 1; 0: the file as a whole.
    pub(crate) line: u64,
    pub(crate) what: String,
}

impl Fault {
    fn new(line: u64, what: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.what),
            line => write!(f, "line {line}: {}", self.what),
        }
    }
}

impl std::error::Error for Fault {}

/// Which release a file says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Says {
    Nothing,
    /// It names its release.
    Exactly(String),
    /// It is this release, or a later one in which nothing was changed.
    AtLeast(String),
}

/// A file of codes.
pub(crate) trait CodeFile {
    /// The next code; `None` at the end.
    ///
    /// # Errors
    /// The file is not what it should be.
    fn next(&mut self) -> Result<Option<Row>, Fault>;

    /// Which release it is; asked when all of it was read.
    fn says(&self) -> Says;

    /// What it calls itself.
    fn title(&self) -> Option<String> {
        None
    }
}

/// Opens a file that should hold codes of `system`.
///
/// # Errors
/// It can't be read, or is something else.
pub(crate) fn open(system: CodeSystem, path: &Path) -> Result<Box<dyn CodeFile>, Fault> {
    let unreadable = |error: std::io::Error| Fault::new(0, format!("can't be read: {error}"));
    let mut reader = BufReader::with_capacity(HEAD, File::open(path).map_err(unreadable)?);
    let head = reader.fill_buf().map_err(unreadable)?.to_vec();
    let format = format_of(&head)?;
    if !format.systems().contains(&system) {
        return Err(Fault::new(
            0,
            format!("this is {}, not {}", format.is(), wanted(system)),
        ));
    }
    reader.rewind().map_err(unreadable)?;
    Ok(match format {
        Format::Loinc => Box::new(loinc::LoincTable::read(reader)?),
        Format::Order => Box::new(order::OrderFile::read(reader)),
        Format::Claml => Box::new(claml::Claml::read(reader)?),
        Format::Table => Box::new(table::CodeTable::read(reader, system)?),
    })
}

/// Enough to see what a file is.
const HEAD: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Loinc,
    Order,
    Claml,
    Table,
}

impl Format {
    fn systems(self) -> &'static [CodeSystem] {
        match self {
            Self::Loinc => &[CodeSystem::Loinc],
            Self::Order => &[CodeSystem::Icd10Cm],
            Self::Claml => &[CodeSystem::Icd10],
            Self::Table => &[CodeSystem::Icd10, CodeSystem::Icd10Cm],
        }
    }

    fn is(self) -> &'static str {
        match self {
            Self::Loinc => "the table of LOINC",
            Self::Order => "an order file of ICD-10-CM",
            Self::Claml => "a classification in ClaML",
            Self::Table => "a table of codes (code, display)",
        }
    }
}

/// What to look for.
fn wanted(system: CodeSystem) -> &'static str {
    match system {
        CodeSystem::Icd10 => {
            "ICD-10 of the WHO: the ClaML file of its download (icd10…en.xml), or a table with the columns code and display"
        }
        CodeSystem::Icd10Cm => {
            "ICD-10-CM: the order file of the CDC's download (icd10cm_order_….txt), or a table with the columns code and display"
        }
        CodeSystem::Loinc => "LOINC: LoincTable/Loinc.csv of its download",
    }
}

fn format_of(head: &[u8]) -> Result<Format, Fault> {
    let refused = |what: &str| Err(Fault::new(0, what));
    if head.starts_with(b"PK\x03\x04") {
        return refused("this is a ZIP archive: unpack it, and name the file in it");
    }
    if head.starts_with(b"\xFF\xFE") || head.starts_with(b"\xFE\xFF") {
        return refused(
            "this is UTF-16: publishers give out UTF-8, take the file as it was downloaded",
        );
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{FEFF}').trim_start();
    if text.starts_with('<') {
        if text.contains("<ClaML") {
            return Ok(Format::Claml);
        }
        if text.contains("<ICD10CM.tabular") {
            return refused(
                "this is the tabular list of ICD-10-CM, in which codes with a seventh character do not stand one by one: import the \
                 order file of the same download (icd10cm_order_….txt)",
            );
        }
        return refused("this is XML, but not ClaML");
    }
    let first = text.lines().next().unwrap_or_default();
    if order::is_line(first) {
        return Ok(Format::Order);
    }
    let columns: Vec<String> = csv::fields(first).unwrap_or_default();
    let has = |name: &str| columns.iter().any(|column| column == name);
    if has("LOINC_NUM") {
        Ok(Format::Loinc)
    } else if has("code") && has("display") {
        Ok(Format::Table)
    } else {
        refused(
            "this is no file of codes that the hub knows: see mappings/CODES.md for those that it reads",
        )
    }
}

/// A release is named by one word, as `clinical.code_releases` keeps it.
pub(crate) fn is_release(text: &str) -> bool {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=40).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && text.bytes().all(part)
}

/// The form of a code of ICD-10 or its modifications: `E11`, `E11.9`, `M45.X0`, `S72.001A`.
fn is_icd10(code: &str) -> bool {
    let (category, rest) = match code.split_once('.') {
        Some((_, "")) => return false,
        Some((category, rest)) => (category, rest),
        None => (code, ""),
    };
    let bytes = category.as_bytes();
    let finer = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    bytes.len() == 3
        && bytes[0].is_ascii_uppercase()
        && bytes[1].is_ascii_digit()
        && finer(&bytes[2])
        && rest.len() <= 4
        && rest.as_bytes().iter().all(finer)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    pub(super) fn fixture(name: &str) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../../fixtures/codes")
            .join(name)
    }

    /// All codes of a fixture, with their lines.
    pub(super) fn all(system: CodeSystem, name: &str) -> (Vec<Row>, Box<dyn CodeFile>) {
        let mut file = open(system, &fixture(name)).unwrap();
        let mut rows = Vec::new();
        while let Some(row) = file.next().unwrap() {
            rows.push(row);
        }
        (rows, file)
    }

    #[test]
    fn a_file_is_told_by_what_stands_in_it() {
        let order =
            "00001 A00     0 Cholera                                                      Cholera";
        for (head, expected) in [
            ("\"LOINC_NUM\",\"COMPONENT\"\r\n", Some(Format::Loinc)),
            ("\u{FEFF}LOINC_NUM,COMPONENT\n", Some(Format::Loinc)),
            (order, Some(Format::Order)),
            (
                "<?xml version=\"1.0\"?>\n<!DOCTYPE ClaML SYSTEM \"ClaML.dtd\">\n<ClaML version=\"2.0.0\">",
                Some(Format::Claml),
            ),
            ("code,display,parent\n", Some(Format::Table)),
            ("<ICD10CM.tabular>", None),
            ("<html>", None),
            ("PK\u{3}\u{4}", None),
            (
                "A000    Cholera due to Vibrio cholerae 01, biovar cholerae",
                None,
            ),
            ("", None),
        ] {
            assert_eq!(format_of(head.as_bytes()).ok(), expected, "{head}");
        }
    }

    #[test]
    fn a_file_of_another_system_is_refused_by_name() {
        for (system, name, words) in [
            (
                CodeSystem::Icd10,
                "Loinc.csv",
                "this is the table of LOINC, not ICD-10 of the WHO",
            ),
            (
                CodeSystem::Loinc,
                "icd10cm_order.txt",
                "this is an order file of ICD-10-CM, not LOINC",
            ),
            (
                CodeSystem::Icd10Cm,
                "icd10.claml.xml",
                "this is a classification in ClaML, not ICD-10-CM",
            ),
        ] {
            let fault = open(system, &fixture(name)).map(|_| ()).unwrap_err();
            assert!(fault.what.starts_with(words), "{fault}");
        }
    }

    #[test]
    fn codes_have_a_form() {
        for (code, good) in [
            ("E11", true),
            ("E11.9", true),
            ("M45.X0", true),
            ("S72.001A", true),
            ("C7A", true),
            ("E11.", false),
            ("E1", false),
            ("E11.12345", false),
            ("A00-A09", false),
            ("IV", false),
            ("e11", false),
        ] {
            assert_eq!(is_icd10(code), good, "{code}");
        }
    }
}
