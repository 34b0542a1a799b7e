//! The messages of a pack's `[sample]`: lines with places in braces.
//!
//! `{specimen}`, `{patient}`, `{control}` (a number that no other message has), `{now}` (`YYYYMMDDHHMMSS` in India), `{n}` (count of
//! messages), `{ssmmhhDDMMYY}` and `{fs}` (time and separator of a Siemens Dimension), `{7.4~0.6}` (a number near 7.4, at most 0.6 away, with as many decimals). `{specimen>15}` pads on the left to 15
//! characters, `<` on the right. `{{` and `}}` are braces.

use time::{OffsetDateTime, UtcOffset};

/// Nothing that an instrument writes is padded to more.
const WIDEST: usize = 1_000;
/// Of a number and of its spread, in units of its last decimal: fifteen digits, as exact as an instrument's own.
const LARGEST: i64 = 999_999_999_999_999;

/// A message with places to fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    lines: Vec<Vec<Part>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place { what: What, pad: Option<Pad> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Specimen,
    Patient,
    Control,
    Now,
    /// As a Dimension writes time.
    Reversed,
    /// The separator of a Dimension's fields.
    Separator,
    Count,
    /// In units of the last decimal.
    Number {
        middle: i64,
        spread: i64,
        decimals: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Pad {
    left: bool,
    width: usize,
}

/// What goes into the places.
#[derive(Debug, Clone)]
pub(crate) struct Filling {
    pub(crate) specimen: String,
    pub(crate) patient: String,
    pub(crate) control: String,
    pub(crate) count: usize,
    /// Steers the numbers: the same seed gives the same.
    pub(crate) seed: u64,
}

impl Template {
    /// Reads a sample's text; empty lines at its ends do not count.
    ///
    /// # Errors
    /// The place that is not known, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines: Result<Vec<_>, String> = text
            .trim_matches('\n')
            .split('\n')
            .map(|line| parts(line.trim_end_matches('\r')))
            .collect();
        let lines = lines?;
        if lines.iter().all(Vec::is_empty) {
            return Err("the sample is empty".to_owned());
        }
        Ok(Self { lines })
    }

    /// The lines of one message.
    pub(crate) fn fill(&self, filling: &Filling) -> Vec<String> {
        let mut state = filling.seed | 1;
        self.lines
            .iter()
            .map(|line| {
                line.iter()
                    .map(|part| part.fill(filling, &mut state))
                    .collect()
            })
            .collect()
    }
}

fn parts(line: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        text.push_str(before);
        if let Some(behind) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            text.push_str(&from[..1]);
            rest = behind;
            continue;
        }
        let Some((inner, behind)) = from
            .strip_prefix('{')
            .and_then(|inner| inner.split_once('}'))
        else {
            return Err(format!("a brace stands alone in `{line}`; write it twice"));
        };
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut text)));
        }
        parts.push(place(inner)?);
        rest = behind;
    }
    text.push_str(rest);
    if !text.is_empty() {
        parts.push(Part::Text(text));
    }
    Ok(parts)
}

fn place(inner: &str) -> Result<Part, String> {
    let unknown = || format!("`{{{inner}}}` is no place of a sample");
    let (what, pad) = match inner.find(['<', '>']) {
        None => (inner, None),
        Some(at) => {
            let width: usize = inner[at + 1..].parse().map_err(|_| unknown())?;
            if width > WIDEST {
                return Err(format!(
                    "`{{{inner}}}` is padded to more than {WIDEST} characters"
                ));
            }
            let left = inner.as_bytes().get(at) == Some(&b'>');
            (&inner[..at], Some(Pad { left, width }))
        }
    };
    let what = match what {
        "specimen" => What::Specimen,
        "patient" => What::Patient,
        "control" => What::Control,
        "now" => What::Now,
        "ssmmhhDDMMYY" => What::Reversed,
        "fs" => What::Separator,
        "n" => What::Count,
        number => {
            let (middle, spread) = number.split_once('~').ok_or_else(unknown)?;
            let decimals = middle.split_once('.').map_or(0, |(_, part)| part.len());
            What::Number {
                middle: scaled(middle, decimals).ok_or_else(unknown)?,
                spread: scaled(spread, decimals)
                    .filter(|spread| *spread >= 0)
                    .ok_or_else(unknown)?,
                decimals,
            }
        }
    };
    Ok(Part::Place { what, pad })
}

/// A decimal text in units of its last decimal.
fn scaled(text: &str, decimals: usize) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > decimals || decimals > 6 {
        return None;
    }
    let scaled: i64 = format!("{whole}{part:0<decimals$}").parse().ok()?;
    (-LARGEST..=LARGEST).contains(&scaled).then_some(scaled)
}

impl Part {
    fn fill(&self, filling: &Filling, state: &mut u64) -> String {
        let (what, pad) = match self {
            Self::Text(text) => return text.clone(),
            Self::Place { what, pad } => (what, pad),
        };
        let text = match what {
            What::Specimen => filling.specimen.clone(),
            What::Patient => filling.patient.clone(),
            What::Control => filling.control.clone(),
            What::Now => {
                let [year, rest @ ..] = now();
                format!(
                    "{year:04}{}",
                    rest.map(|part| format!("{part:02}")).concat()
                )
            }
            What::Reversed => {
                let [year, month, day, hour, minute, second] = now();
                let year = year % 100;
                format!("{second:02}{minute:02}{hour:02}{day:02}{month:02}{year:02}")
            }
            What::Separator => "\u{1c}".to_owned(),
            What::Count => filling.count.to_string(),
            What::Number {
                middle,
                spread,
                decimals,
            } => {
                let range = spread * 2 + 1;
                let drawn = i64::try_from(next(state) >> 33).unwrap_or(0) % range.max(1);
                decimal(middle - spread + drawn, *decimals)
            }
        };
        match pad {
            Some(Pad { left: true, width }) => format!("{text:>width$}"),
            Some(Pad { left: false, width }) => format!("{text:<width$}"),
            None => text,
        }
    }
}

/// Knuth's MMIX generator: enough for numbers that differ.
fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state
}

fn decimal(scaled: i64, decimals: usize) -> String {
    let sign = if scaled < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", scaled.abs(), width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    if decimals == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{part}")
    }
}

/// Clocks of instruments in India show its time and no zone: year, month, day, hour, minute, second.
fn now() -> [i32; 6] {
    let zone = UtcOffset::from_hms(5, 30, 0).unwrap_or(UtcOffset::UTC);
    let at = OffsetDateTime::now_utc().to_offset(zone);
    let [month, day] = [u8::from(at.month()), at.day()].map(i32::from);
    let [hour, minute, second] = [at.hour(), at.minute(), at.second()].map(i32::from);
    [at.year(), month, day, hour, minute, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filling(seed: u64) -> Filling {
        Filling {
            specimen: "S1".into(),
            patient: "MRN7".into(),
            control: "C9".into(),
            count: 3,
            seed,
        }
    }

    #[test]
    fn places_are_filled_and_padded() {
        let template =
            Template::parse("\nO|{n}|{specimen>6}|{patient<6}|{{x}}\nL|{control}\n").unwrap();
        assert_eq!(
            template.fill(&filling(1)),
            ["O|3|    S1|MRN7  |{x}", "L|C9"]
        );
    }

    #[test]
    fn numbers_stay_near_and_keep_their_decimals() {
        let template = Template::parse("{7.40~0.6} {0.5~2.0} {12~0}").unwrap();
        for seed in 0..200 {
            let line = template.fill(&filling(seed * 7919)).remove(0);
            let numbers: Vec<f64> = line.split(' ').map(|n| n.parse().unwrap()).collect();
            assert!(
                (6.8..=8.0).contains(&numbers[0]) && (-1.5..=2.5).contains(&numbers[1]),
                "{line}"
            );
            assert_eq!(line.split(' ').next().unwrap().len(), 4, "{line}");
            assert!(line.ends_with(" 12"), "{line}");
        }
        assert_eq!(template.fill(&filling(5)), template.fill(&filling(5)));
    }

    #[test]
    fn what_is_no_place_is_said() {
        for text in ["{x}", "{", "a}b", "{7.4}", "{specimen>x}", "{7~0.5}", ""] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_nobody_can_write_is_refused_and_never_a_panic() {
        for text in [
            "{specimen>1001}",
            "{specimen<65536}",
            "{n>18446744073709551616}",
            "{1~9223372036854775807}",
            "{-9223372036854775808~1}",
            "{7~-1}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
        let widest = Template::parse("{specimen>1000}{999999999999999~999999999999999}").unwrap();
        for seed in 0..20 {
            assert!(widest.fill(&filling(seed)).remove(0).len() > 1_000);
        }
    }
}
