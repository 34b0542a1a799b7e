//! What an ERR segment says.

/// A code of table HL70357.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// 0: success; optional in MSA-6 and ERR.
    Accepted,
    /// 100: a segment is missing or out of order.
    SegmentSequence,
    /// 101: a required field is empty.
    RequiredField,
    /// 102: a value does not fit its data type.
    DataType,
    /// 103: a code is not in its table.
    TableValue,
    /// 200: message type not supported.
    MessageType,
    /// 201: event not supported.
    Event,
    /// 202: processing id not supported.
    ProcessingId,
    /// 203: version not supported.
    Version,
    /// 204: the patient, order, ... is not known.
    UnknownKey,
    /// 205: it exists already.
    DuplicateKey,
    /// 206: the record is locked.
    Locked,
    /// 207: our own fault, or anything that has no code.
    Internal,
}

impl ErrorCode {
    /// The number.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Accepted => 0,
            Self::SegmentSequence => 100,
            Self::RequiredField => 101,
            Self::DataType => 102,
            Self::TableValue => 103,
            Self::MessageType => 200,
            Self::Event => 201,
            Self::ProcessingId => 202,
            Self::Version => 203,
            Self::UnknownKey => 204,
            Self::DuplicateKey => 205,
            Self::Locked => 206,
            Self::Internal => 207,
        }
    }

    /// The standard's text.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Accepted => "Message accepted",
            Self::SegmentSequence => "Segment sequence error",
            Self::RequiredField => "Required field missing",
            Self::DataType => "Data type error",
            Self::TableValue => "Table value not found",
            Self::MessageType => "Unsupported message type",
            Self::Event => "Unsupported event code",
            Self::ProcessingId => "Unsupported processing id",
            Self::Version => "Unsupported version id",
            Self::UnknownKey => "Unknown key identifier",
            Self::DuplicateKey => "Duplicate key identifier",
            Self::Locked => "Application record locked",
            Self::Internal => "Application internal error",
        }
    }
}

/// Table HL70516.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Severity {
    /// The message was not accepted.
    #[default]
    Error,
    /// Accepted, with something to look at.
    Warning,
    /// Accepted.
    Information,
}

impl Severity {
    /// `E`, `W` or `I`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "E",
            Self::Warning => "W",
            Self::Information => "I",
        }
    }
}

/// Where in the message the error is; numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorLocation<'a> {
    /// `PID`.
    pub segment: &'a str,
    /// Which of the segments with this id.
    pub sequence: u32,
    /// Field number, if it is one field's fault.
    pub field: Option<u32>,
}

/// The content of one ERR segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AckError<'a> {
    /// ERR-3.
    pub code: ErrorCode,
    /// ERR-4.
    pub severity: Severity,
    /// ERR-2.
    pub location: Option<ErrorLocation<'a>>,
    /// ERR-7: for whoever debugs the link. No patient data.
    pub diagnostics: Option<&'a str>,
    /// ERR-8: for whoever stands at the device. No patient data.
    pub user_text: Option<&'a str>,
}

impl<'a> AckError<'a> {
    /// An error with nothing but a code.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        Self {
            code,
            severity: Severity::Error,
            location: None,
            diagnostics: None,
            user_text: None,
        }
    }

    /// The same, at a place.
    #[must_use]
    pub const fn at(mut self, location: ErrorLocation<'a>) -> Self {
        self.location = Some(location);
        self
    }

    /// The same, with words for whoever debugs the link.
    #[must_use]
    pub const fn diagnostics(mut self, text: &'a str) -> Self {
        self.diagnostics = Some(text);
        self
    }

    /// The same, with words for whoever stands at the device.
    #[must_use]
    pub const fn user_text(mut self, text: &'a str) -> Self {
        self.user_text = Some(text);
        self
    }
}
