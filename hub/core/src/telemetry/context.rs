//! W3C trace context (https://www.w3.org/TR/trace-context/): which trace a piece of work belongs to, which span is its
//! own, and whether the trace is exported. Every message carries the context of the span that made it, so whoever
//! continues, in whatever process, knows its parent. No I/O, no patient data: all ids are digests or random.

use uuid::Uuid;

use super::export;

/// A place in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanContext {
    trace: u128,
    span: u64,
    sampled: bool,
}

impl SpanContext {
    /// The first span of the trace of a message or request. The trace id is its own id, so that a trace is found from
    /// the message and the message from its trace; the span id is new, so that the same bytes received again are a
    /// second span and not the first one over again. Here, and only here, it is decided whether a trace is exported.
    #[must_use]
    pub fn root(id: Uuid) -> Self {
        let trace = id.as_u128().max(1);
        Self {
            trace,
            span: rand::random::<u64>().max(1),
            sampled: export::samples(trace),
        }
    }

    /// Reads a `traceparent` (§3.2); `None` when it is malformed. What is behind the flags of a later version is passed over.
    #[must_use]
    pub fn parse(traceparent: &str) -> Option<Self> {
        let mut fields = traceparent.trim().split('-');
        let (version, trace, span, flags) = (
            hex(fields.next()?, 2)?,
            hex(fields.next()?, 32)?,
            hex(fields.next()?, 16)?,
            hex(fields.next()?, 2)?,
        );
        let whole = version != 0 || fields.next().is_none();
        (whole && version != 0xff && trace != 0 && span != 0).then_some(Self {
            trace,
            span: u64::try_from(span).ok()?,
            sampled: flags & 1 == 1,
        })
    }

    /// The context that a message carries, if it carries a good one.
    #[must_use]
    pub fn of(traceparent: Option<&str>) -> Option<Self> {
        traceparent.and_then(Self::parse)
    }

    /// The span of work that follows from this one: same trace, same decision. The id is made of the parent, the work and
    /// what it is done to, so that work which is repeated after a crash has the id that its followers know.
    #[must_use]
    pub fn child(&self, work: &str, on: u128) -> Self {
        let (high, low) = Uuid::from_u128(on).as_u64_pair();
        let mut span = self.span;
        for word in work.bytes().map(u64::from).chain([high, low]) {
            span = mix(span ^ word);
        }
        Self {
            span: span.max(1),
            ..*self
        }
    }

    /// The header's value for whatever this span causes.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!(
            "00-{:032x}-{:016x}-{:02x}",
            self.trace,
            self.span,
            u8::from(self.sampled)
        )
    }

    /// 32 lower-case hex digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// Whether spans of this trace are exported.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.sampled
    }

    /// Id of the span, for those that follow from it.
    #[must_use]
    pub fn span(&self) -> u64 {
        self.span
    }

    pub(super) fn trace(&self) -> u128 {
        self.trace
    }
}

/// Exactly `digits` lower-case hex digits (§3.2.2: upper case is not allowed).
fn hex(text: &str, digits: usize) -> Option<u128> {
    let good = text.len() == digits
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    good.then(|| u128::from_str_radix(text, 16).ok())?
}

/// Spreads a word over all 64 bits (the finaliser of SplitMix64): neighbours become strangers.
fn mix(word: u64) -> u64 {
    let mut z = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_good_parent_is_continued_and_written_as_it_came() {
        let parent = SpanContext::parse(GOOD).unwrap();
        assert_eq!(parent.traceparent(), GOOD);
        let child = parent.child("apply", 7);
        assert_eq!(child.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(child.span(), parent.span());
        assert!(child.is_sampled());
        let unwanted = SpanContext::parse(&GOOD.replace("-01", "-00")).unwrap();
        assert!(
            !unwanted.child("apply", 7).is_sampled(),
            "who began the trace decides"
        );
        assert!(
            SpanContext::parse(&GOOD.replace("00-4", "01-4").replace("-01", "-01-more")).is_some(),
            "a later version may say more"
        );
    }

    #[test]
    fn a_bad_parent_is_none() {
        for bad in [
            "",
            "00-1-2-3",
            "00-0-0-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(SpanContext::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn each_piece_of_work_has_an_id_of_its_own_and_the_same_again_when_repeated() {
        let parent = SpanContext::parse(GOOD).unwrap();
        let mut seen = std::collections::HashSet::from([parent.span()]);
        for work in ["translate", "apply", "relay"] {
            for on in 0..1000_u128 {
                let child = parent.child(work, on);
                assert!(seen.insert(child.span()), "{work} {on}");
                assert_eq!(child, parent.child(work, on));
            }
        }
        let id = Uuid::from_u128(0x4bf9_2f35);
        assert_eq!(SpanContext::root(id).trace(), id.as_u128());
        assert_ne!(SpanContext::root(id).span(), SpanContext::root(id).span());
    }
}
