//! An instrument on a line that changes one byte in a thousand, in both directions. It keeps what it sent and heard, and knows
//! which of its messages the noise altered so that no receiver can see it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tests::{Astm, astm_frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// LIS01-A2 §6.5.2.2 has 15 s; an instrument here is less patient, so that the test is not long.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// Sends of one frame (§6.3.2.2).
const SENDS: usize = 6;
/// Sessions that a message may take.
pub(super) const SESSIONS: usize = 50;

/// xorshift.
pub(super) struct Noise(pub(super) u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn disturb(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.next().is_multiple_of(1000) {
                *byte ^= u8::try_from(self.next() % 255).unwrap() + 1;
            }
        }
    }
}

/// The frames in these bytes that a receiver takes for whole, without STX and checksum.
fn right_frames(bytes: &[u8]) -> Vec<&[u8]> {
    let starts = bytes.iter().enumerate().filter(|(_, b)| **b == 0x02);
    let frames = starts.filter_map(|(at, _)| {
        let after = &bytes[at + 1..];
        let end = after
            .iter()
            .position(|b| matches!(*b, 0x02 | 0x03 | 0x17))?;
        let said = after.get(end + 1..end + 3)?;
        let sum: u32 = after[..=end].iter().map(|b| u32::from(*b)).sum();
        let right = said.eq_ignore_ascii_case(format!("{:02X}", sum % 256).as_bytes());
        (after[end] != 0x02 && right).then_some(&after[..=end])
    });
    frames.collect()
}

/// The noise made another frame of this one, and its checksum is right.
fn is_invisible(clean: &[u8], heard: &[u8]) -> bool {
    let sent = right_frames(clean);
    right_frames(heard)
        .iter()
        .any(|frame| !sent.contains(frame))
}

/// An instrument on a bad line, by LIS01-A2 §6.
pub(super) struct Instrument {
    line: TcpStream,
    noise: Noise,
    /// The number of the message that is being sent.
    at: usize,
    /// Messages with a frame whose disturbance no receiver can see.
    pub(super) unseen: BTreeSet<usize>,
    pub(super) sessions: usize,
    /// Everything on the line, for whoever has to find out why the test failed.
    pub(super) tape: String,
}

impl Instrument {
    pub(super) async fn connect(address: SocketAddr, noise: Noise) -> Self {
        let line = TcpStream::connect(address).await.unwrap();
        line.set_nodelay(true).unwrap();
        Self {
            line,
            noise,
            at: 0,
            unseen: BTreeSet::new(),
            sessions: 0,
            tape: String::new(),
        }
    }

    async fn write(&mut self, clean: &[u8]) {
        let mut bytes = clean.to_vec();
        self.noise.disturb(&mut bytes);
        let _ = writeln!(self.tape, "> {}", clean.escape_ascii());
        if bytes != clean {
            let _ = writeln!(self.tape, "> {} (as it arrives)", bytes.escape_ascii());
        }
        if is_invisible(clean, &bytes) {
            let _ = writeln!(self.tape, "  no checksum can see this");
            self.unseen.insert(self.at);
        }
        self.line.write_all(&bytes).await.unwrap();
    }

    /// The next byte as it arrives; `None` when patience ends.
    async fn hear(&mut self) -> Option<u8> {
        let Ok(byte) = tokio::time::timeout(PATIENCE, self.line.read_u8()).await else {
            let _ = writeln!(self.tape, "< nothing");
            return None;
        };
        let said = byte.expect("the hub does not hang up");
        let mut heard = [said];
        self.noise.disturb(&mut heard);
        let _ = writeln!(self.tape, "< {said:02X}, heard {:02X}", heard[0]);
        Some(heard[0])
    }

    /// Sends a message until it is acknowledged; false when it never is.
    pub(super) async fn deliver(&mut self, number: usize, records: &[String]) -> bool {
        self.at = number;
        for session in 1..=SESSIONS {
            self.sessions += 1;
            let _ = writeln!(self.tape, "message {number}, session {session}");
            if self.session(records).await {
                return true;
            }
            self.write(&[Astm::EOT]).await;
            // answers that were under way when we gave up are none to what comes
            while let Ok(Ok(byte)) =
                tokio::time::timeout(Duration::from_millis(30), self.line.read_u8()).await
            {
                let _ = writeln!(self.tape, "< {byte:02X}, not listened to");
            }
        }
        false
    }

    async fn session(&mut self, records: &[String]) -> bool {
        self.write(&[Astm::ENQ]).await;
        if self.hear().await != Some(Astm::ACK) {
            return false;
        }
        for (n, record) in records.iter().enumerate() {
            let frame = astm_frame(n + 1, record);
            let mut sends = 0;
            loop {
                self.write(&frame).await;
                sends += 1;
                match self.hear().await {
                    Some(Astm::ACK | Astm::EOT) => break,
                    None => return false,
                    Some(_) if sends == SENDS => return false,
                    Some(_) => {}
                }
            }
        }
        self.write(&[Astm::EOT]).await;
        true
    }
}
