//! A configuration from the arguments of a command line.

use plimsoll_config::{Bind, Config, Diagnostic, Diagnostics, parse};

fn refused(listen: &str, to: &[&str]) -> Diagnostics {
    Config::quick(listen, to).expect_err("the arguments are wrong")
}

#[test]
fn arguments_mean_the_same_as_a_file() {
    let to = ["127.0.0.1:9001", "b:9002,weight=4,name=big,max_connections=7", "c:9003,state=drain,backup=true"];
    let quick = Config::quick("8080", &to).expect("the arguments are right");
    let text = r#"
[listen.web]
bind = "8080"
pool = "app"
[pool.app]
servers = [
  "127.0.0.1:9001",
  { address = "b:9002", weight = 4, name = "big", max_connections = 7 },
  { address = "c:9003", state = "drain", backup = true },
]
"#;
    assert_eq!(quick, parse("plimsoll.toml", text).expect("the file is right"));
}

#[test]
fn arguments_may_be_unix_sockets() {
    let to = ["unix:/run/app.sock,weight=2", "unix:app.sock"];
    let config = Config::quick("unix:web.sock", &to).expect("the arguments are right");
    assert_eq!(config.listeners[0].binds, [Bind::Unix("web.sock".into())]);
    let servers: Vec<_> = config.pools[0].servers.iter().map(|server| (server.name.as_str(), server.weight)).collect();
    assert_eq!(servers, [("unix:/run/app.sock", 2), ("unix:app.sock", 1)]);
}

#[test]
fn a_name_may_look_like_a_number() {
    let config = Config::quick("8080", &["a:1,name=4"]).expect("the arguments are right");
    assert_eq!(config.pools[0].servers[0].name, "4");
}

#[test]
fn a_mistake_is_shown_in_its_argument() {
    let shown = refused("8080", &["127.0.0.1:9001", "127.0.0.1:9002,wieght=4"]).to_string();
    let expected = "error: unknown setting `wieght` in a server of pool `app`
 --> command line:3:21
  |
3 | --to 127.0.0.1:9002,wieght=4
  |                     ^^^^^^
  |
  = help: did you mean `weight`?";
    assert_eq!(shown, expected);
}

#[test]
fn each_mistake_is_told() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("8080", &[], "no server is given to send requests to"),
        ("nowhere", &["a:1"], "`nowhere` is neither a port nor an address and a port"),
        ("", &["a:1"], "`\"\"` is neither a port nor an address and a port"),
        ("8080", &["a"], "`a` has no port"),
        ("unix:no-such-folder/a", &["a:1"], "there is no folder `no-such-folder` to make the socket in"),
        ("8080", &["/run/app.sock"], "`/run/app.sock` is a path"),
        ("8080", &[""], "`\"\"` has no port"),
        ("8080", &["a:1,"], "`\"\"` is no setting"),
        ("8080", &["a:1,backup"], "`backup` is no setting"),
        ("8080", &["a:1,weight=4,weight=5"], "`weight` is given twice"),
        ("8080", &["a:1,address=b:1"], "`address` is given twice"),
        ("8080", &["a:1,weight=x"], "`weight` must be a whole number from 0 to 65535, not \"x\""),
        ("8080", &["a:1,weight=1.5"], "`weight` must be a whole number from 0 to 65535, not 1.5"),
        ("8080", &["a:1,backup=yes"], "`backup` must be true or false, not \"yes\""),
        ("8080", &["a:1,state=up"], "`state` must be one of \"ready\", \"drain\", \"down\", not \"up\""),
        ("8080", &["a:1", "a:1"], "two servers of the pool are called `a:1`"),
        ("8080", &["a:1,backup=true"], "pool `app` has only backup servers"),
        ("8080", &["a:1,name=x\ny"], "`name` has a control character in it"),
    ];
    for (listen, to, expected) in cases {
        let problems = refused(listen, to);
        let messages: Vec<_> = problems.iter().map(Diagnostic::message).collect();
        assert_eq!(messages, [*expected], "--listen {listen} --to {to:?}");
    }
}
