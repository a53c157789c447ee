//! When servers are probed, and how many at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A server that never answers, and the most connections it ever had at once. When one more comes it looks which of those
/// before have ended: what was closed first is known first.
fn counting() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, most) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&most);
    thread::spawn(move || {
        let mut open: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            read_head(&mut stream);
            stream.set_nonblocking(true).unwrap();
            let waits = |read: io::Result<usize>| read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
            open.retain_mut(|stream| waits(stream.read(&mut [0])));
            open.push(stream);
            counted.fetch_max(open.len(), Ordering::SeqCst);
        }
    });
    (address, most)
}

/// A server that never answers: it tells of each request, and again of its end.
fn silent() -> (SocketAddr, mpsc::Receiver<&'static str>) {
    let (tell, told) = mpsc::channel();
    let address = serve(move |mut stream| {
        read_head(&mut stream);
        // Whoever has seen enough no longer listens.
        let _ = tell.send("asked");
        wait_for_end(&mut stream);
        let _ = tell.send("gone");
    });
    (address, told)
}

/// A server that answers well.
fn good() -> SocketAddr {
    serve(|mut stream| {
        read_head(&mut stream);
        write(&mut stream, OK);
    })
}

#[test]
fn a_server_is_asked_more_often_while_it_is_down() {
    let probe = rule("http = '/', interval = '10m', interval_down = '100ms'");
    let pool = pool([good(); 2]);
    let failed = ProbeResult { took: Duration::ZERO, failure: Some("it is said to be down".to_owned()) };
    pool.probed(&pool.servers()[1], failed, Time::ZERO);
    let probing = Probing::start(targets(&pool.servers(), &probe));
    let names: Vec<_> = (0..6).map(|_| probing.next().0).collect();
    // The other has its turn in this second with a chance of one in some hundreds, and never twice.
    assert!(names.iter().filter(|name| *name == "s1").count() >= 5, "{names:?}");
    probing.prober.stop();
}

#[test]
fn a_server_is_never_asked_twice_at_once() {
    let (address, most) = counting();
    // Each takes at least three intervals.
    let probe = rule("http = '/', interval = '100ms', interval_down = '100ms', timeout = '300ms'");
    let once = targets(&servers([address]), &probe);
    let probing = Probing::start([once.clone(), once].concat());
    for _ in 0..4 {
        assert_eq!(probing.next().1.failure.as_deref(), Some("no answer within 300ms"));
    }
    probing.prober.stop();
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[test]
fn no_more_are_asked_at_once_than_descriptors_are_meant_for_it() {
    let (address, most) = counting();
    let probe = rule("http = '/', interval = '100ms', interval_down = '100ms', timeout = '500ms'");
    let probing = Probing::start(targets(&servers([address; 300]), &probe));
    let mut names = std::collections::HashSet::new();
    while names.len() < 300 {
        names.insert(probing.next().0);
    }
    probing.prober.stop();
    let most = most.load(Ordering::SeqCst);
    assert!(most <= MOST_PROBES, "{most}");
}

#[test]
fn what_is_under_way_comes_to_nothing_when_the_target_changes_and_only_then() {
    let (changes, told_changes) = silent();
    let (stays, told_stays) = silent();
    let probe = rule("http = '/', interval = '100ms', interval_down = '100ms', timeout = '10m'");
    let servers = servers([changes, stays]);
    let mut targets = targets(&servers, &probe);
    let probing = Probing::start(targets.clone());
    assert_eq!((told_changes.recv_timeout(LIMIT), told_stays.recv_timeout(LIMIT)), (Ok("asked"), Ok("asked")));
    for _ in 0..3 {
        targets[0].host.push('x');
        probing.prober.replace(targets.clone());
        let mut told = [told_changes.recv_timeout(LIMIT).unwrap(), told_changes.recv_timeout(LIMIT).unwrap()];
        // The server's threads may tell of them in any order.
        told.sort_unstable();
        assert_eq!(told, ["asked", "gone"]);
    }
    probing.prober.replace(targets.split_off(1));
    assert_eq!(told_changes.recv_timeout(LIMIT), Ok("gone"));
    assert_eq!(told_stays.try_recv(), Err(mpsc::TryRecvError::Empty));
    probing.prober.stop();
    assert_eq!(told_stays.recv_timeout(LIMIT), Ok("gone"));
    assert!(probing.results.try_recv().is_err(), "what was called off has no result");
}

#[test]
fn a_prober_that_is_dropped_ends() {
    let (address, told) = silent();
    let probe = rule("http = '/', interval = '100ms', interval_down = '100ms', timeout = '10m'");
    let probing = Probing::start(targets(&servers([address]), &probe));
    assert_eq!(told.recv_timeout(LIMIT), Ok("asked"));
    drop(probing.prober);
    assert_eq!(told.recv_timeout(LIMIT), Ok("gone"));
}

#[test]
fn servers_may_come_and_go() {
    let probe = rule("http = '/', interval = '100ms', interval_down = '100ms'");
    let servers = servers([good(); 3]);
    let all = targets(&servers, &probe);
    let probing = Probing::start(all[..2].to_vec());
    while probing.next().0 != "s1" {}
    probing.prober.replace(all[2..].to_vec());
    // Results from before the change may still come, and then of the third only.
    while probing.next().0 != "s2" {}
    assert_eq!([(); 5].map(|()| probing.next().0), ["s2"; 5]);
    probing.prober.replace(all[..1].to_vec());
    while probing.next().0 != "s0" {}
    probing.prober.stop();
}

#[test]
fn a_finished_probe_is_closed_by_reset() {
    let (tell, told) = mpsc::channel();
    let address = serve(move |mut stream| {
        read_head(&mut stream);
        write(&mut stream, OK);
        // Whoever has seen enough no longer listens.
        let _ = tell.send(stream.read(&mut [0]).map_err(|error| error.kind()));
    });
    assert_eq!(first(address, "http = '/'").failure, None);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), Err(io::ErrorKind::ConnectionReset));
}

#[test]
fn a_server_is_not_cut_off_while_it_writes() {
    let (tell, told) = mpsc::channel();
    let address = serve(move |mut stream| {
        read_head(&mut stream);
        write(&mut stream, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
        // Long enough for a probe that only wants the head to be gone.
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        // Told before this probe is answered, so that what the next one hears when it is stopped is not told first. Whoever has
        // seen enough no longer listens.
        let _ = tell.send(stream.read(&mut [0]).map_err(|error| error.kind()));
        write(&mut stream, b"ok");
    });
    assert_eq!(first(address, "http = '/'").failure, None);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), Err(io::ErrorKind::WouldBlock));
}
