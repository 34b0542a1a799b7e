//! Which specimens an instrument asks about.

use adapter_link::TubeNumbers;
use schemas::worklist::WorklistAnswer;

use crate::link::join;
use crate::records::{self, Message};
use crate::settings::{AstmSettings, AuColumns, FieldPath, Mode};
use crate::translate::blocks;

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Question {
    /// Numbers on the tubes, each once; empty with `all`, and when none could be read.
    pub specimens: Vec<String>,
    /// Everything pending is wanted.
    pub all: bool,
    /// What the answer to a block must repeat (AU: rack, cup, sample).
    pub echo: Vec<u8>,
}

impl Question {
    /// The numbers as orders have them.
    #[must_use]
    pub fn as_ordered(&self, tube: TubeNumbers) -> Vec<String> {
        let numbers = self.specimens.iter();
        numbers.map(|said| tube.of(said).to_owned()).collect()
    }

    /// The answer under the numbers by which the instrument knows the tubes: those of the question, whose order it keeps.
    pub fn as_asked(&self, worklist: &mut WorklistAnswer) {
        if self.all {
            return;
        }
        for (specimen, said) in worklist.specimens.iter_mut().zip(&self.specimens) {
            specimen.number.clone_from(said);
        }
    }
}

/// The query in a stored message; none when it has none, or when the instrument takes its query back (Q.13 A).
#[must_use]
pub fn of_unit(settings: &AstmSettings, bytes: &[u8]) -> Option<Question> {
    match settings.link.mode {
        Mode::E1381 | Mode::Bare => of_records(settings, bytes),
        Mode::Au => {
            let block = blocks::au_content(bytes);
            if !matches!(block, [b'R', ..]) {
                return None;
            }
            Some(Question {
                specimens: au_specimen(block, &settings.dialect.au)
                    .into_iter()
                    .collect(),
                all: false,
                echo: block.get(1..).unwrap_or_default().to_vec(),
            })
        }
        Mode::Dimension => {
            let fields = blocks::dimension_fields(bytes);
            let mut fields = fields.split(|b| *b == crate::link::FS);
            if fields.next() != Some(b"I") {
                return None;
            }
            let number = String::from_utf8_lossy(fields.next().unwrap_or_default())
                .trim()
                .to_owned();
            Some(Question {
                specimens: vec![number],
                ..Question::default()
            })
        }
    }
}

fn of_records(settings: &AstmSettings, bytes: &[u8]) -> Option<Question> {
    let joined = join(bytes);
    // most messages are results: they are not decoded twice
    let has_query = joined
        .text
        .split(|b| matches!(*b, b'\r' | b'\n'))
        .any(|line| line.starts_with(b"Q"));
    if !has_query {
        return None;
    }
    let decoded = records::decode(&joined.text, settings.dialect.encoding());
    let (mut question, mut asked) = (Question::default(), false);
    for message in &records::split(&decoded.text).messages {
        if !is_query(message) {
            continue;
        }
        for q in message.records().iter().filter(|r| r.letter() == 'Q') {
            if q.peek(13).raw().trim() == "A" {
                continue;
            }
            asked = true;
            if asks_for_all(q) {
                question.all = true;
                continue;
            }
            for number in numbers(q, &settings.dialect.query_specimen) {
                if !question.specimens.contains(&number) {
                    question.specimens.push(number);
                }
            }
        }
    }
    if !question.specimens.is_empty() {
        question.all = false;
    }
    asked.then_some(question)
}

/// Only the word asks for everything that is pending (LIS02-A2 §10.1.3). A field in which no number stands is a label that could
/// not be read, and such a tube is nobody's: everybody's tests would go to whoever stands at the instrument.
fn asks_for_all(q: &records::Record<'_>) -> bool {
    q.peek(3)
        .repeats()
        .flat_map(records::Value::components)
        .any(|part| part.text().eq_ignore_ascii_case("ALL"))
}

/// The numbers of one Q record: the first place that names any, in each repeat.
fn numbers(q: &records::Record<'_>, paths: &[FieldPath]) -> Vec<String> {
    for path in paths {
        let found: Vec<String> = q
            .peek(path.field)
            .repeats()
            .filter_map(|one| {
                let part = path.component.map_or(one, |n| one.component(n));
                part.string()
            })
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}

/// For the search keys: the numbers by the usual places.
pub(crate) fn specimens(message: &Message<'_>) -> Vec<String> {
    message
        .records()
        .iter()
        .filter(|r| r.letter() == 'Q')
        .flat_map(|q| {
            let usual = [2, 3, 1].map(|n| FieldPath::component('Q', 3, n));
            numbers(q, &usual)
        })
        .filter(|n| n.len() <= 80)
        .collect()
}

/// Whether the Q records ask: some software writes control results into records of that letter.
pub(crate) fn is_query(message: &Message<'_>) -> bool {
    message
        .records()
        .iter()
        .filter(|r| r.letter() == 'Q')
        .any(|q| {
            let a_value = q.peek(3).components().filter(|c| c.is_valued()).count() >= 2
                && q.peek(4).is_valued()
                && !q.peek(4).raw().contains(['^', '\\'])
                && q.peek(6).is_valued();
            !a_value
        })
}

/// The sample id of an AU query.
pub(crate) fn au_specimen(block: &[u8], columns: &AuColumns) -> Option<String> {
    let from = 2 + columns.rack + columns.cup + columns.kind + columns.sample;
    let id = block.get(from..)?;
    let id = id.get(..columns.id).unwrap_or(id);
    let text = String::from_utf8_lossy(id).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Question> {
        let settings = AstmSettings::listening("127.0.0.1:0".parse().unwrap());
        of_unit(&settings, text.as_bytes())
    }

    #[test]
    fn queries_name_specimens_or_ask_for_all() {
        let of = |numbers: &[&str]| Question {
            specimens: numbers.iter().map(|n| (*n).to_owned()).collect(),
            ..Question::default()
        };
        assert_eq!(
            asked("H|\\^&\rQ|1|^SID107||||||||||O\rL||\r"),
            Some(of(&["SID107"]))
        );
        assert_eq!(
            asked("H|\\^&\rQ|1|^A\\^B||^^^ALL\rQ|2|^A\rL|1\r"),
            Some(of(&["A", "B"]))
        );
        let all = asked("H|\\^&\rQ|1|ALL||^^^ALL\rL|1\r").unwrap();
        assert!(all.all && all.specimens.is_empty());
        assert_eq!(
            asked("H|\\^&\rQ|1|^A||||||||||A\rL|1\r"),
            None,
            "taken back"
        );
        assert_eq!(asked("H|\\^&\rP|1\rO|1|A\rR|1|^^^X|1\rL|1\r"), None);
        assert_eq!(
            asked("H|\\^&\rQ|1|GLU^LOT^NORMAL|102.5|mg/dL|20250115060100|N\rL|1\r"),
            None,
            "a value is no question"
        );
    }

    #[test]
    fn a_label_that_could_not_be_read_asks_for_nobody() {
        let mut sysmex = AstmSettings::listening("127.0.0.1:0".parse().unwrap());
        sysmex.dialect.query_specimen = vec![FieldPath::component('Q', 3, 3)];
        let usual = AstmSettings::listening("127.0.0.1:0".parse().unwrap());
        for (settings, place) in [
            (&sysmex, "^^               ^B"),
            (&sysmex, "2^1^^B"),
            (&sysmex, ""),
            (&usual, "^^^B"),
            (&usual, "^               "),
            (&usual, ""),
        ] {
            let text = format!("H|\\^&\rQ|1|{place}||^^^ALL||||||||N\rL|1|N\r");
            let question = of_unit(settings, text.as_bytes()).unwrap();
            assert!(
                !question.all && question.specimens.is_empty(),
                "{place:?}: {question:?}"
            );
        }
        // where nothing else stands, the third component is looked at as well
        let text = "H|\\^&\rQ|1|^^T1001^B||||||||||N\rL|1|N\r";
        assert_eq!(asked(text).unwrap().specimens, ["T1001"]);
        // the word itself, wherever in the field it stands
        for place in ["ALL", "^ALL", "^^all"] {
            let text = format!("H|\\^&\rQ|1|{place}||||||||||O\rL|1|N\r");
            assert!(asked(&text).unwrap().all, "{place}");
        }
    }

    #[test]
    fn blocks_ask_too() {
        let mut settings = AstmSettings::listening("127.0.0.1:0".parse().unwrap());
        settings.link.mode = Mode::Dimension;
        let question = of_unit(&settings, b"\x02I\x1cS123\x1c00\x03").unwrap();
        assert_eq!(question.specimens, ["S123"]);
        settings.link.mode = Mode::Au;
        let block = format!("\u{2}R 000601 0013{:>26}\u{3}", "U1449");
        let question = of_unit(&settings, block.as_bytes()).unwrap();
        assert_eq!(question.specimens, ["U1449"]);
        assert!(of_unit(&settings, b"\x02D 0006\x03").is_none());
    }
}
