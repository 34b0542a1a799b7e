//! The byte state machine behind [`FrameReader`]. Each byte is looked at once, with `memchr`.

use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr2, memchr3};

use super::{Broken, COMMIT_ACK, COMMIT_NAK, CR, FS, FrameEvent, FrameNote, FrameSettings, VT};
use crate::separators;

/// Bytes after a lone `1C` that may still be a checksum or line noise rather than more of the message.
const STRAY_TAIL: usize = 8;

/// Reads frames out of a stream of bytes that comes in pieces of any size.
///
/// ```
/// use std::time::Instant;
/// use adapter_hl7v2::frame::{FrameEvent, FrameReader, FrameSettings};
///
/// let mut reader = FrameReader::new(FrameSettings::default());
/// reader.push(b"\x0bMSH|^~\\&|A\r\x1c");
/// assert_eq!(reader.next(Instant::now()), None);
/// reader.push(b"\r");
/// assert!(matches!(reader.next(Instant::now()), Some(FrameEvent::Message { .. })));
/// ```
#[derive(Debug)]
pub struct FrameReader {
    settings: FrameSettings,
    /// Between frames: what was not looked at yet. Inside: the content so far.
    buf: BytesMut,
    /// Bytes of `buf` already looked at.
    scanned: usize,
    /// Position of `buf[0]` in the stream.
    offset: u64,
    state: State,
    /// Skipped since the last message.
    noise: u64,
    /// A frame just ended: line ends, NUL and a second FS belong to its end and are no noise.
    trailing: bool,
    pushed: bool,
    heard: Option<Instant>,
    eof: bool,
}

#[derive(Debug)]
enum State {
    Between,
    Framed { lone_fs: LoneFs },
    Bare,
    Oversized { seen: u64, head: Option<Bytes> },
}

/// `1C` bytes followed by something that is no end of block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LoneFs {
    None,
    At(usize),
    Many,
}

enum Step {
    Event(FrameEvent),
    Again,
    Wait,
}

impl FrameReader {
    /// A reader at the start of a stream.
    #[must_use]
    pub fn new(settings: FrameSettings) -> Self {
        Self {
            settings,
            buf: BytesMut::new(),
            scanned: 0,
            offset: 0,
            state: State::Between,
            noise: 0,
            trailing: false,
            pushed: false,
            heard: None,
            eof: false,
        }
    }

    /// Takes the bytes of one read. Call [`Self::next`] until it gives `None` before pushing more.
    pub fn push(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.buf.extend_from_slice(bytes);
            self.pushed = true;
        }
    }

    /// The stream has ended: [`Self::next`] now decides what is still open.
    pub fn eof(&mut self) {
        self.eof = true;
    }

    /// The next event, or `None` when more bytes or more time are needed.
    pub fn next(&mut self, now: Instant) -> Option<FrameEvent> {
        if self.pushed {
            self.pushed = false;
            self.heard = Some(now);
        }
        loop {
            let step = match self.state {
                State::Between => self.between(),
                State::Framed { lone_fs } => self.framed(lone_fs, now),
                State::Bare => self.bare(now),
                State::Oversized { .. } => self.oversized(now),
            };
            match step {
                Step::Event(event) => return Some(event),
                Step::Again => {}
                Step::Wait => return None,
            }
        }
    }

    /// When [`Self::next`] has to be called even if no bytes come.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let wait = match self.state {
            State::Between => return None,
            State::Bare => self.settings.bare_quiet,
            State::Framed { lone_fs } if self.may_have_ended(lone_fs) => self.settings.end_grace,
            State::Oversized { .. } if !self.buf.is_empty() => self.settings.end_grace,
            State::Framed { .. } | State::Oversized { .. } => self.settings.idle,
        };
        self.heard.map(|heard| heard + wait)
    }

    /// True while a message is only half here: its sender waits for us to read on.
    #[must_use]
    pub fn in_message(&self) -> bool {
        !matches!(self.state, State::Between)
    }

    /// Bytes skipped since the last message.
    #[must_use]
    pub fn noise(&self) -> u64 {
        self.noise
    }

    /// Where in the stream the event that [`Self::next`] just gave ended.
    pub(super) fn position(&self) -> u64 {
        self.offset
    }

    fn between(&mut self) -> Step {
        if self.trailing {
            let tail = self
                .buf
                .iter()
                .take_while(|b| matches!(**b, CR | b'\n' | 0 | FS))
                .count();
            self.drop_front(tail);
            self.trailing = self.buf.is_empty();
        }
        loop {
            let unseen = self.buf.get(self.scanned..).unwrap_or_default();
            let Some(found) = memchr2(VT, b'M', unseen) else {
                self.skip(self.buf.len());
                // An idle connection keeps no buffer.
                self.buf = BytesMut::new();
                return Step::Wait;
            };
            let at = self.scanned + found;
            let here = self.buf.get(at..).unwrap_or_default();
            if here.first() == Some(&VT) {
                self.skip(at);
                self.start_frame();
                return Step::Again;
            }
            match starts_message(here) {
                Some(true) => {
                    self.skip(at);
                    self.scanned = 4;
                    self.state = State::Bare;
                    return Step::Again;
                }
                None if !self.eof => {
                    self.skip(at);
                    return Step::Wait;
                }
                Some(false) | None => self.scanned = at + 1,
            }
        }
    }

    fn framed(&mut self, lone_fs: LoneFs, now: Instant) -> Step {
        let unseen = self.buf.get(self.scanned..).unwrap_or_default();
        let Some(found) = memchr2(VT, FS, unseen) else {
            self.scanned = self.buf.len();
            if self.buf.len() > self.settings.limit {
                return self.overflow();
            }
            return self.framed_quiet(lone_fs, now);
        };
        let at = self.scanned + found;
        if at > self.settings.limit {
            return self.overflow();
        }
        if self.buf.get(at) == Some(&VT) {
            return self.restarted(lone_fs, at);
        }
        let inside = (lone_fs != LoneFs::None).then_some(FrameNote::FsInside);
        match self.buf.get(at + 1) {
            Some(&CR) => self.end_frame(at, inside),
            Some(&(b'\n' | 0 | VT | FS)) => {
                self.end_frame(at, inside.into_iter().chain([FrameNote::EndWithoutCr]))
            }
            Some(_) => {
                self.scanned = at + 1;
                let lone_fs = match lone_fs {
                    LoneFs::None => LoneFs::At(at),
                    LoneFs::At(_) | LoneFs::Many => LoneFs::Many,
                };
                self.state = State::Framed { lone_fs };
                Step::Again
            }
            None if self.eof || self.quiet(self.settings.end_grace, now) => {
                self.end_frame(at, inside.into_iter().chain([FrameNote::EndWithoutCr]))
            }
            None => {
                self.scanned = at;
                Step::Wait
            }
        }
    }

    /// No end of block in sight: has the frame ended all the same, or been given up?
    fn framed_quiet(&mut self, lone_fs: LoneFs, now: Instant) -> Step {
        if let LoneFs::At(at) = lone_fs
            && self.short_tail(at)
            && (self.eof || self.quiet(self.settings.end_grace, now))
        {
            return self.end_frame(at, [FrameNote::EndWithoutCr]);
        }
        let reason = if self.eof {
            Broken::Eof
        } else if self.quiet(self.settings.idle, now) {
            Broken::Idle
        } else {
            return Step::Wait;
        };
        self.quarantine(self.buf.len(), reason)
    }

    /// A second start of block, at `at`.
    fn restarted(&mut self, lone_fs: LoneFs, at: usize) -> Step {
        if let LoneFs::At(end) = lone_fs {
            // The frame had ended with a lone FS; what follows it up to the VT is noise.
            return self.end_frame(end, [FrameNote::EndWithoutCr]);
        }
        if at == 0 {
            self.skip(1);
            return Step::Again;
        }
        // The VT stays in front for `between`.
        self.quarantine(at, Broken::Restarted)
    }

    fn bare(&mut self, now: Instant) -> Step {
        loop {
            let unseen = self.buf.get(self.scanned..).unwrap_or_default();
            let Some(found) = memchr3(VT, FS, b'M', unseen) else {
                self.scanned = self.buf.len();
                break;
            };
            let at = self.scanned + found;
            if at > self.settings.limit {
                return self.overflow();
            }
            let here = self.buf.get(at..).unwrap_or_default();
            if here.first() != Some(&b'M') {
                return self.end_bare(at);
            }
            let line_start = at > 0 && matches!(self.buf.get(at - 1), Some(&(CR | b'\n')));
            match starts_message(here) {
                Some(true) if line_start => return self.end_bare(at),
                None if line_start && !self.eof => {
                    self.scanned = at;
                    break;
                }
                _ => self.scanned = at + 1,
            }
        }
        if self.scanned > self.settings.limit {
            return self.overflow();
        }
        if self.eof {
            // Without a frame only a finished last line says that the message is whole.
            return if matches!(self.buf.last(), Some(&(CR | b'\n'))) {
                self.end_bare(self.buf.len())
            } else {
                self.quarantine(self.buf.len(), Broken::Eof)
            };
        }
        if self.quiet(self.settings.bare_quiet, now) {
            return self.end_bare(self.buf.len());
        }
        Step::Wait
    }

    fn oversized(&mut self, now: Instant) -> Step {
        loop {
            let Some(at) = memchr2(VT, FS, &self.buf) else {
                self.discard(self.buf.len());
                if let Some(event) = self.refusal(false) {
                    return Step::Event(event);
                }
                if self.eof || self.quiet(self.settings.idle, now) {
                    return self.end_oversized();
                }
                return Step::Wait;
            };
            self.discard(at);
            if self.buf.first() == Some(&VT) {
                return self.end_oversized();
            }
            match self.buf.get(1) {
                Some(&(CR | b'\n' | 0 | VT | FS)) => return self.end_oversized(),
                Some(_) => self.discard(1),
                None if self.eof || self.quiet(self.settings.end_grace, now) => {
                    return self.end_oversized();
                }
                None => return self.refusal(false).map_or(Step::Wait, Step::Event),
            }
        }
    }

    fn start_frame(&mut self) {
        self.drop_front(1);
        self.state = State::Framed {
            lone_fs: LoneFs::None,
        };
    }

    /// The content ends before `end`; the end of block stays in front for `between`, which swallows it.
    fn end_frame(&mut self, end: usize, notes: impl IntoIterator<Item = FrameNote>) -> Step {
        self.state = State::Between;
        let content = self.take(end);
        self.trailing = true;
        match content.as_ref() {
            [COMMIT_ACK] => return Step::Event(FrameEvent::Commit(true)),
            [COMMIT_NAK] => return Step::Event(FrameEvent::Commit(false)),
            other if other.iter().all(|b| matches!(*b, CR | b'\n')) => {
                return Step::Event(FrameEvent::KeepAlive);
            }
            _ => {}
        }
        let no_cr = !matches!(content.last(), Some(&(CR | b'\n')));
        Step::Event(FrameEvent::Message {
            bytes: content,
            noise_before: std::mem::take(&mut self.noise),
            notes: notes
                .into_iter()
                .chain(no_cr.then_some(FrameNote::NoFinalCr))
                .collect(),
        })
    }

    fn end_bare(&mut self, end: usize) -> Step {
        if self.settings.bare {
            self.end_frame(end, [FrameNote::Bare])
        } else {
            self.quarantine(end, Broken::Unframed)
        }
    }

    fn quarantine(&mut self, end: usize, reason: Broken) -> Step {
        self.state = State::Between;
        let offset = self.offset;
        let bytes = self.take(end);
        self.trailing = reason == Broken::Unframed;
        if bytes.is_empty() {
            // A start of block and nothing else.
            self.noise += 1;
            return Step::Again;
        }
        Step::Event(FrameEvent::Quarantined {
            bytes,
            reason,
            offset,
        })
    }

    fn overflow(&mut self) -> Step {
        let head = self.take(self.settings.limit);
        self.state = State::Oversized {
            seen: head.len() as u64,
            head: Some(head),
        };
        Step::Again
    }

    /// The refusal, once: at the end of the frame or when more than `discard` bytes have come.
    fn refusal(&mut self, ended: bool) -> Option<FrameEvent> {
        let most = self.settings.discard.max(self.settings.limit as u64);
        let State::Oversized { seen, head } = &mut self.state else {
            return None;
        };
        if !ended && *seen <= most {
            return None;
        }
        let seen = (*seen).min(most);
        head.take().map(|head| FrameEvent::Oversize { head, seen })
    }

    fn end_oversized(&mut self) -> Step {
        let event = self.refusal(true);
        self.state = State::Between;
        self.trailing = true;
        event.map_or(Step::Again, Step::Event)
    }

    fn discard(&mut self, count: usize) {
        if let State::Oversized { seen, .. } = &mut self.state {
            *seen = seen.saturating_add(count as u64);
        }
        self.drop_front(count);
    }

    fn take(&mut self, count: usize) -> Bytes {
        let count = count.min(self.buf.len());
        self.offset += count as u64;
        self.scanned = 0;
        self.buf.split_to(count).freeze()
    }

    fn skip(&mut self, count: usize) {
        self.noise += count as u64;
        self.drop_front(count);
    }

    fn drop_front(&mut self, count: usize) {
        let count = count.min(self.buf.len());
        self.offset += count as u64;
        self.scanned = 0;
        self.buf.advance(count);
    }

    fn quiet(&self, wait: Duration, now: Instant) -> bool {
        self.heard
            .is_some_and(|heard| now.saturating_duration_since(heard) >= wait)
    }

    /// Only time can tell whether this frame has ended.
    fn may_have_ended(&self, lone_fs: LoneFs) -> bool {
        self.buf.get(self.scanned) == Some(&FS)
            || matches!(lone_fs, LoneFs::At(at) if self.short_tail(at))
    }

    fn short_tail(&self, fs: usize) -> bool {
        self.buf.len().saturating_sub(fs) <= STRAY_TAIL
    }
}

/// Whether `MSH` and a delimiter stand here; `None` when more bytes are needed to tell.
fn starts_message(bytes: &[u8]) -> Option<bool> {
    let known = bytes.get(..3).unwrap_or(bytes);
    if !b"MSH".starts_with(known) {
        return Some(false);
    }
    bytes.get(3).map(|&b| separators::usable(b))
}
