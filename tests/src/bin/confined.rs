//! Runs a program where something is refused: `confined RESTRICTION [VALUE] -- PROGRAM [ARGUMENTS]`. Ends with 77 if this
//! machine does not allow the restriction, and says why.
//!
//! - `no-perf`: the kernel refuses `perf_event_open` with EPERM, as a container's filter does.
//! - `file-size BYTES`: files cannot grow beyond (`RLIMIT_FSIZE`).
//! - `disk FOLDER=BYTES`: the folder is a file system of that size, for this program and its children only.
//! - `read-only FOLDER`: the same of 1 MiB, to which nobody can write.
//! - `cpu PERCENT`: of one CPU, by a control group of its own, which stays until it is empty and somebody removes it.
//! - `user ID`: as this user and group, without the rights of the administrator.
#![expect(clippy::print_stderr, reason = "tells the test what is missing")]

use std::ffi::{CStr, CString, OsString};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use bottleneck_tests::{GROUP_PREFIX, NOT_ALLOWED_HERE};

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let at = args.iter().position(|arg| arg == "--").expect("`--` stands before the program");
    let (restriction, program) = (&args[..at], &args[at + 1..]);
    let value = restriction.get(1).map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
    let restricted = match restriction[0].to_string_lossy().as_ref() {
        "no-perf" => refuse_perf(),
        "file-size" => limit_files(value.parse().expect("a number of bytes")),
        "disk" => {
            let (folder, bytes) = value.split_once('=').expect("FOLDER=BYTES");
            mount_disk(folder, &format!("size={bytes}"), 0)
        }
        "read-only" => mount_disk(&value, "size=1m", libc::MS_RDONLY),
        "cpu" => limit_cpu(value.parse().expect("a number of percent")),
        "user" => become_user(value.parse().expect("the number of a user")),
        other => panic!("no restriction {other:?}"),
    };
    if let Err(error) = restricted {
        eprintln!("cannot restrict to {restriction:?} here: {error}");
        return ExitCode::from(NOT_ALLOWED_HERE);
    }
    let error = Command::new(&program[0]).args(&program[1..]).exec();
    panic!("cannot start {}: {error}", program[0].display());
}

/// The result of a call that gives 0 or sets `errno`.
fn checked(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn refuse_perf() -> io::Result<()> {
    let load = |offset: u32| libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: offset };
    let give = |value: u32| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: value };
    let call = u32::try_from(libc::SYS_perf_event_open).expect("call numbers are small");
    let mut program = [
        load(0),
        libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: call },
        give(libc::SECCOMP_RET_ERRNO | libc::EPERM.cast_unsigned()),
        give(libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: concerns this process alone.
    checked(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
    // SAFETY: as above; `filter` points to four instructions.
    checked(unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    })
}

fn limit_files(bytes: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: `limit` is a valid `rlimit`.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) })
}

/// Mounts a file system in memory which nobody else sees, as the administrator or as an ordinary user who may.
fn mount_disk(folder: &str, options: &str, flags: libc::c_ulong) -> io::Result<()> {
    // SAFETY: takes flags only; this process has one thread.
    if checked(unsafe { libc::unshare(libc::CLONE_NEWNS) }).is_err() {
        // SAFETY: as above. In a namespace of users of its own a process may mount.
        checked(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) })?;
    }
    mount(c"none", c"/", c"", libc::MS_REC | libc::MS_PRIVATE, c"")?;
    let text = |text: &str| CString::new(text).expect("paths hold no zero byte");
    mount(c"small-disk", &text(folder), c"tmpfs", flags, &text(options))
}

fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: libc::c_ulong,
    options: &CStr,
) -> io::Result<()> {
    // SAFETY: all four texts end with a zero byte.
    checked(unsafe {
        let (source, target, kind) = (source.as_ptr(), target.as_ptr(), kind.as_ptr());
        libc::mount(source, target, kind, flags, options.as_ptr().cast())
    })
}

/// Moves this process into a new group, of whichever version governs CPU time here.
fn limit_cpu(percent: u32) -> io::Result<()> {
    let id = std::process::id();
    let quota = percent * 1000;
    let first = Path::new("/sys/fs/cgroup/cpu");
    let mount = if first.exists() { first } else { Path::new("/sys/fs/cgroup") };
    let group = mount.join(format!("{GROUP_PREFIX}{id}"));
    std::fs::create_dir(&group)?;
    if mount == first {
        std::fs::write(group.join("cpu.cfs_period_us"), "100000")?;
        std::fs::write(group.join("cpu.cfs_quota_us"), quota.to_string())?;
    } else {
        std::fs::write(group.join("cpu.max"), format!("{quota} 100000"))?;
    }
    std::fs::write(group.join("cgroup.procs"), id.to_string())
}

fn become_user(id: u32) -> io::Result<()> {
    // SAFETY: touches no memory.
    if unsafe { libc::geteuid() } != 0 {
        return Err(io::Error::other("only the administrator can become another user"));
    }
    // SAFETY: an empty list; nothing is read.
    checked(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: touch no memory; the group first, for afterwards this process may not.
    checked(unsafe { libc::setresgid(id, id, id) })?;
    // SAFETY: as above.
    checked(unsafe { libc::setresuid(id, id, id) })
}
