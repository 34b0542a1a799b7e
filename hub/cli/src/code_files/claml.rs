//! ICD-10 of the WHO in ClaML 2.0 (EN 14463), as its download has it.
//!
//! Many codes do not stand in the file: they are made of a category and the characters of a *modifier* (`E11` and `.9`). All of
//! them are made here ([`expand`]), because charts are coded with them. The document is read whole (some 10 MB), no document type is
//! fetched and no entity but the five of XML is known.

use std::collections::HashMap;
use std::io::Read;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::{CodeFile, Fault, Row, Says};

mod expand;

/// Ten times what the WHO gives out.
const LARGEST: u64 = 256 * 1024 * 1024;

pub(super) struct Claml {
    rows: std::vec::IntoIter<Row>,
    title: Option<String>,
    release: Option<String>,
}

/// A `Class` of the document.
#[derive(Debug, Default)]
struct Class {
    line: u64,
    code: String,
    kind: String,
    parent: Option<String>,
    below: Vec<String>,
    modified_by: Vec<ModifiedBy>,
    /// Modifiers that its text leads to. One category of the WHO's file has only this.
    linked: Vec<String>,
    preferred: Option<String>,
    /// The same with the words of the category before it.
    preferred_long: Option<String>,
}

/// A modifier, as a class names it.
#[derive(Debug, Default)]
struct ModifiedBy {
    name: String,
    /// Only these of its characters; none: all of them.
    only: Vec<String>,
}

/// A `ModifierClass`: what a character means in a modifier.
#[derive(Debug, Default)]
struct Character {
    line: u64,
    modifier: String,
    /// `.0`, or `0` where the point stands before it.
    code: String,
    preferred: Option<String>,
}

/// What a document has.
#[derive(Debug, Default)]
struct Document {
    version: Option<String>,
    title: String,
    name: Option<String>,
    release: Option<String>,
    classes: Vec<Class>,
    characters: Vec<Character>,
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

/// Where the reader is inside of a class or a character.
#[derive(Default)]
struct Inside {
    class: Option<Class>,
    character: Option<Character>,
    in_title: bool,
    /// Kind of the open rubric.
    rubric: Option<String>,
    /// The text of the open label.
    label: Option<String>,
    /// Open references: what they say is a code and no word of the label.
    references: usize,
}

fn document(text: &str) -> Result<Document, Fault> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut document = Document::default();
    let mut inside = Inside::default();
    let (mut line, mut counted, mut depth) = (1_u64, 0_usize, 0_usize);
    loop {
        let position = usize::try_from(reader.buffer_position()).unwrap_or(text.len());
        let passed = &text.as_bytes()[counted.min(position)..position.min(text.len())];
        line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        counted = position;
        let malformed = || Fault::new(line, "this is not well-formed XML");
        match reader.read_event().map_err(|_| malformed())? {
            Event::Start(start) => {
                depth += 1;
                inside.begins(&start, line, &mut document)?;
            }
            Event::Empty(start) => {
                inside.begins(&start, line, &mut document)?;
                inside.ends(start.local_name().as_ref(), &mut document);
            }
            Event::End(end) => {
                depth = depth.checked_sub(1).ok_or_else(malformed)?;
                inside.ends(end.local_name().as_ref(), &mut document);
            }
            Event::Text(words) => inside.says(&words.xml10_content(), &mut document),
            Event::CData(words) => inside.says(&words.xml10_content(), &mut document),
            Event::GeneralRef(reference) => {
                let said = match reference.resolve_char_ref().map_err(|_| malformed())? {
                    Some(character) => character.to_string(),
                    None => {
                        quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())
                            .ok_or_else(malformed)?
                            .to_owned()
                    }
                };
                inside.says(&said, &mut document);
            }
            Event::DocType(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    if depth != 0 {
        return Err(Fault::new(line, "the file ends in the middle"));
    }
    Ok(document)
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok()??;
    let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value.trim().to_owned())
}

impl Inside {
    fn begins(
        &mut self,
        start: &BytesStart<'_>,
        line: u64,
        document: &mut Document,
    ) -> Result<(), Fault> {
        let name = start.local_name();
        let name: &str = name.as_ref();
        let given = |wanted: &str| {
            attribute(start, wanted)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| Fault::new(line, format!("{name} has no {wanted}")))
        };
        match name {
            "ClaML" => document.version = attribute(start, "version"),
            "Title" => {
                document.name = attribute(start, "name");
                document.release = attribute(start, "version");
                self.in_title = true;
            }
            "Class" => {
                self.class = Some(Class {
                    line,
                    code: given("code")?,
                    kind: given("kind")?,
                    ..Class::default()
                });
            }
            "ModifierClass" => {
                self.character = Some(Character {
                    line,
                    code: given("code")?,
                    modifier: given("modifier")?,
                    preferred: None,
                });
            }
            "Rubric" => self.rubric = attribute(start, "kind"),
            "Label" => self.label = Some(String::new()),
            "Reference" => {
                self.references += 1;
                if self.rubric.as_deref() == Some("modifierlink")
                    && let (Some(class), Some(code)) = (&mut self.class, attribute(start, "code"))
                {
                    class.linked.push(code);
                }
            }
            "SuperClass" => {
                let code = given("code")?;
                if let Some(class) = &mut self.class {
                    class.parent.get_or_insert(code);
                }
            }
            "SubClass" => {
                let code = given("code")?;
                if let Some(class) = &mut self.class {
                    class.below.push(code);
                }
            }
            "ModifiedBy" => {
                let code = given("code")?;
                if let Some(class) = &mut self.class {
                    class.modified_by.push(ModifiedBy {
                        name: code,
                        only: Vec::new(),
                    });
                }
            }
            "ValidModifierClass" => {
                let code = given("code")?;
                if let Some(class) = &mut self.class
                    && let Some(modifier) = class.modified_by.last_mut()
                {
                    modifier.only.push(code);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn says(&mut self, words: &str, document: &mut Document) {
        if self.in_title {
            document.title.push_str(words);
        } else if self.references == 0
            && let Some(label) = &mut self.label
        {
            label.push_str(words);
        }
    }

    fn ends(&mut self, name: &str, document: &mut Document) {
        match name {
            "Title" => self.in_title = false,
            "Reference" => self.references = self.references.saturating_sub(1),
            "Label" => {
                let label = self.label.take().unwrap_or_default();
                let label = label.split_whitespace().collect::<Vec<&str>>().join(" ");
                if label.is_empty() {
                    return;
                }
                match (self.rubric.as_deref(), &mut self.class, &mut self.character) {
                    (Some("preferred"), Some(class), _) => {
                        class.preferred.get_or_insert(label);
                    }
                    (Some("preferredLong"), Some(class), _) => {
                        class.preferred_long.get_or_insert(label);
                    }
                    (Some("preferred"), None, Some(character)) => {
                        character.preferred.get_or_insert(label);
                    }
                    _ => {}
                }
            }
            "Rubric" => self.rubric = None,
            "Class" => document.classes.extend(self.class.take()),
            "ModifierClass" => document.characters.extend(self.character.take()),
            _ => {}
        }
    }
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
