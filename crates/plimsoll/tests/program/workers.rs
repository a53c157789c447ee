//! How many workers there are, on which cores, and how connections spread over them.

use std::process::Command;

use super::kit::{Client, Folder, Origin, Running, plimsoll, stderr, until};

fn config(origin: &Origin, top: &str) -> String {
    let address = origin.address;
    format!(
        "{top}\n[listen.web]\nbind = '127.0.0.1:0'\npool = 'app'\n[pool.app]\nservers = ['{address}']\n\
         [admin]\nbind = '127.0.0.1:0'\n"
    )
}

/// The cores that the workers may use, each as the system writes it.
fn cores(program: &Running) -> Vec<String> {
    let mut threads = program.threads("Cpus_allowed_list");
    threads.sort();
    threads.into_iter().filter(|(name, _)| name.starts_with("worker-")).map(|(_, cores)| cores).collect()
}

#[test]
fn there_are_as_many_as_cores_that_the_process_may_use() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(&origin, ""));
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0", env!("CARGO_BIN_EXE_plimsoll"), "serve", &file]);
    let mut program = Running::saying(command);
    program.address();
    assert_eq!(cores(&program), ["0"]);
}

#[test]
fn a_pinned_worker_stays_on_its_core_and_that_is_told() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(&origin, "workers = 2\npin_workers = true"));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    let line = program.line("workers are pinned to cores: ");
    let (_, told) = line.split_once(": ").expect("the line was looked for");
    assert_eq!(cores(&program), told.split(", ").collect::<Vec<_>>());
}

#[test]
fn more_pinned_workers_than_cores_are_warned_of() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(&origin, "workers = 2\npin_workers = true"));
    let checked = |cores: &str| {
        let arguments = ["--cpu-list", cores, env!("CARGO_BIN_EXE_plimsoll"), "check", &file];
        stderr(&Command::new("taskset").args(arguments).output().expect("taskset is installed"))
    };
    let told = checked("0");
    assert!(told.contains("warning: `pin_workers`") && told.contains("2 workers are more than the 1 that"), "{told}");
}

#[test]
fn metrics_show_how_connections_spread_over_the_workers() {
    let origin = Origin::quick("one");
    let folder = Folder::new();
    let file = folder.file("plimsoll.toml", &config(&origin, "workers = 2"));
    let mut program = Running::saying(plimsoll(&["serve", &file]));
    let (web, admin) = (program.address(), program.address());
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(web).expect("it listens")).collect();
    assert!(clients.iter_mut().all(|client| client.ask().status == 200));
    let page = || {
        let output = Command::new("curl").args(["-s", &format!("http://{admin}/metrics")]).output();
        String::from_utf8(output.expect("curl starts").stdout).expect("it is text")
    };
    let of_workers = |name: &str| -> Vec<f64> {
        let name = format!("{name}{{worker=");
        let lines = page().lines().filter(|line| line.starts_with(&name)).map(str::to_owned).collect::<Vec<_>>();
        lines.iter().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect()
    };
    let adds_up = |name: &str| {
        let all = of_workers(name);
        all.len() == 2 && (all.iter().sum::<f64>() - 40.0).abs() < 0.5 && all.iter().all(|count| *count > 0.5)
    };
    until("all are accepted", || adds_up("plimsoll_worker_client_connections_accepted_total"));
    until("all are open", || adds_up("plimsoll_worker_client_connections"));
}
