//! What a person is told about each mistake: the files in `diagnostics/` list mistakes and, word for word, every
//! message that must come and no other.
//!
//! Such a file begins with a comment and a template, in which `{}` is where a mistake goes. Then comes one case after
//! each empty line: `> ` before what is written, `line:column message` for each diagnostic, and its help below it.

use std::path::Path;

use plimsoll_config::{Diagnostic, Diagnostics, parse};

#[test]
fn each_mistake_is_told_with_its_place_and_what_to_write_instead() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/diagnostics");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        let text = std::fs::read_to_string(&path).expect("the cases can be read");
        let (head, rest) = text.split_once("\n\n").expect("a template and cases");
        let (_, template) = head.split_once('\n').expect("a comment and a template");
        for case in rest.split("\n\n") {
            cases += 1;
            let (written, expected): (Vec<_>, Vec<_>) = case.lines().partition(|line| line.starts_with("> "));
            let written: Vec<_> = written.iter().map(|line| &line[2..]).collect();
            let told = told(&template.replace("{}", &written.join("\n")));
            if told != expected {
                wrong.push(format!("{}\n{written:#?}\n{}\n", path.display(), told.join("\n")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 100, "only {cases} cases were found");
}

/// The diagnostics of a text, as the files write them.
fn told(text: &str) -> Vec<String> {
    match parse("plimsoll.toml", text) {
        Ok(_) => vec!["nothing is wrong".to_owned()],
        Err(problems) => problems.iter().flat_map(lines).collect(),
    }
}

fn lines(problem: &Diagnostic) -> Vec<String> {
    let (line, column) = (problem.line(), problem.column());
    let (line, column) = (line.expect("a line"), column.expect("a column"));
    let first = format!("{line}:{column} {}", problem.message());
    let help = problem.help().map(|help| format!("   help: {help}"));
    std::iter::once(first).chain(help).collect()
}

fn rejected(text: &str) -> Diagnostics {
    parse("plimsoll.toml", text).expect_err("the text is wrong")
}

#[test]
fn a_diagnostic_shows_the_line_and_points_at_it() {
    let text = r#"[listen.web]
bind = "8080"
pool = "app"

[pool.app]
servers = [
  "127.0.0.1:9000",
  "127.0.0.1:9002",
  { address = "127.0.0.1:9001", max_conections = 5 },
]
"#;
    let expected = r#"error: unknown setting `max_conections` in a server of pool `app`
 --> plimsoll.toml:9:33
  |
9 |   { address = "127.0.0.1:9001", max_conections = 5 },
  |                                 ^^^^^^^^^^^^^^
  |
  = help: did you mean `max_connections`?"#;
    assert_eq!(rejected(text).to_string(), expected);
}

/// The column of `needle` in `line` as a terminal shows it, in which a letter of these scripts is one or two wide.
fn shown_column(line: &str, needle: &str) -> usize {
    let before = &line[..line.find(needle).expect("the needle is there")];
    before.chars().map(|c| if c >= '\u{1100}' { 2 } else { 1 }).sum()
}

#[test]
fn the_pointer_lines_up_after_tabs_and_wide_letters() {
    for prefix in ["", "\t", "\t\t", "'é' = 1, ", "'日本語' = 1, ", "\t'語\t' = 1, "] {
        let text = format!("x = {{ {prefix}a = 1 2 }}\n");
        let shown = rejected(&text).to_string();
        let lines: Vec<_> = shown.lines().collect();
        let (source, pointer) = (lines[3], lines[4]);
        let problem = rejected(&text);
        let column = problem.iter().next().and_then(Diagnostic::column);
        let expected = text.chars().collect::<Vec<_>>();
        assert_eq!(expected[column.expect("a column") - 1], '1', "{shown}");
        assert_eq!(shown_column(source, "1 2"), shown_column(pointer, "^"), "{shown}");
    }
}

#[test]
fn a_line_that_ends_in_cr_lf_is_pointed_at_like_any_other() {
    let problems = rejected("\"workers\r\n");
    let problem = problems.iter().next().expect("one problem");
    assert_eq!((problem.line(), problem.column()), (Some(1), Some(9)));
    assert_eq!(problem.source_line(), Some("\"workers"));
}

#[test]
fn all_is_told_at_once_in_the_order_of_the_file() {
    let text = "workers = 0\nshutdown_timeout = 5\n[listen.web]\nbind = 8\npool = \"a\"\n[pool.b]\nservers = []\n";
    let lines: Vec<_> = rejected(text).iter().filter_map(Diagnostic::line).collect();
    assert_eq!(lines, [1, 2, 4, 5, 7]);
}

#[test]
fn a_file_with_nothing_in_it_is_told_the_least_to_write() {
    for text in ["", "\n\n", "# nothing here\n", "\u{feff}"] {
        let problems = rejected(text);
        let problem = problems.iter().next().expect("one problem");
        assert_eq!(problem.line(), None);
        let help = problem.help().expect("a help");
        let (_, smallest) = help.split_once('\n').expect("an example");
        parse("smallest.toml", smallest).expect("what the help says to write is right");
    }
}

#[test]
fn a_huge_broken_file_is_told_in_few_words() {
    let server = "{ address = \"a:1\", wieght = 1 }, ";
    let text =
        format!("[listen.web]\nbind = \"8080\"\npool = \"app\"\n[pool.app]\nservers = [{}]", server.repeat(5000));
    let problems = rejected(&text);
    assert_eq!(problems.iter().count(), 100);
    assert!(problems.to_string().len() < 20_000);
}

#[test]
fn nesting_without_end_is_refused() {
    let (tables, keys) = ("{a=".repeat(100_000), "a.".repeat(100_000));
    let lists = "[".repeat(100_000);
    for text in [format!("a = {lists}"), format!("a = {tables}"), format!("{keys}a = 1"), format!("[{keys}a]")] {
        let problems = rejected(&text);
        let messages: Vec<_> = problems.iter().map(Diagnostic::message).collect();
        assert_eq!(messages, ["this is nested too deep"]);
    }
}

#[test]
fn control_characters_of_the_file_never_reach_the_terminal() {
    let escaped = rejected("\"\\u001b[2J\" = 1\n\"\u{202e}x\" = 2\n");
    let raw = rejected("x = \"\u{1b}[2J\"");
    let shown = format!("{escaped}\n{raw}");
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    assert!(!shown.contains('\u{202e}'), "{shown:?}");
}
