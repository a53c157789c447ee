//! Reading files: what cannot be read is one clear line.

use std::path::PathBuf;

use plimsoll_config::{Diagnostic, load};

/// A file of this test run alone, removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, content: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("plimsoll-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("the file can be written");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A file that is gone already is what this is for.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn refused(path: &std::path::Path) -> Diagnostic {
    let problems = load(path).expect_err("the file is wrong");
    let mut all = problems.iter();
    let first = all.next().expect("one problem").clone();
    assert_eq!(all.next(), None);
    first
}

#[test]
fn a_missing_file_is_one_line() {
    let problem = refused("no/such/plimsoll.toml".as_ref());
    assert_eq!(problem.to_string(), "error: no/such/plimsoll.toml: there is no such file");
}

#[test]
fn a_folder_is_one_line() {
    let problem = refused(&std::env::temp_dir());
    assert_eq!(problem.message(), "this is a folder, not a file");
}

#[test]
fn text_that_is_not_utf_8_is_pointed_at() {
    let file = Scratch::new("latin1.toml", b"# caf\xe9\nworkers = 1\n# \xe9");
    let problem = refused(&file.0);
    assert_eq!((problem.line(), problem.column()), (Some(1), Some(6)));
    assert_eq!(problem.help(), Some("save the file as UTF-8"));
}

#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let file = Scratch::new("large.toml", &vec![b'\n'; (16 << 20) + 1]);
    assert_eq!(refused(&file.0).message(), "is larger than 16 MiB");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let file = Scratch::new("mark.toml", "\u{feff}workers = 0\nlisten = 1\npool = 1".as_bytes());
    let problems = load(&file.0).expect_err("the file is wrong");
    assert_eq!(problems.iter().next().and_then(Diagnostic::column), Some(11));
}
