//! An example of the repository, put where this run's proxy and servers are. By its text, so that all else in it is
//! what a reader of the example has.

use anyhow::{Context, bail};

/// Where the example listens.
const BIND: &str = "127.0.0.1:8080";

/// The port of the example's first server; the others follow.
const FIRST_SERVER: u16 = 9001;

/// The section of the pool.
const POOL: &str = "[pool.app]\n";

/// The example with one worker, that port and those servers in place of its own. An error when it is not of that form.
pub(super) fn placed(example: &str, port: u16, servers: &[u16]) -> anyhow::Result<String> {
    let mut text = format!("workers = 1\n{}", replaced(example, BIND, &format!("\"127.0.0.1:{port}\""))?);
    let theirs: Vec<String> = (FIRST_SERVER..).take(servers.len()).map(|port| format!("127.0.0.1:{port}")).collect();
    // In two steps, as one of our ports might be one of theirs.
    for address in &theirs {
        text = replaced(&text, address, &format!("\"<{address}>\""))?;
    }
    for (address, port) in theirs.iter().zip(servers) {
        text = replaced(&text, &format!("<{address}>"), &format!("\"127.0.0.1:{port}\""))?;
    }
    Ok(text)
}

/// The placed example with a limit for each server and the line of requests that wait for it.
pub(super) fn queued(placed: &str, servers: &[u16], at_a_server: usize) -> anyhow::Result<String> {
    let mut text = placed.to_owned();
    for port in servers {
        let address = format!("127.0.0.1:{port}");
        let limited = format!("{{ address = \"{address}\", max_connections = {at_a_server} }}");
        text = replaced(&text, &address, &limited)?;
    }
    let (before, after) = text.split_once(POOL).context("the example has no section [pool.app]")?;
    Ok(format!("{before}{POOL}queue = {{ limit = 1000, timeout = \"1s\" }}\n{after}"))
}

/// With the one string of that content replaced.
fn replaced(text: &str, content: &str, by: &str) -> anyhow::Result<String> {
    let string = format!("\"{content}\"");
    match text.matches(&string).count() {
        1 => Ok(text.replacen(&string, by, 1)),
        count => bail!("the example has {string} {count} times instead of once"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "# Try it: serve 127.0.0.1:8080\n[listen.web]\nbind = \"127.0.0.1:8080\"\npool = \"app\"\n\n\
        [pool.app]\nservers = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\nwarm_up = \"4s\"\n";

    /// The one the tail is measured with.
    #[test]
    fn the_repository_s_example_is_of_that_form() {
        let text = include_str!("../../../../examples/slow-servers.toml");
        let servers = [40001, 40002, 40003, 40004, 40005];
        let placed = placed(text, 40000, &servers).expect("an example of that form");
        assert_eq!(placed.lines().count(), text.lines().count() + 1);
        queued(&placed, &servers, 20).expect("an example of that form");
    }

    #[test]
    fn only_addresses_change_and_the_worker_comes_first() {
        let text = placed(EXAMPLE, 40000, &[9002, 40001]).expect("an example of that form");
        let expected = EXAMPLE
            .replace("bind = \"127.0.0.1:8080\"", "bind = \"127.0.0.1:40000\"")
            .replace("\"127.0.0.1:9001\", \"127.0.0.1:9002\"", "\"127.0.0.1:9002\", \"127.0.0.1:40001\"");
        assert_eq!(text, format!("workers = 1\n{expected}"));
    }

    #[test]
    fn a_queue_comes_with_a_limit_for_each_server() {
        let text = placed(EXAMPLE, 40000, &[40001, 40002]).expect("an example of that form");
        let text = queued(&text, &[40001, 40002], 20).expect("an example of that form");
        assert!(text.contains("{ address = \"127.0.0.1:40001\", max_connections = 20 }, { address"), "{text}");
        assert!(text.contains("[pool.app]\nqueue = { limit = 1000, timeout = \"1s\" }\nservers"), "{text}");
    }

    #[test]
    fn an_example_of_another_form_is_an_error() {
        let error = placed(EXAMPLE, 40000, &[40001, 40002, 40003]).expect_err("a third server");
        assert!(error.to_string().contains("9003"), "{error}");
    }
}
