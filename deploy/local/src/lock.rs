//! One owner for a folder: a lock that the kernel lets go of when its holder dies, however it dies.

use crate::{Error, Result};
use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// Held for as long as it lives. `hub dev` and `hub demo` take it on their home before anything else.
#[derive(Debug)]
pub struct HomeLock {
    _file: Flock<File>,
}

impl HomeLock {
    /// Creates the folder where it is missing, and takes `<home>/lock`.
    ///
    /// # Errors
    /// [`Error::HomeTaken`] names the process that has it.
    pub fn acquire(home: &Path) -> Result<Self> {
        std::fs::create_dir_all(home).map_err(Error::io("create", home))?;
        let path = home.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        let mut holder = String::new();
        file.read_to_string(&mut holder)
            .map_err(Error::io("read", &path))?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                return Err(Error::HomeTaken {
                    home: home.to_owned(),
                    pid: holder.trim().parse().unwrap_or(0),
                });
            }
            Err((_, errno)) => return Err(Error::io("lock", &path)(errno.into())),
        };
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .map_err(Error::io("write", &path))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_hub_on_the_same_home_is_told_who_has_it() {
        let home = tempfile::tempdir().unwrap();
        let first = HomeLock::acquire(home.path()).unwrap();
        let Err(Error::HomeTaken { pid, .. }) = HomeLock::acquire(home.path()) else {
            panic!("the second got the lock");
        };
        assert_eq!(pid, std::process::id());
        drop(first);
        HomeLock::acquire(home.path()).unwrap();
    }
}
