//! What is wrong with settings: all of it, so that an operator corrects a file once.

use std::fmt;

/// One thing wrong with settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, from the top of the settings struct: `tls.certificate`.
    pub path: String,
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Everything wrong with settings, in the order in which it was looked at.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub fn add(&mut self, path: &str, message: impl Into<String>) {
        self.0.push(Fault {
            path: path.to_owned(),
            message: message.into(),
        });
    }

    /// Adds a fault unless it is `good`.
    pub fn check(&mut self, path: &str, good: bool, message: &str) {
        if !good {
            self.add(path, message);
        }
    }

    /// Adds what is wrong with the settings that stand at `path`.
    pub fn under(&mut self, path: &str, faults: Vec<Fault>) {
        for fault in faults {
            self.add(&format!("{path}.{}", fault.path), fault.message);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}
