//! Which folders a cluster lives in, and taking them away again.

use super::account::Account;
use crate::{Error, HomeLock, Result, processes};
use nix::unistd::Uid;
use std::fs::DirBuilder;
use std::hash::{Hash as _, Hasher as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Readable and writable for every account, and kept across a reboot.
const ELSEWHERE: &str = "/var/tmp";
/// `sun_path` holds 108 bytes with the closing zero.
const LONGEST_SOCKET_PATH: usize = 107;

pub(crate) struct Place {
    /// `<home>/postgres`
    pub(crate) folder: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) sockets: PathBuf,
    /// What lies outside the home and goes with the cluster.
    outside: Vec<PathBuf>,
    pub(crate) temporary: bool,
    _lock: HomeLock,
}

impl Place {
    pub(crate) fn choose(home: &Path, account: &Account, temporary: bool) -> Result<Self> {
        sweep();
        let folder = home.join("postgres");
        std::fs::create_dir_all(&folder).map_err(Error::io("create", &folder))?;
        let folder = folder.canonicalize().map_err(Error::io("find", &folder))?;
        let lock = HomeLock::acquire(&folder)?;
        let hash = hash_of(&folder);
        let mut outside = Vec::new();

        // Once chosen it stays, also when the home's mode changes later.
        let base = if let Some(base) = recorded(&folder) {
            outside.push(base.clone());
            base
        } else if folder.join("data").is_dir() || account.can_enter(&folder) {
            folder.clone()
        } else {
            let base = PathBuf::from(format!("{ELSEWHERE}/sangam-{hash}"));
            our_folder(&base, 0o711)?;
            write(&base.join("home"), &folder)?;
            write(&folder.join("elsewhere"), &base)?;
            tracing::info!(folder = %base.display(), "the home is out of reach for the account postgres: the cluster lives elsewhere");
            outside.push(base.clone());
            base
        };

        let mut sockets = base.join("run");
        if sockets.join(".s.PGSQL.65535").as_os_str().len() > LONGEST_SOCKET_PATH {
            sockets = PathBuf::from(format!("/tmp/sangam-{hash}"));
            our_folder(&sockets, 0o711)?;
            write(&sockets.join("home"), &folder)?;
            outside.push(sockets.clone());
            sockets = sockets.join("run");
        }
        if !sockets.is_dir() {
            DirBuilder::new()
                .mode(0o700)
                .create(&sockets)
                .map_err(Error::io("create", &sockets))?;
        }
        account.give(&sockets)?;
        Ok(Self {
            data: base.join("data"),
            folder,
            sockets,
            outside,
            temporary,
            _lock: lock,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary {
            for folder in &self.outside {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

/// Deletes a home's cluster, wherever it is.
pub(crate) fn remove(home: &Path) -> Result<()> {
    let folder = home.join("postgres");
    let Ok(folder) = folder.canonicalize() else {
        return Ok(());
    };
    let _lock = HomeLock::acquire(&folder)?;
    for outside in
        outside_folders().filter(|outside| named_home(outside).as_deref() == Some(&folder))
    {
        std::fs::remove_dir_all(&outside).map_err(Error::io("remove", &outside))?;
    }
    std::fs::remove_dir_all(&folder).map_err(Error::io("remove", &folder))
}

/// Removes what homes that no longer exist have left outside.
fn sweep() {
    for outside in outside_folders() {
        let orphan = named_home(&outside).is_some_and(|home| !home.exists());
        let used = || {
            let data = outside.join("data");
            processes::all()
                .iter()
                .any(|pid| processes::works_in(*pid, &data))
        };
        if orphan && !used() {
            tracing::info!(folder = %outside.display(), "removing the cluster of a home that no longer exists");
            let _ = std::fs::remove_dir_all(&outside);
        }
    }
}

/// Folders of ours outside any home: named so, and owned by us.
fn outside_folders() -> impl Iterator<Item = PathBuf> {
    [ELSEWHERE, "/tmp"]
        .iter()
        .filter_map(|place| std::fs::read_dir(place).ok())
        .flatten()
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with("sangam-"))
        })
        .map(|entry| entry.path())
        .filter(|path| is_ours(path))
}

/// Where an earlier start put the cluster of this folder, if it is still there and still ours.
fn recorded(folder: &Path) -> Option<PathBuf> {
    let base = std::fs::read_to_string(folder.join("elsewhere")).ok()?;
    let base = PathBuf::from(base.trim_end_matches('\n'));
    (is_ours(&base) && named_home(&base).as_deref() == Some(folder)).then_some(base)
}

fn named_home(outside: &Path) -> Option<PathBuf> {
    let home = std::fs::read_to_string(outside.join("home")).ok()?;
    Some(PathBuf::from(home.trim_end_matches('\n')))
}

fn is_ours(path: &Path) -> bool {
    path.symlink_metadata()
        .is_ok_and(|data| data.is_dir() && data.uid() == Uid::effective().as_raw())
}

/// Everybody may write to the folders above: what is already there must be a folder that we made.
fn our_folder(path: &Path, mode: u32) -> Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            if is_ours(path) {
                Ok(())
            } else {
                Err(Error::NotOurs(path.to_owned()))
            }
        }
        made => made.map_err(Error::io("create", path)),
    }
}

fn write(file: &Path, path: &Path) -> Result<()> {
    std::fs::write(file, format!("{}\n", path.display())).map_err(Error::io("write", file))
}

/// Names a folder and protects nothing; what it named is recorded, so it need not stay the same.
fn hash_of(path: &Path) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    path.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
