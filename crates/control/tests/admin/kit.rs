//! A control plane to ask, and a client that can also ask wrongly.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use plimsoll_config::Config;
use plimsoll_control::{
    Beginning, Control, DataPlane, Journal, ListenerStats, Names, PlaneStats, Prepared, RouteStats, Source, TopClient,
    WorkerStats,
};
use plimsoll_core::{ClientStats, ClientTable, Pools, Time};
use serde_json::Value;

#[path = "../../../proxy/tests/kit/until.rs"]
mod until;

pub(crate) use until::{PATIENCE, until};

/// A data plane that serves nobody.
pub(crate) struct Plane {
    started: Instant,
    pub(crate) stopping: AtomicBool,
    /// Whether what is asked for cannot be done.
    pub(crate) unable: AtomicBool,
    /// Of its limit.
    pub(crate) clients: Arc<ClientTable>,
}

struct Ready;

impl Prepared for Ready {
    fn commit(self: Box<Self>, _: &Pools) -> Result<(), String> {
        Ok(())
    }
}

impl DataPlane for Plane {
    fn now(&self) -> Time {
        Time::ZERO + self.started.elapsed()
    }

    fn prepare(&self, _: &Config) -> Result<Box<dyn Prepared>, String> {
        if self.unable.load(Ordering::Relaxed) {
            return Err("address 127.0.0.1:80 is taken".to_owned());
        }
        Ok(Box::new(Ready))
    }

    fn warnings(&self, config: &Config) -> Vec<String> {
        let certificate = config.admin.iter().find_map(|admin| admin.tls.as_ref());
        certificate.map(|_| "a certificate expires soon".to_owned()).into_iter().collect()
    }

    fn stats(&self) -> PlaneStats {
        let web = ListenerStats {
            name: "web".to_owned(),
            addresses: vec!["127.0.0.1:8080".to_owned()],
            open: 3,
            limit: 20_000,
            accepted: 7,
            denied: 0,
            handshakes: None,
            proxy_headers_refused: Vec::new(),
            routes: vec![RouteStats { name: "default".to_owned(), requests: 5, ..RouteStats::default() }],
        };
        let worker = WorkerStats { alive: true, open: 3, requests: 11, ..WorkerStats::default() };
        let stopping = self.stopping.load(Ordering::Relaxed);
        let limits = vec![("each".to_owned(), self.clients.stats())];
        let (workers, listeners) = (vec![worker], vec![web]);
        let (clients, clients_limit) = (3, 2011);
        PlaneStats { workers, listeners, limits, clients, clients_limit, stopping, ..PlaneStats::default() }
    }

    fn top_clients(&self, limit: &str, most: usize) -> Option<Vec<TopClient>> {
        let called = |stats: ClientStats| TopClient { name: stats.key.shown().to_string(), stats };
        (limit == "each").then(|| self.clients.top(most, self.now()).into_iter().map(called).collect())
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn reopen_logs(&self) {}
}

/// A running control plane in a folder of its own, which goes with it.
pub(crate) struct Stand {
    pub(crate) folder: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) pools: Arc<Pools>,
    pub(crate) plane: Arc<Plane>,
    pub(crate) told: Arc<Mutex<Vec<String>>>,
    control: Option<Control>,
}

/// Two servers, and the rest of a file after what is to be said of `[admin]`.
pub(crate) const REST: &str = r#"
[listen.web]
bind = "127.0.0.1:0"
pool = "app"
limit = "each"
[limit.each]
requests = 1
request_rate = "600/min"
over = { delay = "1500ms" }
entries = 10
[pool.app]
servers = [{ address = "127.0.0.1:9001", name = "a" }, { address = "127.0.0.1:9002", name = "b", weight = 3, max_connections = 9 }]
queue = { limit = 8 }
"#;

pub(crate) const LOCAL: &str = "bind = \"127.0.0.1:0\"\nsocket = \"admin.sock\"";

impl Stand {
    /// Starts one with these settings of `[admin]`.
    pub(crate) fn start(admin: &str) -> Self {
        Self::try_start(admin).expect("it starts")
    }

    pub(crate) fn try_start(admin: &str) -> Result<Self, String> {
        Self::start_in(folder(), admin)
    }

    pub(crate) fn start_in(folder: PathBuf, admin: &str) -> Result<Self, String> {
        let file = folder.join("plimsoll.toml");
        fs::write(&file, format!("[admin]\n{admin}\n{REST}")).expect("the file can be written");
        let config = plimsoll_config::load(&file).map_err(|problems| problems.to_string())?;
        let (pools, mut names) = (Arc::new(Pools::new()), Names::default());
        let specs = names.pool_specs(&config, true).expect("there are only addresses");
        pools.apply(specs, Time::ZERO);
        let (stopping, unable) = (AtomicBool::new(false), AtomicBool::new(false));
        let clients = ClientTable::new(config.limits[0].rules.clone(), 7);
        let plane = Arc::new(Plane { started: Instant::now(), stopping, unable, clients });
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let journal = Arc::new(Journal::new(move |line| tell.lock().expect("nobody panicked").push(line.to_owned())));
        let of_control: Arc<dyn DataPlane> = Arc::clone(&plane) as Arc<dyn DataPlane>;
        let beginning = Beginning {
            config,
            source: Source::file(&file),
            names,
            pools: Arc::clone(&pools),
            plane: of_control,
            journal,
        };
        let control = Some(Control::start(beginning).map_err(|error| error.to_string())?);
        Ok(Self { folder, file, pools, plane, told, control })
    }

    pub(crate) fn control(&self) -> &Control {
        self.control.as_ref().expect("it runs until it is dropped")
    }

    /// The first address.
    pub(crate) fn address(&self) -> SocketAddr {
        let all = self.control().admin_addresses();
        let first = all.iter().find_map(|address| address.split_once("://")).expect("there is an address").1;
        first.parse().expect("it is an address")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    pub(crate) fn write(&self, admin: &str, rest: &str) {
        fs::write(&self.file, format!("[admin]\n{admin}\n{rest}")).expect("the file can be written");
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// Asks as a program would: with a body of JSON, if there is one.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        self.say(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{kind}"), body)
    }

    /// Says this head, to which the length of the body and an empty line are added.
    pub(crate) fn say(&self, head: &str, body: &str) -> Answer {
        say(self.tcp(), head, body)
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        stream
    }

    pub(crate) fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("it can be set");
        stream
    }

    pub(crate) fn stop(&mut self) {
        if let Some(control) = self.control.take() {
            control.stop();
        }
    }

    /// Whatever a change can change, as a text.
    pub(crate) fn state(&self) -> String {
        let status = self.get("/api/v1/status").json();
        let diff = self.get("/api/v1/diff").json();
        let servers = self.pools.pool("app").expect("it is there").stats().servers;
        let servers: Vec<_> =
            servers.iter().map(|member| (member.server.id.to_string(), member.weight, member.state)).collect();
        format!("{} {diff} {servers:?}", status["generation"])
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.stop();
        // What is left behind is in the folder for such things.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A new folder.
pub(crate) fn folder() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("plimsoll-admin-{}-{number}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("all we say is text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no whole head: {text:?}"));
        let status = head[9..12].parse().expect("a status");
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        fields.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The body of a problem with this status; anything else is a failure.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        let problem = self.json();
        assert_eq!((&problem["type"], &problem["status"]), (&"about:blank".into(), &status.into()), "{self:?}");
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{self:?}");
        problem
    }
}

/// Says a head and a body, and reads the answer to the end of the connection.
pub(crate) fn say(mut stream: impl Read + Write, head: &str, body: &str) -> Answer {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{head}{length}Connection: close\r\n\r\n{body}");
    // An early answer may close the way for the rest of the request.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer ends");
    Answer::parse(&answer)
}

pub(crate) fn write(path: &Path, content: &str) {
    fs::write(path, content).expect("the file can be written");
}
