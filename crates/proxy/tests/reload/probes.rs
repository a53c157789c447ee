//! Probes follow too: they begin, change and end with the configuration.

use plimsoll_core::HealthState;

use crate::clients::{ask, from};
use crate::kit::{Live, Origin, listen, pool, until};

#[test]
fn probes_begin_and_end_with_a_configuration() {
    let (good, gone) = (Origin::start("good"), Origin::start("gone"));
    let web = listen("web", "127.0.0.1:0", "pool = 'app'");
    let probed =
        |settings: &str| pool("app", &[&good, &gone], &format!("probe = {{ {settings}, interval = '100ms' }}"));
    let health = |live: &Live, origin: &Origin| {
        let mut members = live.pool("app").servers.into_iter();
        members.find(|member| member.server.id.name() == origin.address.to_string()).unwrap().health.state
    };
    let live = Live::start(&(web.clone() + &pool("app", &[&good, &gone], "")));
    // Every server answers 200, so asked for 404 all are found down.
    live.follow(&(web.clone() + &probed("http = '/', status = [404]"))).unwrap();
    until("both are down", || [&good, &gone].iter().all(|origin| health(&live, origin) == HealthState::Down));
    live.follow(&(web.clone() + &probed("http = '/', status = [200]"))).unwrap();
    until("both are up", || [&good, &gone].iter().all(|origin| health(&live, origin) != HealthState::Down));
    live.follow(&(web.clone() + &pool("app", &[&good], ""))).unwrap();
    assert_eq!(ask(live.address("web")), from("good"));
    live.follow(&(web + &pool("app", &[&good], "probe = { http = '/', status = [404], interval = '100ms' }"))).unwrap();
    until("it is down", || health(&live, &good) == HealthState::Down);
    live.end();
}
