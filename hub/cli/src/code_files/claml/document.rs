//! The XML of a ClaML document, read into its classes and the characters of its modifiers. What they mean is not decided here; nothing
//! is fetched, and no entity but the five of XML is known.

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::Fault;

/// A `Class` of the document.
#[derive(Debug, Default)]
pub(super) struct Class {
    pub(super) line: u64,
    pub(super) code: String,
    pub(super) kind: String,
    pub(super) parent: Option<String>,
    pub(super) below: Vec<String>,
    pub(super) modified_by: Vec<ModifiedBy>,
    /// Modifiers that its text leads to. One category of the WHO's file has only this.
    pub(super) linked: Vec<String>,
    pub(super) preferred: Option<String>,
    /// The same with the words of the category before it.
    pub(super) preferred_long: Option<String>,
}

/// A modifier, as a class names it.
#[derive(Debug, Default)]
pub(super) struct ModifiedBy {
    pub(super) name: String,
    /// Only these of its characters; none: all of them.
    pub(super) only: Vec<String>,
}

/// A `ModifierClass`: what a character means in a modifier.
#[derive(Debug, Default)]
pub(super) struct Character {
    pub(super) line: u64,
    pub(super) modifier: String,
    /// `.0`, or `0` where the point stands before it.
    pub(super) code: String,
    pub(super) preferred: Option<String>,
}

/// What a document has.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) version: Option<String>,
    pub(super) title: String,
    pub(super) name: Option<String>,
    pub(super) release: Option<String>,
    pub(super) classes: Vec<Class>,
    pub(super) characters: Vec<Character>,
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

/// Reads it to its end.
///
/// # Errors
/// It is not well-formed, or a class has no code.
pub(super) fn document(text: &str) -> Result<Document, Fault> {
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
