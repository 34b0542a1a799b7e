//! Bundle: pages of a search, histories, and answers to batches.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::element::{element, list, moment};

/// What a bundle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BundleKind {
    Searchset,
    History,
    BatchResponse,
    TransactionResponse,
}

impl BundleKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Searchset => "searchset",
            Self::History => "history",
            Self::BatchResponse => "batch-response",
            Self::TransactionResponse => "transaction-response",
        }
    }
}

/// Why an entry is in a searchset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Match,
    Include,
    /// The hub says something about the search.
    Outcome,
}

/// One entry.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub full_url: Option<String>,
    pub resource: Option<Value>,
    pub mode: Option<Mode>,
    /// History: method and address that made the version.
    pub request: Option<(&'static str, String)>,
    /// `200 OK`
    pub status: Option<String>,
    pub location: Option<String>,
    pub etag: Option<String>,
    pub modified: Option<OffsetDateTime>,
    /// What is to be said of the answer.
    pub outcome: Option<Value>,
}

impl Entry {
    fn json(self) -> Value {
        let mode = self.mode.map_or(Value::Null, |mode| {
            json!({ "mode": match mode {
                Mode::Match => "match",
                Mode::Include => "include",
                Mode::Outcome => "outcome",
            } })
        });
        let request = self.request.map_or(
            Value::Null,
            |(method, url)| json!({ "method": method, "url": url }),
        );
        let response = if self.status.is_some() {
            element([
                ("status", self.status.map_or(Value::Null, Value::from)),
                ("location", self.location.map_or(Value::Null, Value::from)),
                ("etag", self.etag.map_or(Value::Null, Value::from)),
                ("lastModified", self.modified.map_or(Value::Null, moment)),
                ("outcome", self.outcome.unwrap_or(Value::Null)),
            ])
        } else {
            Value::Null
        };
        element([
            ("fullUrl", self.full_url.map_or(Value::Null, Value::from)),
            ("resource", self.resource.unwrap_or(Value::Null)),
            ("search", mode),
            ("request", request),
            ("response", response),
        ])
    }
}

/// A bundle.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub kind: BundleKind,
    /// When it was made.
    pub at: OffsetDateTime,
    pub total: Option<usize>,
    /// Relation and address.
    pub links: Vec<(&'static str, String)>,
    pub entries: Vec<Entry>,
}

impl Bundle {
    #[must_use]
    pub fn json(self) -> Value {
        let links = self
            .links
            .into_iter()
            .map(|(relation, url)| json!({ "relation": relation, "url": url }));
        let mut bundle = json!({
            "resourceType": "Bundle",
            "meta": { "lastUpdated": moment(self.at) },
            "type": self.kind.as_str(),
        });
        if let (Value::Object(bundle), Value::Object(rest)) = (
            &mut bundle,
            element([
                ("total", self.total.map_or(Value::Null, Value::from)),
                ("link", list(links)),
                ("entry", list(self.entries.into_iter().map(Entry::json))),
            ]),
        ) {
            bundle.extend(rest);
        }
        bundle
    }
}
