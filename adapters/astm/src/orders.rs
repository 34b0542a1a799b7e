//! What an instrument asks, and what it is told to do, in its own dialect.
//!
//! A query is read from the stored message ([`question`]), asked of the worklist by the edge, and answered here. Only
//! tests that the tables can name in the instrument's words are sent. Nothing here knows a socket.

use schemas::worklist::WorklistAnswer;
use time::OffsetDateTime;

use crate::settings::{AstmSettings, Mode};

mod blocks;
pub mod question;
mod records;

pub use question::Question;

/// Why an answer is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion<'q> {
    /// The instrument asked.
    Query(&'q Question),
    /// Nobody asked.
    Download,
    /// The instrument asked and the worklist could not be read.
    Failed(&'q Question),
}

/// The messages that answer, each as records (or, for block protocols, as one block).
#[must_use]
pub fn answer(
    settings: &AstmSettings,
    occasion: Occasion<'_>,
    worklist: &WorklistAnswer,
    now: OffsetDateTime,
) -> Vec<Vec<Vec<u8>>> {
    match settings.link.mode {
        Mode::E1381 | Mode::Bare => records::answer(settings, occasion, worklist, now),
        Mode::Au => blocks::au(settings, occasion, worklist),
        Mode::Dimension => blocks::dimension(settings, occasion, worklist),
    }
}

/// Text in the channel's character set; what it has no character for becomes `?`.
fn encode(settings: &AstmSettings, text: &str) -> Vec<u8> {
    let encoding = settings.dialect.encoding().unwrap_or(encoding_rs::UTF_8);
    let (bytes, _, unmappable) = encoding.encode(text);
    if !unmappable {
        return bytes.into_owned();
    }
    let plain: String = text
        .chars()
        .map(|c| {
            let (_, _, bad) = encoding.encode(c.encode_utf8(&mut [0; 4]));
            if bad { '?' } else { c }
        })
        .collect();
    encoding.encode(&plain).0.into_owned()
}
