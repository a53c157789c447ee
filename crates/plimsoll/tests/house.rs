//! The plan of the house, held by what cargo knows: which crate may use which, and what core may depend on.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Everything core needs, directly or not, when it is built for its users.
const CORE_TREE: [&str; 2] = ["arc-swap", "rustversion"];

/// The crates of the house, and for each the others it may use.
const EDGES: [(&str, &[&str]); 7] = [
    ("plimsoll-core", &[]),
    ("plimsoll-config", &["plimsoll-core"]),
    ("plimsoll-proxy", &["plimsoll-core", "plimsoll-config"]),
    ("plimsoll-control", &["plimsoll-core", "plimsoll-config"]),
    ("plimsoll-sim", &["plimsoll-core", "plimsoll-config"]),
    ("plimsoll", &["plimsoll-core", "plimsoll-config", "plimsoll-proxy", "plimsoll-control", "plimsoll-sim"]),
    ("plimsoll-bench", &["plimsoll-core"]),
];

#[test]
fn imports_run_one_way() {
    let allowed = BTreeMap::from(EDGES);
    let house = House::read();
    for name in &house.members {
        let allowed = allowed.get(name.as_str());
        let allowed = allowed.unwrap_or_else(|| panic!("{name} has no place in the plan of the house"));
        let used: BTreeSet<&String> = house.uses[name].intersection(&house.members).collect();
        for other in used {
            assert!(allowed.contains(&other.as_str()), "{name} must not use {other}");
        }
    }
    let built = ["plimsoll-core", "plimsoll-config", "plimsoll-proxy", "plimsoll-control", "plimsoll"];
    assert!(built.iter().all(|&name| house.members.contains(name)), "{:?}", house.members);
}

#[test]
fn the_program_reaches_core_through_every_floor() {
    let house = House::read();
    for (user, used) in [
        ("plimsoll-config", "plimsoll-core"),
        ("plimsoll-proxy", "plimsoll-core"),
        ("plimsoll-proxy", "plimsoll-config"),
        ("plimsoll-control", "plimsoll-config"),
        ("plimsoll", "plimsoll-proxy"),
        ("plimsoll", "plimsoll-control"),
    ] {
        assert!(house.uses[user].contains(used), "{user} does not use {used}: is the reading of the house wrong?");
    }
}

#[test]
fn core_depends_on_a_short_list() {
    let house = House::read();
    let mut tree: BTreeSet<&String> = BTreeSet::new();
    let mut left = vec!["plimsoll-core"];
    while let Some(name) = left.pop() {
        for used in &house.uses[name] {
            if tree.insert(used) {
                left.push(used);
            }
        }
    }
    let tree: Vec<&str> = tree.into_iter().map(String::as_str).collect();
    assert_eq!(tree, CORE_TREE, "a new dependency of core is a decision, to be made here too");
}

/// What cargo says of the workspace: its members, and what every crate uses other than in tests.
struct House {
    members: BTreeSet<String>,
    uses: BTreeMap<String, BTreeSet<String>>,
}

impl House {
    /// Asks cargo, for the machine that the tests run on: nothing else needs to be downloaded.
    fn read() -> Self {
        let version = cargo(&["-vV"]);
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo knows its host");
        let filter = ["--filter-platform", host, "--format-version", "1", "--locked", "--offline"];
        let metadata = cargo(&[&["metadata"][..], &filter].concat());
        let metadata: Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
        let names: BTreeMap<&str, &str> =
            list(&metadata["packages"]).map(|package| (text(&package["id"]), text(&package["name"]))).collect();
        let name = |id: &Value| names[text(id)].to_owned();
        let node = |node: &Value| {
            let used = list(&node["deps"]).filter(|dependency| !only_for_tests(dependency));
            (name(&node["id"]), used.map(|dependency| name(&dependency["pkg"])).collect())
        };
        Self {
            members: list(&metadata["workspace_members"]).map(name).collect(),
            uses: list(&metadata["resolve"]["nodes"]).map(node).collect(),
        }
    }
}

fn only_for_tests(dependency: &Value) -> bool {
    list(&dependency["dep_kinds"]).all(|kind| kind["kind"] == "dev")
}

fn cargo(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO"));
    let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}
