//! How much is invented, and what it takes on disk.

use std::path::Path;

use anyhow::{Context as _, ensure};

use super::reports::RESULTS;

/// Bytes on disk of a patient and of a result, with all that belongs to them (keys, identifiers, reports, indexes), rounded up.
const OF_A_PATIENT: u64 = 3_000;
const OF_A_RESULT: u64 = 400;
/// Beside them: the log that Postgres writes ahead keeps at most so much (`max_wal_size`, and what comes while it is cleared).
const AHEAD: u64 = 5_000_000_000;

/// How much.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(in crate::command::load) struct Size {
    /// Invented patients, with --seed and in the scenario `rest` of --table.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    pub(in crate::command::load) seed_patients: u64,
    /// Their invented results: a multiple of ten, for a report has ten.
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(10..=30_000_000))]
    pub(in crate::command::load) seed_results: u64,
}

impl Size {
    /// Bytes that it takes on disk at most, the log ahead of it included.
    pub(in crate::command::load) fn bytes(self) -> u64 {
        let rows = self.seed_patients * OF_A_PATIENT + self.seed_results * OF_A_RESULT;
        rows + AHEAD.min(rows * 2)
    }

    /// Refuses results that are no whole reports.
    ///
    /// # Errors
    /// They are not.
    pub(super) fn is_whole(self) -> anyhow::Result<()> {
        ensure!(
            self.seed_results.is_multiple_of(RESULTS),
            "{} results are no whole reports: --seed-results is a multiple of {RESULTS}",
            self.seed_results
        );
        Ok(())
    }

    /// Refuses to begin what can't be written, or what the disk of this folder has no room for.
    ///
    /// # Errors
    /// There is less room, or the results are no whole reports.
    pub(in crate::command::load) fn fits(self, folder: &Path) -> anyhow::Result<()> {
        self.is_whole()?;
        let disk = nix::sys::statvfs::statvfs(folder)
            .with_context(|| format!("how full the disk of {} is", folder.display()))?;
        let free = disk.blocks_available() * disk.fragment_size();
        ensure!(
            free >= self.bytes(),
            "{} patients and {} results take up to {}, and {} has {}: give less with --seed-patients and --seed-results",
            self.seed_patients,
            self.seed_results,
            gigabytes(self.bytes()),
            folder.display(),
            gigabytes(free)
        );
        Ok(())
    }

    pub(in crate::command::load) fn reports(self) -> u64 {
        self.seed_results / RESULTS
    }
}

pub(super) fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_takes_grows_with_what_is_written_and_the_log_ahead_has_a_bound() {
        let size = |seed_patients, seed_results| Size {
            seed_patients,
            seed_results,
        };
        assert!(size(1_000, 10_000).bytes() < 50_000_000);
        assert_eq!(size(1_000_000, 10_000_000).bytes(), 12_000_000_000);
        assert_eq!(size(100, 90).reports(), 9);
        assert!(size(100, 90).is_whole().is_ok());
        assert!(size(100, 95).is_whole().is_err());
    }
}
