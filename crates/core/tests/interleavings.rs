//! Runs claims, releases and the repair of the index through every order in which threads can be
//! interleaved, up to a few preemptions, under a memory model that lets relaxed reads be stale.
//!
//! The modules under test are compiled here once more against the model checker's atomics. They bring
//! unit tests, which mean nothing under those; hence this target has no test harness, and a `main`.

#![allow(dead_code, unreachable_pub, unused_imports, reason = "the crate uses what the models do not")]

#[path = "../src/alive.rs"]
mod alive;
#[path = "../src/seat.rs"]
mod seat;
#[path = "../src/slots.rs"]
mod slots;
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}
#[path = "../src/tournament.rs"]
mod tournament;

use alive::Alive;
use loom::sync::Arc;
use loom::thread;
use seat::Seat;
use slots::{Claim, Slots};
use sync::{AtomicU64, Ordering};
use tournament::{Contest, Reach, Tournament};

fn main() {
    let models: [(&str, fn()); 7] = [
        ("a limit is never exceeded and every slot comes back", limit),
        ("a claim that saw less than there is is turned away", seen),
        ("the root names the least once all repairs are done", repairs),
        ("the root forgets one who was overtaken on the way", overtaken),
        ("picks that go by the index leave it right", picks),
        ("an audit finds no leak where there is none", || audits(None, Seat::own(0))),
        ("nor where threads share a seat", || audits(Some(Seat::shared(0)), Seat::shared(0))),
    ];
    for (name, model) in models {
        let mut builder = loom::model::Builder::new();
        // Three switches away from a thread that could go on show every race between two steps; each one
        // more multiplies the time by ten.
        builder.preemption_bound = Some(3);
        builder.check(model);
        println!("model: {name} ... ok");
    }
}

fn limit() {
    let slots = Arc::new(Slots::new());
    let taken = Arc::new(AtomicU64::new(0));
    let caller = || {
        let (slots, taken) = (Arc::clone(&slots), Arc::clone(&taken));
        thread::spawn(move || {
            if slots.claim(u32::MAX, 2) == Claim::Taken {
                taken.fetch_add(1, Ordering::Relaxed);
                assert!((1..=2).contains(&slots.in_flight()));
                assert!(slots.release(), "the slot was claimed");
            }
        })
    };
    let callers = [caller(), caller()];
    assert!(slots.in_flight() <= 2);
    for caller in callers {
        caller.join().unwrap();
    }
    assert_eq!(slots.in_flight_and_picks(), (0, taken.load(Ordering::Relaxed)));
}

fn seen() {
    let slots = Arc::new(Slots::new());
    let other = Arc::clone(&slots);
    let caller = thread::spawn(move || other.claim(0, 9) == Claim::Taken);
    let mine = slots.claim(0, 9) == Claim::Taken;
    let theirs = caller.join().unwrap();
    assert!(mine != theirs, "both had seen an idle server, so exactly one may have it");
    assert_eq!(slots.in_flight(), 1);
}

/// The smallest tree with two levels, its members' ranks plain numbers.
struct Numbers([AtomicU64; 4]);

impl Contest for Numbers {
    type Rank = u64;

    fn rank(&self, member: usize) -> u64 {
        self.0[member].load(Ordering::Relaxed)
    }

    fn before(a: &u64, b: &u64) -> bool {
        a < b
    }
}

fn repairs() {
    let numbers = Numbers([3, 5, 4, 6].map(AtomicU64::new));
    let tree = Tournament::<2, 2>::new(4);
    tree.replay(&numbers);
    let shared = Arc::new((tree, numbers));
    let change = |member: usize, to: u64, reach: Reach| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (tree, numbers) = &*shared;
            numbers.0[member].store(to, Ordering::Relaxed);
            tree.repair(member, reach, numbers);
        })
    };
    // The least gets worse while its neighbour gets better, so each changes the winner the other reads.
    let changes = [change(0, 9, Reach::Root), change(1, 2, Reach::Needed)];
    for change in changes {
        change.join().unwrap();
    }
    assert_eq!(shared.0.best(), 1);
}

/// Both get worse, and neither is the best thereafter: whoever plays the leaf first must carry the news up
/// though it is not about its own member.
fn overtaken() {
    let numbers = Numbers([3, 5, 4, 6].map(AtomicU64::new));
    let tree = Tournament::<3, 2>::new(4);
    tree.replay(&numbers);
    let shared = Arc::new((tree, numbers));
    let worsen = |member: usize, to: u64| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (tree, numbers) = &*shared;
            numbers.0[member].store(to, Ordering::Relaxed);
            tree.repair(member, Reach::Needed, numbers);
        })
    };
    let changes = [worsen(0, 9), worsen(1, 8)];
    for change in changes {
        change.join().unwrap();
    }
    assert_eq!(shared.0.best(), 2);
}

/// Three servers ranked by what they have in flight.
struct Servers([Slots; 3]);

impl Contest for Servers {
    type Rank = u32;

    fn rank(&self, member: usize) -> u32 {
        self.0[member].in_flight()
    }

    fn before(a: &u32, b: &u32) -> bool {
        a < b
    }
}

fn picks() {
    let servers = Servers([Slots::new(), Slots::new(), Slots::new()]);
    let tree = Tournament::<2, 2>::new(3);
    tree.replay(&servers);
    let shared = Arc::new((tree, servers));
    let pick = |keep: bool| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (tree, servers) = &*shared;
            let best = tree.best();
            assert_eq!(servers.0[best].claim(u32::MAX, 9), Claim::Taken);
            tree.repair(best, Reach::Root, servers);
            if !keep {
                assert!(servers.0[best].release(), "the slot was claimed");
                tree.repair(best, Reach::Needed, servers);
            }
        })
    };
    let callers = [pick(true), pick(false)];
    for caller in callers {
        caller.join().unwrap();
    }
    let (tree, servers) = &*shared;
    let in_flight: Vec<u32> = servers.0.iter().map(Slots::in_flight).collect();
    assert_eq!(in_flight.iter().sum::<u32>(), 1);
    assert_eq!(in_flight[tree.best()], 0, "the root still names a busy server: {in_flight:?}");
}

/// A permit of before that ends while another begins, on one thread or on two, as seen by whoever looks once.
fn audits(ending: Option<Seat>, seat: Seat) {
    let slots = Slots::new();
    let alive = Alive::<1>::new();
    pick_at(&slots, &alive, seat);
    let shared = Arc::new((slots, alive));
    let run = |requests: fn(&Slots, &Alive<1>, Seat), seat: Seat| {
        let shared = Arc::clone(&shared);
        thread::spawn(move || requests(&shared.0, &shared.1, seat))
    };
    let threads = match ending {
        None => vec![run(end_then_pick_at, seat)],
        Some(ending) => vec![run(end_at, ending), run(pick_at, seat)],
    };
    let (slots, alive) = &*shared;
    let (audit, _) = alive.look(&|| u64::from(slots.in_flight()));
    assert_eq!(audit.apart, 0, "{audit:?}");
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(alive.look(&|| u64::from(slots.in_flight())).1, 0, "nothing moves any more, so it is exact");
    assert_eq!(alive.look(&|| u64::from(slots.in_flight() + 1)).0.apart, 1);
}

fn pick_at(slots: &Slots, alive: &Alive<1>, seat: Seat) {
    let step = alive.picking(seat);
    assert_eq!(slots.claim(u32::MAX, 9), Claim::Taken);
    step.made();
}

fn end_at(slots: &Slots, alive: &Alive<1>, seat: Seat) {
    let _step = alive.ending(seat);
    assert!(slots.release(), "the slot was claimed");
}

fn end_then_pick_at(slots: &Slots, alive: &Alive<1>, seat: Seat) {
    end_at(slots, alive, seat);
    pick_at(slots, alive, seat);
}
