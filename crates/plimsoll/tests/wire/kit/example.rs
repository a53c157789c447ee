//! The configurations of `examples/`, with the servers of a test in the place of theirs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Program, run};

/// Where they are.
pub(crate) fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

/// One of them, as it stands but for addresses, in a folder of its own.
pub(crate) struct Example {
    text: String,
    folder: PathBuf,
}

impl Example {
    /// The file of this name.
    #[track_caller]
    pub(crate) fn of(name: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let text = fs::read_to_string(examples().join(name)).unwrap();
        let folder = std::env::temp_dir().join(format!("plimsoll-example-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self { text, folder }
    }

    /// Has `address` serve in the place of the server at this port.
    #[track_caller]
    pub(crate) fn server(self, port: u16, address: SocketAddr) -> Self {
        self.put(&format!("\"127.0.0.1:{port}\""), &format!("\"{address}\""))
    }

    /// Puts a file beside it.
    pub(crate) fn file(self, name: &str, text: &str) -> Self {
        fs::write(self.folder.join(name), text).unwrap();
        self
    }

    /// Puts another file of `examples/` beside it.
    pub(crate) fn with(self, name: &str) -> Self {
        fs::copy(examples().join(name), self.folder.join(name)).unwrap();
        self
    }

    /// Makes a certificate, as the example tells its reader to.
    pub(crate) fn certificate(self, name: &str) -> Self {
        let folder = self.folder.to_str().unwrap();
        run(env!("CARGO_BIN_EXE_plimsoll"), &["cert", "--name", name, "--out", folder], b"");
        self
    }

    /// The path of what is beside it under this name.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn put(mut self, old: &str, new: &str) -> Self {
        let places = self.text.matches(old).count();
        assert_eq!(places, 1, "{old} in {}", self.text);
        self.text = self.text.replace(old, new);
        self
    }

    /// Starts it on free ports.
    #[track_caller]
    pub(crate) fn start(&mut self) -> Program {
        self.start_with_stdout(Stdio::null())
    }

    /// The same with this as its standard output.
    #[track_caller]
    pub(crate) fn start_with_stdout(&mut self, stdout: impl Into<Stdio>) -> Program {
        let on_a_free_port = |line: &str| {
            let bound = line.strip_prefix("bind = \"127.0.0.1:").and_then(|rest| rest.split_once('"'));
            bound.map_or_else(|| line.to_owned(), |(_, rest)| format!("bind = \"127.0.0.1:0\"{rest}"))
        };
        let text = self.text.lines().map(on_a_free_port).collect::<Vec<_>>().join("\n");
        let settings = text.lines().filter(|line| !line.starts_with('#'));
        // Those that the system gives are above them all.
        let fixed = |line: &&str| line.contains("\"127.0.0.1:8") || line.contains("\"127.0.0.1:9");
        assert_eq!(settings.filter(fixed).collect::<Vec<_>>(), [""; 0], "the test gives no address for these");
        let file = self.folder.join("plimsoll.toml");
        fs::write(&file, text).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_plimsoll")).arg("check").arg(&file).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        Program::serve(file, stdout.into())
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        // What stays lies in the system's folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
