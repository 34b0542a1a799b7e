//! The account that Postgres runs as: ours, or the package's when we are root.

use crate::{Error, Result, Tools};
use nix::unistd::{Uid, User};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PACKAGE_ACCOUNT: &str = "postgres";

pub(crate) struct Account {
    setpriv: PathBuf,
    /// `None`: we are no root and stay who we are.
    other: Option<User>,
}

impl Account {
    pub(crate) fn choose(tools: &Tools) -> Result<Self> {
        let other = if Uid::effective().is_root() {
            let user = User::from_name(PACKAGE_ACCOUNT)
                .ok()
                .flatten()
                .ok_or(Error::NoAccount(PACKAGE_ACCOUNT))?;
            Some(user)
        } else {
            None
        };
        Ok(Self {
            setpriv: tools.setpriv.clone(),
            other,
        })
    }

    /// A command that runs as this account, from `/` (the account may not be able to enter our folder).
    pub(crate) fn command(&self, program: &Path, extra: &[&str]) -> Command {
        let mut command = Command::new(&self.setpriv);
        if let Some(user) = &self.other {
            command.args(["--reuid", &user.uid.to_string()]);
            command.args(["--regid", &user.gid.to_string(), "--init-groups"]);
        }
        command.args(extra).arg(program);
        command
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    /// Asked of the system itself, so that every parent folder, group and ACL counts.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        self.other.is_none()
            || self
                .command(Path::new("test"), &[])
                .arg("-x")
                .arg(folder)
                .status()
                .is_ok_and(|status| status.success())
    }

    /// Gives a file or folder to the account.
    pub(crate) fn give(&self, path: &Path) -> Result<()> {
        let Some(user) = &self.other else {
            return Ok(());
        };
        std::os::unix::fs::lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
            .map_err(Error::io("give away", path))
    }
}
