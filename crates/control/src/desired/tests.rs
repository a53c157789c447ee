//! Edits over a file, undone, overtaken and told.

use plimsoll_core::AdminState;

use super::*;
use crate::api::State;

fn file(servers: &str) -> Config {
    let text = format!("[listen.web]\nbind = \"127.0.0.1:0\"\npool = \"app\"\n[pool.app]\nservers = [{servers}]\n");
    plimsoll_config::parse("test.toml", &text).expect("the configuration is good")
}

const TWO: &str =
    r#"{ address = "127.0.0.1:9001", name = "a" }, { address = "127.0.0.1:9002", name = "b", weight = 3 }"#;

fn set(server: &str, patch: ServerPatch) -> Edit {
    Edit::Set { pool: "app".to_owned(), server: server.to_owned(), patch }
}

fn weight(weight: u16) -> ServerPatch {
    ServerPatch { weight: Some(weight), ..ServerPatch::default() }
}

fn state(state: State) -> ServerPatch {
    ServerPatch { state: Some(state), ..ServerPatch::default() }
}

fn add(address: &str, name: &str) -> Edit {
    let server = NewServer {
        address: address.to_owned(),
        name: Some(name.to_owned()),
        weight: 1,
        max_connections: None,
        backup: false,
        state: State::Ready,
    };
    Edit::Add { pool: "app".to_owned(), servers: vec![server] }
}

fn remove(server: &str) -> Edit {
    Edit::Remove { pool: "app".to_owned(), server: server.to_owned() }
}

fn edited(desired: &Desired, edits: &[Edit]) -> Desired {
    edits.iter().fold(desired.clone(), |desired, edit| desired.edited(edit).expect("the edit is good"))
}

fn names(desired: &Desired) -> Vec<String> {
    desired.effective().pools[0].servers.iter().map(|server| server.name.clone()).collect()
}

fn told(desired: &Desired) -> Vec<String> {
    let line = |difference: Difference| {
        let Difference { server, setting, file, now, .. } = difference;
        format!("{server} {setting} {} -> {}", file.as_deref().unwrap_or("-"), now.as_deref().unwrap_or("-"))
    };
    desired.differences().into_iter().map(line).collect()
}

#[test]
fn an_edit_is_laid_over_the_file_and_told_as_a_difference() {
    let desired = edited(
        &Desired::new(file(TWO)),
        &[set("a", weight(5)), set("b", state(State::Drain)), add("127.0.0.1:9003", "c"), remove("b")],
    );
    assert_eq!(names(&desired), ["a", "c"]);
    assert_eq!(desired.effective().pools[0].servers[0].weight, 5);
    assert_eq!(told(&desired), ["a weight 1 -> 5", "b server b -> -", "c server - -> 127.0.0.1:9003"]);
    let undone = edited(&desired, &[Edit::Undo]);
    assert_eq!(undone.effective(), file(TWO));
    assert!(undone.differences().is_empty());
}

#[test]
fn what_is_set_back_to_what_the_file_says_is_no_difference() {
    let desired = edited(&Desired::new(file(TWO)), &[set("a", weight(5)), set("a", weight(1))]);
    assert!(desired.differences().is_empty());
    let desired = edited(&desired, &[add("127.0.0.1:9003", "c"), set("c", weight(7)), remove("c")]);
    assert!(desired.differences().is_empty());
    let back = edited(&desired, &[remove("a"), add("127.0.0.1:9001", "a")]);
    assert!(back.differences().is_empty(), "{:?}", told(&back));
}

#[test]
fn an_edit_survives_a_file_that_has_not_changed() {
    let edits = [set("a", state(State::Down)), add("127.0.0.1:9003", "c"), remove("b")];
    let desired = edited(&Desired::new(file(TWO)), &edits);
    let (again, notes) = desired.rebased(file(TWO));
    assert_eq!(notes, Vec::<String>::new());
    assert_eq!(again.effective(), desired.effective());
    assert_eq!(again.effective().pools[0].servers[0].state, AdminState::Down);
}

#[test]
fn a_file_that_says_something_else_overtakes_the_edit() {
    let desired = edited(
        &Desired::new(file(TWO)),
        &[
            set("a", ServerPatch { weight: Some(5), state: Some(State::Drain), max_connections: Some(Some(9)) }),
            set("b", weight(9)),
            add("127.0.0.1:9003", "c"),
        ],
    );
    let newer = r#"{ address = "127.0.0.1:9001", name = "a", weight = 2 }, { address = "127.0.0.1:9004", name = "c" }"#;
    let (rebased, notes) = desired.rebased(file(newer));
    assert_eq!(names(&rebased), ["a", "c"]);
    assert_eq!(rebased.effective().pools[0].servers[0].weight, 2);
    assert_eq!(told(&rebased), ["a state ready -> drain", "a max_connections no limit -> 9"]);
    assert_eq!(
        notes,
        [
            "weight of server \"a\" of pool \"app\" follows the file again: 2",
            "server \"b\" of pool \"app\" is not in the file any more",
            "server \"c\" of pool \"app\" is in the file now",
        ]
    );
}

#[test]
fn what_cannot_be_is_refused_and_told() {
    let desired = Desired::new(file(TWO));
    let refused = |edit: Edit| desired.edited(&edit).expect_err("the edit is bad").to_string();
    assert_eq!(refused(set("x", weight(1))), "pool \"app\" has no server \"x\"");
    let elsewhere = Edit::Remove { pool: "web".to_owned(), server: "a".to_owned() };
    assert_eq!(refused(elsewhere), "there is no pool \"web\"");
    let none = ServerPatch { max_connections: Some(Some(0)), ..ServerPatch::default() };
    assert!(refused(set("a", none)).starts_with("max_connections 0 takes nothing"));
    assert!(refused(add("127.0.0.1:9001", "a")).starts_with("pool \"app\" has a server \"a\" already"));
    assert!(refused(add("127.0.0.1", "c")).contains("has no port"), "{}", refused(add("127.0.0.1", "c")));
    assert!(refused(add("127.0.0.1:1", " c")).contains("begins or ends with a space"));
    let last = edited(&desired, &[remove("a")]).edited(&remove("b")).expect_err("a pool needs a server");
    assert!(last.to_string().contains("is the last server of pool \"app\""), "{last}");
    assert!(matches!(edited(&desired, &[remove("a")]).edited(&remove("a")), Err(EditError::NoServer { .. })));
}
