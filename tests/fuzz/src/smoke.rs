//! A fuzz body for a moment, on bytes that look a little like what it reads: short enough for every test run. `cargo fuzz`
//! does it for hours.

use std::time::{Duration, Instant};

/// Long enough to find what is plainly wrong, short enough for every test run; `SANGAM_SMOKE_SECONDS` makes it longer.
fn moment() -> Duration {
    std::env::var("SANGAM_SMOKE_SECONDS")
        .ok()
        .and_then(|seconds| seconds.parse().ok())
        .map_or(Duration::from_millis(800), Duration::from_secs)
}

/// xorshift64*: no dependency and the same bytes in every run.
pub struct Random(u64);

impl Random {
    pub fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
    }

    /// `bytes`, and up to 23 times one of the `pieces` or any byte.
    fn go_on(&mut self, mut bytes: Vec<u8>, pieces: &[&[u8]]) -> Vec<u8> {
        for _ in 0..self.next(24) {
            if self.next(8) == 0 {
                bytes.push(self.next(256) as u8);
            } else {
                bytes.extend_from_slice(pieces[self.next(pieces.len())]);
            }
        }
        bytes
    }
}

/// Runs `body` on what begins as `begin` says and goes on in `pieces`, which make random bytes reach the interesting places.
pub fn run(name: &str, pieces: &[&[u8]], begin: fn(&mut Random) -> Vec<u8>, body: fn(&[u8])) {
    let mut random = Random(0x5EED);
    let started = Instant::now();
    let moment = moment();
    let mut runs = 0_u32;
    while started.elapsed() < moment {
        let first = begin(&mut random);
        let bytes = random.go_on(first, pieces);
        let panicked = std::panic::catch_unwind(|| body(&bytes)).is_err();
        assert!(!panicked, "{name} broke on b\"{}\"", bytes.escape_ascii());
        runs += 1;
    }
    println!("{name}: {runs} inputs");
}
