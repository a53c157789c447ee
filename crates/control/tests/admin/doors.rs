//! Where it is served: addresses and the socket, and what becomes of them at a reload and at the end.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use crate::kit::{LOCAL, REST, Stand, folder, say, until, write};

const SOCKET: &str = "socket = \"admin.sock\"";

#[test]
fn the_socket_is_for_its_owner_alone_and_goes_at_the_end() {
    let mut stand = Stand::start(SOCKET);
    let about = fs::symlink_metadata(stand.socket()).expect("it is there");
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    assert_eq!(stand.control().admin_addresses(), [format!("unix:{}", stand.socket().display())]);
    stand.stop();
    assert!(!stand.socket().exists());
}

#[test]
fn a_socket_that_was_left_behind_is_replaced() {
    let folder = folder();
    let path = folder.join("admin.sock");
    drop(UnixListener::bind(&path).expect("it can be bound"));
    assert!(path.exists(), "the system leaves it");
    let stand = Stand::start_in(folder, SOCKET).expect("it starts");
    assert_eq!(say(stand.unix(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "").status, 200);
}

#[test]
fn a_socket_in_use_and_anything_else_is_not_touched() {
    let first = Stand::start(SOCKET);
    let file = first.file.parent().expect("a folder").join("admin.sock");
    let error = Stand::try_start(&format!("socket = {file:?}")).err().expect("it is taken");
    assert!(error.contains("somebody serves there already"), "{error}");
    assert_eq!(say(first.unix(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "").status, 200);
    let folder = folder();
    let path = folder.join("admin.sock");
    write(&path, "precious");
    let error = Stand::start_in(folder, SOCKET).err().expect("it is no socket");
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("it is there still"), "precious");
    fs::remove_dir_all(path.parent().expect("a folder")).expect("it can be removed");
}

#[test]
fn what_another_put_in_place_of_the_socket_stays() {
    let mut stand = Stand::start(SOCKET);
    fs::remove_file(stand.socket()).expect("it can be removed");
    let other = UnixListener::bind(stand.socket()).expect("it can be bound");
    stand.stop();
    assert!(stand.socket().exists());
    drop(other);
}

#[test]
fn an_address_that_is_taken_is_an_error_that_says_so() {
    let other = TcpListener::bind("127.0.0.1:0").expect("it can be bound");
    let address = other.local_addr().expect("it has one");
    let error = Stand::try_start(&format!("bind = \"{address}\"")).err().expect("it is taken");
    assert!(error.contains(&format!("the admin API cannot be served at {address}: ")), "{error}");
}

#[test]
fn a_reload_moves_it_and_keeps_what_stays() {
    let stand = Stand::start(LOCAL);
    let before = stand.address();
    stand.write("bind = [\"127.0.0.1:0\", \"[::1]:0\"]", REST);
    assert_eq!(stand.ask("POST", "/api/v1/reload", "").status, 200);
    assert_eq!(stand.address(), before, "the same bind is the same door");
    assert_eq!(stand.control().admin_addresses().len(), 2);
    assert_eq!(stand.get("/healthz").status, 200);
    until("the end of the socket", || !stand.socket().exists());
    // Now away from the address by which it is asked: the answer comes still.
    stand.write(SOCKET, REST);
    assert_eq!(stand.ask("POST", "/api/v1/reload", "").status, 200);
    until("the end of the address", || TcpStream::connect(before).is_err());
    assert_eq!(say(stand.unix(), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n", "").status, 200);
}

#[test]
fn a_reload_changes_at_once_by_which_names_it_is_known() {
    let stand = Stand::start(LOCAL);
    let head = "GET /healthz HTTP/1.1\r\nHost: lb.example.com\r\n";
    assert_eq!(stand.say(head, "").status, 421);
    stand.write(&format!("{LOCAL}\nhosts = \"lb.example.com\""), REST);
    assert_eq!(stand.ask("POST", "/api/v1/reload", "").status, 200);
    assert_eq!(stand.say(head, "").status, 200);
}

#[test]
fn a_reload_to_an_address_that_is_taken_changes_nothing() {
    let stand = Stand::start(LOCAL);
    let before = stand.state();
    let other = TcpListener::bind("127.0.0.1:0").expect("it can be bound");
    let taken = other.local_addr().expect("it has one");
    stand.write(&format!("bind = [\"127.0.0.1:0\", \"{taken}\"]"), REST);
    let detail = stand.ask("POST", "/api/v1/reload", "").problem(422)["detail"].to_string();
    assert!(detail.contains(&taken.to_string()), "{detail}");
    assert_eq!(stand.state(), before);
    assert!(stand.socket().exists());
}

#[test]
fn without_it_nothing_is_served() {
    let stand = Stand::start(LOCAL);
    let address = stand.address();
    fs::write(&stand.file, REST).expect("the file can be written");
    assert_eq!(stand.ask("POST", "/api/v1/reload", "").status, 200);
    until("the end", || TcpStream::connect(address).is_err());
    assert!(stand.control().admin_addresses().is_empty());
}
