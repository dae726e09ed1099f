//! Processes that never outlive the test that started them.
//!
//! Each runs under a guardian, a few lines of shell in a process group of their own, whose standard input is a pipe
//! from us. When we end, be it by a panic or by `kill -9`, the kernel closes the pipe, and the guardian kills the
//! whole group. (`PR_SET_PDEATHSIG` would need unsafe code, and fires when a *thread* ends.)

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::place::{Folder, start_time};

/// `$1` is the file for the child's process id, the rest is its command.
const GUARDIAN: &str = r#"
exec 3<&0 </dev/null
note=$1; shift
"$@" 3<&- &
child=$!
( while read -r _ <&3; do :; done; kill -s KILL -- -$$ ) &
watch=$!
exec 3<&-
echo "$child" >"$note.new" && mv "$note.new" "$note"
wait "$child"; code=$?
kill "$watch"
exit "$code"
"#;

/// A signal that a test sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Please end.
    Term,
    /// What Ctrl-C sends.
    Int,
    /// End at once: the process can do nothing about it.
    Kill,
    /// Read the configuration again.
    Hup,
    /// Stand still.
    Stop,
    /// Go on after [`Signal::Stop`].
    Cont,
}

/// A running process and the file of what it says.
#[derive(Debug)]
pub struct Process {
    name: String,
    pid: u32,
    started: Option<u64>,
    guardian: Child,
    leash: Option<ChildStdin>,
    log: PathBuf,
    /// Held so that the folder stays as long as the process does.
    folder: Arc<Folder>,
}

impl Process {
    /// Starts a command; what it prints goes to `<name>.log` in the folder.
    pub fn start(folder: &Arc<Folder>, name: &str, command: &Command) -> Result<Self> {
        let note = folder.path().join(format!("{name}.pid"));
        let log = folder.path().join(format!("{name}.log"));
        let _ = fs::remove_file(&note);
        let out = File::options().create(true).append(true).open(&log)?;
        let err = out.try_clone()?;

        let mut guarded = Command::new("sh");
        guarded.args(["-c", GUARDIAN, "lab-guardian"]).arg(&note);
        guarded.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => guarded.env(key, value),
                None => guarded.env_remove(key),
            };
        }
        guarded.current_dir(command.get_current_dir().unwrap_or(folder.path()));
        guarded.process_group(0);
        guarded.stdin(Stdio::piped()).stdout(out).stderr(err);
        let mut guardian = guarded.spawn().with_context(|| format!("start {name} (through sh)"))?;
        let leash = guardian.stdin.take();

        let deadline = Instant::now() + Duration::from_secs(30);
        let pid = loop {
            if let Ok(text) = fs::read_to_string(&note) {
                break text.trim().parse().context("the guardian's note")?;
            }
            if Instant::now() > deadline {
                bail!("{name} was not started within 30 s");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        folder.note(name, &[guardian.id(), pid])?;
        Ok(Self {
            name: name.to_owned(),
            pid,
            started: start_time(pid),
            guardian,
            leash,
            log,
            folder: Arc::clone(folder),
        })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The folder it works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Everything it has said so far, of this and earlier starts under the same name in the same folder.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines it said, for an error.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let from = lines.len().saturating_sub(40);
        format!("the end of {}:\n{}", self.log.display(), lines[from..].join("\n"))
    }

    /// Its exit code when it has ended; 128 + n when signal n ended it.
    pub fn exited(&mut self) -> Result<Option<i32>> {
        Ok(self.guardian.try_wait()?.map(|status| status.code().unwrap_or(128 + 9)))
    }

    /// Sends a signal. That the process has ended already is no error.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        if !self.lives() {
            return Ok(());
        }
        let name = match signal {
            Signal::Term => "-TERM",
            Signal::Int => "-INT",
            Signal::Kill => "-KILL",
            Signal::Hup => "-HUP",
            Signal::Stop => "-STOP",
            Signal::Cont => "-CONT",
        };
        Command::new("kill")
            .args([name, &self.pid.to_string()])
            .stderr(Stdio::null())
            .status()
            .context("run kill (Debian's package procps)")?;
        Ok(())
    }

    /// Waits for its end and returns the exit code; an error with the log's tail when it does not come.
    pub async fn wait(&mut self, timeout: Duration) -> Result<i32> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(code) = self.exited()? {
                return Ok(code);
            }
            if Instant::now() > deadline {
                bail!("{} has not ended within {timeout:?}; {}", self.name, self.log_tail());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn lives(&self) -> bool {
        self.started.is_some() && start_time(self.pid) == self.started
    }

    /// An error with the log's tail when it has ended, which a part that should serve must not.
    pub(crate) fn must_run(&mut self) -> Result<()> {
        match self.exited()? {
            None => Ok(()),
            Some(code) => bail!("{} ended with exit code {code}; {}", self.name, self.log_tail()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprint_tail(self);
        }
        drop(self.leash.take());
        let _ = self.guardian.wait();
        // The guardian was killed with its group: nobody waited for the child, which may need a moment to go.
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.lives() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A failing test shows what its parts said last.
#[allow(clippy::print_stderr, reason = "the test harness captures it")]
fn eprint_tail(process: &Process) {
    eprintln!("--- {}: {}", process.name, process.log_tail());
}

/// The path of a tool; when it is missing, an error that names the package which has it.
pub fn tool(name: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file()).with_context(
        || {
            format!(
                "`{name}` is not on the PATH: install Debian's package {package} (tests/run does it as root)"
            )
        },
    )
}
