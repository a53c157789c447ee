//! Where lines go: a queue in front of a thread that writes them, so that nobody else waits for a disk or a reader.
//!
//! A worker fills a batch of its own and hands it over whole; the thread gives it back empty. So nothing is allocated
//! once all batches have been made, and when the thread is stuck a worker runs out of them and drops what it has to
//! tell, which is counted.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use plimsoll_config::LogTarget;

use super::error::LogError;
use super::sink::Sink;

/// The largest batch: big enough that a system call for it costs little a line.
const LARGEST_BATCH: usize = 64 * 1024;

/// The smallest one: a line of usual length fits several times.
const SMALLEST_BATCH: usize = 4 * 1024;

/// The fewest batches of a worker: one is filled while another is written.
const FEWEST: usize = 2;

/// How often a file is looked at that may have been moved away, and a writer that has nothing to do looks about.
const LOOK: Duration = Duration::from_secs(1);

/// Lines on their way to the writer.
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) lines: u64,
    /// Where it goes back to.
    home: SyncSender<Batch>,
}

enum Message {
    Batch(Batch),
    /// There is something to look at beside batches.
    Look,
    /// What came before is to be written, and nothing else.
    End,
}

/// What became of lines, all destinations together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    written: AtomicU64,
    dropped: AtomicU64,
    errors: AtomicU64,
    last_error: Mutex<Option<String>>,
}

/// An open destination. Its thread ends when the last who holds it lets go, once all is written.
#[derive(Debug)]
pub(crate) struct Destination {
    to: LogTarget,
    buffer: usize,
    workers: usize,
    queue: SyncSender<Message>,
    reopen: Arc<AtomicBool>,
    retired: AtomicBool,
    ended: Mutex<Receiver<()>>,
    counts: Arc<Counts>,
}

/// The batches of one worker.
pub(super) struct Batches {
    home: Receiver<Batch>,
    back: SyncSender<Batch>,
    /// How many may still be made.
    unmade: usize,
    size: usize,
}

impl Destination {
    /// Opens `to`, for so many workers that together hold at most `buffer` bytes, as far as each can have its batches.
    pub(super) fn open(
        to: &LogTarget,
        buffer: usize,
        workers: usize,
        counts: &Arc<Counts>,
    ) -> Result<Arc<Self>, LogError> {
        let failed = |source| LogError { to: to.clone(), source };
        let sink = Sink::open(to).map_err(failed)?;
        let workers = workers.max(1);
        let (_, number) = shares(buffer, workers);
        // Room for every batch there is, and for what is said beside them.
        let (queue, queued) = sync_channel(number * workers + 8);
        let (ends, ended) = sync_channel(1);
        let reopen = Arc::new(AtomicBool::new(false));
        let writer = Writer {
            sink,
            reopen: Arc::clone(&reopen),
            looked: Instant::now(),
            counts: Arc::clone(counts),
            torn: false,
        };
        let run = move || {
            writer.run(&queued);
            // Whoever waits for it knows; where nobody does it makes no difference.
            let _ = ends.try_send(());
        };
        thread::Builder::new().name("access-log".to_owned()).spawn(run).map_err(failed)?;
        let (to, ended, counts) = (to.clone(), Mutex::new(ended), Arc::clone(counts));
        let retired = AtomicBool::new(false);
        Ok(Arc::new(Self { to, buffer, workers, queue, reopen, retired, ended, counts }))
    }

    /// Whether this is where the same settings would lead.
    pub(super) fn serves(&self, to: &LogTarget, buffer: usize, workers: usize) -> bool {
        self.to == *to && self.buffer == buffer && self.workers == workers.max(1)
    }

    /// Another has taken its place; what is under way is still told here.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed)
    }

    /// The batches of another worker.
    pub(super) fn batches(&self) -> Batches {
        let (size, unmade) = shares(self.buffer, self.workers);
        let (back, home) = sync_channel(unmade);
        Batches { home, back, unmade, size }
    }

    /// Where lines go.
    pub(super) fn target(&self) -> &LogTarget {
        &self.to
    }

    /// Hands a batch to the writer.
    pub(super) fn hand_over(&self, batch: Batch) {
        let lines = batch.lines;
        if self.queue.try_send(Message::Batch(batch)).is_err() {
            self.counts.dropped(lines);
        }
    }

    /// Counts a line for which there was no batch.
    pub(super) fn drop_line(&self) {
        self.counts.dropped(1);
    }

    /// Opens the file anew, as soon as what is being written is.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // A queue that is full has a writer behind it that will look.
        let _ = self.queue.try_send(Message::Look);
    }

    /// Waits until what waits is written, but not for longer than `patience`. A thread that is stuck is left behind.
    pub(super) fn finish(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut end = Message::End;
        while let Err(TrySendError::Full(unsent)) = self.queue.try_send(end) {
            if Instant::now() >= until {
                return;
            }
            end = unsent;
            thread::sleep(Duration::from_millis(1));
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // It has ended, or it is not waited for any longer.
        let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

/// How large a batch is, and how many a worker has.
fn shares(buffer: usize, workers: usize) -> (usize, usize) {
    let share = buffer / workers;
    let size = (share / 4).clamp(SMALLEST_BATCH, LARGEST_BATCH);
    (size, (share / size).max(FEWEST))
}

impl Batches {
    /// An empty batch, if there is one.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if let Ok(mut batch) = self.home.try_recv() {
            batch.bytes.clear();
            // A line far longer than usual has made it grow.
            batch.bytes.shrink_to(2 * self.size);
            batch.lines = 0;
            return Some(batch);
        }
        self.unmade = self.unmade.checked_sub(1)?;
        Some(Batch { bytes: Vec::with_capacity(self.size), lines: 0, home: self.back.clone() })
    }

    /// Whether a batch is to be handed over before another line.
    pub(super) fn is_full(&self, batch: &Batch) -> bool {
        /// A line that is not unusual.
        const LINE: usize = 1024;
        batch.bytes.len() + LINE > self.size
    }
}

impl Counts {
    pub(super) fn dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    fn failed(&self, error: &std::io::Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    /// Lines written, lines dropped, errors of the destination.
    pub(super) fn read(&self) -> (u64, u64, u64) {
        let [written, dropped, errors] =
            [&self.written, &self.dropped, &self.errors].map(|count| count.load(Ordering::Relaxed));
        (written, dropped, errors)
    }

    /// What the destination said the last time that it failed since this was asked.
    pub(super) fn take_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the thread has.
struct Writer {
    sink: Sink,
    reopen: Arc<AtomicBool>,
    looked: Instant,
    counts: Arc<Counts>,
    /// The last line was cut off, so that the next must not go on in it.
    torn: bool,
}

impl Writer {
    fn run(mut self, queued: &Receiver<Message>) {
        loop {
            let message = queued.recv_timeout(LOOK);
            self.look();
            match message {
                Ok(Message::Batch(batch)) => {
                    self.write(&batch);
                    let home = batch.home.clone();
                    // Its worker may have ended.
                    let _ = home.try_send(batch);
                }
                Ok(Message::Look) | Err(RecvTimeoutError::Timeout) => {}
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Opens the file anew where that was asked for, or where it is not the one at its path any more.
    fn look(&mut self) {
        let asked = self.reopen.swap(false, Ordering::AcqRel);
        let due = self.looked.elapsed() >= LOOK;
        if due {
            self.looked = Instant::now();
        }
        if !(asked || (due && self.sink.was_moved())) {
            return;
        }
        match self.sink.reopen() {
            Ok(()) => self.torn = false,
            // The old one takes the lines until a new one can be had.
            Err(error) => self.counts.failed(&error),
        }
    }

    fn write(&mut self, batch: &Batch) {
        let result = if self.torn {
            self.sink.write(b"\n").and_then(|()| self.sink.write(&batch.bytes))
        } else {
            self.sink.write(&batch.bytes)
        };
        match result {
            Ok(()) => {
                self.torn = false;
                self.counts.written.fetch_add(batch.lines, Ordering::Relaxed);
            }
            Err(failed) => {
                let written = failed.lines.min(batch.lines);
                self.torn = if failed.wrote { failed.torn } else { self.torn };
                self.counts.written.fetch_add(written, Ordering::Relaxed);
                self.counts.dropped(batch.lines - written);
                self.counts.failed(&failed.source);
            }
        }
    }
}
