//! What the tests of TLS have in common: an authority, a proxy, clients and servers.

#[path = "../../../tests/kit/until.rs"]
mod until;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use plimsoll_config::{CertPair, Config, ListenerTls, Secret, ServerTls, TlsVersion, UnknownServerName};
use plimsoll_core::{PoolSpec, Pools, ServerSpec};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConfigBuilder, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

use crate::clock::Clock;
use crate::proxy::Proxy;
use crate::stats::ListenerStats;
use crate::tls::HandshakeFailure;
use crate::tls::to_servers::AnyCertificate;
pub(in crate::tls) use until::{PATIENCE, until};

/// A client or a server that speaks TLS over TCP.
pub(in crate::tls) type Client = StreamOwned<ClientConnection, TcpStream>;
pub(in crate::tls) type Server = StreamOwned<ServerConnection, TcpStream>;

/// An authority, and the folder of the files that it makes.
pub(in crate::tls) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Authority {
    pub(in crate::tls) fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("plimsoll-tls-{}-{}", process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, folder }
    }

    /// The PEM of a certificate for `names`, and that of its key.
    pub(in crate::tls) fn pem(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.issue(&CertificateParams::new(names).unwrap())
    }

    pub(in crate::tls) fn issue(&self, parameters: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (parameters.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// The PEM of a certificate for `names` and this key.
    pub(in crate::tls) fn issue_for(&self, names: &[&str], key: &KeyPair) -> String {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        CertificateParams::new(names).unwrap().signed_by(key, &self.issuer).unwrap().pem()
    }

    /// The same as the configuration has them.
    pub(in crate::tls) fn pair(&self, names: &[&str]) -> CertPair {
        let (cert, key) = self.pem(names);
        self.pair_of(&cert, &key)
    }

    pub(in crate::tls) fn pair_of(&self, cert: &str, key: &str) -> CertPair {
        let [cert, key] =
            [("site.pem", cert), ("site.key", key)].map(|(name, text)| self.secret(name, text.as_bytes()));
        CertPair { cert, key, ocsp: None }
    }

    /// Its own certificate.
    pub(in crate::tls) fn ca(&self) -> Secret {
        self.secret("ca.pem", self.issuer.pem().as_bytes())
    }

    /// What a file of this name with this content would be.
    pub(in crate::tls) fn secret(&self, name: &str, content: &[u8]) -> Secret {
        let path = self.folder.join(name);
        fs::write(&path, content).unwrap();
        let text = format!(
            "[listen.a]\nbind = '127.0.0.1:0'\npool = 'b'\n[pool.b]\nservers = ['127.0.0.1:1']\n\
             [admin]\nbind = '127.0.0.1:0'\ntls = {{ cert = '{path}', key = '{path}' }}\n",
            path = path.display()
        );
        let config = plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        config.admin.unwrap().tls.unwrap().cert
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        roots
    }

    /// A client that believes this authority alone.
    pub(in crate::tls) fn client_config(&self) -> ClientConfig {
        self.client_config_of(ALL_VERSIONS)
    }

    /// The same that speaks these versions.
    pub(in crate::tls) fn client_config_of(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let builder = client_builder(versions).with_root_certificates(self.roots());
        builder.with_no_client_auth()
    }

    /// The same that shows a certificate.
    pub(in crate::tls) fn client_config_showing(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> ClientConfig {
        let builder = client_builder(ALL_VERSIONS).with_root_certificates(self.roots());
        builder.with_client_auth_cert(chain, key).unwrap()
    }

    /// What a server that is `names` works with.
    pub(in crate::tls) fn server_config(&self, names: &[&str]) -> ServerConfig {
        let (cert, key) = self.pem(names);
        self.server_config_of(&cert, &key)
    }

    #[expect(clippy::unused_self, reason = "it is the authority's certificate")]
    pub(in crate::tls) fn server_config_of(&self, cert: &str, key: &str) -> ServerConfig {
        let builder = server_builder().with_no_client_auth();
        builder.with_single_cert(vec![der(cert)], key_der(key)).unwrap()
    }

    /// The same for a server that wants a certificate of `clients`.
    pub(in crate::tls) fn server_config_asking(&self, names: &[&str], clients: &Self) -> ServerConfig {
        let (cert, key) = self.pem(names);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(clients.roots()), provider).build().unwrap();
        let builder = server_builder().with_client_cert_verifier(verifier);
        builder.with_single_cert(vec![der(&cert)], key_der(&key)).unwrap()
    }

    /// The fingerprint that openssl prints of `cert`, without colons.
    pub(in crate::tls) fn fingerprint(&self, cert: &str) -> String {
        let path = self.folder.join("printed.pem");
        fs::write(&path, cert).unwrap();
        let arguments = ["x509", "-noout", "-fingerprint", "-sha256", "-in"];
        let told = process::Command::new("openssl").args(arguments).arg(path).output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        told.trim().split('=').nth(1).unwrap().replace(':', "").to_ascii_lowercase()
    }
}

const ALL_VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

fn client_builder(
    versions: &[&'static SupportedProtocolVersion],
) -> ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
}

fn server_builder() -> ConfigBuilder<ServerConfig, rustls::WantsVerifier> {
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(ALL_VERSIONS)
        .unwrap()
}

/// A client that believes anybody.
pub(in crate::tls) fn blind() -> ClientConfig {
    let builder = client_builder(ALL_VERSIONS).dangerous();
    builder.with_custom_certificate_verifier(Arc::new(AnyCertificate::new())).with_no_client_auth()
}

/// Shakes hands.
pub(in crate::tls) fn shake(client: &mut Client) -> io::Result<()> {
    client.conn.complete_io(&mut client.sock).map(|_| ())
}

/// What TLS has to say of an error.
pub(in crate::tls) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

pub(in crate::tls) fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

pub(in crate::tls) fn key_der(pem: &str) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// TLS with clients as it is when only the certificates are given.
pub(in crate::tls) fn listener_tls(pairs: Vec<CertPair>) -> ListenerTls {
    ListenerTls {
        pairs,
        min_version: TlsVersion::V1_2,
        session_tickets: true,
        unknown_name: UnknownServerName::Default,
        client_cert: None,
        timeout: Duration::from_secs(10),
    }
}

/// TLS with servers that prove to be `name` by `ca`.
pub(in crate::tls) fn server_tls(name: &str, ca: Secret) -> ServerTls {
    ServerTls { server_name: Some(name.to_owned()), ca: Some(ca), cert: None, danger_accept_any_certificate: false }
}

/// The configuration of one listener before `server`, changed by `change`.
pub(in crate::tls) fn config(server: SocketAddr, change: impl FnOnce(&mut Config)) -> Config {
    let text = format!("[listen.web]\nbind = '127.0.0.1:0'\npool = 'app'\n[pool.app]\nservers = ['{server}']\n");
    let mut config = plimsoll_config::parse("test", &text).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    change(&mut config);
    config
}

/// A proxy that runs `config`, with one server in its pool.
pub(in crate::tls) struct Running {
    pub(in crate::tls) proxy: Proxy,
    pub(in crate::tls) pools: Pools,
}

impl Running {
    pub(in crate::tls) fn new(config: &Config, server: SocketAddr) -> Self {
        Self::start(
            config,
            PoolSpec { servers: vec![ServerSpec::new(server.to_string(), server)], ..PoolSpec::default() },
        )
    }

    /// The same, judging servers as the configuration says.
    pub(in crate::tls) fn with_rules(config: &Config, server: SocketAddr) -> Self {
        let servers = vec![ServerSpec::new(server.to_string(), server)];
        Self::start(config, PoolSpec { servers, rules: config.pools[0].rules.clone(), ..PoolSpec::default() })
    }

    fn start(config: &Config, spec: PoolSpec) -> Self {
        let (clock, pools) = (Clock::start(), Pools::new());
        pools.apply([("app".to_owned(), spec)], clock.now());
        let proxy = Proxy::start(config, 1, &pools, clock).unwrap_or_else(|error| panic!("{error}"));
        Self { proxy, pools }
    }

    /// Puts `config` in force.
    pub(in crate::tls) fn follow(&self, config: &Config) {
        let prepared = self.proxy.prepare(config).unwrap_or_else(|error| panic!("{error}"));
        self.proxy.commit(prepared, &self.pools).unwrap();
    }

    /// The first listener.
    pub(in crate::tls) fn listener(&self) -> ListenerStats {
        self.proxy.stats().listeners.swap_remove(0)
    }

    /// Waits until so many handshakes with its clients have failed so: they hear of it before it is counted.
    #[track_caller]
    pub(in crate::tls) fn wait_for_failed(&self, failure: HandshakeFailure, count: u64) {
        until("they have failed so", || self.listener().handshakes.unwrap().failed[failure as usize] == count);
    }

    pub(in crate::tls) fn connect(&self) -> TcpStream {
        self.connect_to("web")
    }

    /// Connects to the listener of this name.
    pub(in crate::tls) fn connect_to(&self, name: &str) -> TcpStream {
        let addresses = self.proxy.addresses();
        let (_, bind) = addresses.iter().find(|(listener, _)| listener == name).unwrap();
        let stream = TcpStream::connect(bind.ip().unwrap()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A client that asks for `name`; hands are shaken with the first byte.
    pub(in crate::tls) fn client(&self, config: &Arc<ClientConfig>, name: &str) -> Client {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), self.connect())
    }

    /// Ends it, and waits for that.
    pub(in crate::tls) fn stop(self) -> usize {
        self.proxy.stop();
        self.proxy.wait()
    }
}

/// A server that runs `script` for each connection, on a thread of its own.
pub(in crate::tls) fn serve(script: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let script = Arc::clone(&script);
            thread::spawn(move || script(stream));
        }
    });
    address
}

/// The same by TLS.
pub(in crate::tls) fn serve_tls(config: ServerConfig, script: impl Fn(Server) + Send + Sync + 'static) -> SocketAddr {
    let config = Arc::new(config);
    serve(move |stream| script(StreamOwned::new(ServerConnection::new(Arc::clone(&config)).unwrap(), stream)))
}

/// Answers every request with its own head, until the client closes.
pub(in crate::tls) fn echo(mut stream: impl Read + Write) {
    while let Some(head) = head(&mut stream) {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len());
        if stream.write_all(answer.as_bytes()).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

/// Reads a head, byte by byte so that nothing behind it is taken; `None` when there is none.
pub(in crate::tls) fn head(stream: &mut impl Read) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return None,
        }
    }
    Some(String::from_utf8(head).unwrap())
}

/// Makes a request and reads its answer, which tells its length.
pub(in crate::tls) fn ask(stream: &mut (impl Read + Write), fields: &str) -> (String, String) {
    stream.write_all(format!("GET /x HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n").as_bytes()).unwrap();
    stream.flush().unwrap();
    answer(stream).expect("an answer")
}

/// The head and body of an answer that tells its length.
pub(in crate::tls) fn answer(stream: &mut impl Read) -> Option<(String, String)> {
    let head = head(stream)?;
    let length =
        head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    Some((head, String::from_utf8(body).unwrap()))
}
