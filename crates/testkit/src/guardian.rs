//! Nothing is left behind: child processes and a folder that vanish with this process, however it ends.
//!
//! A destructor does not run when a process is killed, and a static is never dropped. So a small shell stands guard
//! beside the children. It learns their process groups through its standard input; when that input closes, because the
//! owner is done or has died, the shell kills the groups and removes the folder. The kernel closes the pipe in every
//! case, SIGKILL included.

use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// The watch: reads one process group a line until the end of input, then ends them all and removes the folder `$1`
/// (if not empty). Killed servers may write for another moment, hence the few tries.
const WATCH: &str = r#"
folder=$1
groups=
while read -r group; do groups="$groups $group"; done
for group in $groups; do kill -KILL "-$group" 2>/dev/null; done
tries=0
while [ -n "$folder" ] && [ -e "$folder" ] && [ "$tries" -lt 100 ]; do
  rm -rf "$folder" 2>/dev/null || sleep 0.05
  tries=$((tries + 1))
done
"#;

/// Ends its charges, and removes its folder, when it is dropped or when this process dies.
#[derive(Debug)]
pub struct Guardian {
    shell: Child,
    charges: Option<ChildStdin>,
}

impl Guardian {
    /// Posts a guardian. `folder`, if given, is removed with everything in it at the end.
    ///
    /// # Errors
    /// When `sh` cannot be started.
    pub fn post(folder: Option<&Path>) -> io::Result<Self> {
        let mut shell = Command::new("sh")
            .args(["-c", WATCH, "guardian"])
            .arg(folder.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the terminal's foreground group: Ctrl-C must not take the guard away.
            .process_group(0)
            .spawn()?;
        let charges = shell.stdin.take();
        Ok(Self { shell, charges })
    }

    /// Starts `command` in a process group of its own and takes charge of the whole group. Ctrl-C in a terminal thus
    /// does not reach it; it ends when its owner says so.
    ///
    /// # Errors
    /// When the command cannot be started, or the guard is gone (then the child is stopped again).
    pub fn spawn(&mut self, command: &mut Command) -> io::Result<Child> {
        let mut child = command.process_group(0).spawn()?;
        let told = match &mut self.charges {
            Some(charges) => writeln!(charges, "{}", child.id()).and_then(|()| charges.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if let Err(error) = told {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
        Ok(child)
    }

    /// Ends all charges now, removes the folder, and returns when that is done.
    pub fn relieve(&mut self) {
        drop(self.charges.take());
        let _ = self.shell.wait();
    }

    /// Sends the guard away without ending anything: for when its only charge has ended by itself.
    pub fn dismiss(&mut self) {
        let _ = self.shell.kill();
        drop(self.charges.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        self.relieve();
    }
}
