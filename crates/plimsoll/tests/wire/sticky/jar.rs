//! What curl makes of the cookie, with a jar as browsers have one.

use std::process::Command;

use super::{STICKY, Three};

/// What curl prints of three requests one after the other with one jar.
fn curl(jar: &std::path::Path, arguments: &[&str]) -> Vec<String> {
    let jar = jar.to_str().unwrap();
    let one = |_| {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "-k", "-c", jar, "-b", jar])
            .args(arguments)
            .output()
            .expect("curl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    (0..3).map(one).collect()
}

#[test]
fn curl_with_a_jar_comes_back_over_http_and_https_and_http2() {
    let three = Three::new();
    let folder = std::env::temp_dir().join(format!("plimsoll-jar-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let out = folder.to_str().unwrap();
    let made =
        Command::new(env!("CARGO_BIN_EXE_plimsoll")).args(["cert", "--name", "localhost", "--out", out]).output();
    assert!(made.unwrap().status.success());
    let tls = format!("tls = {{ cert = \"{out}/localhost.pem\", key = \"{out}/localhost.key\" }}");
    for (scheme, listen, arguments) in
        [("http", "", &["--http1.1"][..]), ("https", &*tls, &["--http1.1"]), ("https", &*tls, &["--http2"])]
    {
        let program = three.config(STICKY).listen(listen).start();
        let jar = folder.join("jar");
        let _ = std::fs::remove_file(&jar);
        let url = format!("{scheme}://localhost:{}/", program.address().port());
        let to = format!("localhost:{}:127.0.0.1", program.address().port());
        let said = curl(&jar, &[arguments, &["--resolve", &to, &url]].concat());
        assert!(said.iter().all(|name| *name == said[0]), "{scheme} {arguments:?}: {said:?}");
        let kept = std::fs::read_to_string(&jar).unwrap();
        let line = kept.lines().find(|line| line.contains("\tsrv\t")).expect("the cookie is kept");
        let secure = line.split('\t').nth(3).unwrap();
        assert_eq!(secure, if scheme == "https" { "TRUE" } else { "FALSE" }, "{line}");
        assert!(line.starts_with("#HttpOnly_"), "{line}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_cookie_goes_to_the_paths_and_hosts_that_it_is_for_and_to_no_other() {
    let three = Three::new();
    let sticky = "sticky = { cookie = \"srv\", path = \"/shop\", domain = \"shop.example\", same_site = \"strict\", max_age = \"1h\" }";
    let program = three.config(sticky).start();
    let port = program.address().port();
    let jar = std::env::temp_dir().join(format!("plimsoll-jar-domain-{}", std::process::id()));
    let ask = |host: &str, path: &str| {
        let (to, url) = (format!("{host}:{port}:127.0.0.1"), format!("http://{host}:{port}{path}"));
        curl(&jar, &["--include", "--resolve", &to, &url])
    };
    let set = |said: &str| said.lines().find(|line| line.starts_with("Set-Cookie: ")).map(str::to_owned);
    let name = |said: &str| said.lines().last().unwrap_or_default().to_owned();
    let first = ask("a.shop.example", "/shop/x");
    let line = set(&first[0]).expect("a cookie is set");
    assert!(line.ends_with("; Path=/shop; Domain=shop.example; Max-Age=3600; HttpOnly; SameSite=Strict"), "{line}");
    assert!(first[1..].iter().all(|said| set(said).is_none() && name(said) == name(&first[0])), "{first:?}");
    let below = ask("b.shop.example", "/shop");
    assert!(below.iter().all(|said| set(said).is_none() && name(said) == name(&first[0])), "{below:?}");
    // Whoever shows no cookie is balanced and given one.
    for elsewhere in [ask("a.shop.example", "/shops"), ask("other.example", "/shop")] {
        assert!(elsewhere.iter().all(|said| set(said).is_some()), "{elsewhere:?}");
    }
    let _ = std::fs::remove_file(&jar);
}
