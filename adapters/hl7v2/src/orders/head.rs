//! MSH of what we say, and the text around it: delimiters, names and character set of the peer where it has spoken.

use bytes::Bytes;
use time::OffsetDateTime;

use crate::settings::{Hl7v2Settings, OrderSettings};
use crate::{Charset, Header, Separators, charset, dtm, escape};

/// Who speaks to whom, and how.
pub(super) struct Head {
    pub(super) separators: Separators,
    /// MSH-3 to MSH-6, escaped.
    parties: [String; 4],
    processing: String,
    version: String,
    /// MSH-18, as the peer wrote it.
    charset_names: String,
    charset: Charset,
    /// MSH-10 of the query, as it stands.
    pub(super) asked_as: String,
    /// MSH-16 of the query, for Mindray's kind of result.
    result_kind: String,
}

/// What MSH says beyond names and times.
#[derive(Default)]
pub(super) struct Kind<'k> {
    /// MSH-9, components joined by `^`.
    pub(super) message: &'k str,
    pub(super) control_id: &'k str,
    /// MSH-15 and MSH-16.
    pub(super) acknowledge: [&'k str; 2],
    /// MSH-21.1 and MSH-21.2.
    pub(super) profile: Option<[&'k str; 2]>,
    /// MSH-7 without zone: v2.3.1 devices.
    pub(super) local_time: bool,
}

impl Head {
    /// In answer to a message with this header segment (decoded).
    pub(super) fn answering(settings: &Hl7v2Settings, header: &str) -> Self {
        let Ok(msh) = Header::read(header.as_bytes()) else {
            return Self::unasked(
                settings,
                &OrderSettings::of(crate::settings::OrderDialect::Law),
            );
        };
        let field = |n: usize| harmless(&String::from_utf8_lossy(msh.field(n)));
        Self {
            separators: msh.separators(),
            parties: [field(5), field(6), field(3), field(4)],
            processing: or(field(11), "P"),
            version: or(field(12), "2.5.1"),
            charset_names: field(18),
            charset: settings
                .charset()
                .or_else(|| charset::declared(&msh))
                .unwrap_or(Charset::UTF_8),
            asked_as: field(10),
            result_kind: field(16),
        }
    }

    /// Nobody asked.
    pub(super) fn unasked(settings: &Hl7v2Settings, orders: &OrderSettings) -> Self {
        let separators = Separators::STANDARD;
        let name = |text: &String| escape::escape(text, &separators).into_owned();
        let charset = settings.charset().unwrap_or(Charset::UTF_8);
        Self {
            separators,
            parties: [
                name(&orders.sender[0]),
                name(&orders.sender[1]),
                name(&orders.receiver[0]),
                name(&orders.receiver[1]),
            ],
            processing: "P".to_owned(),
            version: "2.5.1".to_owned(),
            charset_names: if charset == Charset::UTF_8 {
                "UNICODE UTF-8".to_owned()
            } else {
                settings.translate.charset.clone().unwrap_or_default()
            },
            charset,
            asked_as: String::new(),
            result_kind: String::new(),
        }
    }

    /// Begins a message.
    pub(super) fn begin(&self, kind: &Kind<'_>, now: OffsetDateTime) -> Lines<'_> {
        let separators = &self.separators;
        let join = |text: &str| text.replace('^', &char::from(separators.component).to_string());
        let time = dtm::format(now);
        let time = if kind.local_time {
            time.get(..14).unwrap_or(&time).to_owned()
        } else {
            time
        };
        let profile = kind
            .profile
            .map_or_else(String::new, |[one, two]| join(&format!("{one}^{two}")));
        let result_kind = if kind.acknowledge[1].is_empty()
            && self.result_kind.len() == 1
            && self.result_kind.bytes().all(|b| b.is_ascii_digit())
        {
            self.result_kind.as_str()
        } else {
            kind.acknowledge[1]
        };
        let message = join(kind.message);
        let encoding = separators.encoding_characters();
        let [from, from_place, to, to_place] = &self.parties;
        let mut lines = Lines {
            head: self,
            text: String::with_capacity(512),
        };
        lines.line(
            "MSH",
            &[
                &encoding,
                from,
                from_place,
                to,
                to_place,
                &time,
                "",
                &message,
                kind.control_id,
                &self.processing,
                &self.version,
                "",
                "",
                kind.acknowledge[0],
                result_kind,
                "",
                &self.charset_names,
                "",
                "",
                &profile,
            ],
        );
        // trailing empty fields of MSH say nothing
        while lines.text.ends_with(char::from(separators.field)) {
            lines.text.pop();
        }
        lines.end();
        lines
    }
}

/// What was taken from a message, without the characters that would end a block or a segment of ours.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, '\u{b}' | '\u{1c}' | '\r' | '\n'))
        .collect()
}

fn or(text: String, otherwise: &str) -> String {
    if text.trim().is_empty() {
        otherwise.to_owned()
    } else {
        text
    }
}

/// A message being written. Fields are given as they are to stand: [`Lines::plain`] escapes, [`Lines::parts`] joins.
/// Empty fields at the end are kept where they are given: Mindray's devices count them.
pub(super) struct Lines<'h> {
    head: &'h Head,
    text: String,
}

impl Lines<'_> {
    fn line(&mut self, id: &str, fields: &[&str]) {
        self.text.push_str(id);
        for field in fields {
            self.text.push(char::from(self.head.separators.field));
            self.text.push_str(field);
        }
    }

    fn end(&mut self) {
        self.text.push('\r');
    }

    /// Adds a segment.
    pub(super) fn segment(&mut self, id: &str, fields: &[&str]) {
        self.line(id, fields);
        self.end();
    }

    /// Adds a segment that is written already, with the same delimiters.
    pub(super) fn raw(&mut self, segment: &str) {
        let segment = harmless(segment);
        self.text.push_str(&segment);
        self.end();
    }

    /// A plain value.
    pub(super) fn plain(&self, text: &str) -> String {
        escape::escape(text, &self.head.separators).into_owned()
    }

    /// Components of plain values; empty ones at the end are left out.
    pub(super) fn parts(&self, parts: &[&str]) -> String {
        let mut joined = String::new();
        for (n, part) in parts.iter().enumerate() {
            if n > 0 {
                joined.push(char::from(self.head.separators.component));
            }
            escape::escape_into(part, &self.head.separators, &mut joined);
        }
        let kept = joined
            .trim_end_matches(char::from(self.head.separators.component))
            .len();
        joined.truncate(kept);
        joined
    }

    /// The message in the peer's character set; what it has no character for becomes `?`.
    pub(super) fn finish(self) -> Bytes {
        let encoded = charset::encode(&self.text, self.head.charset)
            .0
            .into_owned();
        encoded.into()
    }
}
