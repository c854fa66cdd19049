//! A small file system of a test's own, to fill up. It takes root, as the end-to-end tests have anyway.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Mounted until it is dropped.
pub struct Disk {
    directory: TempDir,
}

impl Disk {
    /// ext4 with blocks of 1 KiB, four to a page of memory.
    pub fn ext4(mib: u64) -> Self {
        let disk = Self::new();
        let image = disk.directory.path().join("image");
        File::create(&image).unwrap().set_len(mib << 20).unwrap();
        run("mkfs.ext4", &["-q", "-b", "1024", "-m", "0", image.to_str().unwrap()]);
        run("mount", &["-o", "loop", image.to_str().unwrap(), disk.path().to_str().unwrap()]);
        disk
    }

    /// In memory.
    pub fn tmpfs(mib: u64) -> Self {
        let disk = Self::new();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={mib}m"), "none", disk.path().to_str().unwrap()]);
        disk
    }

    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("disk-").tempdir().unwrap();
        fs::create_dir(directory.path().join("disk")).unwrap();
        Self { directory }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    /// Leaves so many KiB free.
    pub fn fill(&self, left: u64) {
        let mut file = File::options().create(true).append(true).open(self.filling()).unwrap();
        while free(&self.path()) > left {
            let piece = (free(&self.path()) - left).min(256);
            if file.write_all(&vec![1; usize::try_from(piece << 10).unwrap()]).is_err() {
                break;
            }
            // Else what is free is known only later.
            file.sync_all().unwrap();
        }
    }

    /// Frees what was filled.
    pub fn clear(&self) {
        fs::remove_file(self.filling()).unwrap();
    }

    fn filling(&self) -> PathBuf {
        self.path().join("filling")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("umount", &["--lazy", self.path().to_str().unwrap()]);
    }
}

/// KiB that are free.
fn free(path: &Path) -> u64 {
    let output = Command::new("df").args(["--output=avail", "-k", path.to_str().unwrap()]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().nth(1).unwrap().trim().parse().unwrap()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() || std::thread::panicking(), "{program} {arguments:?}: {error}");
}
