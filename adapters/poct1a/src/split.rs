//! Cuts documents out of a stream: there is no length prefix, so a document ends with the end tag of its root.
//!
//! A byte machine with a bound on everything it keeps; how the bytes are cut into reads never matters. It looks for tags
//! only as far as it must: end tags in comments, CDATA sections and attribute values end nothing, and what is no XML is still
//! delimited, so that the next document is found. It never reads a value and never expands anything.

use bytes::Bytes;

/// Bytes of what stands between documents that are kept; more is counted only.
const MOST_JUNK: usize = 4096;
const BOM: &[u8] = b"\xEF\xBB\xBF";
/// MLLP's start of block: some devices wrap each document (PixCell HemoScreen).
const START_BLOCK: u8 = 0x0B;

/// What was found in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    Document(Cut),
    /// It ended before its root did: a new document began, or the line was lost.
    Broken(Bytes),
    /// Larger than it may be; its first part. Nothing more is read of this stream.
    TooLong(Bytes),
    /// What is no part of a document and no white space; its first part.
    Junk(Bytes),
}

/// One document, byte for byte from `<` (or a byte order mark) to the `>` of its root's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub bytes: Bytes,
    /// MLLP's start of block stood before it.
    pub wrapped: bool,
    /// What is already known to be wrong with it.
    pub fault: Option<Fault>,
}

/// Why a delimited document can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A document type declaration: entities are never declared, fetched or expanded.
    Dtd,
    /// Elements in elements in elements …
    TooDeep,
    /// Not well-formed.
    Malformed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between documents.
    Between,
    /// In a document, outside of markup.
    Text,
    /// After `<`.
    Markup,
    /// After `<!`.
    Bang,
    Open {
        quote: Option<u8>,
    },
    Close,
    Instruction,
    Comment,
    Cdata,
    /// Document type declaration, or another `<!…>`.
    Declaration {
        quote: Option<u8>,
        brackets: u32,
    },
    /// After a document that was too long.
    Over,
}

/// The machine.
#[derive(Debug)]
pub struct Splitter {
    limit: usize,
    deepest: usize,
    state: State,
    /// The document so far.
    held: Vec<u8>,
    /// Where the markup that is being read begins in `held`.
    markup: usize,
    /// Name of the root, once it is open.
    root: Vec<u8>,
    /// Open elements of the root's name.
    same_name: usize,
    depth: usize,
    fault: Option<Fault>,
    wrapped: bool,
    junk: Vec<u8>,
    last: u8,
}

impl Splitter {
    /// `limit`: largest document in bytes; `deepest`: most elements in each other.
    #[must_use]
    pub fn new(limit: usize, deepest: usize) -> Self {
        Self {
            limit,
            deepest,
            state: State::Between,
            held: Vec::new(),
            markup: 0,
            root: Vec::new(),
            same_name: 0,
            depth: 0,
            fault: None,
            wrapped: false,
            junk: Vec::new(),
            last: 0,
        }
    }

    /// Reads bytes; what they complete goes to `found`, in order.
    pub fn push(&mut self, bytes: &[u8], found: &mut Vec<Piece>) {
        for byte in bytes {
            self.byte(*byte, found);
            self.last = *byte;
        }
    }

    /// Whether a document, or something that may become one, has begun and not ended.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        !matches!(self.state, State::Between | State::Over) || !self.junk.is_empty()
    }

    /// The stream ends, or what is incomplete is given up.
    pub fn end(&mut self, found: &mut Vec<Piece>) {
        // comments and instructions alone are no document: nothing is lost with them
        if self.root.is_empty() && self.fault.is_none() && self.state == State::Text {
            self.forget();
        }
        self.flush_junk(found);
        if !self.held.is_empty() {
            let bytes = Bytes::from(std::mem::take(&mut self.held));
            found.push(Piece::Broken(bytes));
        }
        self.forget();
    }

    fn byte(&mut self, byte: u8, found: &mut Vec<Piece>) {
        match self.state {
            State::Over => return,
            State::Between => return self.between(byte),
            _ => {}
        }
        if self.held.len() >= self.limit {
            self.flush_junk(found);
            let bytes = Bytes::from(std::mem::take(&mut self.held));
            found.push(Piece::TooLong(bytes));
            self.forget();
            self.state = State::Over;
            return;
        }
        self.held.push(byte);
        match self.state {
            State::Text => self.text(byte),
            State::Markup => self.kind_of_markup(byte, found),
            State::Bang => self.kind_of_bang(),
            State::Open { quote } => self.open(byte, quote, found),
            State::Close => match byte {
                b'>' => self.closed(found),
                b'<' => self.broken_tag(),
                _ => {}
            },
            State::Instruction => {
                if self.ends(b"?>", 2) {
                    self.state = State::Text;
                    self.after_instruction(found);
                }
            }
            State::Comment => {
                if self.ends(b"-->", 4) {
                    self.state = State::Text;
                }
            }
            State::Cdata => {
                if self.ends(b"]]>", 9) {
                    self.state = State::Text;
                }
            }
            State::Declaration { quote, brackets } => self.declaration(byte, quote, brackets),
            State::Between | State::Over => {}
        }
    }

    fn between(&mut self, byte: u8) {
        if byte == b'<' {
            let marked = self.junk.ends_with(BOM);
            if marked {
                self.junk.truncate(self.junk.len() - BOM.len());
                self.held.extend_from_slice(BOM);
            }
            self.wrapped = self.last == START_BLOCK;
            self.held.push(byte);
            self.markup = self.held.len() - 1;
            self.state = State::Markup;
            return;
        }
        if self.junk.is_empty() && is_filler(byte) {
            return;
        }
        if self.junk.len() < MOST_JUNK {
            self.junk.push(byte);
        }
    }

    /// What is no white space is handed over when a document begins or nothing more comes.
    fn flush_junk(&mut self, found: &mut Vec<Piece>) {
        let junk = std::mem::take(&mut self.junk);
        let mut rest = junk.as_slice();
        while let Some(after) = rest.strip_prefix(BOM) {
            rest = after;
        }
        if !rest.iter().copied().all(is_filler) {
            found.push(Piece::Junk(Bytes::from(junk)));
        }
    }

    fn text(&mut self, byte: u8) {
        if byte == b'<' {
            self.begin_markup();
        } else if self.root.is_empty() && !is_filler(byte) {
            self.fault = self.fault.or(Some(Fault::Malformed));
        }
    }

    fn begin_markup(&mut self) {
        self.markup = self.held.len() - 1;
        self.state = State::Markup;
    }

    /// A tag that another one interrupts.
    fn broken_tag(&mut self) {
        self.fault = self.fault.or(Some(Fault::Malformed));
        self.begin_markup();
    }

    fn kind_of_markup(&mut self, byte: u8, found: &mut Vec<Piece>) {
        let begins_name = byte.is_ascii_alphabetic() || matches!(byte, b'_' | b':' | 0x80..);
        self.state = match byte {
            b'?' => State::Instruction,
            b'!' => State::Bang,
            b'/' if !self.root.is_empty() => State::Close,
            _ if begins_name => {
                if self.root.is_empty() {
                    self.flush_junk(found);
                }
                State::Open { quote: None }
            }
            // no document has begun: what looked like one belongs to the junk
            _ if self.root.is_empty() => {
                let room = MOST_JUNK.saturating_sub(self.junk.len());
                let held = std::mem::take(&mut self.held);
                self.junk.extend(held.into_iter().take(room));
                self.fault = None;
                State::Between
            }
            b'<' => return self.broken_tag(),
            _ => {
                self.fault = self.fault.or(Some(Fault::Malformed));
                State::Text
            }
        };
    }

    fn kind_of_bang(&mut self) {
        let markup = &self.held[self.markup..];
        let is = |what: &[u8]| what.starts_with(markup);
        if markup == b"<!--" {
            self.state = State::Comment;
        } else if markup == b"<![CDATA[" {
            if self.root.is_empty() {
                self.fault = self.fault.or(Some(Fault::Malformed));
            }
            self.state = State::Cdata;
        } else if !is(b"<!--") && !is(b"<![CDATA[") {
            // a document type, or a declaration that belongs into one
            self.fault = Some(Fault::Dtd);
            let byte = self.held.last().copied().unwrap_or_default();
            self.declaration(byte, None, 0);
        }
    }

    fn declaration(&mut self, byte: u8, quote: Option<u8>, brackets: u32) {
        self.state = match (quote, byte) {
            (Some(open), _) if open == byte => State::Declaration {
                quote: None,
                brackets,
            },
            (Some(_), _) => State::Declaration { quote, brackets },
            (None, b'"' | b'\'') => State::Declaration {
                quote: Some(byte),
                brackets,
            },
            (None, b'[') => State::Declaration {
                quote,
                brackets: brackets.saturating_add(1),
            },
            (None, b']') => State::Declaration {
                quote,
                brackets: brackets.saturating_sub(1),
            },
            (None, b'>') if brackets == 0 => State::Text,
            (None, _) => State::Declaration { quote, brackets },
        };
    }

    fn open(&mut self, byte: u8, quote: Option<u8>, found: &mut Vec<Piece>) {
        match (quote, byte) {
            // never legal in a tag, quoted or not: the quote before it was not closed
            (_, b'<') => self.broken_tag(),
            (Some(mark), _) if mark == byte => self.state = State::Open { quote: None },
            (Some(_), _) => {}
            (None, b'"' | b'\'') => self.state = State::Open { quote: Some(byte) },
            (None, b'>') => self.opened(found),
            (None, _) => {}
        }
    }

    /// A start tag or an empty element is complete.
    fn opened(&mut self, found: &mut Vec<Piece>) {
        self.state = State::Text;
        let tag = &self.held[self.markup..];
        let empty = tag.ends_with(b"/>");
        let name: Vec<u8> = tag[1..]
            .iter()
            .copied()
            .take_while(|b| !b.is_ascii_whitespace() && !matches!(b, b'/' | b'>'))
            .collect();
        if !self.root.is_empty() && is_message(&name) {
            self.restart(found);
        }
        if self.root.is_empty() {
            self.root.clone_from(&name);
        }
        if empty {
            if self.depth == 0 {
                self.finish(found);
            }
            return;
        }
        self.depth += 1;
        if self.depth > self.deepest {
            self.fault = self.fault.or(Some(Fault::TooDeep));
        }
        if name == self.root {
            self.same_name += 1;
        }
    }

    /// An end tag is complete.
    fn closed(&mut self, found: &mut Vec<Piece>) {
        self.state = State::Text;
        let tag = &self.held[self.markup + 2..self.held.len() - 1];
        self.depth = self.depth.saturating_sub(1);
        if tag.trim_ascii() == self.root {
            self.same_name = self.same_name.saturating_sub(1);
            if self.same_name == 0 {
                self.finish(found);
            }
        }
    }

    /// An XML declaration begins a document, wherever it stands.
    fn after_instruction(&mut self, found: &mut Vec<Piece>) {
        let text = &self.held[self.markup..];
        let declares =
            text.starts_with(b"<?xml") && text.get(5).is_some_and(u8::is_ascii_whitespace);
        if !declares {
            return;
        }
        if !self.root.is_empty() || self.fault.is_some() {
            self.restart(found);
        } else if self.held[..self.markup] != *BOM {
            // comments and instructions after the document before
            self.flush_junk(found);
            self.held.drain(..self.markup);
            self.markup = 0;
        }
    }

    /// What is held up to the current markup is broken off; the markup begins a document.
    fn restart(&mut self, found: &mut Vec<Piece>) {
        let rest = self.held.split_off(self.markup);
        let bytes = Bytes::from(std::mem::replace(&mut self.held, rest));
        self.flush_junk(found);
        found.push(Piece::Broken(bytes));
        self.markup = 0;
        self.root.clear();
        self.same_name = 0;
        self.depth = 0;
        self.fault = None;
        self.wrapped = false;
    }

    fn finish(&mut self, found: &mut Vec<Piece>) {
        self.flush_junk(found);
        found.push(Piece::Document(Cut {
            bytes: Bytes::from(std::mem::take(&mut self.held)),
            wrapped: self.wrapped,
            fault: self.fault,
        }));
        self.forget();
    }

    fn forget(&mut self) {
        self.held.clear();
        self.root.clear();
        self.markup = 0;
        self.same_name = 0;
        self.depth = 0;
        self.fault = None;
        self.wrapped = false;
        self.state = State::Between;
    }

    /// Whether the markup, which is at least `least` bytes long before it, ends so: `<!-->` is no comment.
    fn ends(&self, with: &[u8], least: usize) -> bool {
        self.held.len() >= self.markup + least + with.len() && self.held.ends_with(with)
    }
}

/// White space, and the control characters that lines put around documents.
fn is_filler(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte.is_ascii_control()
}

/// `OBS.R01`, `NOVA.PHYS.R02`: names of messages, which never stand inside of one.
fn is_message(name: &[u8]) -> bool {
    let Some((kind, number)) = name
        .iter()
        .rposition(|b| *b == b'.')
        .map(|at| (&name[..at], &name[at + 1..]))
    else {
        return false;
    };
    let local = kind.rsplit(|b| *b == b':').next().unwrap_or_default();
    !local.is_empty()
        && local
            .iter()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_'))
        && matches!(number, [b'R', tens, ones] if tens.is_ascii_digit() && ones.is_ascii_digit())
}
