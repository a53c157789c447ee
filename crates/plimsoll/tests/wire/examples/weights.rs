//! Weights, a backup, a server that is down, and retries.

use super::{counts, named, who};
use crate::kit::{Example, Mortal, Talk, answer, get, ok};

/// A server that answers with its name, and `/bad` with 503.
fn mortal(name: &'static str) -> Mortal {
    Mortal::start(move |talk: &mut Talk| {
        while let Some(request) = talk.request() {
            if !talk.send(if request.target() == "/bad" { answer(503) } else { ok(name) }) {
                return;
            }
        }
    })
}

#[test]
fn the_big_one_carries_four_times_as_much_and_the_backup_waits_for_the_worst() {
    let (mut big, mut small) = (mortal("big"), mortal("small"));
    let (old, spare) = (named("old"), named("spare"));
    let mut example = Example::of("weights.toml")
        .server(9001, big.address())
        .server(9002, small.address())
        .server(9003, old.address())
        .server(9004, spare.address());
    let program = example.start();
    assert_eq!(who(&program, 100), counts(&[("big", 80), ("small", 20)]));
    // Both of the others answer it with 503, so the third try is the backup's.
    assert_eq!(program.ask(get("/bad")).text(), "spare");
    big.kill();
    assert_eq!(who(&program, 20), counts(&[("small", 20)]), "the death of one is seen by nobody");
    small.kill();
    assert_eq!(who(&program, 20), counts(&[("spare", 20)]), "nor that of the next");
    assert_eq!(old.count(), 0);
}
