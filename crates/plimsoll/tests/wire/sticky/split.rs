//! Clients that stick to one of the pools that a route is split between.

use super::{STICKY, first, named, set_by, with};
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

#[test]
fn a_pool_of_which_no_server_takes_requests_gives_way_to_the_others_and_has_its_clients_back() {
    let (app, canary) = (named("app"), named("canary"));
    let config = |state: &str, cookie: &str, weights: &str| {
        let route = format!("route = [{{ path = \"/\", split = {{ {weights} }} }}]");
        let other = format!(
            "servers = [{{ address = \"{}\", state = \"{state}\" }}]\nsticky = {{ cookie = \"{cookie}\" }}",
            canary.address()
        );
        Config::to(&[app.address()]).only_routes().listen(&route).pool(STICKY).another_pool("canary", &other)
    };
    for cookie in ["srv", "canary"] {
        let program = config("ready", cookie, "app = 0, canary = 1").start();
        let (name, of_canary) = first(&program);
        assert_eq!(name, "canary");
        program.reload(&config("down", cookie, "app = 1, canary = 9"));
        for _ in 0..20 {
            assert_eq!(program.ask(get("/")).text(), "app");
        }
        let response = program.ask(with(&of_canary));
        assert_eq!((response.status, response.text()), (200, "app".to_owned()));
        let both = with(&format!("{of_canary}; {}", set_by(&response)));
        assert_eq!((program.ask(&both).text(), program.ask(&both).field("set-cookie")), ("app".to_owned(), None));
        program.reload(&config("ready", cookie, "app = 1, canary = 9"));
        assert_eq!(program.ask(with(&of_canary)).text(), "canary");
        // Nobody is to come to where the weight is 0.
        program.reload(&config("down", cookie, "app = 0, canary = 1"));
        assert_eq!(program.ask(get("/")).status, 503);
    }
}
