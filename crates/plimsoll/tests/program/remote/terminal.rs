//! A terminal for programs that want one: a pseudoterminal made by script(1), and a screen that keeps what was drawn.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use super::super::kit::PATIENCE;

/// Rows and columns of the screen.
const SIZE: (usize, usize) = (30, 110);

/// A program in a terminal.
pub(super) struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    screen: Screen,
    /// All that was written, for what is not to be seen on a screen.
    raw: Vec<u8>,
}

impl Terminal {
    /// Runs a line of shell in a terminal of the usual size.
    pub(super) fn run(line: &str, command: impl FnOnce(&mut Command)) -> Self {
        let (rows, columns) = SIZE;
        let line = format!("stty rows {rows} cols {columns}; {line}");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).env("TERM", "xterm").env_remove("NO_COLOR");
        command(&mut script);
        let mut child = script.spawn().expect("script(1) of util-linux is there");
        let keys = child.stdin.take().expect("it is piped");
        let mut stdout = child.stdout.take().expect("it is piped");
        let (send, output) = channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                if send.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, output, screen: Screen::default(), raw: Vec::new() }
    }

    /// Types.
    pub(super) fn keys(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it can be typed");
        self.keys.flush().expect("it can be typed");
    }

    /// Waits until the screen is as `condition` wants it.
    pub(super) fn until(&mut self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.screen.text();
            if condition(&text) {
                return text;
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(error) => panic!("in vain ({error}): {what}; the screen is\n{text}"),
            }
        }
    }

    /// Waits until `part` is on the screen.
    pub(super) fn shows(&mut self, part: &str) -> String {
        self.until(part, |text| text.contains(part))
    }

    /// Waits for the end; gives the exit code and all that was written.
    pub(super) fn end(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.take(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end; the screen is\n{}", self.screen.text()),
            }
        }
        let status = self.child.wait().expect("it can be waited for");
        (status.code(), String::from_utf8_lossy(&self.raw).into_owned())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        self.screen.take(bytes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended already; without its terminal the program in it ends too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is on a screen, as far as ratatui writes it: text, moves of the cursor, and clearing of everything.
struct Screen {
    cells: Vec<Vec<char>>,
    at: (usize, usize),
    unread: Vec<u8>,
}

impl Default for Screen {
    fn default() -> Self {
        Self { cells: vec![vec![' '; SIZE.1]; SIZE.0], at: (0, 0), unread: Vec::new() }
    }
}

impl Screen {
    fn text(&self) -> String {
        self.cells.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.unread.extend_from_slice(bytes);
        let text = match std::str::from_utf8(&self.unread) {
            Ok(text) => text.to_owned(),
            // The last character is not there whole.
            Err(error) => String::from_utf8_lossy(&self.unread[..error.valid_up_to()]).into_owned(),
        };
        let mut rest = &*text;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            rest = match c {
                '\u{1b}' => match self.escape(after) {
                    Some(after) => after,
                    None => break,
                },
                c => {
                    self.put(c);
                    after
                }
            };
        }
        let read = text.len() - rest.len();
        self.unread.drain(..read);
    }

    /// Obeys a control sequence (ECMA-48, 5.4) and gives what is behind it; `None` where it is not there whole.
    fn escape<'a>(&mut self, text: &'a str) -> Option<&'a str> {
        let Some(sequence) = text.strip_prefix('[') else {
            return text.chars().next().map(|c| &text[c.len_utf8()..]);
        };
        let end = sequence.find(|c: char| ('@'..='~').contains(&c))?;
        let (parameters, rest) = sequence.split_at(end);
        match &rest[..1] {
            "H" => {
                let mut numbers = parameters.split(';').map(|number| number.parse().unwrap_or(1_usize));
                self.at = (numbers.next().unwrap_or(1) - 1, numbers.next().unwrap_or(1) - 1);
            }
            "J" => self.cells = Self::default().cells,
            _ => {}
        }
        Some(&rest[1..])
    }

    fn put(&mut self, c: char) {
        match c {
            '\r' => self.at.1 = 0,
            '\n' => self.at.0 += 1,
            c => {
                if let Some(cell) = self.cells.get_mut(self.at.0).and_then(|line| line.get_mut(self.at.1)) {
                    *cell = c;
                }
                self.at.1 += 1;
            }
        }
    }
}
