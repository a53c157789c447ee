//! The webhook, told to a receiver that takes, refuses, hangs, goes away and comes back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;

use crate::kit::{LOCAL, REST, Stand, until, write};

/// Nothing takes longer, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// How the receiver answers.
enum Reply {
    Status(&'static str),
    /// It closes the connection.
    Close,
    /// It says nothing, and keeps the connection.
    Hang,
}

const OK: Reply = Reply::Status("200 OK");

/// A receiver of events. Each of its answers is given by the test, after the request was heard.
struct Ear {
    address: SocketAddr,
    heard: Receiver<(String, Value)>,
    reply: Option<Sender<Reply>>,
    thread: Option<JoinHandle<()>>,
}

impl Ear {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let ((hear, heard), (reply, replies)) = (mpsc::channel(), mpsc::channel());
        let thread = Some(thread::spawn(move || listen(&listener, &hear, &replies)));
        Self { address, heard, reply: Some(reply), thread }
    }

    /// The next request: its head and what it tells.
    fn hear(&self) -> (String, Value) {
        self.heard.recv_timeout(PATIENCE).expect("something is told")
    }

    /// Hears the next request and answers it so.
    fn hear_and(&self, reply: Reply) -> (String, Value) {
        let heard = self.hear();
        self.reply(reply);
        heard
    }

    fn reply(&self, reply: Reply) {
        self.reply.as_ref().expect("it is open").send(reply).expect("it listens");
    }

    /// Settings of a webhook that tells it.
    fn settings(&self, more: &str) -> String {
        format!(
            "[webhook]\nurl = \"http://{}/hook?key=hidden\"\nevents = [\"edit\"]\npause = \"10ms\"\n{more}",
            self.address
        )
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        drop(self.reply.take());
        // Whoever waits for a connection gets one, and sees that nobody is left to answer it.
        drop(TcpStream::connect(self.address));
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn listen(listener: &TcpListener, hear: &Sender<(String, Value)>, replies: &Receiver<Reply>) {
    let mut kept = Vec::new();
    for stream in listener.incoming() {
        let mut stream = stream.expect("a connection comes");
        let Some(request) = read(&stream) else {
            match replies.recv_timeout(Duration::ZERO) {
                Err(RecvTimeoutError::Disconnected) => return,
                _ => continue,
            }
        };
        hear.send(request).expect("the test listens");
        match replies.recv() {
            Ok(Reply::Status(status)) => {
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                // One that has gone by now is what some tests are about.
                let _ = stream.write_all(answer.as_bytes());
            }
            Ok(Reply::Close) => {}
            Ok(Reply::Hang) => kept.push(stream),
            Err(_) => return,
        }
    }
}

/// A request, unless the connection ends before it does.
fn read(stream: &TcpStream) -> Option<(String, Value)> {
    stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
    let (mut reader, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?.parse().ok()?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, serde_json::from_slice(&body).expect("it is JSON")))
}

fn start(settings: &str) -> Stand {
    Stand::start(&format!("{LOCAL}\n{settings}"))
}

/// Makes an edit, which is an event.
fn weigh(stand: &Stand, weight: u32) {
    let answer = stand.ask("PATCH", "/api/v1/pools/app/servers/a", &format!("{{\"weight\":{weight}}}"));
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn messages(told: &Value) -> Vec<String> {
    let events = told["events"].as_array().expect("there are events");
    events.iter().map(|event| event["message"].as_str().expect("it has words").to_owned()).collect()
}

fn weighed(weights: impl IntoIterator<Item = u32>) -> Vec<String> {
    weights.into_iter().map(|weight| format!("pool app: server a was set to weight {weight}")).collect()
}

fn metric(stand: &Stand, name: &str) -> String {
    let page = stand.get("/metrics").body;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("there is no {name} in {page}")).to_owned()
}

#[test]
fn an_event_is_told_with_who_tells_it() {
    let ear = Ear::open();
    let folder = crate::kit::folder();
    write(&folder.join("token"), "a-long-enough-token\n");
    let settings = ear.settings("header = { x-room = \"12\" }\ntoken = { file = \"token\" }");
    let stand = Stand::start_in(folder, &format!("{LOCAL}\n{settings}")).expect("it starts");
    weigh(&stand, 5);
    let (head, told) = ear.hear_and(OK);
    assert!(head.starts_with("post /hook?key=hidden http/1.1\r\n"), "{head}");
    for field in ["content-type: application/json", "x-room: 12", "authorization: bearer a-long-enough-token"] {
        assert!(head.lines().any(|line| line == field), "{field} is not in {head}");
    }
    assert_eq!((&told["program"], &told["dropped"]), (&"plimsoll".into(), &0.into()));
    assert!(told["host"].is_string() && told["version"].is_string(), "{told}");
    assert_eq!(messages(&told), weighed([5]));
    let event = &told["events"][0];
    assert_eq!((&event["kind"], &event["pool"], &event["server"]), (&"edit".into(), &"app".into(), &"a".into()));
    until("the count", || metric(&stand, "plimsoll_webhook_events_delivered_total") == "1");
}

#[test]
fn what_fails_is_tried_again_until_it_is_taken() {
    let ear = Ear::open();
    let stand = start(&ear.settings("timeout = \"300ms\"\ntries = 6"));
    weigh(&stand, 5);
    let busy = ["500 Internal Server Error", "429 Too Many Requests", "503 Service Unavailable"].map(Reply::Status);
    for reply in busy.into_iter().chain([Reply::Close, Reply::Hang, OK]) {
        assert_eq!(messages(&ear.hear_and(reply).1), weighed([5]));
    }
    weigh(&stand, 6);
    let (_, told) = ear.hear_and(OK);
    assert_eq!((messages(&told), &told["dropped"]), (weighed([6]), &0.into()));
    assert_eq!(metric(&stand, "plimsoll_webhook_failures_total"), "5");
    assert_eq!(metric(&stand, "plimsoll_webhook_events_dropped_total"), "0");
}

#[test]
fn what_is_refused_is_given_up_counted_and_told() {
    let ear = Ear::open();
    let stand = start(&ear.settings("tries = 2").replace("[\"edit\"]", "[\"edit\", \"warning\"]"));
    weigh(&stand, 5);
    assert_eq!(messages(&ear.hear_and(Reply::Status("410 Gone")).1), weighed([5]));
    let gave_up = format!("webhook: {} could not be told of an event: it answered 410 Gone", ear.address);
    until("the warning", || stand.told.lock().unwrap().contains(&gave_up));
    weigh(&stand, 6);
    for _ in 0..2 {
        assert_eq!(messages(&ear.hear_and(Reply::Status("500 Internal Server Error")).1), weighed([6]));
    }
    until("the count", || metric(&stand, "plimsoll_webhook_events_dropped_total") == "2");
    weigh(&stand, 7);
    let (_, told) = ear.hear_and(OK);
    assert_eq!((messages(&told), &told["dropped"]), (weighed([7]), &2.into()), "it is not told of its own failures");
    let again = format!("webhook: {} takes events again; 2 were lost", ear.address);
    until("the news", || stand.told.lock().unwrap().contains(&again));
    let warnings = stand.told.lock().unwrap().iter().filter(|line| line.starts_with("webhook")).count();
    assert_eq!(warnings, 2, "an outage is told once");
    assert!(!stand.told.lock().unwrap().iter().any(|line| line.contains("hidden")), "URLs are often secrets");
}

#[test]
fn of_too_many_the_latest_are_told() {
    let ear = Ear::open();
    let stand = start(&ear.settings("queue = 3"));
    weigh(&stand, 5);
    assert_eq!(messages(&ear.hear().1), weighed([5]));
    for weight in 6..=15 {
        weigh(&stand, weight);
    }
    ear.reply(OK);
    let (_, told) = ear.hear_and(OK);
    assert_eq!((messages(&told), &told["dropped"]), (weighed(13..=15), &7.into()));
}

#[test]
fn it_follows_a_reload() {
    let (first, second) = (Ear::open(), Ear::open());
    let stand = start(&first.settings(""));
    weigh(&stand, 5);
    assert_eq!(messages(&first.hear_and(OK).1), weighed([5]));
    // What is under way when another receiver comes is told to that one as well.
    until("the count", || metric(&stand, "plimsoll_webhook_events_delivered_total") == "1");
    stand.write(&format!("{LOCAL}\n{}", second.settings("")), REST);
    stand.control().reload().expect("the file is good");
    weigh(&stand, 6);
    assert_eq!(messages(&second.hear_and(OK).1), weighed([6]));
    stand.write(LOCAL, REST);
    stand.control().reload().expect("the file is good");
    weigh(&stand, 7);
    stand.write(&format!("{LOCAL}\n{}", first.settings("")), REST);
    stand.control().reload().expect("the file is good");
    weigh(&stand, 8);
    let (_, told) = first.hear_and(OK);
    assert!(messages(&told).ends_with(&weighed([8])), "{told}");
    assert!(second.heard.try_recv().is_err(), "it is told nothing any more");
}

#[test]
fn what_waits_at_the_end_is_told_once_more() {
    let ear = Ear::open();
    let mut stand = start(&ear.settings("pause = \"1h\"").replacen("pause = \"10ms\"\n", "", 1));
    weigh(&stand, 5);
    assert_eq!(messages(&ear.hear_and(Reply::Close).1), weighed([5]));
    until("the failure", || metric(&stand, "plimsoll_webhook_failures_total") == "1");
    ear.reply(OK);
    stand.stop();
    assert_eq!(messages(&ear.hear().1), weighed([5]));
}
