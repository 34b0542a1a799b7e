//! Comma-separated values as RFC 4180 has them: quotes, doubled quotes, line breaks inside of quotes. One record at a time.

use std::io::BufRead;

use super::Fault;

/// No record of a code system comes near it: a quote that is never closed must not take the whole file into memory.
const LONGEST: usize = 1024 * 1024;

/// Records of a reader.
pub(super) struct Csv<R> {
    reader: R,
    /// Lines read so far.
    lines: u64,
}

impl<R: BufRead> Csv<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, lines: 0 }
    }

    /// The next record and the line that it begins on; `None` at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// It can't be read, or has a quote that is not closed.
    pub(super) fn record(&mut self) -> Result<Option<(u64, Vec<String>)>, Fault> {
        let mut bytes = Vec::new();
        let mut first = self.lines + 1;
        loop {
            let at = self.lines + 1;
            let read = self
                .reader
                .read_until(b'\n', &mut bytes)
                .map_err(|error| Fault::new(at, format!("can't be read: {error}")))?;
            let quotes = bytes.iter().filter(|byte| **byte == b'"').count();
            if read == 0 {
                if bytes.is_empty() {
                    return Ok(None);
                }
                return Err(Fault::new(
                    first,
                    "a quote is not closed: the file ends in the middle",
                ));
            }
            self.lines += 1;
            if bytes.len() > LONGEST {
                return Err(Fault::new(first, "a quote is not closed"));
            }
            if quotes % 2 == 1 {
                continue;
            }
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| Fault::new(first, "this is not UTF-8"))?
                .trim_end_matches(['\r', '\n']);
            let text = match first {
                1 => text.trim_start_matches('\u{FEFF}'),
                _ => text,
            };
            if text.is_empty() {
                bytes.clear();
                first = self.lines + 1;
                continue;
            }
            return fields(text)
                .map(|fields| Some((first, fields)))
                .map_err(|what| Fault::new(first, what));
        }
    }
}

/// The fields of one record.
pub(super) fn fields(text: &str) -> Result<Vec<String>, &'static str> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return Err("a quote stands inside of a field that does not begin with one");
                }
                (field.to_owned(), after)
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("something stands between a closing quote and the next comma"),
        }
    }
}

/// What stands before the closing quote, and what after it.
fn quoted_field(text: &str) -> Result<(String, &str), &'static str> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"').ok_or("a quote is not closed")?;
        field.push_str(before);
        match after.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None => return Ok((field, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Records = Result<Vec<(u64, Vec<String>)>, Fault>;

    fn records(text: &str) -> Records {
        let mut csv = Csv::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(record) = csv.record()? {
            all.push(record);
        }
        Ok(all)
    }

    #[test]
    fn records_are_read_as_rfc_4180_says() {
        let read = records(
            "\u{FEFF}a,b\r\n\"1,2\",\"say \"\"x\"\"\"\r\n\n\"two\nlines\",\n,\"\"\nlast,one",
        )
        .unwrap();
        let expected: Vec<(u64, Vec<&str>)> = vec![
            (1, vec!["a", "b"]),
            (2, vec!["1,2", "say \"x\""]),
            (4, vec!["two\nlines", ""]),
            (6, vec!["", ""]),
            (7, vec!["last", "one"]),
        ];
        assert_eq!(read.len(), expected.len());
        for ((line, fields), (expected_line, expected_fields)) in read.iter().zip(&expected) {
            assert_eq!(line, expected_line);
            assert_eq!(fields, expected_fields);
        }
    }

    #[test]
    fn what_is_broken_is_named_by_its_line() {
        for (text, line, words) in [
            ("a,b\n\"1,2\n3,4\n", 2, "the file ends in the middle"),
            ("a\nx\"y\"\n", 2, "does not begin with one"),
            ("a\n\"x\"y\n", 2, "between a closing quote"),
        ] {
            let fault = records(text).unwrap_err();
            assert_eq!(fault.line, line, "{text}");
            assert!(fault.what.contains(words), "{fault}");
        }
        let mut csv = Csv::new(&b"a\n\xFF\n"[..]);
        csv.record().unwrap();
        assert_eq!(csv.record().unwrap_err().line, 2);
    }
}
