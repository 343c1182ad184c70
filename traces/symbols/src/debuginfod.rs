//! Files from debuginfod servers, which give what has a certain build id. Only if the user named some.
//!
//! The variables are those of the client in C (debuginfod_find_debuginfo(3), elfutils), and so is the
//! cache: what it fetched we need not fetch, and the other way round. `DEBUGINFOD_URLS` are the servers,
//! `DEBUGINFOD_CACHE_PATH` the cache, `DEBUGINFOD_TIMEOUT` how many seconds a server may be silent (90),
//! `DEBUGINFOD_MAXTIME` and `DEBUGINFOD_MAXSIZE` how many seconds and bytes one file may take at most. An
//! empty file in the cache says that nobody had it. Only `http` and `https` are spoken.

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// How long a server may be silent, as in the C client.
const SILENCE: Duration = Duration::from_secs(90);

/// How long nobody is asked again for what nobody had (`cache_miss_s` of the C client).
const MISSING: Duration = Duration::from_secs(600);

/// The most a file may have: the debug information of browsers has about five gigabytes.
const LONGEST: u64 = 1 << 34;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Artifact {
    Executable,
    DebugInformation,
}

impl Artifact {
    /// What it is called in addresses and in the cache.
    fn name(self) -> &'static str {
        match self {
            Artifact::Executable => "executable",
            Artifact::DebugInformation => "debuginfo",
        }
    }
}

/// How far a download is.
#[derive(Clone, Copy, Debug)]
pub struct Fetch<'a> {
    /// From where.
    pub url: &'a str,
    /// Bytes that are here, and how many there will be if the server said so.
    pub bytes: (u64, Option<u64>),
}

/// A server, and whether it can be spoken with; one that cannot is not asked again.
#[derive(Debug)]
struct Server {
    url: String,
    answers: bool,
}

/// Servers, and the cache of what they gave.
#[derive(Debug)]
pub struct Debuginfod {
    /// In the order in which they are asked.
    servers: Vec<Server>,
    cache: PathBuf,
    longest: u64,
    agent: Agent,
}

impl Debuginfod {
    /// As the environment says; `None` if it names no server or there is no place for a cache.
    pub fn from_environment() -> Option<Debuginfod> {
        let urls = env::var("DEBUGINFOD_URLS").ok()?;
        let servers: Vec<String> = urls.split_whitespace().map(str::to_owned).collect();
        let number =
            |name: &str| env::var(name).ok()?.trim().parse::<u64>().ok().filter(|number| *number > 0);
        let seconds = |name: &str| number(name).map(Duration::from_secs);
        let silence = seconds("DEBUGINFOD_TIMEOUT").unwrap_or(SILENCE);
        let made = Debuginfod::new(servers, cache()?, silence, seconds("DEBUGINFOD_MAXTIME"));
        let longest = number("DEBUGINFOD_MAXSIZE").unwrap_or(LONGEST);
        (!made.servers.is_empty()).then_some(Debuginfod { longest, ..made })
    }

    /// These servers and this cache; a server may be silent for so long, and take so long for one file.
    pub fn new(
        servers: Vec<String>,
        cache: PathBuf,
        silence: Duration,
        longest: Option<Duration>,
    ) -> Debuginfod {
        let config = Agent::config_builder()
            .timeout_connect(Some(silence))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .timeout_global(longest)
            .user_agent(concat!("malloscope/", env!("CARGO_PKG_VERSION")));
        let needs_tls = servers.iter().any(|server| server.starts_with("https:"));
        let config = if needs_tls { config.tls_config(tls()) } else { config };
        let servers = servers.into_iter().map(|url| Server { url, answers: true }).collect();
        Debuginfod { servers, cache, longest: LONGEST, agent: config.build().into() }
    }

    /// A file with this build id, from the cache or a server.
    pub(crate) fn find(
        &mut self,
        build_id: &str,
        artifact: Artifact,
        progress: &mut dyn FnMut(Fetch<'_>),
    ) -> Option<PathBuf> {
        let place = self.cache.join(build_id).join(artifact.name());
        match cached(&place) {
            Cached::Here => return Some(place),
            Cached::NobodyHas => return None,
            Cached::Unknown => {}
        }
        let mut all_said_no = true;
        for number in 0..self.servers.len() {
            let Server { url, answers } = &self.servers[number];
            if !answers {
                all_said_no = false;
                continue;
            }
            let url = format!("{}/buildid/{build_id}/{}", url.trim_end_matches('/'), artifact.name());
            match self.get(&url, &place, progress) {
                Ok(Answer::File) => return Some(place),
                Ok(Answer::No) => {}
                Ok(Answer::Unusable) => all_said_no = false,
                Err(_) => {
                    self.servers[number].answers = false;
                    all_said_no = false;
                }
            }
        }
        if all_said_no {
            remember_miss(&place);
        }
        None
    }

    /// Asks one server, and puts what it gives into the cache. An error if it cannot be spoken with.
    fn get(
        &self,
        url: &str,
        place: &Path,
        progress: &mut dyn FnMut(Fetch<'_>),
    ) -> Result<Answer, ureq::Error> {
        progress(Fetch { url, bytes: (0, None) });
        let mut response = match self.agent.get(url).call() {
            Ok(response) => response,
            Err(ureq::Error::StatusCode(404)) => return Ok(Answer::No),
            Err(ureq::Error::StatusCode(_)) => return Ok(Answer::Unusable),
            Err(error) => return Err(error),
        };
        let total = response.body().content_length();
        if total.is_some_and(|total| total > self.longest) {
            return Ok(Answer::Unusable);
        }
        // Nobody sees a part of a file: it gets its name when it is whole.
        let Some(mut file) = beside(place) else { return Ok(Answer::Unusable) };
        let mut body = response.body_mut().as_reader();
        let (mut bytes, mut done) = (vec![0; 1 << 16], 0_u64);
        loop {
            let length = body.read(&mut bytes)?;
            if length == 0 {
                break;
            }
            done += length as u64;
            if done > self.longest || file.write_all(&bytes[..length]).is_err() {
                return Ok(Answer::Unusable);
            }
            progress(Fetch { url, bytes: (done, total) });
        }
        let is_whole = done > 0 && total.is_none_or(|total| total == done);
        Ok(if is_whole && file.persist(place).is_ok() { Answer::File } else { Answer::Unusable })
    }
}

/// What a server said.
enum Answer {
    /// The file is in the cache.
    File,
    /// It has none.
    No,
    /// Something that is of no use.
    Unusable,
}

/// What the cache knows.
enum Cached {
    Here,
    NobodyHas,
    Unknown,
}

fn cached(place: &Path) -> Cached {
    match fs::metadata(place) {
        Ok(about) if about.len() > 0 => Cached::Here,
        Ok(about) => {
            let asked = about.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
            if asked.is_some_and(|ago| ago < MISSING) { Cached::NobodyHas } else { Cached::Unknown }
        }
        Err(_) => Cached::Unknown,
    }
}

/// Writes down that nobody has it. If that cannot be done, they are asked again next time.
fn remember_miss(place: &Path) {
    if let Some(file) = beside(place) {
        let _ = file.persist(place);
    }
}

/// A file in the cache that has no name yet.
fn beside(place: &Path) -> Option<tempfile::NamedTempFile> {
    let folder = place.parent()?;
    fs::create_dir_all(folder).ok()?;
    tempfile::Builder::new().prefix(".malloscope-").tempfile_in(folder).ok()
}

/// Where the C client has its cache.
fn cache() -> Option<PathBuf> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = folder("DEBUGINFOD_CACHE_PATH") {
        return Some(cache);
    }
    let home = folder("HOME");
    // Where it was in old releases; still used where it is there.
    if let Some(old) =
        home.as_ref().map(|home| home.join(".debuginfod_client_cache")).filter(|old| old.is_dir())
    {
        return Some(old);
    }
    let caches = folder("XDG_CACHE_HOME").or_else(|| Some(home?.join(".cache")))?;
    Some(caches.join("debuginfod_client"))
}

/// https with the certificates that the machine trusts.
fn tls() -> TlsConfig {
    let trusted = rustls_native_certs::load_native_certs().certs;
    let trusted: Vec<_> =
        trusted.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect();
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(trusted)))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}
