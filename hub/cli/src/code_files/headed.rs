//! A CSV table whose first record names its columns.

use std::io::BufRead;

use super::Fault;
use super::csv::Csv;

pub(super) struct Headed<R> {
    csv: Csv<R>,
    columns: Vec<String>,
}

impl<R: BufRead> Headed<R> {
    pub(super) fn read(reader: R) -> Result<Self, Fault> {
        let mut csv = Csv::new(reader);
        let columns = csv.record()?.map(|(_, fields)| fields).unwrap_or_default();
        Ok(Self { csv, columns })
    }

    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// # Errors
    /// It can't be read, or has not as many fields as the header.
    pub(super) fn record(&mut self) -> Result<Option<Fields<'_>>, Fault> {
        let Some((line, fields)) = self.csv.record()? else {
            return Ok(None);
        };
        if fields.len() != self.columns.len() {
            return Err(Fault::new(
                line,
                format!(
                    "{} columns where the header has {}",
                    fields.len(),
                    self.columns.len()
                ),
            ));
        }
        Ok(Some(Fields {
            line,
            columns: &self.columns,
            fields,
        }))
    }
}

/// A record below the header.
pub(super) struct Fields<'t> {
    pub(super) line: u64,
    columns: &'t [String],
    fields: Vec<String>,
}

impl Fields<'_> {
    /// What stands in a column; `None` where there is nothing, or no such column.
    pub(super) fn given(&self, name: &str) -> Option<&str> {
        let place = self.columns.iter().position(|column| column == name)?;
        let text = self.fields.get(place)?.trim();
        (!text.is_empty()).then_some(text)
    }
}
