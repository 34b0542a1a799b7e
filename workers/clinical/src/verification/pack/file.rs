//! The form of the file, and what it must be.

use std::collections::{HashMap, HashSet};

use hub_core::mappings::is_loinc;
use schemas::ChannelId;
use serde::Deserialize;
use serde_spanned::Spanned;
use sha2::{Digest as _, Sha256};

use super::{
    Analyte, Autoverify, Bounds, Channel, Delta, Flag, FlagAction, Release, Runs, Sibling,
    Standing, Term,
};
use crate::decimal;
use crate::packs::InvalidPack;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pack {
    version: Spanned<String>,
    #[serde(default = "yes")]
    autoverify: bool,
    #[serde(default)]
    release: Release,
    #[serde(default)]
    second_person: bool,
    #[serde(default = "yes")]
    needs_order: bool,
    first: u32,
    qc_hours: Spanned<u32>,
    #[serde(default)]
    flag: Vec<FlagRow>,
    #[serde(default)]
    channel: Vec<ChannelRow>,
    #[serde(default)]
    analyte: Vec<AnalyteRow>,
    #[serde(default)]
    sibling: Vec<SiblingRow>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FlagRow {
    text: Spanned<Vec<String>>,
    action: FlagAction,
    #[serde(default)]
    channels: Vec<ChannelId>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelRow {
    id: Spanned<ChannelId>,
    #[serde(default = "yes")]
    autoverify: bool,
    #[serde(default)]
    runs: Runs,
    #[serde(default)]
    interpretations: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AnalyteRow {
    loinc: Spanned<String>,
    ucum: String,
    amr: Option<Spanned<BoundsRow>>,
    range: Spanned<BoundsRow>,
    #[serde(default)]
    delta: Vec<Spanned<DeltaRow>>,
    #[serde(default = "yes")]
    qc: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundsRow {
    low: Option<String>,
    high: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeltaRow {
    days: u32,
    absolute: Option<String>,
    percent: Option<String>,
    per_day: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SiblingRow {
    name: Spanned<String>,
    #[serde(default)]
    of: Vec<String>,
    plus: Vec<TermRow>,
    #[serde(default)]
    minus: Vec<TermRow>,
    #[serde(default)]
    over: Vec<TermRow>,
    #[serde(default)]
    over_minus: Vec<TermRow>,
    factor: Option<String>,
    low: Option<String>,
    high: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermRow {
    loinc: Spanned<String>,
    ucum: String,
}

/// The text that mistakes are shown in.
pub(super) struct Checked<'t> {
    pub(super) text: &'t str,
}

impl Checked<'_> {
    fn wrong<T, R>(&self, at: &Spanned<T>, what: impl Into<String>) -> Result<R, InvalidPack> {
        Err(InvalidPack::at(self.text, at.span(), what))
    }

    pub(super) fn pack(&self, file: Pack) -> Result<Autoverify, InvalidPack> {
        if file.version.get_ref().trim().is_empty() {
            return self.wrong(&file.version, "the pack has no version");
        }
        if *file.qc_hours.get_ref() == 0 {
            return self.wrong(&file.qc_hours, "qc_hours is above 0");
        }
        let mut pack = Autoverify {
            version: file.version.into_inner(),
            digest: hex(&Sha256::digest(self.text.as_bytes())),
            standing: Standing::Draft,
            on: file.autoverify,
            channels_off: Vec::new(),
            release: file.release,
            second_person: file.second_person,
            needs_order: file.needs_order,
            first: i64::from(file.first),
            qc_hours: i64::from(file.qc_hours.into_inner()),
            flags: HashMap::new(),
            channels: HashMap::new(),
            analytes: HashMap::new(),
            siblings: Vec::new(),
        };
        for row in &file.flag {
            self.flag(&mut pack, row)?;
        }
        for row in file.channel {
            let channel = Channel {
                autoverify: row.autoverify,
                runs: row.runs,
                interpretations: row.interpretations,
            };
            let id = row.id.get_ref().to_string();
            if pack.channels.insert(id.clone(), channel).is_some() {
                return self.wrong(&row.id, format!("channel `{id}` stands twice"));
            }
        }
        for row in &file.analyte {
            self.analyte(&mut pack, row)?;
        }
        for row in file.sibling {
            let sibling = self.sibling(row)?;
            pack.siblings.push(sibling);
        }
        Ok(pack)
    }

    fn flag(&self, pack: &mut Autoverify, row: &FlagRow) -> Result<(), InvalidPack> {
        for text in row.text.get_ref() {
            let rows = pack.flags.entry(text.trim().to_owned()).or_default();
            let twice = rows.iter().any(|other| {
                other.channels.is_empty() && row.channels.is_empty()
                    || other
                        .channels
                        .iter()
                        .any(|channel| row.channels.contains(channel))
            });
            if twice {
                return self.wrong(&row.text, format!("flag `{text}` stands twice"));
            }
            rows.push(Flag {
                channels: row.channels.clone(),
                action: row.action,
            });
        }
        Ok(())
    }

    fn analyte(&self, pack: &mut Autoverify, row: &AnalyteRow) -> Result<(), InvalidPack> {
        let key = self.term(&row.loinc, &row.ucum)?;
        let mut delta = Vec::new();
        for one in &row.delta {
            delta.push(self.delta(one)?);
        }
        let analyte = Analyte {
            amr: row.amr.as_ref().map(|row| self.bounds(row)).transpose()?,
            range: self.bounds(&row.range)?,
            delta,
            qc: row.qc,
        };
        if pack.analytes.insert(key.clone(), analyte).is_some() {
            return self.wrong(
                &row.loinc,
                format!("`{}` in `{}` stands twice", key.0, key.1),
            );
        }
        Ok(())
    }

    fn term(&self, loinc: &Spanned<String>, ucum: &str) -> Result<Term, InvalidPack> {
        if !is_loinc(loinc.get_ref()) {
            return self.wrong(loinc, format!("`{}` is no LOINC code", loinc.get_ref()));
        }
        if ucum.is_empty() {
            return self.wrong(loinc, "an analyte needs its unit (ucum)");
        }
        Ok((loinc.get_ref().clone(), ucum.to_owned()))
    }

    fn number<T>(
        &self,
        at: &Spanned<T>,
        text: Option<&String>,
    ) -> Result<Option<f64>, InvalidPack> {
        match text {
            None => Ok(None),
            Some(text) if decimal::is_decimal(text) => Ok(text.parse().ok()),
            Some(text) => self.wrong(at, format!("`{text}` is no decimal number in quotes")),
        }
    }

    fn bounds(&self, row: &Spanned<BoundsRow>) -> Result<Bounds, InvalidPack> {
        let said = row.get_ref();
        let low = self.number(row, said.low.as_ref())?;
        let high = self.number(row, said.high.as_ref())?;
        self.ordered(row, low, high)
    }

    fn ordered<T>(
        &self,
        at: &Spanned<T>,
        low: Option<f64>,
        high: Option<f64>,
    ) -> Result<Bounds, InvalidPack> {
        match (low, high) {
            (None, None) => self.wrong(at, "give low, high or both"),
            (Some(low), Some(high)) if low > high => self.wrong(at, "low is above high"),
            _ => Ok(Bounds { low, high }),
        }
    }

    fn delta(&self, row: &Spanned<DeltaRow>) -> Result<Delta, InvalidPack> {
        let said = row.get_ref();
        let delta = Delta {
            days: said.days,
            absolute: self.number(row, said.absolute.as_ref())?,
            percent: self.number(row, said.percent.as_ref())?,
            per_day: self.number(row, said.per_day.as_ref())?,
        };
        let limits = [delta.absolute, delta.percent, delta.per_day];
        if delta.days == 0 || limits.iter().all(Option::is_none) {
            return self.wrong(
                row,
                "a delta rule needs days above 0 and absolute, percent or per_day",
            );
        }
        if limits.iter().flatten().any(|limit| *limit <= 0.0) {
            return self.wrong(row, "the limits of a delta rule are above 0");
        }
        Ok(delta)
    }

    fn sibling(&self, row: SiblingRow) -> Result<Sibling, InvalidPack> {
        let terms = |rows: &[TermRow]| {
            rows.iter()
                .map(|row| self.term(&row.loinc, &row.ucum))
                .collect::<Result<Vec<Term>, _>>()
        };
        let (plus, minus) = (terms(&row.plus)?, terms(&row.minus)?);
        let (over, over_minus) = (terms(&row.over)?, terms(&row.over_minus)?);
        if row.name.get_ref().trim().is_empty() || plus.is_empty() {
            return self.wrong(&row.name, "a sibling rule needs a name and plus");
        }
        if over.is_empty() && !over_minus.is_empty() {
            return self.wrong(&row.name, "over_minus needs over");
        }
        let low = self.number(&row.name, row.low.as_ref())?;
        let high = self.number(&row.name, row.high.as_ref())?;
        let of: HashSet<String> = if row.of.is_empty() {
            [&plus, &minus, &over, &over_minus]
                .into_iter()
                .flatten()
                .map(|(loinc, _)| loinc.clone())
                .collect()
        } else {
            row.of.into_iter().collect()
        };
        Ok(Sibling {
            bounds: self.ordered(&row.name, low, high)?,
            factor: self.number(&row.name, row.factor.as_ref())?.unwrap_or(1.0),
            name: row.name.into_inner(),
            of,
            plus,
            minus,
            over,
            over_minus,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
