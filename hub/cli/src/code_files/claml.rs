//! ICD-10 of the WHO in ClaML 2.0 (EN 14463), as its download has it.
//!
//! Many codes do not stand in the file: they are made of a category and the characters of a *modifier* (`E11` and `.9`). All of
//! them are made here ([`expand`]), because charts are coded with them. The document is read whole (some 10 MB), no document type is
//! fetched and no entity but the five of XML is known.

use std::collections::HashMap;
use std::io::Read;

use super::{CodeFile, Fault, Row, Says};

mod document;
mod expand;

use document::{Character, Class, Document, document};

/// Ten times what the WHO gives out.
const LARGEST: u64 = 256 * 1024 * 1024;

pub(super) struct Claml {
    rows: std::vec::IntoIter<Row>,
    title: Option<String>,
    release: Option<String>,
}

impl Claml {
    /// # Errors
    /// It is not ClaML 2.0, not ICD-10, or not well-formed.
    pub(super) fn read(reader: impl Read) -> Result<Self, Fault> {
        let mut text = String::new();
        let read = reader
            .take(LARGEST + 1)
            .read_to_string(&mut text)
            .map_err(|error| Fault::new(0, format!("can't be read as UTF-8: {error}")))?;
        if read as u64 > LARGEST {
            return Err(Fault::new(0, "this is larger than any ICD-10"));
        }
        let document = document(text.trim_start_matches('\u{FEFF}'))?;
        if !document
            .version
            .as_deref()
            .is_some_and(|version| version.starts_with("2."))
        {
            return Err(Fault::new(0, "this is not version 2 of ClaML"));
        }
        let words: Vec<&str> = document.title.split_whitespace().collect();
        let title = if words.is_empty() {
            document.name.clone()
        } else {
            Some(words.join(" "))
        };
        is_icd10_of_who(document.name.as_deref(), title.as_deref())?;
        let release = document.release.clone();
        Ok(Self {
            rows: expand::rows(document)?.into_iter(),
            title,
            release,
        })
    }
}

impl CodeFile for Claml {
    fn next(&mut self) -> Result<Option<Row>, Fault> {
        Ok(self.rows.next())
    }

    fn says(&self) -> Says {
        // a release is a word; where the file says more, somebody has to name it
        match &self.release {
            Some(release) if super::is_release(release) => Says::Exactly(release.clone()),
            _ => Says::Nothing,
        }
    }

    fn title(&self) -> Option<String> {
        self.title.clone()
    }
}

/// National modifications, and other classifications in the same form, have codes that mean something else.
const OTHERS: [&str; 5] = ["GM", "CM", "AM", "CA", "PCS"];

fn is_icd10_of_who(name: Option<&str>, title: Option<&str>) -> Result<(), Fault> {
    let said =
        format!("{} {}", name.unwrap_or_default(), title.unwrap_or_default()).to_ascii_uppercase();
    // `ICD-10-GM 2024`: ICD, 10, GM, 2024
    let parts: Vec<&str> = said
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .collect();
    let plain = parts.concat();
    let is_icd10 = plain.contains("ICD10")
        || plain.contains("INTERNATIONALSTATISTICALCLASSIFICATIONOFDISEASES");
    let is_other = plain.contains("MODIFICATION")
        || parts
            .windows(2)
            .any(|pair| pair[0].ends_with("10") && OTHERS.contains(&pair[1]));
    if !is_icd10 || is_other {
        return Err(Fault::new(
            0,
            format!(
                "its title is `{}`: this is not ICD-10 of the WHO",
                title.or(name).unwrap_or_default()
            ),
        ));
    }
    Ok(())
}

/// Characters of each modifier, in the order of the document.
fn modifiers(characters: Vec<Character>) -> Result<HashMap<String, Vec<(String, String)>>, Fault> {
    let mut all: HashMap<String, Vec<(String, String)>> = HashMap::new();
    for character in characters {
        let Some(words) = character.preferred else {
            return Err(Fault::new(
                character.line,
                format!(
                    "the character `{}` of modifier {} has no words",
                    character.code, character.modifier
                ),
            ));
        };
        all.entry(character.modifier)
            .or_default()
            .push((character.code, words));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claml(version: &str, title: &str, inside: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE ClaML SYSTEM \"ClaML.dtd\">\n<ClaML version=\"{version}\">\n\
             <Title name=\"{title}\" version=\"2019\">{title}</Title>\n{inside}</ClaML>\n"
        )
    }

    const CLASS: &str = "<Class code=\"A00\" kind=\"category\"><Rubric kind=\"preferred\"><Label>Bad water &amp; more</Label></Rubric></Class>\n";

    #[test]
    fn other_classifications_and_broken_files_are_refused() {
        for (text, words) in [
            (claml("3.0", "ICD-10", CLASS), "not version 2"),
            (
                claml("2.0.0", "ICD-10-GM 2024", CLASS),
                "not ICD-10 of the WHO",
            ),
            (claml("2.0.0", "OPS 2024", CLASS), "not ICD-10 of the WHO"),
            (
                claml("2.0.0", "ICD-10", "<Class code=\"A00\"/>"),
                "line 5: Class has no kind",
            ),
            (
                claml("2.0.0", "ICD-10", "<Class code=\"A00\" kind=\"category\"/>"),
                "A00 has no words",
            ),
            (
                claml("2.0.0", "ICD-10", &CLASS.replace("A00", "A0")),
                "`A0` is no code of ICD-10",
            ),
            (
                claml("2.0.0", "ICD-10", &CLASS.replace("&amp;", "&chapter;")),
                "line 5: this is not well-formed",
            ),
            (
                claml("2.0.0", "ICD-10", CLASS).replace("</ClaML>", ""),
                "the file ends in the middle",
            ),
        ] {
            let fault = Claml::read(text.as_bytes()).map(|_| ()).unwrap_err();
            assert!(fault.to_string().contains(words), "{fault}");
        }
    }

    #[test]
    fn the_title_tells_icd_10_from_its_modifications() {
        const LONG: &str = "International Statistical Classification of Diseases and Related Health Problems 10th Revision";
        for (name, title, good) in [
            (Some("ICD-10-EN-2016"), Some(LONG), true),
            (None, Some("ICD-10 amended 2019"), true),
            (Some("ICD10"), None, true),
            (
                Some("ICD-10-GM 2024"),
                Some("ICD-10-GM Version 2024"),
                false,
            ),
            (Some("ICD10 CM"), None, false),
            (None, Some("ICD-10, Australian Modification"), false),
            (
                Some("ICF"),
                Some("International Classification of Functioning"),
                false,
            ),
            (None, None, false),
        ] {
            assert_eq!(
                is_icd10_of_who(name, title).is_ok(),
                good,
                "{name:?} {title:?}"
            );
        }
    }

    #[test]
    fn a_file_says_which_release_it_is() {
        let mut file = Claml::read(claml("2.0.0", "ICD-10", CLASS).as_bytes()).unwrap();
        assert_eq!(file.says(), Says::Exactly("2019".into()));
        assert_eq!(file.title().as_deref(), Some("ICD-10"));
        let row = file.next().unwrap().unwrap();
        assert_eq!(
            (row.line, row.term.display.as_str()),
            (5, "Bad water & more")
        );
        assert!(file.next().unwrap().is_none());
    }
}
