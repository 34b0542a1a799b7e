//! The delimiters that an H record sets (LIS02-A2 §5.4.1).

/// Field, repeat, component, escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiters {
    pub field: char,
    pub repeat: char,
    pub component: char,
    pub escape: char,
    /// H did not define all four, so that some are the usual ones.
    pub assumed: bool,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self {
            field: '|',
            repeat: '\\',
            component: '^',
            escape: '&',
            assumed: true,
        }
    }
}

impl Delimiters {
    /// Reads them; none when the line is no H record.
    #[must_use]
    pub fn of_header(line: &str) -> Option<Self> {
        let mut chars = line.chars();
        if chars.next() != Some('H') {
            return None;
        }
        let field = chars
            .next()
            .filter(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !c.is_whitespace())?;
        let said: Vec<char> = chars.take_while(|c| *c != field).collect();
        let usual = Self {
            field,
            ..Self::default()
        };
        let set = |repeat, component, escape| Self {
            field,
            repeat,
            component,
            escape,
            assumed: false,
        };
        Some(match said[..] {
            // some drivers write the backslash twice
            [a, b, component, escape] if a == b => set(a, component, escape),
            [repeat, component, escape, ..] => set(repeat, component, escape),
            // which of the three is missing shows where one of the usual ones stands
            [component @ '^', escape] => Self {
                component,
                escape,
                ..usual
            },
            [repeat, component] => Self {
                repeat,
                component,
                ..usual
            },
            _ => usual,
        })
    }

    /// From four characters: field, repeat, component, escape.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let mut chars = text.chars();
        let delimiters = Self {
            field: chars.next()?,
            repeat: chars.next()?,
            component: chars.next()?,
            escape: chars.next()?,
            assumed: false,
        };
        chars.next().is_none().then_some(delimiters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_was_seen_is_read() {
        for (line, field, repeat, component, escape) in [
            ("H|\\^&|||x", '|', '\\', '^', '&'),
            ("H|@^\\|x", '|', '@', '^', '\\'),
            ("H|\\#&", '|', '\\', '#', '&'),
            ("H|\\!~|", '|', '\\', '!', '~'),
            ("H|\\\\^&|x", '|', '\\', '^', '&'),
            ("H;^&;;;x", ';', '\\', '^', '&'),
            ("H|||", '|', '\\', '^', '&'),
        ] {
            let read = Delimiters::of_header(line).unwrap();
            assert_eq!(
                (read.field, read.repeat, read.component, read.escape),
                (field, repeat, component, escape),
                "{line}"
            );
        }
        for line in ["", "H", "P|1", "HELLO", "H 1"] {
            assert_eq!(Delimiters::of_header(line), None, "{line}");
        }
    }
}
