//! One document: bytes to a tree of elements, with a memory of which were read.
//!
//! Entities are never declared, fetched or expanded (the five of XML and character references aside); depth and number of
//! elements have a limit. A value stands in the attribute `V`; a few vendors put it into the text of the element. What no
//! database stores (NUL) becomes U+FFFD.

use std::borrow::Cow;
use std::cell::Cell;

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// Most elements in each other; a POCT1-A message needs seven.
pub const DEEPEST: usize = 32;
/// Most elements of one document: more than fit into a device's own limit on messages.
const MOST_ELEMENTS: usize = 50_000;

/// Why a document can't be read. Positions are bytes of its decoded text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("it declares a document type; entities are never expanded")]
    Dtd,
    #[error("more than {DEEPEST} elements stand in each other")]
    TooDeep,
    #[error("it has more than {MOST_ELEMENTS} elements")]
    TooMany,
    #[error("it is not well-formed XML (near byte {0})")]
    Malformed(u64),
}

/// A document, read.
#[derive(Debug)]
pub struct Document {
    pub root: Element,
    /// Neither UTF-8 nor what was declared or configured: read as windows-1252.
    pub guessed: bool,
}

/// An element of a document.
#[derive(Debug, Default)]
pub struct Element {
    /// Without its namespace prefix.
    pub name: String,
    pub children: Vec<Element>,
    attributes: Vec<(String, String)>,
    text: String,
    read: Cell<bool>,
}

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(bytes: &[u8], charset: Option<&'static Encoding>) -> Result<Self, Unreadable> {
        let (text, guessed) = decode(bytes, charset);
        Ok(Self {
            root: tree(&text)?,
            guessed,
        })
    }

    /// `HEL.R01`, `OBS.R02` …
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.root.name
    }

    /// HDR.control_id.
    #[must_use]
    pub fn control_id(&self) -> Option<String> {
        self.root.at(&["HDR", "HDR.control_id"])?.value()
    }
}

/// By the configured set, else the declared one, else UTF-8, else windows-1252, of which every byte is a character.
fn decode<'b>(bytes: &'b [u8], configured: Option<&'static Encoding>) -> (Cow<'b, str>, bool) {
    let by = |encoding: &'static Encoding| {
        encoding.decode_without_bom_handling_and_without_replacement(bytes)
    };
    let bytes_without_mark = bytes.strip_prefix(b"\xEF\xBB\xBF");
    if let Some(rest) = bytes_without_mark
        && let Ok(text) = std::str::from_utf8(rest)
    {
        return (Cow::Borrowed(text), false);
    }
    let wanted = configured.or_else(|| declared(bytes));
    if let Some(text) = wanted.and_then(by) {
        return (text, false);
    }
    match by(UTF_8) {
        Some(text) => (text, wanted.is_some()),
        None => (WINDOWS_1252.decode_without_bom_handling(bytes).0, true),
    }
}

/// `encoding` of the XML declaration.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = &bytes[..bytes.len().min(200)];
    let end = head.windows(2).position(|pair| pair == b"?>")?;
    let text = std::str::from_utf8(&head[..end]).ok()?;
    let after = text.strip_prefix("<?xml")?.split_once("encoding")?.1;
    let quoted = after.trim_start().strip_prefix('=')?.trim_start();
    let mark = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let label = quoted[1..].split(mark).next()?;
    // UTF-16 bytes do not reach this: the splitter finds no document in them
    Encoding::for_label(label.as_bytes()).filter(|encoding| encoding.is_ascii_compatible())
}

fn tree(text: &str) -> Result<Element, Unreadable> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().enable_all_checks(true);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut count = 0_usize;
    loop {
        let position = reader.buffer_position();
        let malformed = || Unreadable::Malformed(position);
        let event = reader.read_event().map_err(|_| malformed())?;
        let mut one_more = |deep: usize| {
            count += 1;
            match () {
                () if root.is_some() && deep == 0 => Err(malformed()),
                () if deep >= DEEPEST => Err(Unreadable::TooDeep),
                () if count > MOST_ELEMENTS => Err(Unreadable::TooMany),
                () => Ok(()),
            }
        };
        match event {
            Event::Start(start) => {
                one_more(open.len())?;
                open.push(element(&start).ok_or_else(malformed)?);
            }
            Event::Empty(start) => {
                one_more(open.len())?;
                let one = element(&start).ok_or_else(malformed)?;
                close(one, &mut open, &mut root);
            }
            Event::End(_) => {
                let one = open.pop().ok_or_else(malformed)?;
                close(one, &mut open, &mut root);
            }
            Event::Text(text) => add(&mut open, &text.xml10_content()).ok_or_else(malformed)?,
            Event::CData(text) => {
                let inside = open.last_mut().ok_or_else(malformed)?;
                inside.text.push_str(&clean(&text.xml10_content()));
            }
            Event::GeneralRef(reference) => {
                let said = match reference.resolve_char_ref().map_err(|_| malformed())? {
                    Some(character) => character.to_string(),
                    None => {
                        quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())
                            .ok_or_else(malformed)?
                            .to_owned()
                    }
                };
                open.last_mut()
                    .ok_or_else(malformed)?
                    .text
                    .push_str(&clean(&said));
            }
            Event::DocType(_) => return Err(Unreadable::Dtd),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    match (root, open.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err(Unreadable::Malformed(reader.buffer_position())),
    }
}

fn close(one: Element, open: &mut [Element], root: &mut Option<Element>) {
    match open.last_mut() {
        Some(parent) => parent.children.push(one),
        None => *root = Some(one),
    }
}

/// Text outside of the root may be white space and what lines put around documents.
fn add(open: &mut [Element], text: &str) -> Option<()> {
    match open.last_mut() {
        Some(inside) => inside.text.push_str(&clean(text)),
        None if text.chars().all(|c| c.is_whitespace() || c.is_control()) => {}
        None => return None,
    }
    Some(())
}

fn element(start: &BytesStart<'_>) -> Option<Element> {
    let mut one = Element {
        name: start.local_name().as_ref().to_owned(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
        one.attributes.push((
            attribute.key.as_ref().to_owned(),
            clean(&value).into_owned(),
        ));
    }
    Some(one)
}

fn clean(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        return Cow::Owned(text.replace('\0', "\u{FFFD}"));
    }
    Cow::Borrowed(text)
}

impl Element {
    /// The first child of a name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|one| one.name == name)
    }

    /// All children of a name.
    pub fn named<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Self> {
        self.children.iter().filter(move |one| one.name == name)
    }

    /// The element at the end of a path of first children.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |one, name| one.child(name))
    }

    /// All elements of a name, however deep, this one included.
    #[must_use]
    pub fn find<'e>(&'e self, name: &str) -> Option<&'e Self> {
        if self.name == name {
            return Some(self);
        }
        self.children.iter().find_map(|one| one.find(name))
    }

    /// Attribute `V`, else the text; trimmed, none when it says nothing. Marks the element as read.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        self.read.set(true);
        let said = self.attribute("V").unwrap_or_default().trim();
        let said = if said.is_empty() {
            self.text.trim()
        } else {
            said
        };
        (!said.is_empty()).then(|| said.to_owned())
    }

    /// The value of a child.
    #[must_use]
    pub fn said(&self, name: &str) -> Option<String> {
        self.child(name)?.value()
    }

    /// An attribute as sent: `U` unit, `SN` code system, `DN` display name, `NULL` flavour.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// An attribute, trimmed, none when it says nothing.
    #[must_use]
    pub fn mark(&self, name: &str) -> Option<String> {
        let said = self.attribute(name)?.trim();
        (!said.is_empty()).then(|| said.to_owned())
    }

    /// The text beside the attribute `V`.
    #[must_use]
    pub fn beside(&self) -> Option<&str> {
        let text = self.text.trim();
        (self.attribute("V").is_some() && !text.is_empty()).then_some(text)
    }

    /// It counts as read, whatever it holds.
    pub fn pass(&self) {
        self.read.set(true);
    }

    /// It and all in it count as read.
    pub fn pass_all(&self) {
        self.read.set(true);
        for one in &self.children {
            one.pass_all();
        }
    }

    /// Elements that say something and that nobody read.
    pub fn unread(&self, found: &mut impl FnMut(&str)) {
        let speaks = self.attribute("V").is_some_and(|v| !v.trim().is_empty())
            || !self.text.trim().is_empty();
        if speaks && !self.read.get() {
            found(&self.name);
        }
        for one in &self.children {
            one.unread(found);
        }
    }
}
