//! Which parts of the program a process runs.

use anyhow::bail;

/// Which parts this process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles {
    pub adapters: bool,
    pub workers: bool,
    pub api: bool,
}

impl Roles {
    pub(crate) const ALL: Self = Self {
        adapters: true,
        workers: true,
        api: true,
    };

    /// Reads `adapters,workers,api`.
    pub(crate) fn parse(list: &str) -> anyhow::Result<Self> {
        let mut roles = Self {
            adapters: false,
            workers: false,
            api: false,
        };
        for name in list.split(',').map(str::trim) {
            match name {
                "adapters" => roles.adapters = true,
                "workers" => roles.workers = true,
                "api" => roles.api = true,
                other => {
                    bail!("--only {other}: use adapters, workers, api, or several with commas")
                }
            }
        }
        Ok(roles)
    }
}
