//! What a route is for, condition by condition.

use proptest::prelude::*;

use super::*;

const NOBODY: &Vec<(String, String)> = &Vec::new();

fn asked<'a>(host: &'a str, path: &'a str) -> Asked<'a> {
    Asked { method: "GET", host: Some(host), path, query: parameters(""), fields: NOBODY, client: None }
}

/// Those of a query; a test may leave behind what holds them.
fn parameters(query: &str) -> &Parameters<'_> {
    Box::leak(Box::new(Parameters::of(query)))
}

fn pattern(text: &str) -> Pattern {
    Pattern(regex::bytes::Regex::new(text).unwrap())
}

fn prefix(path: &str, ignore_case: bool) -> PathPattern {
    PathPattern::Prefix { path: path.to_owned(), ignore_case }
}

fn exact(path: &str, ignore_case: bool) -> PathPattern {
    PathPattern::Exact { path: path.to_owned(), ignore_case }
}

/// What is said of a request of which one condition is not met; empty where it is.
fn told(when: &When, asked: &Asked<'_>) -> String {
    when.refusal(asked).map(|refusal| refusal.to_string()).unwrap_or_default()
}

#[test]
fn a_host_is_one_name_or_all_names_below_it() {
    let exact = HostPattern::Exact("example.com".to_owned());
    let below = HostPattern::Below("example.com".to_owned());
    assert!(exact.matches("example.com") && !exact.matches("a.example.com"));
    for host in ["a.example.com", "b.a.example.com"] {
        assert!(below.matches(host), "{host}");
    }
    for host in ["example.com", ".example.com", "badexample.com", "example.com.evil", ""] {
        assert!(!below.matches(host), "{host}");
    }
    let when = When { hosts: vec![exact, below], ..When::default() };
    assert_eq!(told(&when, &asked("other", "/")), "the host is not example.com or *.example.com");
    let nameless = Asked { host: None, ..asked("", "/") };
    assert!(matches!(when.refusal(&nameless), Some(Refusal::Host(_))));
    assert_eq!(When::default().refusal(&nameless), None);
}

#[test]
fn a_prefix_holds_whole_segments() {
    for (path, fits) in [("/a", true), ("/a/", true), ("/a/b", true), ("/ab", false), ("/", false), ("/A", false)] {
        assert_eq!(prefix("/a", false).matches(path), fits, "{path}");
    }
    assert!(prefix("/a", true).matches("/A/b") && exact("/a", true).matches("/A"));
    assert!(prefix("", false).matches("/x") && prefix("", false).matches("*"));
    assert!(!exact("/a", false).matches("/a/"));
    assert!(PathPattern::Regex(pattern(r"^/u/\d+$")).matches("/u/12"));
    let when = When {
        paths: vec![prefix("/a", false), exact("/b", false), PathPattern::Regex(pattern("^/c"))],
        ..When::default()
    };
    assert_eq!(told(&when, &asked("x", "/b")), "");
    assert_eq!(told(&when, &asked("x", "/d")), "the path is not /a or below it, is not /b, does not match ^/c");
}

#[test]
fn fields_and_parameters_are_there_or_not_or_have_a_value() {
    let fields = vec![("X-Beta".to_owned(), "no".to_owned()), ("x-beta".to_owned(), "yes".to_owned())];
    let with = |name: &str, value| When { headers: vec![(name.to_owned(), value)], ..When::default() };
    let request = Asked { fields: &fields, ..asked("x", "/") };
    let value = |text: &str| ValuePattern::Exact(text.to_owned());
    let cases = [
        ("x-beta", ValuePattern::Present, ""),
        ("x-beta", ValuePattern::Absent, "the field x-beta is there"),
        ("x-beta", value("yes"), ""),
        ("x-beta", value("y"), "the field x-beta is not `y`"),
        ("x-beta", ValuePattern::Regex(pattern("^y")), ""),
        ("x-beta", ValuePattern::Regex(pattern("^z")), "the field x-beta does not match ^z"),
        ("x-gamma", ValuePattern::Absent, ""),
        ("x-gamma", ValuePattern::Present, "the field x-gamma is not there"),
    ];
    for (name, value, expected) in cases {
        assert_eq!(told(&with(name, value), &request), expected, "{name}");
    }
}

#[test]
fn parameters_are_decoded_before_they_are_compared() {
    let with = |name: &str, value: &str| When {
        query: vec![(name.to_owned(), ValuePattern::Exact(value.to_owned()))],
        ..When::default()
    };
    let request = Asked { query: parameters("&a=1&a=2&b%20c=d+e%2Bf&flag&x==&bad=%zz"), ..asked("x", "/") };
    for (name, value) in [("a", "1"), ("a", "2"), ("b c", "d e+f"), ("flag", ""), ("x", "="), ("bad", "%zz")] {
        assert_eq!(told(&with(name, value), &request), "", "{name}");
    }
    assert_eq!(told(&with("a", "3"), &request), "`a` of the query is not `3`");
    assert_eq!(told(&with("", ""), &request), "`\"\"` of the query is not `\"\"`");
}

#[test]
fn methods_and_clients_are_of_those_listed() {
    let methods = When { methods: vec!["GET".to_owned(), "POST".to_owned()], ..When::default() };
    assert_eq!(told(&methods, &asked("x", "/")), "");
    let get = Asked { method: "get", ..asked("x", "/") };
    assert_eq!(told(&methods, &get), "the method is not GET or POST");
    let network = Network::Ip { address: "10.0.0.0".parse().unwrap(), bits: 8 };
    let clients = When { clients: vec![network], ..When::default() };
    let from = |client: &str| Asked { client: Some(client.parse().unwrap()), ..asked("x", "/") };
    assert_eq!(told(&clients, &from("::ffff:10.1.2.3")), "");
    assert_eq!(told(&clients, &from("11.0.0.1")), "the client is not in 10.0.0.0/8");
    assert_eq!(told(&clients, &asked("x", "/")), "the client is not in 10.0.0.0/8");
}

proptest! {
    #[test]
    fn whatever_is_asked_the_answer_is_one_of_the_conditions(
        host in any::<Option<String>>(),
        (path, query, method, value) in any::<(String, String, String, String)>(),
    ) {
        let fields = vec![("x".to_owned(), value.clone())];
        let asked = Asked {
            method: &method, host: host.as_deref(), path: &path, query: &Parameters::of(&query), fields: &fields, client: None,
        };
        let when = When {
            hosts: vec![HostPattern::Below("a".to_owned())],
            paths: vec![prefix("/a", true), PathPattern::Regex(pattern("b"))],
            methods: vec![method.clone()],
            headers: vec![("x".to_owned(), ValuePattern::Exact(value.clone()))],
            query: vec![("q".to_owned(), ValuePattern::Absent)],
            clients: vec![Network::Unix],
        };
        prop_assert!(!matches!(when.refusal(&asked), Some(Refusal::Method(_) | Refusal::Header(..) | Refusal::Client(_))));
        prop_assert!(When::default().refusal(&asked).is_none());
    }
}
