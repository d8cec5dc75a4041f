//! A pseudo-terminal: what a person types reaches every process of the foreground group, as with a real one.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::FromRawFd as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};

/// A command in a terminal of its own.
pub(crate) struct Terminal {
    screen: File,
    child: Child,
    seen: RefCell<String>,
}

impl Terminal {
    /// Starts the command as the session leader of a new terminal.
    pub(crate) fn start(command: Command) -> Self {
        Self::start_with_columns(command, 80)
    }

    /// The same, in a terminal of this width; 0 is one that does not know its own.
    pub(crate) fn start_with_columns(mut command: Command, columns: u16) -> Self {
        let size = libc::winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let (mut screen, mut line) = (0, 0);
        // SAFETY: both descriptors are written to live variables, and the size is one; name and settings may be null.
        let failed = unsafe {
            let name = std::ptr::null_mut();
            libc::openpty(&raw mut screen, &raw mut line, name, std::ptr::null(), &raw const size)
        };
        assert_eq!(failed, 0, "no pseudo-terminal");
        keep_output_at_ctrl_c(line);
        // SAFETY: the kernel has just given these descriptors, and nobody else has them.
        let (screen, line) = unsafe { (File::from_raw_fd(screen), File::from_raw_fd(line)) };
        command
            .stdin(Stdio::from(line.try_clone().unwrap()))
            .stdout(Stdio::from(line.try_clone().unwrap()));
        command.stderr(Stdio::from(line));
        // SAFETY: the closure only makes async-signal-safe calls; stdin is the terminal by then.
        unsafe {
            command.pre_exec(|| {
                libc::setsid();
                libc::ioctl(0, libc::TIOCSCTTY, 0);
                Ok(())
            });
        }
        let child = command.spawn().unwrap();
        // Drops our copies of the line: the screen then ends when the last process has gone.
        drop(command);
        Self { screen, child, seen: RefCell::default() }
    }

    /// Blocks until the text has appeared.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) {
        while !self.seen.borrow().contains(text) {
            assert!(self.read(), "`{text}` did not appear:\n{}", self.seen.borrow());
        }
    }

    /// Types Ctrl-C.
    pub(crate) fn press_ctrl_c(&self) {
        (&self.screen).write_all(b"\x03").unwrap();
    }

    /// Types Ctrl-Z.
    pub(crate) fn press_ctrl_z(&self) {
        (&self.screen).write_all(b"\x1a").unwrap();
    }

    /// Types a line without words.
    pub(crate) fn press_enter(&self) {
        (&self.screen).write_all(b"\r").unwrap();
    }

    /// The process id of the command.
    pub(crate) fn id(&self) -> String {
        self.child.id().to_string()
    }

    /// Blocks until the command has ended; its code, and everything that appeared, in plain text.
    pub(crate) fn finish(self) -> (Option<i32>, String) {
        let (code, text) = self.finish_raw();
        (code, plain(&text))
    }

    /// The same with the escape sequences.
    pub(crate) fn finish_raw(mut self) -> (Option<i32>, String) {
        while self.read() {}
        let status = self.child.wait().unwrap();
        // As a shell would show it.
        let code = status.code().or(status.signal().map(|signal| 128 + signal));
        (code, self.seen.take())
    }

    fn read(&self) -> bool {
        let mut bytes = [0; 4096];
        // EIO says that nobody holds the line any more.
        let n = (&self.screen).read(&mut bytes).unwrap_or(0);
        self.seen.borrow_mut().push_str(&String::from_utf8_lossy(&bytes[..n]));
        0 < n
    }
}

/// By default Ctrl-C throws away what is on its way to the screen, the very lines that a test waits for among it.
fn keep_output_at_ctrl_c(line: i32) {
    let mut settings = MaybeUninit::<libc::termios>::zeroed();
    // SAFETY: `settings` is writable memory of the right type, and all-zero bytes are valid for its integers.
    let failed = unsafe {
        libc::tcgetattr(line, settings.as_mut_ptr());
        (*settings.as_mut_ptr()).c_lflag |= libc::NOFLSH;
        libc::tcsetattr(line, libc::TCSANOW, settings.as_ptr())
    };
    assert_eq!(failed, 0, "no settings of the terminal");
}

/// Without escape sequences for color.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut res = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        res.push_str(
            part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest),
        );
    }
    res
}
