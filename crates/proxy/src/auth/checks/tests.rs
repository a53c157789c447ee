use super::*;

/// Of `swordfish`, as cheap as they can be: 2^4 rounds.
const BCRYPT: &str = "$2y$04$U89yt1oIOMKget4U2SQK7eOcx/RNwSFhPYYAjQ..G.FMwVzdQZmGG";

fn users(names: &[&str]) -> Arc<[(String, String)]> {
    names.iter().map(|name| ((*name).to_owned(), BCRYPT.to_owned())).collect()
}

struct Door {
    checks: Checks,
    users: Arc<[(String, String)]>,
}

impl Door {
    fn of(names: &[&str]) -> Self {
        Self { checks: Checks::default(), users: users(names) }
    }

    fn ask(&self, name: &str, password: &str) -> Found {
        let key = self.checks.key(self.checks.version(&self.users), format!("{name}:{password}").as_bytes());
        self.checks.ask(key, || Job::new(&self.users, name, password.as_bytes()))
    }

    /// What is found in the end.
    fn finds(&self, name: &str, password: &str) -> bool {
        match self.ask(name, password) {
            Found::Right => true,
            Found::Wrong => false,
            Found::Later(answer) => answer.blocking_recv().unwrap(),
            Found::Busy => panic!("nothing else is asked"),
        }
    }
}

#[test]
fn only_the_password_of_a_user_is_right_and_it_is_remembered() {
    let door = Door::of(&["amy", "zoe"]);
    for (name, password) in [("amy", "swordfis"), ("amy", ""), ("bob", "swordfish"), ("", "swordfish")] {
        assert!(!door.finds(name, password), "{name}:{password}");
        assert!(matches!(door.ask(name, password), Found::Wrong));
    }
    assert!(matches!(door.ask("zoe", "swordfish"), Found::Later(_)));
    assert!(door.finds("amy", "swordfish"));
    assert!(matches!(door.ask("amy", "swordfish"), Found::Right));
}

#[test]
fn a_user_who_is_removed_or_has_another_password_is_not_remembered() {
    let mut door = Door::of(&["amy", "zoe"]);
    assert!(door.finds("amy", "swordfish"));
    door.users = users(&["zoe"]);
    assert!(!door.finds("amy", "swordfish"));
    door.users = users(&["amy", "zoe"]);
    assert!(matches!(door.ask("amy", "swordfish"), Found::Right));
    let changed = [("amy".to_owned(), BCRYPT.replace("$2y$04$", "$2y$05$"))];
    door.users = changed.into();
    assert!(!door.finds("amy", "swordfish"));
}

#[test]
fn a_name_that_nobody_has_costs_a_look_at_the_hash_of_another() {
    let users = users(&["amy", "zoe"]);
    for name in ["bob", "", "zzz", "somebody else"] {
        let job = Job::new(&users, name, b"swordfish");
        assert!(!job.known && job.user < 2 && !job.is_right());
        assert!(password::is_right(b"swordfish", &users[job.user].1));
        assert_eq!(job.user, Job::new(&users, name, b"other").user);
    }
}

#[test]
fn what_waits_has_a_bound_and_what_nobody_waits_for_is_not_looked_at() {
    let door = Door::of(&["amy"]);
    // Nobody takes anything out of this queue.
    let (sender, _jobs) = mpsc::sync_channel(2);
    assert!(door.checks.queue.set(Some(sender)).is_ok());
    let first = door.ask("amy", "1");
    let again = door.ask("amy", "1");
    let second = door.ask("amy", "2");
    assert!([&first, &again, &second].iter().all(|found| matches!(found, Found::Later(_))));
    assert!(matches!(door.ask("amy", "3"), Found::Busy));
    let key = door.checks.key(door.checks.version(&door.users), b"amy:1");
    drop(first);
    assert!(!lock(&door.checks.state).is_abandoned(key));
    drop(again);
    let mut state = lock(&door.checks.state);
    assert_eq!((state.waiting, state.pending.len()), (3, 2));
    assert!(state.is_abandoned(key));
    assert_eq!((state.waiting, state.pending.len()), (1, 1));
}

#[test]
fn what_is_asked_twice_is_found_for_both() {
    let door = Door::of(&["amy"]);
    let asked: Vec<_> = (0..10).map(|_| door.ask("amy", "swordfish")).collect();
    for found in asked {
        match found {
            Found::Later(answer) => assert_eq!(answer.blocking_recv(), Ok(true)),
            Found::Right => {}
            Found::Wrong | Found::Busy => panic!("it is right"),
        }
    }
    assert_eq!(lock(&door.checks.state).waiting, 0);
}

#[test]
fn the_threads_end_when_nobody_can_ask_any_more() {
    let door = Door::of(&["amy"]);
    assert!(door.finds("amy", "swordfish"));
    let state = Arc::downgrade(&door.checks.state);
    drop(door);
    let begun = Instant::now();
    while state.strong_count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the threads do not end");
        thread::yield_now();
    }
}
