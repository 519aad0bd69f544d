//! Entries in a file, one JSON object per line, appended by one `write(2)` each.
//!
//! Only appending is ever done: what was recorded is never cut back, not even the torn half of an entry that a full
//! disk left behind. The next entry starts on a line of its own, so that a reader loses the torn line alone.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use keyturn_core::audit::{Device, DeviceError};
use rustix::fs::OFlags;

/// Who may read and write the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Set to these bits whenever the file is opened; never executable.
    Set(u32),
    /// Left as it is; a new file gets `0600`.
    Keep,
}

impl Default for Mode {
    fn default() -> Self {
        Self::Set(0o600)
    }
}

impl FromStr for Mode {
    type Err = DeviceError;

    /// Octal, as `chmod` takes it: `0640`. Executable bits are dropped; `0000` keeps what is there.
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match u32::from_str_radix(text, 8) {
            Ok(0) => Ok(Self::Keep),
            Ok(bits) if bits <= 0o777 => Ok(Self::Set(bits & 0o666)),
            _ => Err(DeviceError(format!("mode {text:?} is not a file mode; write it in octal: 0600"))),
        }
    }
}

/// Appends to a file, which can be moved away and opened anew.
#[derive(Debug)]
pub struct FileDevice {
    path: PathBuf,
    mode: Mode,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// The last write stopped in the middle of a line.
    torn: bool,
}

impl FileDevice {
    /// Opens `path` for appending; makes it, and its directories (mode 0700), if they are not there.
    ///
    /// # Errors
    /// The path, and the operating system's reason.
    pub fn open(path: PathBuf, mode: Mode) -> Result<Self, DeviceError> {
        let file = append_to(&path, mode).map_err(|error| failed(&path, "cannot be opened", &error))?;
        Ok(Self { path, mode, open: Mutex::new(Open { file, torn: false }) })
    }
}

impl Device for FileDevice {
    fn write(&self, line: &[u8]) -> Result<(), DeviceError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Open { file, torn } = &mut *open;
        if *torn {
            file.write_all(b"\n").map_err(|error| failed(&self.path, "cannot be written", &error))?;
            *torn = false;
        }
        write_line(file, line).map_err(|(error, started)| {
            *torn = started;
            failed(&self.path, "cannot be written", &error)
        })
    }

    fn reopen(&self) -> Result<(), DeviceError> {
        let file =
            append_to(&self.path, self.mode).map_err(|error| failed(&self.path, "cannot be reopened", &error))?;
        let empty = file.metadata().is_ok_and(|metadata| metadata.len() == 0);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        *open = Open { file, torn: open.torn && !empty };
        Ok(())
    }
}

fn failed(path: &Path, what: &str, error: &io::Error) -> DeviceError {
    DeviceError(format!("{} {what}: {error}", path.display()))
}

/// Writes `line` whole. An error says besides whether a part of it is in the file.
fn write_line(file: &mut impl Write, line: &[u8]) -> Result<(), (io::Error, bool)> {
    let mut rest = line;
    while !rest.is_empty() {
        let started = rest.len() < line.len();
        match file.write(rest) {
            Ok(0) => return Err((io::ErrorKind::WriteZero.into(), started)),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((error, started)),
        }
    }
    Ok(())
}

fn append_to(path: &Path, mode: Mode) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // Without blocking: opening a pipe that nobody reads would wait for ever.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(nonblocking).open(path)?;
    let kind = file.metadata()?.file_type();
    if !kind.is_file() && !kind.is_char_device() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a character device"));
    }
    if let Mode::Set(bits) = mode
        && kind.is_file()
    {
        fs::set_permissions(path, Permissions::from_mode(bits))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(directory: &tempfile::TempDir, name: &str) -> PathBuf {
        directory.path().join(name)
    }

    fn bits(path: &Path) -> u32 {
        fs::metadata(path).expect("metadata").permissions().mode() & 0o7777
    }

    #[test]
    fn entries_are_appended_and_only_the_owner_reads_them() {
        let directory = tempfile::tempdir().expect("directory");
        let path = at(&directory, "new/audit.log");
        for line in [b"{\"a\":1}\n", b"{\"b\":2}\n"] {
            FileDevice::open(path.clone(), Mode::default()).expect("open").write(line).expect("write");
        }
        assert_eq!(fs::read(&path).expect("read"), b"{\"a\":1}\n{\"b\":2}\n");
        assert_eq!(bits(&path), 0o600);
        assert_eq!(bits(path.parent().expect("parent")), 0o700);
    }

    #[test]
    fn mode_is_set_without_executable_bits_or_kept() {
        let directory = tempfile::tempdir().expect("directory");
        let path = at(&directory, "audit.log");
        FileDevice::open(path.clone(), "0755".parse().expect("mode")).expect("open");
        assert_eq!(bits(&path), 0o644);
        FileDevice::open(path.clone(), "0000".parse().expect("mode")).expect("open");
        assert_eq!(bits(&path), 0o644);
        for text in ["", "rw", "0888", "1000000"] {
            assert!(text.parse::<Mode>().is_err(), "{text}");
        }
    }

    #[test]
    fn after_a_rotation_reopen_starts_the_new_file() {
        let directory = tempfile::tempdir().expect("directory");
        let (path, rotated) = (at(&directory, "audit.log"), at(&directory, "audit.log.1"));
        let device = FileDevice::open(path.clone(), Mode::default()).expect("open");
        device.write(b"1\n").expect("write");
        fs::rename(&path, &rotated).expect("rename");
        device.write(b"2\n").expect("write");
        device.reopen().expect("reopen");
        device.write(b"3\n").expect("write");
        assert_eq!(fs::read(&rotated).expect("read"), b"1\n2\n");
        assert_eq!(fs::read(&path).expect("read"), b"3\n");
    }

    #[test]
    fn when_reopening_fails_the_old_file_goes_on() {
        let directory = tempfile::tempdir().expect("directory");
        let path = at(&directory, "audit.log");
        let device = FileDevice::open(path.clone(), Mode::default()).expect("open");
        let rotated = at(&directory, "audit.log.1");
        fs::rename(&path, &rotated).expect("rename");
        fs::create_dir(&path).expect("a directory in its place");
        let error = device.reopen().expect_err("a directory").to_string();
        assert!(error.contains(&path.display().to_string()), "{error}");
        device.write(b"1\n").expect("write");
        assert_eq!(fs::read(&rotated).expect("read"), b"1\n");
    }

    #[test]
    fn a_full_device_is_an_error_that_names_the_file() {
        let device = FileDevice::open(PathBuf::from("/dev/full"), Mode::default()).expect("open");
        let error = device.write(b"1\n").expect_err("full").to_string();
        assert!(error.contains("/dev/full"), "{error}");
    }

    /// Takes `room` bytes, at most three at a time, and then fails.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(3).min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_short_write_is_continued_and_a_torn_line_is_told() {
        let mut file = Narrow { taken: Vec::new(), room: 8 };
        write_line(&mut file, b"1234567\n").expect("whole");
        assert_eq!(file.taken, b"1234567\n");
        let torn = |room| write_line(&mut Narrow { taken: Vec::new(), room }, b"1234567\n").expect_err("full").1;
        assert!(torn(4), "half of it is in the file");
        assert!(!torn(0), "none of it is in the file");
    }
}
