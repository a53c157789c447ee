//! Waiting to the microsecond. The timeout of `epoll_wait` is in whole milliseconds, rounded up, which would make
//! requests and answers half a millisecond late on average; `ppoll` on the epoll itself takes nanoseconds.

use std::os::fd::AsFd;
use std::time::Duration;

use anyhow::Context;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::io::Errno;

/// Whether that becomes readable within the time. A signal ends the wait too.
pub(crate) fn for_one(channel: impl AsFd, time: Duration) -> anyhow::Result<bool> {
    match poll(&mut [PollFd::new(&channel, PollFlags::IN)], Some(&Timespec::try_from(time)?)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(error) => Err(error).context("cannot wait"),
    }
}

/// Fills `events`, as far as its capacity goes, with what happens within the time.
pub(crate) fn for_events(epoll: impl AsFd, events: &mut Vec<epoll::Event>, time: Duration) -> anyhow::Result<()> {
    events.clear();
    if for_one(&epoll, time)? {
        match epoll::wait(&epoll, spare_capacity(events), Some(&Timespec::default())) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot read what happened"),
        }
    }
    Ok(())
}
