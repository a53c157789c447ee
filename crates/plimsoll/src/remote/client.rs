//! The client of the admin API: asks, changes, follows.

use std::time::Duration;

use anyhow::Context;
use plimsoll_control::api;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::{Certificate, Method, Response, StatusCode, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use super::place::Place;
use super::text::visible;
use super::trouble::{Origin, Problem, Trouble};

/// How long to wait for a connection: the API is on this machine or near it.
const CONNECT: Duration = Duration::from_secs(5);

/// How long to wait for more of an answer. A change may wait for the resolver of host names, which gives up after some
/// ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The most that is read of an answer, in bytes: the largest pool there can be, of 100,000 servers, fits.
const LARGEST_ANSWER: usize = 256 << 20;

/// An admin API.
#[derive(Debug)]
pub(crate) struct Client {
    runtime: Runtime,
    http: reqwest::Client,
    place: Place,
    origin: Origin,
    has_token: bool,
}

/// Where the API is, and what it takes to speak to it.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) place: Place,
    pub(crate) origin: Origin,
    /// What goes into `Authorization`.
    pub(crate) token: Option<HeaderValue>,
    /// The certificates to trust in place of the system's.
    pub(crate) trusted: Option<Vec<Certificate>>,
}

impl Client {
    /// Makes ready to ask; nothing is sent yet.
    ///
    /// # Errors
    /// What the system lacks.
    pub(crate) fn new(access: Access) -> anyhow::Result<Self> {
        let Access { place, origin, token, trusted } = access;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("plimsoll/", env!("CARGO_PKG_VERSION"))));
        let has_token = token.is_some();
        if let Some(token) = token {
            headers.insert(AUTHORIZATION, token);
        }
        let mut http = reqwest::Client::builder()
            .default_headers(headers)
            .redirect(redirect::Policy::none())
            // A proxy of the environment leads out of this machine.
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(PATIENCE);
        match trusted {
            Some(trusted) => http = http.tls_certs_only(trusted),
            // To read those of the system takes longer than all the rest, and nobody will ask for them.
            None if !place.is_tls() => http = http.tls_certs_only([]),
            None => {}
        }
        if let Some(path) = place.socket() {
            http = http.unix_socket(path);
        }
        let http = http.build().context("the certificates to trust cannot be read")?;
        let runtime =
            Builder::new_current_thread().enable_all().build().context("the system has no descriptors left")?;
        Ok(Self { runtime, http, place, origin, has_token })
    }

    /// The URL of what is at `path` under the API; its parts may have any characters.
    pub(crate) fn at<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Url {
        let mut url = self.place.root();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["api", "v1"]).extend(path);
        }
        url
    }

    /// The process as a whole, with its pools.
    pub(crate) fn status(&self) -> Result<api::Status, Trouble> {
        self.get(self.at(["status"]))
    }

    /// What is at `url`.
    pub(crate) fn get<T: DeserializeOwned>(&self, url: Url) -> Result<T, Trouble> {
        self.ask(Method::GET, url, None::<&()>)
    }

    /// The same as it came.
    pub(crate) fn text(&self, url: Url) -> Result<String, Trouble> {
        let bytes = self.runtime.block_on(self.exchange(Method::GET, url, None))?;
        String::from_utf8(bytes).map_err(|error| self.foreign(&error.to_string()))
    }

    /// Asks for a change and gives what the API says of it.
    pub(crate) fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: Url,
        body: Option<&impl Serialize>,
    ) -> Result<T, Trouble> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|error| self.foreign(&error.to_string()))?;
        let bytes = self.runtime.block_on(self.exchange(method, url, body))?;
        serde_json::from_slice(&bytes).map_err(|error| self.not_understood(&error))
    }

    /// Opens the stream of events from after number `after`; without it, from now on.
    pub(super) fn open_stream(&self, after: Option<u64>) -> Result<Response, Trouble> {
        let mut request = self.http.get(self.at(["stream"])).header(ACCEPT, "text/event-stream");
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| self.trouble(&error))?;
            if response.status() != StatusCode::OK {
                return Err(self.refusal(response).await);
            }
            Ok(response)
        })
    }

    /// The next piece of what is streamed; `None` at its end.
    pub(super) fn next_piece(&self, response: &mut Response) -> Result<Option<Vec<u8>>, Trouble> {
        let piece = self.runtime.block_on(response.chunk());
        piece.map(|piece| piece.map(|piece| piece.to_vec())).map_err(|error| self.trouble(&error))
    }

    async fn exchange(&self, method: Method, url: Url, body: Option<Vec<u8>>) -> Result<Vec<u8>, Trouble> {
        let mut request = self.http.request(method, url).header(ACCEPT, "application/json");
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = request.send().await.map_err(|error| self.trouble(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        self.body(response).await
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Trouble> {
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.trouble(&error))? {
            if body.len() + piece.len() > LARGEST_ANSWER {
                return Err(self.foreign("its answer is larger than any of Plimsoll's"));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// What is to be said of an answer that is no success.
    async fn refusal(&self, response: Response) -> Trouble {
        let status = response.status();
        if status == StatusCode::UNAUTHORIZED {
            return Trouble::Token { place: self.place.to_string(), given: self.has_token };
        }
        let content = response.headers().get(CONTENT_TYPE);
        let is_problem = content.is_some_and(|content| content.as_bytes().starts_with(b"application/problem+json"));
        let body = match self.body(response).await {
            Ok(body) => body,
            Err(trouble) => return trouble,
        };
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) if is_problem => Trouble::Refused(Problem { status: status.as_u16(), ..problem }),
            _ => self.foreign(&format!("it answers with status {status}")),
        }
    }

    /// What is to be said of an answer that is not what was expected: most likely the versions differ.
    fn not_understood(&self, error: &serde_json::Error) -> Trouble {
        let asked = self.runtime.block_on(self.exchange(Method::GET, self.at(["status"]), None));
        let said = asked.ok().and_then(|body| serde_json::from_slice::<serde_json::Value>(&body).ok());
        let version = said.as_ref().and_then(|said| said["version"].as_str());
        match version {
            Some(version) if version != env!("CARGO_PKG_VERSION") => self.foreign(&format!(
                "it is plimsoll {} and this is plimsoll {}; use the same for both",
                visible(version),
                env!("CARGO_PKG_VERSION")
            )),
            _ => self.foreign(&format!("its answer is not understood: {error}")),
        }
    }

    fn foreign(&self, what: &str) -> Trouble {
        Trouble::Foreign { place: self.place.to_string(), what: what.to_owned() }
    }

    fn trouble(&self, error: &reqwest::Error) -> Trouble {
        Trouble::from_error(error, (&self.place.to_string(), self.origin), PATIENCE)
    }
}
