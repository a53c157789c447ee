//! A TCP connection, balanced as a whole: one permit from the pick to the end of both directions.
//!
//! What ends badly is reset, so that neither side takes a part for the whole; so is a client that nobody serves.

mod server_name;

use std::sync::Arc;
use std::time::Duration;

use plimsoll_core::{Outcome, OutcomeKind, Permit};

use crate::buffer::{Buffer, Size};
use crate::connection::Connection;
use crate::grpc::Answered;
use crate::log::entry::Entry;
use crate::rebalance::Speech;
use crate::request::FORBIDDEN;
use crate::served::Served;
use crate::server_conn::ServerConn;
use crate::service::{Aim, Service};
use crate::sticky::{Asked, Ties};
use crate::tries::Tries;
use crate::tunnel::{End, Ends, Passed, Tunnel};
use crate::wait::{Silence, Unserved, Waiter};
use crate::wire::Wire;
use server_name::{Choice, Greeting, Unnamed};

/// Serves `connection` to its end, by what is in force now.
pub(crate) async fn serve(mut connection: Connection) {
    let service = Arc::clone(&connection.place.service());
    let mut entry = Entry::default();
    service.observe.begin_connection(&mut entry, &connection.worker);
    let input = Buffer::for_client(&connection.worker.buffers);
    let mut session = Session { connection: &mut connection, input, entry: &mut entry, server_name: None };
    if service.listener.access.lets(session.connection.peer.ip()) {
        session.run(&service).await;
    } else {
        service.room.deny();
        session.entry.answered(FORBIDDEN.reason);
        session.refuse();
    }
    let Connection { worker, peer, .. } = &connection;
    service.observe.tell((&mut entry, worker), &service.listener, peer.address);
    drop((connection.count, connection.room));
}

/// One connection on its way to a server.
struct Session<'a> {
    connection: &'a mut Connection,
    /// From the client, as far as no server has it yet.
    input: Buffer,
    entry: &'a mut Entry,
    /// Asked for in the client's TLS handshake, which the server is to answer.
    server_name: Option<String>,
}

impl Session<'_> {
    async fn run(&mut self, service: &Arc<Service>) {
        let first = match &service.aim {
            Aim::Pool(served) => Arc::clone(served),
            Aim::Sni { names, other } => match Box::pin(self.find(service, (names, other.as_ref()))).await {
                Some(served) => served,
                None => return,
            },
            Aim::Routes(_) => return self.refuse(),
        };
        let asked = Asked { head: None, target: &[], client: self.connection.peer.ip() };
        let ties = Ties::new(&first, &asked, self.connection.worker.recently());
        let mut tries = Tries::new(Arc::clone(service), first).tied(ties);
        if !self.pick(&mut tries).await {
            return self.refuse();
        }
        match Box::pin(self.connect(&mut tries)).await {
            Some((server, permit)) => self.pass(server, permit, &tries).await,
            None => self.refuse(),
        }
    }

    /// The pool for the name that the client asks for. Where there is none the client has been told.
    async fn find(&mut self, service: &Service, (names, other): Choice<'_>) -> Option<Arc<Served>> {
        let patience = service.listener.timeouts.head;
        let found = match server_name::read(self.connection, &mut self.input, patience).await {
            Ok(Greeting::Tls(name)) => {
                self.server_name = name;
                self.server_name.iter().for_each(|name| self.entry.take_server_name(name));
                let found = server_name::choose(names, self.server_name.as_deref()).or(other);
                found.ok_or(Unnamed::Unknown)
            }
            Ok(Greeting::Foreign) => other.ok_or(Unnamed::Foreign),
            Err(unnamed) => Err(unnamed),
        };
        match found {
            Ok(served) => Some(Arc::clone(served)),
            Err(unnamed) => {
                match unnamed.reason() {
                    Some(reason) => _ = self.entry.answered(reason),
                    None => self.entry.left(),
                }
                unnamed.tell(&mut self.connection.wire).await;
                None
            }
        }
    }

    /// The client gets nobody: it is to notice that this is no end of a conversation.
    fn refuse(&self) {
        self.connection.wire.reset_on_close(true);
    }

    fn waiter(&mut self) -> Waiter<'_> {
        let Connection { wire, peer, deadline, worker, .. } = &mut *self.connection;
        let (server_name, input, source) = (self.server_name.as_deref(), &mut self.input, peer.address);
        Waiter { client: wire, peer, source, server_name, input, deadline, worker, silence: Silence::Listening }
    }

    /// Picks a server for the first try, or waits for one; false when there is none.
    async fn pick(&mut self, tries: &mut Tries) -> bool {
        let worker = &self.connection.worker;
        let picked = match tries.pick(worker, worker.now()) {
            Ok(permit) => Ok(permit),
            // Waiting is rare, so the memory for it is not held by those who need not.
            Err(refused) => Box::pin(self.waiter().wait(refused, tries)).await,
        };
        match picked {
            Ok(permit) => {
                tries.begin(permit.picked_at());
                tries.next = Some(permit);
                return true;
            }
            Err(Unserved::ClientLeft) => self.entry.left(),
            Err(Unserved::Refused(refused)) => {
                self.entry.answered(refused.name());
            }
        }
        self.entry.asks(tries.served().pool.name());
        false
    }

    /// Connects to the server picked, or to another as long as one may be tried.
    async fn connect(&mut self, tries: &mut Tries) -> Option<(ServerConn, Permit)> {
        loop {
            self.entry.picked(tries.next.as_ref()?);
            let failure = match self.waiter().connect(tries).await {
                Ok(server) => {
                    self.entry.connected(self.connection.worker.recently());
                    return Some((server, tries.next.take()?));
                }
                Err(failure) => failure,
            };
            let now = self.connection.worker.now();
            let server = tries.not_connected(failure.as_ref(), self.entry, now)?;
            let again = tries.another_connection(&server, &failure?, now);
            if !again || !self.waiter().pick_again(tries).await {
                return None;
            }
        }
    }

    /// Brings bytes both ways until the end, which is the server's and the client's alike.
    async fn pass(&mut self, server: ServerConn, mut permit: Permit, tries: &Tries) {
        let Connection { wire, deadline, worker, .. } = &mut *self.connection;
        worker.counts.sent_over(false);
        self.input.grow();
        let mut from_server = Buffer::new(&worker.buffers, Size::Large);
        let mut pair = Pair { client: wire, server: server.wire, whole: false };
        let client = Ends { wire: &mut *pair.client, from: &mut self.input };
        let ends = Ends { wire: &mut pair.server, from: &mut from_server };
        let passed =
            Tunnel::new(client, ends, Speech::Unknown).run(deadline, worker, (tries.served(), &mut permit)).await;
        pair.whole = matches!(passed.end, End::ClientClosed | End::ServerClosed | End::Rebalanced);
        drop(pair);
        let now = worker.now();
        let outcome = outcome(&passed, now.saturating_since(permit.picked_at()), tries.served());
        permit.finish(outcome);
        self.entry.ended(outcome.kind, outcome.first_byte.map(|first_byte| (first_byte, 0)), now);
        self.entry.facts.body_in = passed.to_server;
        self.entry.facts.bytes_out = passed.to_client;
    }
}

/// How the permit ends.
fn outcome(passed: &Passed, total: Duration, served: &Served) -> Outcome {
    let first_byte = passed.first_byte;
    let spoke = first_byte.is_some();
    let kind = match passed.end {
        End::ClientLost => OutcomeKind::Aborted,
        // It left without a word, as those do that look whether anybody is here.
        End::ClientClosed if !spoke && passed.to_server == 0 => OutcomeKind::Aborted,
        End::Idle if !spoke && passed.to_server > 0 => OutcomeKind::TimedOut,
        End::ServerClosed if spoke => OutcomeKind::Success,
        // A server that closes without a word is what a broken one behind a port that still accepts looks like.
        End::ServerClosed | End::ServerLost | End::ServerDown => OutcomeKind::Failed,
        End::ClientClosed | End::Idle | End::Rebalanced => OutcomeKind::Success,
    };
    // Some protocols have servers that only listen: their quiet says nothing about them.
    let excused =
        kind == OutcomeKind::TimedOut || (kind.is_error() && served.excuses(kind, Answered { http: 0, call: None }));
    let (sent, received) = (passed.to_server, passed.to_client);
    Outcome { kind, first_byte, total, sent, received, excused }
}

/// Both connections of a session. Unless all of it went through they are reset, whatever it is that ends it: an error, the
/// end of a stop's patience, a panic.
struct Pair<'a> {
    client: &'a mut Wire,
    server: Wire,
    whole: bool,
}

impl Drop for Pair<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.client.reset_on_close(true);
            self.server.reset_on_close(true);
        }
    }
}
