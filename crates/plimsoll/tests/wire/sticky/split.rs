//! Clients that stick to one of the pools that a route is split between.

use super::{STICKY, first, named, with};
use crate::kit::{Config, Server, get};

/// The pools `app` and `canary`, each with a server, and a route for all that is split between them by these weights.
fn split((app, canary): (&Server, &Server), weights: &str) -> Config {
    let route = format!("route = [{{ path = \"/\", split = {{ {weights} }} }}]");
    let config = Config::to(&[app.address()]).only_routes().listen(&route).pool(STICKY);
    config.another_pool("canary", &format!("servers = [\"{}\"]\n{STICKY}", canary.address()))
}

#[test]
fn a_client_stays_with_the_pool_that_a_split_drew_for_it() {
    let (app, canary) = (named("app"), named("canary"));
    let program = split((&app, &canary), "app = 50, canary = 50").start();
    for _ in 0..6 {
        let (name, cookie) = first(&program);
        for _ in 0..10 {
            assert_eq!(program.ask(with(&cookie)).text(), name);
        }
    }
}

#[test]
fn a_weight_of_0_takes_nobody_new_and_keeps_those_that_are_there() {
    let (app, canary) = (named("app"), named("canary"));
    let program = split((&app, &canary), "app = 0, canary = 1").start();
    let (name, cookie) = first(&program);
    assert_eq!(name, "canary");
    program.reload(&split((&app, &canary), "app = 1, canary = 0"));
    for _ in 0..30 {
        assert_eq!(program.ask(get("/")).text(), "app");
        assert_eq!(program.ask(with(&cookie)).text(), "canary");
    }
}
