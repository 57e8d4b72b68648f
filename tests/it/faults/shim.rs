//! A library that is loaded into the daemon before libc and stands between it and the disk: syncs of the journal
//! fail or take long while a file says so, and those that went well are noted.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What it is made of. Only the journal's folder and what is in it is meant.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *told(const char *name, char *path) {
    const char *folder = getenv("SHIM");
    snprintf(path, 4096, "%s/%s", folder ? folder : "/nowhere", name);
    return path;
}

static void note(const char *name, const char *line) {
    char path[4096];
    int fd = open(told(name, path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) return;
    if (write(fd, line, strlen(line)) < 0) { /* the test misses it */ }
    close(fd);
}

__attribute__((constructor)) static void loaded(void) { note("loaded", "yes\n"); }

/* Does as `real` does, unless told otherwise. */
static int sync_by(int (*real)(int), int fd) {
    char link[64], path[4096], flag[4096], line[4200];
    struct stat before;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return real(fd);
    path[length] = 0;
    if (!strstr(path, "/data/journal")) return real(fd);
    if (access(told("slow", flag), F_OK) == 0) usleep(300 * 1000);
    if (access(told("fail", flag), F_OK) == 0) {
        note("failed", "EIO\n");
        errno = EIO;
        return -1;
    }
    /* Only what was written before the sync began is on disk after it. */
    int known = fstat(fd, &before);
    int result = real(fd);
    if (result == 0 && known == 0) {
        const char *name = strrchr(path, '/') + 1;
        snprintf(line, sizeof line, "%s %lld\n", name, (long long)before.st_size);
        note("synced", line);
    }
    return result;
}

int fdatasync(int fd) { return sync_by((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"), fd); }

int fsync(int fd) { return sync_by((int (*)(int))dlsym(RTLD_NEXT, "fsync"), fd); }
"#;

/// The library, and the folder in which it looks for what it is to do.
pub struct Shim {
    folder: PathBuf,
    library: PathBuf,
}

impl Shim {
    /// Compiles it into a folder of its own inside `folder`.
    ///
    /// # Errors
    /// Why that cannot be done here.
    pub fn make(folder: &Path) -> Result<Self, String> {
        let folder = folder.join("shim");
        std::fs::create_dir(&folder).unwrap();
        let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
        std::fs::write(&source, SOURCE).unwrap();
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .output()
            .map_err(|error| format!("there is no C compiler: {error}"))?;
        if !made.status.success() {
            let words = String::from_utf8_lossy(&made.stderr);
            return Err(format!("cc does not make a library: {words}"));
        }
        Ok(Self { folder, library })
    }

    /// What a daemon needs in its environment to have it.
    pub fn environment(&self) -> [(&str, &str); 2] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap()),
            ("SHIM", self.folder.to_str().unwrap()),
        ]
    }

    /// Whether a daemon has taken it; one that is linked statically does not.
    pub fn is_loaded(&self) -> bool {
        self.folder.join("loaded").exists()
    }

    /// Lets syncs fail with EIO from now on, or not.
    pub fn let_fail(&self, fail: bool) {
        self.tell("fail", fail);
    }

    /// Lets syncs take 300 ms longer from now on, or not.
    pub fn let_wait(&self, wait: bool) {
        self.tell("slow", wait);
    }

    /// How many syncs have failed so far.
    pub fn failed(&self) -> usize {
        self.lines("failed").len()
    }

    /// Up to which byte a file of the journal has been synced.
    pub fn synced(&self, name: &str) -> u64 {
        let lines = self.lines("synced");
        let ends = lines
            .iter()
            .filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        ends.max().unwrap_or(0)
    }

    fn tell(&self, name: &str, what: bool) {
        let path = self.folder.join(name);
        if what {
            std::fs::write(path, "").unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}
