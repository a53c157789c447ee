//! Passwords are looked at by a few threads of their own, in the order in which they came. What is asked twice meanwhile is
//! looked at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::memory::{Key, Keys, Memory, Version};
use super::password;
use crate::lock::lock;

/// Threads that look at passwords: more would take the cores from those that serve.
const THREADS: usize = 2;

/// How much worse their place in the kernel's queue is, as `nice` counts it: workers come first.
const NICE: i32 = 10;

/// Passwords that wait to be looked at. At a tenth of a second each the last waits for some three seconds.
const MOST_QUEUED: usize = 64;

/// Requests that wait for what is found.
const MOST_WAITING: usize = 4096;

/// How long a right password is remembered: as long a user whose password is given away at the server of the file may go on,
/// and as seldom each user costs a look.
const RIGHT_FOR: Duration = Duration::from_secs(5 * 60);
const MOST_RIGHT: usize = 16_384;

/// The same for one that is wrong: it only keeps who sends the same again and again from being looked at each time.
const WRONG_FOR: Duration = Duration::from_secs(3);
const MOST_WRONG: usize = 4096;

/// Where passwords are looked at. Shared by the workers; its threads begin when the first is shown, and end with it.
pub(crate) struct Checks {
    keys: Keys,
    state: Arc<Mutex<State>>,
    /// `None` where there is no thread.
    queue: OnceLock<Option<SyncSender<Job>>>,
}

/// What was found, and who waits for what is to be found.
struct State {
    right: Memory,
    wrong: Memory,
    pending: HashMap<Key, Vec<oneshot::Sender<bool>>>,
    waiting: usize,
}

/// What is known of a password.
pub(super) enum Found {
    Right,
    Wrong,
    /// It cannot be looked at now.
    Busy,
    Later(oneshot::Receiver<bool>),
}

/// A password to be looked at.
pub(super) struct Job {
    key: Option<Key>,
    password: Vec<u8>,
    users: Arc<[(String, String)]>,
    /// Whose hash it is compared with.
    user: usize,
    /// It is the password of that user.
    known: bool,
}

impl Job {
    /// Whether `password` is that of the user called `name`. Where there is none of that name, the hash of another is looked
    /// at all the same, always of the same one, lest the time it takes tells who there is.
    pub(super) fn new(users: &Arc<[(String, String)]>, name: &str, password: &[u8]) -> Self {
        let place = users.binary_search_by(|(known, _)| (**known).cmp(name));
        let other = |name: &str| name.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let user = place.unwrap_or_else(|_| other(name) % users.len().max(1));
        Self { key: None, password: password.to_vec(), users: Arc::clone(users), user, known: place.is_ok() }
    }

    fn is_right(&self) -> bool {
        let Some((_, hash)) = self.users.get(self.user) else { return false };
        // A panic would be a bug of a library, and must not end the thread.
        let right = catch_unwind(AssertUnwindSafe(|| password::is_right(&self.password, hash)));
        right.unwrap_or(false) & self.known
    }
}

impl Default for Checks {
    fn default() -> Self {
        let state = State {
            right: Memory::new(RIGHT_FOR, MOST_RIGHT),
            wrong: Memory::new(WRONG_FOR, MOST_WRONG),
            pending: HashMap::new(),
            waiting: 0,
        };
        Self { keys: Keys::default(), state: Arc::new(Mutex::new(state)), queue: OnceLock::new() }
    }
}

impl Checks {
    pub(super) fn version(&self, users: &[(String, String)]) -> Version {
        self.keys.version(users)
    }

    pub(super) fn key(&self, version: Version, credentials: &[u8]) -> Key {
        self.keys.key(version, credentials)
    }

    /// What is known under `key`; where that is nothing, the `job` is done.
    pub(super) fn ask(&self, key: Key, job: impl FnOnce() -> Job) -> Found {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if state.right.holds(key, now) {
            return Found::Right;
        }
        if state.wrong.holds(key, now) {
            return Found::Wrong;
        }
        if state.waiting >= MOST_WAITING {
            return Found::Busy;
        }
        let (sender, receiver) = oneshot::channel();
        match state.pending.entry(key) {
            Entry::Occupied(mut waiting) => waiting.get_mut().push(sender),
            Entry::Vacant(place) => {
                let Some(queue) = self.queue.get_or_init(|| start(&self.state)) else { return Found::Busy };
                if queue.try_send(Job { key: Some(key), ..job() }).is_err() {
                    return Found::Busy;
                }
                place.insert(vec![sender]);
            }
        }
        state.waiting += 1;
        Found::Later(receiver)
    }
}

/// Starts the threads; `None` where the system has none to give.
fn start(state: &Arc<Mutex<State>>) -> Option<SyncSender<Job>> {
    let (sender, jobs) = mpsc::sync_channel(MOST_QUEUED);
    let jobs = Arc::new(Mutex::new(jobs));
    let started = (0..THREADS).filter(|number| {
        let (state, jobs) = (Arc::clone(state), Arc::clone(&jobs));
        thread::Builder::new().name(format!("passwords-{number}")).spawn(move || work(&state, &jobs)).is_ok()
    });
    (started.count() > 0).then_some(sender)
}

/// Looks at passwords until nobody can ask any more.
fn work(state: &Mutex<State>, jobs: &Mutex<Receiver<Job>>) {
    // Without it they are looked at all the same, only at the cost of others.
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
    loop {
        // Its own statement, so that the lock is free while the job is done.
        let next = lock(jobs).recv();
        let Ok(job) = next else { return };
        let Some(key) = job.key else { continue };
        if lock(state).is_abandoned(key) {
            continue;
        }
        let right = job.is_right();
        lock(state).found(key, right);
    }
}

impl State {
    /// Whether all who waited for this have left; then nobody waits for it any more.
    fn is_abandoned(&mut self, key: Key) -> bool {
        let Entry::Occupied(waiting) = self.pending.entry(key) else { return true };
        let abandoned = waiting.get().iter().all(oneshot::Sender::is_closed);
        if abandoned {
            self.waiting -= waiting.remove().len();
        }
        abandoned
    }

    /// Remembers what was found, and tells who waits for it.
    fn found(&mut self, key: Key, right: bool) {
        let memory = if right { &mut self.right } else { &mut self.wrong };
        memory.add(key, Instant::now());
        let waiting = self.pending.remove(&key).unwrap_or_default();
        self.waiting -= waiting.len();
        for sender in waiting {
            // Who has left meanwhile does not want to know.
            let _ = sender.send(right);
        }
    }
}

#[cfg(test)]
mod tests;
