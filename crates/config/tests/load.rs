//! Reading files: what cannot be read is one clear line.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use plimsoll_config::{Diagnostic, Need, Unmet, load, load_judged};

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

/// The diagnostic of a configuration that names the page at `path`, itself in the folder for scratch files.
fn refused_page(name: &str, path: &str) -> Diagnostic {
    let text = format!("{SERVED}unavailable = {{ page = \"{path}\" }}\n");
    let problem = refused(&Scratch::new(name, text.as_bytes()).0);
    assert_eq!((problem.line(), problem.column()), (Some(6), Some(24)), "{problem}");
    problem
}

const SERVED: &str = "[listen.web]\nbind = \"8080\"\npool = \"app\"\n[pool.app]\nservers = [\"a:1\"]\n";

/// The name of a scratch file, by which another in the same folder may name it.
fn file_name(file: &Scratch) -> &str {
    file.0.file_name().and_then(|name| name.to_str()).expect("the name is text")
}

#[test]
fn a_page_is_looked_for_beside_the_file_that_names_it() {
    let page = Scratch::new("beside.JSON", b"{}");
    let text = format!("{SERVED}unavailable = {{ page = \"{}\" }}\n", file_name(&page));
    let config = load(&Scratch::new("beside.toml", text.as_bytes()).0).expect("the file is right");
    let page = config.pools[0].unavailable.page.as_ref().expect("a page");
    assert_eq!((page.content_type, &page.content[..]), ("application/json", &b"{}"[..]));
}

#[test]
fn a_page_of_many_pools_is_kept_once() {
    let page = Scratch::new("shared.png", b"\x89PNG");
    let told = format!("unavailable = {{ page = \"{}\"", file_name(&page));
    let text = format!("{SERVED}{told}, fallback = \"b\" }}\n[pool.b]\nservers = [\"b:1\"]\n{told} }}\n");
    let config = load(&Scratch::new("shared.toml", text.as_bytes()).0).expect("the file is right");
    let pages: Vec<_> = config.pools.iter().filter_map(|pool| pool.unavailable.page.as_ref()).collect();
    let [one, other] = pages[..] else { panic!("two pages") };
    assert!(std::sync::Arc::ptr_eq(&one.content, &other.content));
}

#[test]
fn a_page_that_is_too_large_is_refused_and_the_largest_is_not() {
    const LARGEST: usize = 1 << 20;
    let page = Scratch::new("large.png", &vec![0; LARGEST + 1]);
    let problem = refused_page("large-page.toml", file_name(&page));
    assert_eq!(problem.message(), "`page` cannot be used: this is larger than 1MiB");
    let page = Scratch::new("fits.png", &vec![0; LARGEST]);
    let text = format!("{SERVED}unavailable = {{ page = \"{}\" }}\n", file_name(&page));
    load(&Scratch::new("fits.toml", text.as_bytes()).0).expect("a page may be as large as this");
}

#[test]
fn a_page_of_text_that_is_not_utf_8_is_refused() {
    let page = Scratch::new("latin1.html", b"caf\xe9");
    let problem = refused_page("latin1-page.toml", file_name(&page));
    assert_eq!(problem.message(), "`page` cannot be used: this is not saved as UTF-8");
}

#[test]
fn a_folder_is_no_page() {
    let folder = std::env::temp_dir().join(format!("plimsoll-{}-folder.html", std::process::id()));
    std::fs::create_dir(&folder).expect("the folder can be made");
    let problem = refused_page("folder.toml", folder.to_str().expect("the path is text"));
    std::fs::remove_dir(&folder).expect("the folder can be removed");
    assert_eq!(problem.message(), "`page` cannot be used: this is a folder, not a file");
    assert_eq!(problem.help(), Some(format!("it was looked for at `{}`", folder.display()).as_str()));
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_never_waited_for() {
    let link = std::env::temp_dir().join(format!("plimsoll-{}-endless.html", std::process::id()));
    std::os::unix::fs::symlink("/dev/zero", &link).expect("the link can be made");
    let problem = refused_page("endless.toml", link.to_str().expect("the path is text"));
    std::fs::remove_file(&link).expect("the link can be removed");
    assert_eq!(problem.message(), "`page` cannot be used: this is no regular file");
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_line() {
    let file = Scratch::new("mark.toml", "\u{feff}workers = 0\nlisten = 1\npool = 1".as_bytes());
    let problems = load(&file.0).expect_err("the file is wrong");
    assert_eq!(problems.iter().next().and_then(Diagnostic::column), Some(11));
}

#[test]
fn passwords_that_every_user_can_read_are_told_once_for_a_listener() {
    let hash = format!("$2y$05${}", "a".repeat(53));
    let users = Scratch::new("exposed.htpasswd", format!("amy:{hash}\n").as_bytes());
    let auth = format!("basic_auth = {{ users = \"{}\" }}", file_name(&users));
    let text = format!(
        "[listen.web]\nbind = \"8080\"\npool = \"app\"\n{auth}\nroute = [{{ path = \"/a\", pool = \"app\", {auth} }}]\n\
         [pool.app]\nservers = [\"a:1\"]\n"
    );
    let file = Scratch::new("exposed-users.toml", text.as_bytes());
    let exposed = |mode| {
        set_permissions(&users.0, Permissions::from_mode(mode)).expect("the file is ours");
        load(&file.0).unwrap_or_else(|problems| panic!("{problems}")).exposed()
    };
    assert!(exposed(0o600).is_empty());
    let told = format!("every user can read {}, a secret of listener `web`; make its mode 0600", users.0.display());
    assert_eq!(exposed(0o644), [told]);
}

#[test]
fn a_file_of_networks_is_bounded_and_its_faults_are_told_with_their_lines() {
    let told = |name: &str, content: &[u8]| {
        let networks = Scratch::new(&format!("{name}.txt"), content);
        let text =
            SERVED.replace("pool = \"app\"\n", &format!("pool = \"app\"\nallow_file = \"{}\"\n", file_name(&networks)));
        refused(&Scratch::new(&format!("{name}.toml"), text.as_bytes()).0)
    };
    let problem = told("networks-large", &vec![b'#'; (16 << 20) + 1]);
    assert_eq!(problem.message(), "`allow_file` cannot be used: this is larger than 16MiB");
    let problem = told("networks-wrong", b"10.0.0.0/8\n\n10.0.0.256\n");
    assert_eq!(
        problem.message(),
        "`allow_file` cannot be used: in line 3 `10.0.0.256` is no IP address and no network"
    );
    assert_eq!((problem.line(), problem.column()), (Some(4), Some(14)));
}

#[test]
fn secrets_that_every_user_can_read_are_told_with_their_use() {
    let key = Scratch::new("exposed.key", b"a key of no certificate");
    let token = Scratch::new("exposed.token", b"open-sesame-open-sesame");
    let (key_name, token_name) = (file_name(&key), file_name(&token));
    let pair = format!("cert = \"{key_name}\", key = \"{key_name}\"");
    let text = format!(
        "admin = {{ bind = \"0.0.0.0:9900\", token = {{ file = \"{token_name}\" }}, tls = {{ {pair} }} }}\n\
         webhook = {{ url = \"https://a.example\", token = {{ file = \"{token_name}\" }} }}\n\
         [listen.web]\nbind = \"8080\"\npool = \"app\"\ntls = {{ {pair} }}\n\
         [pool.app]\nservers = [\"a:1\"]\ntls = {{ {pair} }}\n"
    );
    let file = Scratch::new("exposed.toml", text.as_bytes());
    let exposed = |mode| {
        for secret in [&key, &token] {
            set_permissions(&secret.0, Permissions::from_mode(mode)).expect("the file is ours");
        }
        load(&file.0).unwrap_or_else(|problems| panic!("{problems}")).exposed()
    };
    assert!(exposed(0o640).is_empty());
    let told = |path: &PathBuf, user: &str| {
        format!("every user can read {}, a secret of {user}; make its mode 0600", path.display())
    };
    let expected = [
        told(&token.0, "the admin API"),
        told(&key.0, "the admin API"),
        told(&token.0, "the webhook"),
        told(&key.0, "listener `web`"),
        told(&key.0, "pool `app`"),
    ];
    assert_eq!(exposed(0o644), expected);
}

/// A user whose password is "secret".
const USERS: &[u8] = b"amy:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n";

#[test]
fn what_only_the_machine_can_tell_is_asked_for_and_reported_where_it_stands() {
    let page = Scratch::new("sorry.html", b"sorry");
    let (users, blocked) = (Scratch::new("users", USERS), Scratch::new("blocked", b"10.0.0.0/8\n"));
    let text = r#"user = "plimsoll"
group = "web"
[access_log]
to = "access.log"
[listen.web]
bind = "8080"
pool = "app"
deny_file = "BLOCKED"
basic_auth = { users = "USERS" }
[pool.app]
servers = ["127.0.0.1:9001"]
unavailable = { page = "PAGE" }
"#;
    let path = |file: &Scratch| file.0.to_str().expect("the path is UTF-8").to_owned();
    let text = text.replace("PAGE", &path(&page)).replace("USERS", &path(&users)).replace("BLOCKED", &path(&blocked));
    let file = Scratch::new("needs.toml", text.as_bytes());
    let folder = file.0.parent().expect("it is in a folder");
    let asked = std::cell::RefCell::new(Vec::new());
    let objecting = load_judged(&file.0, |config, need| {
        assert_eq!(config.process.user.as_deref(), Some("plimsoll"));
        asked.borrow_mut().push(need.clone());
        matches!(need, Need::Read(_)).then(|| Unmet { message: "not to be read".to_owned(), help: String::new() })
    });
    let expected = [
        Need::User("plimsoll".to_owned()),
        Need::Group("web".to_owned()),
        Need::Write(folder.join("access.log")),
        Need::Read(blocked.0.clone()),
        Need::Read(users.0.clone()),
        Need::Read(page.0.clone()),
        Need::Read(file.0.clone()),
    ];
    let asked = asked.into_inner();
    assert!(expected.iter().all(|need| asked.contains(need)) && asked.len() == expected.len(), "{asked:?}");
    let lines: Vec<_> = objecting.expect_err("files are objected to").iter().map(Diagnostic::line).collect();
    assert_eq!(lines, [Some(1), Some(8), Some(9), Some(12)]);
}
