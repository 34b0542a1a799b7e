//! NEWS2 as a rule pack says it (`mappings/rules/news2.toml`): bands, scales, responses. Pure: no clock, no database.
//!
//! A missing part means that there is no total; what is known may still be enough to ask for help, never enough to say that
//! nobody need come.

use serde::Deserialize;
use serde_spanned::Spanned;

use crate::packs::InvalidPack;

mod fixed;
pub(crate) use fixed::Fixed;

/// The pack in force.
#[derive(Debug, Clone)]
pub struct News2 {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) min_age_years: i32,
    pub(crate) window_minutes: i64,
    parts: Vec<Part>,
    oxygen: Oxygen,
    consciousness: Consciousness,
    responses: Vec<Response>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: Spanned<String>,
    version: Spanned<String>,
    min_age_years: i32,
    window_minutes: i64,
    part: Vec<Spanned<PartFile>>,
    oxygen: OxygenFile,
    consciousness: Consciousness,
    response: Vec<Spanned<Response>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    name: String,
    loinc: Vec<String>,
    ucum: Vec<String>,
    decimals: u8,
    plausible: [String; 2],
    bands: Vec<BandFile>,
    scale_2_on_air: Option<Vec<BandFile>>,
    scale_2_on_oxygen: Option<Vec<BandFile>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BandFile {
    to: Option<String>,
    points: i16,
}

#[derive(Debug, Clone)]
struct Part {
    name: String,
    loinc: Vec<String>,
    ucum: Vec<String>,
    decimals: u8,
    plausible: [Fixed; 2],
    bands: Vec<Band>,
    scale_2: Option<[Vec<Band>; 2]>,
}

#[derive(Debug, Clone)]
struct Band {
    to: Option<Fixed>,
    points: i16,
    /// As it is kept with a score: `12 to 20`.
    shown: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OxygenFile {
    flow_loinc: String,
    fraction_loinc: String,
    air_fraction: Spanned<String>,
    points: i16,
}

#[derive(Debug, Clone)]
struct Oxygen {
    flow_loinc: String,
    fraction_loinc: String,
    air_fraction: Fixed,
    points: i16,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Consciousness {
    loinc: String,
    alert: String,
    others: Vec<String>,
    points: i16,
}

/// What a score asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Response {
    pub(crate) name: String,
    total: Option<i16>,
    single: Option<i16>,
    pub(crate) next_minutes: i64,
    pub(crate) respond_minutes: Option<i64>,
}

/// Name of the parts that are no number in a band.
const OXYGEN: &str = "oxygen";
const CONSCIOUSNESS: &str = "consciousness";

/// One value that may go into a score.
#[derive(Debug, Clone)]
pub(crate) struct Measured {
    pub(crate) loinc: String,
    /// Decimal text, or the code of a coded value.
    pub(crate) value: String,
    pub(crate) ucum: Option<String>,
}

/// One part as it was scored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scored {
    pub(crate) part: String,
    /// Which of the values it is of.
    pub(crate) of: usize,
    /// The row of the pack that matched.
    pub(crate) row: String,
    pub(crate) points: i16,
}

/// What the pack makes of the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Score {
    pub(crate) parts: Vec<Scored>,
    pub(crate) missing: Vec<String>,
    /// `None` when a part is missing.
    pub(crate) total: Option<i16>,
    /// What is asked for. Without a total: what the known parts alone ask for, if that is somebody's coming.
    pub(crate) response: Option<usize>,
}

impl Default for News2 {
    /// The pack that comes with the program.
    fn default() -> Self {
        Self::parse(include_str!("../../../../mappings/rules/news2.toml"))
            .expect("the pack that comes with the program is good (tested)")
    }
}

impl News2 {
    /// Reads and checks a pack.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn parse(text: &str) -> Result<Self, InvalidPack> {
        let file: File = InvalidPack::read(text)?;
        if file.version.get_ref().trim().is_empty() {
            let what = "the pack needs a version";
            return Err(InvalidPack::at(text, file.version.span(), what));
        }
        if file.id.get_ref() != "news2" {
            return Err(InvalidPack::at(text, file.id.span(), "the id is `news2`"));
        }
        let mut parts: Vec<Part> = Vec::new();
        for row in file.part {
            let span = row.span();
            let row = row.into_inner();
            let name = row.name.clone();
            let part = Part::read(row).map_err(|what| {
                InvalidPack::at(text, span.clone(), format!("part `{name}`: {what}"))
            })?;
            if parts.iter().any(|other| {
                other.name == part.name || other.loinc.iter().any(|one| part.loinc.contains(one))
            }) {
                let what = format!("part `{name}` stands twice, or shares a code with another");
                return Err(InvalidPack::at(text, span, what));
            }
            parts.push(part);
        }
        let Some(air_fraction) = Fixed::parse(file.oxygen.air_fraction.get_ref()) else {
            let what = "air_fraction is a decimal number in quotes";
            return Err(InvalidPack::at(text, file.oxygen.air_fraction.span(), what));
        };
        let mut responses = Vec::new();
        for row in file.response {
            let span = row.span();
            let row = row.into_inner();
            if row.total.is_some() == row.single.is_some() {
                let what = format!("response `{}` needs either total or single", row.name);
                return Err(InvalidPack::at(text, span, what));
            }
            responses.push(row);
        }
        if !responses.iter().any(|row| row.total == Some(0)) {
            return Err(InvalidPack::new(
                "a response with total = 0 must catch what no other row does",
            ));
        }
        Ok(Self {
            id: file.id.into_inner(),
            version: file.version.into_inner(),
            min_age_years: file.min_age_years,
            window_minutes: file.window_minutes,
            parts,
            oxygen: Oxygen {
                flow_loinc: file.oxygen.flow_loinc,
                fraction_loinc: file.oxygen.fraction_loinc,
                air_fraction,
                points: file.oxygen.points,
            },
            consciousness: file.consciousness,
            responses,
        })
    }

    /// Whether a term goes into the score.
    pub(crate) fn concerns(&self, loinc: &str) -> bool {
        self.terms().any(|term| term == loinc)
    }

    /// All terms that go into the score.
    pub(crate) fn terms(&self) -> impl Iterator<Item = &str> {
        self.parts
            .iter()
            .flat_map(|part| part.loinc.iter())
            .map(String::as_str)
            .chain([
                self.oxygen.flow_loinc.as_str(),
                self.oxygen.fraction_loinc.as_str(),
                self.consciousness.loinc.as_str(),
            ])
    }

    /// The response at a place that [`Score::response`] names.
    pub(crate) fn response(&self, place: usize) -> Option<&Response> {
        self.responses.get(place)
    }

    /// The higher the more urgent: the first rows of the pack are.
    pub(crate) fn rank(&self, place: usize) -> i16 {
        i16::try_from(self.responses.len().saturating_sub(place)).unwrap_or(i16::MAX)
    }

    /// Why a value that a person entered can't be right, if it can't.
    pub(crate) fn fault(&self, one: &Measured) -> Option<String> {
        if one.loinc == self.consciousness.loinc {
            let known = one.value == self.consciousness.alert
                || self.consciousness.others.contains(&one.value);
            return (!known).then(|| {
                format!(
                    "level of consciousness is one of {}, {}",
                    self.consciousness.alert,
                    self.consciousness.others.join(", ")
                )
            });
        }
        let number = Fixed::parse(&one.value);
        if one.loinc == self.oxygen.flow_loinc || one.loinc == self.oxygen.fraction_loinc {
            return number
                .is_none_or(|number| number < Fixed::ZERO)
                .then(|| "oxygen is a number, 0 or above".to_owned());
        }
        let part = self
            .parts
            .iter()
            .find(|part| part.loinc.contains(&one.loinc))?;
        let Some(number) = number else {
            return Some(format!("{} is a number", part.name));
        };
        if !one
            .ucum
            .as_ref()
            .is_some_and(|unit| part.ucum.contains(unit))
        {
            return Some(format!("{} is in {}", part.name, part.ucum.join(" or ")));
        }
        let [low, high] = part.plausible;
        (number < low || number > high).then(|| format!("{} is from {low} to {high}", part.name))
    }

    /// Scores values; of several of one part the first counts.
    pub(crate) fn score(&self, values: &[Measured], scale: i16) -> Score {
        let find = |wants: &dyn Fn(&Measured) -> bool| values.iter().position(wants);
        let mut parts = Vec::new();
        let mut missing = Vec::new();
        let on_oxygen = self.on_oxygen(values);
        for part in &self.parts {
            let found = find(&|one: &Measured| part.fits(one));
            let bands = match (&part.scale_2, scale, &on_oxygen) {
                (None, _, _) | (_, 1, _) => Some(&part.bands),
                (Some([air, _]), _, Some((_, false, _))) => Some(air),
                (Some([_, oxygen]), _, Some((_, true, _))) => Some(oxygen),
                // on the second scale it must be known whether it is air or oxygen
                (Some(_), _, None) => None,
            };
            let scored = found.zip(bands).and_then(|(of, bands)| {
                let value = Fixed::parse(&values[of].value)?.rounded(part.decimals);
                let band = bands
                    .iter()
                    .find(|band| band.to.is_none_or(|to| value <= to))?;
                Some(Scored {
                    part: part.name.clone(),
                    of,
                    row: band.shown.clone(),
                    points: band.points,
                })
            });
            match scored {
                Some(scored) => parts.push(scored),
                None => missing.push(part.name.clone()),
            }
        }
        match on_oxygen {
            Some((of, on, row)) => parts.push(Scored {
                part: OXYGEN.to_owned(),
                of,
                row,
                points: if on { self.oxygen.points } else { 0 },
            }),
            None => missing.push(OXYGEN.to_owned()),
        }
        match find(&|one: &Measured| {
            one.loinc == self.consciousness.loinc && self.fault(one).is_none()
        }) {
            Some(of) => {
                let alert = values[of].value == self.consciousness.alert;
                parts.push(Scored {
                    part: CONSCIOUSNESS.to_owned(),
                    of,
                    row: if alert { "alert" } else { "not alert" }.to_owned(),
                    points: if alert { 0 } else { self.consciousness.points },
                });
            }
            None => missing.push(CONSCIOUSNESS.to_owned()),
        }
        let known: i16 = parts.iter().map(|one| one.points).sum();
        let highest = parts.iter().map(|one| one.points).max().unwrap_or(0);
        let total = missing.is_empty().then_some(known);
        let response = self.responses.iter().position(|row| {
            let fits = row.total.is_some_and(|from| known >= from)
                || row.single.is_some_and(|from| highest >= from);
            // without a total the points that are known are the least that it can be
            fits && (total.is_some() || row.respond_minutes.is_some())
        });
        Score {
            parts,
            missing,
            total,
            response,
        }
    }

    /// Which value says it, whether it is oxygen, and the row.
    fn on_oxygen(&self, values: &[Measured]) -> Option<(usize, bool, String)> {
        values.iter().enumerate().find_map(|(of, one)| {
            let number = Fixed::parse(&one.value)?;
            let on = if one.loinc == self.oxygen.flow_loinc {
                number > Fixed::ZERO
            } else if one.loinc == self.oxygen.fraction_loinc {
                number > self.oxygen.air_fraction
            } else {
                return None;
            };
            Some((of, on, if on { "oxygen" } else { "air" }.to_owned()))
        })
    }
}

impl Part {
    fn read(file: PartFile) -> Result<Self, String> {
        let number =
            |text: &String| Fixed::parse(text).ok_or_else(|| format!("`{text}` is no number"));
        if file.loinc.is_empty() || file.ucum.is_empty() {
            return Err("it needs codes and units".to_owned());
        }
        if file.decimals > 2 {
            return Err("decimals is 0 to 2".to_owned());
        }
        let scale_2 = match (file.scale_2_on_air, file.scale_2_on_oxygen) {
            (None, None) => None,
            (Some(air), Some(oxygen)) => {
                Some([bands(air, file.decimals)?, bands(oxygen, file.decimals)?])
            }
            _ => return Err("the second scale needs bands on air and on oxygen".to_owned()),
        };
        Ok(Self {
            plausible: [number(&file.plausible[0])?, number(&file.plausible[1])?],
            bands: bands(file.bands, file.decimals)?,
            name: file.name,
            loinc: file.loinc,
            ucum: file.ucum,
            decimals: file.decimals,
            scale_2,
        })
    }

    fn fits(&self, one: &Measured) -> bool {
        self.loinc.contains(&one.loinc)
            && one
                .ucum
                .as_ref()
                .is_some_and(|unit| self.ucum.contains(unit))
            && Fixed::parse(&one.value).is_some()
    }
}

fn bands(rows: Vec<BandFile>, decimals: u8) -> Result<Vec<Band>, String> {
    let last = rows.len().saturating_sub(1);
    let mut read: Vec<Band> = Vec::with_capacity(rows.len());
    for (place, row) in rows.into_iter().enumerate() {
        let to = match row.to {
            Some(text) => Some(
                Fixed::parse(&text)
                    .filter(|to| to.rounded(decimals) == *to)
                    .ok_or_else(|| format!("`{text}` is no number with {decimals} decimals"))?,
            ),
            None => None,
        };
        let before = read.last().and_then(|band| band.to);
        if to.is_none() != (place == last) {
            return Err("all bands but the last have `to`".to_owned());
        }
        if before.is_some() && to.is_some() && to <= before {
            return Err("bands rise".to_owned());
        }
        let shown = match (before, to) {
            (None, Some(to)) => format!("to {to}"),
            (Some(before), Some(to)) => format!("above {before}, to {to}"),
            (Some(before), None) => format!("above {before}"),
            (None, None) => "any".to_owned(),
        };
        read.push(Band {
            to,
            points: row.points,
            shown,
        });
    }
    if read.is_empty() {
        return Err("it needs bands".to_owned());
    }
    Ok(read)
}

#[cfg(test)]
mod tests;
