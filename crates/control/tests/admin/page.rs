//! The dashboard as it is handed out.

use crate::kit::{LOCAL, Stand};

#[test]
fn the_page_may_load_from_here_alone_and_is_asked_about_each_time() {
    let stand = Stand::start(LOCAL);
    let page = stand.get("/");
    assert_eq!((page.status, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.field("content-security-policy").expect("there is one");
    for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.split("; ").any(|known| known == part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.field("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.field("cache-control"), Some("no-cache"));
    let tag = page.field("etag").expect("there is one");
    let again = stand.say(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {tag}\r\n"), "");
    assert_eq!((again.status, &*again.body), (304, ""));
    let other = stand.say("GET / HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"other\"\r\n", "");
    assert_eq!((other.status, &other.body), (200, &page.body));
}

#[test]
fn a_link_of_another_site_may_lead_to_the_page_but_not_load_or_frame_it() {
    let stand = Stand::start(LOCAL);
    let asked = |path: &str, mode: &str, dest: &str| {
        let fields = format!("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: {mode}\r\nSec-Fetch-Dest: {dest}\r\n");
        stand.say(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}"), "").status
    };
    assert_eq!(asked("/", "navigate", "document"), 200);
    assert_eq!(asked("/", "navigate", "iframe"), 403);
    assert_eq!(asked("/", "no-cors", "script"), 403);
    assert_eq!(asked("/api/v1/status", "navigate", "document"), 403);
}
