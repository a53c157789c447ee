//! What is done about servers that fail, down to the page that says sorry.

use super::{counts, who};
use crate::kit::{Example, Mortal, Talk, get, ok, until};

fn mortal(name: &'static str) -> Mortal {
    Mortal::start(move |talk: &mut Talk| while talk.request().is_some() && talk.send(ok(name)) {})
}

#[test]
fn one_after_the_other_they_die_and_the_last_resort_is_a_page() {
    let [mut big, mut small, mut spare, mut fallback] = ["big", "small", "spare", "static"].map(mortal);
    let mut example = Example::of("failover.toml").with("sorry.html");
    for (port, server) in (9001..).zip([&big, &small, &spare, &fallback]) {
        example = example.server(port, server.address());
    }
    let program = example.start();
    assert_eq!(who(&program, 150), counts(&[("big", 100), ("small", 50)]));
    for (dead, name, next) in [(&mut big, "big", "small"), (&mut small, "small", "spare")] {
        dead.kill();
        assert_eq!(who(&program, 10), counts(&[(next, 10)]), "the death of {name} is seen by nobody");
        program.await_said(&format!("pool app: server {name} is down"));
    }
    spare.kill();
    until("the other pool serves", || program.ask(get("/")).text() == "static");
    fallback.kill();
    until("there is nobody left", || program.ask(get("/")).status == 503);
    let sorry = program.ask(get("/"));
    assert_eq!((sorry.status, sorry.field("retry-after")), (503, Some("30")));
    assert_eq!(sorry.text(), include_str!("../../../../../examples/sorry.html"));
}
