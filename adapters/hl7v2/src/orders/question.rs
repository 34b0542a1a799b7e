//! Which specimens an instrument asks about.

use crate::message::{Hl7Parser, Limits, Message, Path, Segment};
use crate::settings::{Hl7v2Settings, OrderDialect, OrderMode};
use crate::{Header, charset};

/// A longer number is on no tube.
const LONGEST: usize = 80;
/// A query with more names no rack.
const MOST: usize = 1_000;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// What is to be done on these specimens.
    Specimens,
    /// Everything pending.
    All,
    /// That a query is forgotten.
    Withdraw,
    /// Something that is not offered; the words say what.
    Other(&'static str),
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub asks: Asks,
    /// Numbers on the tubes, each once.
    pub specimens: Vec<String>,
    /// QPD-2 or QID-1: by which answers and withdrawals name the query.
    pub tag: String,
    /// The decoded header segment, from which the answer takes names, version and delimiters.
    pub(super) header: String,
    /// Segments that the answer repeats as they are (QPD; QRD and QRF).
    pub(super) echo: Vec<String>,
}

/// The query in a message; none when it has none, or when this channel answers none.
#[must_use]
pub fn of_message(settings: &Hl7v2Settings, bytes: &[u8]) -> Option<Question> {
    let orders = settings
        .orders
        .as_ref()
        .filter(|orders| orders.mode != OrderMode::Off)?;
    // a look at MSH-9 before anything costs more
    if let Ok(header) = Header::read(bytes) {
        let wanted: &[&[u8]] = match orders.dialect {
            OrderDialect::Law => &[b"QBP", b"QCN"],
            OrderDialect::MindrayChemistry => &[b"QRY"],
            OrderDialect::MindrayHaematology => &[b"ORM"],
        };
        if !wanted.contains(&header.code().trim_ascii()) {
            return None;
        }
    }
    let decoded = charset::decode(bytes, settings.charset());
    let message =
        Message::parse_with(decoded.text.as_ref(), &Limits::default(), &Hl7Parser).ok()?;
    let msh = message.segments().next()?;
    let kind = msh.field(9);
    let (code, trigger) = (
        kind.component(1).raw().trim(),
        kind.component(2).raw().trim(),
    );
    let mut question = Question {
        asks: Asks::Specimens,
        specimens: specimens(&message, &orders.specimen_paths()),
        tag: String::new(),
        header: msh.raw().to_owned(),
        echo: Vec::new(),
    };
    match (orders.dialect, code, trigger) {
        (OrderDialect::Law, "QBP", "Q11") => law(&message, &mut question),
        (OrderDialect::Law, "QCN", _) => {
            question.asks = Asks::Withdraw;
            question.tag = text(message.segment("QID"), 1);
        }
        (OrderDialect::MindrayChemistry, "QRY", "Q02") => {
            chemistry(&message, &orders.specimen_paths(), &mut question);
        }
        (OrderDialect::MindrayHaematology, "ORM", _) => {
            if !asks_for_work(&message) {
                return None;
            }
            if question.specimens.is_empty() {
                question.asks = Asks::Other("no number of a tube in the query");
            }
        }
        (OrderDialect::Law, "QBP", _) => {
            question.asks = Asks::Other("a query that is none of IHE LAW");
            question.echo = echo(&message, &["QPD"]);
            question.tag = text(message.segment("QPD"), 2);
        }
        _ => return None,
    }
    Some(question)
}

/// LAB-27: QPD-1 is WOS or WOS_ALL.
fn law(message: &Message, question: &mut Question) {
    let qpd = message.segment("QPD");
    question.tag = text(qpd, 2);
    question.echo = echo(message, &["QPD"]);
    let name = qpd
        .map(|s| s.field(1).component(1).raw().trim().to_ascii_uppercase())
        .unwrap_or_default();
    question.asks = match (name.as_str(), question.specimens.is_empty()) {
        ("WOS_ALL", _) => Asks::All,
        ("WOS", false) => Asks::Specimens,
        // by rack or tray: the hub does not know what stands where
        ("WOS", true) => Asks::Other("no number of a tube in the query"),
        _ => Asks::Other("a query name that is not WOS or WOS_ALL"),
    };
    if question.asks == Asks::All {
        question.specimens.clear();
    }
}

/// QRD-8 is the barcode; only an empty field asks for all of a time; QRD-9 is `CAN` when the query is taken back.
fn chemistry(message: &Message, paths: &[&str], question: &mut Question) {
    question.echo = echo(message, &["QRD", "QRF"]);
    let qrd = message.segment("QRD");
    question.tag = text(qrd, 4);
    question.asks = if text(qrd, 9).eq_ignore_ascii_case("CAN") {
        Asks::Withdraw
    } else if !question.specimens.is_empty() {
        Asks::Specimens
    } else if qrd.is_some() && says_nothing(message, paths) {
        Asks::All
    } else {
        // what the reader made of a label that it could not read: nobody's, so not everybody's
        Asks::Other("what stands in the place of the tube's number is none")
    };
}

/// Whether the places of the tube's number are empty, blanks not being nothing.
fn says_nothing(message: &Message, paths: &[&str]) -> bool {
    paths
        .iter()
        .filter_map(|path| Path::parse(path).ok())
        .all(|path| {
            message
                .segments_of(path.segment())
                .all(|segment| segment.field(path.field()).raw().is_empty())
        })
}

/// An ORM that orders nothing: ORC-1 RF throughout, and nothing that could be ordered. (To a pharmacy RF is a refill: with RXO or
/// RXE.)
pub(crate) fn asks_for_work(message: &Message) -> bool {
    const ORDERED: [&str; 6] = ["OBR", "RXO", "RXE", "RQD", "ODS", "ODT"];
    let mut orc = message.segments_of("ORC").peekable();
    orc.peek().is_some()
        && orc.all(|s| s.field(1).component(1).raw().trim() == "RF")
        && !message.segments().any(|s| ORDERED.contains(&s.id()))
}

fn specimens(message: &Message, paths: &[&str]) -> Vec<String> {
    for path in paths.iter().filter_map(|path| Path::parse(path).ok()) {
        let mut found: Vec<String> = Vec::new();
        for segment in message.segments_of(path.segment()) {
            for one in segment.field(path.field()).repetitions() {
                let value = one.component(path.component().unwrap_or(1)).subcomponent(1);
                let Some(number) = value.value() else {
                    continue;
                };
                let number = number.trim();
                if !number.is_empty()
                    && number.len() <= LONGEST
                    && found.len() < MOST
                    && !found.iter().any(|known| known == number)
                {
                    found.push(number.to_owned());
                }
            }
        }
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

fn text(segment: Option<Segment<'_>>, field: usize) -> String {
    segment
        .map(|s| s.field(field).component(1).text().trim().to_owned())
        .unwrap_or_default()
}

fn echo(message: &Message, ids: &[&str]) -> Vec<String> {
    ids.iter()
        .filter_map(|id| message.segment(id))
        .map(|segment| segment.raw().to_owned())
        .collect()
}
