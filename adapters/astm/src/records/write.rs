//! Records of our own.

use super::Delimiters;
use super::escape::escape;

/// Builds one record: fields by number, trailing empty ones left out.
#[derive(Debug, Clone)]
pub struct RecordWriter {
    letter: char,
    delimiters: Delimiters,
    fields: Vec<String>,
}

impl RecordWriter {
    /// A record of this type. H gets its delimiter definition.
    #[must_use]
    pub fn new(letter: char, delimiters: Delimiters) -> Self {
        let mut record = Self {
            letter,
            delimiters,
            fields: Vec::new(),
        };
        if letter == 'H' {
            let d = delimiters;
            record.put(2, String::from_iter([d.repeat, d.component, d.escape]));
        }
        record
    }

    fn put(&mut self, number: usize, raw: String) {
        let at = number.saturating_sub(2);
        if self.fields.len() <= at {
            self.fields.resize(at + 1, String::new());
        }
        if let Some(field) = self.fields.get_mut(at) {
            *field = raw;
        }
    }

    /// Sets field `number` (2 and up) to one text.
    #[must_use]
    pub fn field(mut self, number: usize, text: &str) -> Self {
        let raw = escape(text, self.delimiters);
        self.put(number, raw);
        self
    }

    /// Sets a field of components; trailing empty ones are left out.
    #[must_use]
    pub fn components(self, number: usize, parts: &[&str]) -> Self {
        self.repeats(number, &[parts.iter().map(|p| (*p).to_owned()).collect()])
    }

    /// Sets a field of repeats, each of components.
    #[must_use]
    pub fn repeats(mut self, number: usize, repeats: &[Vec<String>]) -> Self {
        let d = self.delimiters;
        let written: Vec<String> = repeats
            .iter()
            .map(|parts| {
                let parts: Vec<_> = parts.iter().map(|p| escape(p, d)).collect();
                parts
                    .join(&d.component.to_string())
                    .trim_end_matches(d.component)
                    .to_owned()
            })
            .collect();
        self.put(number, written.join(&d.repeat.to_string()));
        self
    }

    /// The record without CR.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.letter.to_string();
        let used = self
            .fields
            .iter()
            .rposition(|f| !f.is_empty())
            .map_or(0, |at| at + 1);
        for field in self.fields.iter().take(used) {
            text.push(self.delimiters.field);
            text.push_str(field);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_written_with_their_delimiters() {
        let d = Delimiters::of_text("|\\^&").unwrap();
        let h = RecordWriter::new('H', d)
            .field(5, "HUB")
            .field(12, "P")
            .field(14, "");
        assert_eq!(h.text(), "H|\\^&|||HUB|||||||P");
        let tests = [vec!["", "", "", "WBC"], vec!["", "", "", "H|B"]]
            .map(|t| t.into_iter().map(str::to_owned).collect());
        let o = RecordWriter::new('O', d).field(2, "1").repeats(5, &tests);
        assert_eq!(o.text(), "O|1|||^^^WBC\\^^^H&F&B");
    }
}
