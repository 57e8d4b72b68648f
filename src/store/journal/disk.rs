//! The file operations that the writer needs, behind a trait so that tests can let them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of zeros that are written and synced at once: what the journal writes meanwhile waits for one of them at most.
const PIECE: usize = 256 * 1024;

/// The shortest pause between two of them. It is as long as the last one took, so that the disk is others' half of the time.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes files and makes folders durable.
pub(in crate::store) trait Disk: Send + Sync {
    /// Makes a file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;

    /// Makes a file of so many zeros that are on disk, to be written over from its beginning. Ends early, with an error,
    /// once `stop` is set; what it has made of the file is left there.
    fn create_zeros(
        &self,
        path: &Path,
        bytes: u64,
        stop: &AtomicBool,
    ) -> io::Result<Box<dyn Output>>;

    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file that is written from its beginning on.
pub(in crate::store) trait Output: Send {
    /// Writes all bytes behind those that were written; after an error some of them may be there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts off what lies behind that.
    fn cut(&mut self) -> io::Result<()>;
}

/// The real thing.
pub(in crate::store) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(create(path)?))
    }

    fn create_zeros(
        &self,
        path: &Path,
        bytes: u64,
        stop: &AtomicBool,
    ) -> io::Result<Box<dyn Output>> {
        let mut file = create(path)?;
        let zeros = vec![0; PIECE];
        let mut left = bytes;
        while left > 0 {
            if stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let piece = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let began = Instant::now();
            file.write_all(zeros.get(..piece).unwrap_or_default())?;
            file.sync_data()?;
            left -= piece as u64;
            if left > 0 {
                thread::sleep(began.elapsed().max(PAUSE));
            }
        }
        file.sync_all()?;
        file.rewind()?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl Output for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self) -> io::Result<()> {
        let written = self.stream_position()?;
        if self.metadata()?.len() > written {
            self.set_len(written)?;
        }
        Ok(())
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
