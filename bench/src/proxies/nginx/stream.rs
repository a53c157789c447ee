//! What passes bytes on in nginx: a part that may be built in, or be a module in a file of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::super::{Setup, server_lines};

/// How an nginx has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stream {
    BuiltIn,
    Module(PathBuf),
}

const MODULE: &str = "ngx_stream_module.so";

/// An error says what to do to have it.
pub(super) fn find(program: &Path) -> anyhow::Result<Stream> {
    let output =
        Command::new(program).arg("-V").output().with_context(|| format!("cannot run {}", program.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let stream =
        told_by(&told).context("this nginx is built without its stream module: set NGINX_BIN to one with it")?;
    if let Stream::Module(file) = &stream
        && !file.is_file()
    {
        bail!("nginx's stream module is missing: apt-get install libnginx-mod-stream");
    }
    Ok(stream)
}

/// Reads the options it was configured with.
fn told_by(told: &str) -> Option<Stream> {
    let mut options = told.split_ascii_whitespace();
    if options.clone().any(|option| option == "--with-stream") {
        return Some(Stream::BuiltIn);
    }
    options.clone().find(|option| *option == "--with-stream=dynamic")?;
    let directory = |option: &str, below: &str| Some(Path::new(option.strip_prefix(below)?).to_path_buf());
    let named = options.clone().find_map(|option| directory(option, "--modules-path="));
    let modules = named.or_else(|| Some(options.find_map(|option| directory(option, "--prefix="))?.join("modules")));
    Some(Stream::Module(modules?.join(MODULE)))
}

impl Stream {
    /// What the configuration has to begin with.
    pub(super) fn load_line(&self) -> String {
        match self {
            Self::BuiltIn => String::new(),
            Self::Module(file) => format!("load_module {};\n", file.display()),
        }
    }
}

pub(super) fn block(setup: &Setup<'_>) -> String {
    let port = setup.port;
    let servers = server_lines(setup.pool.servers, |_, port| format!("    server 127.0.0.1:{port};"));
    format!(
        "stream {{
  upstream app {{
    zone app 8m;
    least_conn;
{servers}
  }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    proxy_pass app;
    proxy_timeout 300s;
  }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nginx_tells_of_itself_says_where_the_module_is() {
        let module = |path: &str| Some(Stream::Module(PathBuf::from(path)));
        let options = "nginx version: nginx/1.22.1\nconfigure arguments: --prefix=/usr/share/nginx";
        assert_eq!(told_by(&format!("{options} --with-stream --with-stream_ssl_module")), Some(Stream::BuiltIn));
        assert_eq!(
            told_by(&format!("{options} --modules-path=/usr/lib/nginx/modules --with-stream=dynamic")),
            module("/usr/lib/nginx/modules/ngx_stream_module.so")
        );
        assert_eq!(
            told_by(&format!("{options} --with-stream=dynamic")),
            module("/usr/share/nginx/modules/ngx_stream_module.so")
        );
        assert_eq!(told_by(&format!("{options} --with-stream_ssl_preread_module")), None);
    }
}
