//! The weights of the Inception network from the Hugging Face hub: the only place that uses the network, and only
//! when asked to.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use hf_hub::Cache;
use hf_hub::api::Progress;
use hf_hub::api::sync::{ApiBuilder, ApiError};
use pinxit::Error;
use pinxit::watch::Watch;
use sha2::{Digest, Sha256};

use crate::failure::{Failure, Outcome};

/// Where the author of torch-fidelity keeps its weights.
const TORCH_FIDELITY: &str = "toshas/torch-fidelity/weights-inception-2015-12-05-6726825d.pth";
/// SHA-256 of that file, under whichever name and from whichever repository.
const INCEPTION_SHA256: &str = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2";
/// Where the hub is unless HF_ENDPOINT says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
/// How often the user's wish to stop is looked for.
const POLL: Duration = Duration::from_millis(200);

/// A file in a repository of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubFile {
    /// `OWNER/NAME`.
    repository: String,
    /// Path in the repository.
    file: String,
}

impl Default for HubFile {
    fn default() -> Self {
        let (repository, file) = split(TORCH_FIDELITY).unwrap_or_default();
        Self { repository, file }
    }
}

impl FromStr for HubFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || format!("write OWNER/REPOSITORY/FILE, as in {TORCH_FIDELITY}");
        let (repository, file) = split(text).ok_or_else(wanted)?;
        Ok(Self { repository, file })
    }
}

/// `OWNER/NAME` and the path below.
fn split(text: &str) -> Option<(String, String)> {
    let named = |part: &&str| !part.is_empty() && *part != "." && *part != "..";
    let parts: Vec<&str> = text.split('/').filter(named).collect();
    let [owner, name, file @ ..] = &parts[..] else { return None };
    let whole = !file.is_empty() && parts.len() == text.split('/').count();
    whole.then(|| (format!("{owner}/{name}"), file.join("/")))
}

/// The weights out of the folder where programs keep what they fetched from the hub, if they are there.
pub(crate) fn find() -> Option<PathBuf> {
    let HubFile { repository, file } = HubFile::default();
    Hub::from_env().ok()?.cache.model(repository).get(&file)
}

/// The weights out of that folder, or else from the hub.
///
/// # Errors
/// If the hub can't be reached, does not have the file, or has another one under its name.
pub(crate) fn fetch(place: &HubFile, watch: &mut dyn Watch) -> Outcome<PathBuf> {
    Hub::from_env()?.fetch(place, INCEPTION_SHA256, watch)
}

/// A hub and what was fetched from it.
struct Hub {
    endpoint: String,
    cache: Cache,
}

impl Hub {
    /// As HF_ENDPOINT and HF_HOME have it.
    fn from_env() -> Outcome<Self> {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let cache = match (set("HF_HOME"), env::home_dir().filter(|home| !home.as_os_str().is_empty())) {
            (Some(_), _) => Cache::from_env(),
            (None, Some(home)) => Cache::new(home.join(".cache/huggingface/hub")),
            (None, None) => {
                let message = "there is no home folder to keep weights in: set HF_HOME to a folder";
                return Err(Failure::Usage(message.into()));
            }
        };
        let endpoint = set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into());
        Ok(Self { endpoint: endpoint.trim_end_matches('/').into(), cache })
    }

    /// The file whose SHA-256 is `sha256`.
    fn fetch(&self, place: &HubFile, sha256: &str, watch: &mut dyn Watch) -> Outcome<PathBuf> {
        if let Some(path) = self.cache.model(place.repository.clone()).get(&place.file) {
            return match digest(&path)? {
                found if found == sha256 => Ok(path),
                found => Err(Failure::Hub(format!(
                    "{}: {}; remove it to fetch it again",
                    path.display(),
                    unlike(&found, sha256)
                ))),
            };
        }
        let path = self.download(place, watch)?;
        match digest(&path)? {
            found if found == sha256 => Ok(path),
            found => {
                remove(&path)?;
                let url = self.url(place);
                Err(Failure::Hub(format!("{url}: {}; what came is not kept", unlike(&found, sha256))))
            }
        }
    }

    /// Fetches in a thread of its own, so that the user can stop it. A part that was fetched is kept.
    fn download(&self, place: &HubFile, watch: &mut dyn Watch) -> Outcome<PathBuf> {
        let builder = ApiBuilder::from_cache(self.cache.clone()).with_endpoint(self.endpoint.clone());
        let api = builder.build().map_err(|error| self.failed(place, &error))?;
        let (sender, transferred) = mpsc::channel();
        let (repository, file) = (api.model(place.repository.clone()), place.file.clone());
        let transfer = Transfer { sender, done: 0, total: 0 };
        let worker = thread::spawn(move || repository.download_with_progress(&file, transfer));
        loop {
            match transferred.recv_timeout(POLL) {
                Ok([done, total]) => watch.progress("fetching the weights, kB", done / 1000, total / 1000),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if watch.stopped() {
                return Err(Failure::Stopped("stopped; --download goes on where it was".into()));
            }
        }
        match worker.join() {
            Ok(fetched) => fetched.map_err(|error| self.failed(place, &error)),
            Err(_) => Err(Failure::Hub(format!("{}: what answers there is no hub", self.url(place)))),
        }
    }

    fn url(&self, place: &HubFile) -> String {
        format!("{}/{}/resolve/main/{}", self.endpoint, place.repository, place.file)
    }

    fn failed(&self, place: &HubFile, error: &ApiError) -> Failure {
        let advice = match error {
            ApiError::RequestError(_) => {
                "check the connection and HF_ENDPOINT, name another place with --download=OWNER/REPOSITORY/FILE, or \
                 give the file with --inception"
                    .into()
            }
            ApiError::InvalidResume | ApiError::LockAcquisition(_) | ApiError::IoError(_) => {
                format!("look into {}, or set HF_HOME to another folder", self.cache.path().display())
            }
            _ => "is HF_ENDPOINT a hub?".into(),
        };
        let reason = match error {
            ApiError::RequestError(reason) => reason.to_string(),
            other => other.to_string(),
        };
        Failure::Hub(format!("{} can't be fetched ({reason}): {advice}", self.url(place)))
    }
}

/// Tells how much has come.
struct Transfer {
    /// Bytes that came, and bytes of the file.
    sender: Sender<[u64; 2]>,
    done: u64,
    total: u64,
}

impl Progress for Transfer {
    fn init(&mut self, size: usize, _: &str) {
        (self.done, self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        // Nobody listens any more once the user stopped it.
        let _ = self.sender.send([self.done, self.total]);
    }

    fn finish(&mut self) {}
}

/// What is wrong with a file of other bytes.
fn unlike(found: &str, wanted: &str) -> String {
    format!("it is not the Inception network of 2015-12-05 (SHA-256 {found}, not {wanted})")
}

/// The SHA-256 of a file in hexadecimal digits.
fn digest(path: &Path) -> Outcome<String> {
    let mut hash = Sha256::new();
    let read = fs::File::open(path).and_then(|mut file| io::copy(&mut file, &mut Writes(&mut hash)));
    read.map_err(Error::io(path, "reading the weights"))?;
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Hands what is written on to a hash.
struct Writes<'a>(&'a mut Sha256);

impl io::Write for Writes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Removes a fetched file: its name, which is a link where there are links, and what it leads to.
fn remove(path: &Path) -> Outcome {
    let file = fs::canonicalize(path).map_err(Error::io(path, "looking for the file"))?;
    for name in [path, &file] {
        match fs::remove_file(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io(name, "removing it")(error).into());
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use pinxit::watch::Unwatched;
    use tempfile::TempDir;

    use super::*;

    const WEIGHTS: &[u8] = b"no weights, but bytes enough for a hash";

    /// A hub on this machine that has one file, behind a redirection as the true one has large files.
    struct Local {
        hub: Hub,
        home: TempDir,
        requests: Arc<AtomicUsize>,
    }

    impl Local {
        fn new() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let endpoint = format!("http://{}", listener.local_addr().unwrap());
            let requests = Arc::new(AtomicUsize::new(0));
            let counter = requests.clone();
            thread::spawn(move || {
                for stream in listener.incoming() {
                    counter.fetch_add(1, Ordering::SeqCst);
                    answer(stream.unwrap());
                }
            });
            let home = tempfile::tempdir().unwrap();
            Self { hub: Hub { endpoint, cache: Cache::new(home.path().join("hub")) }, home, requests }
        }

        fn fetch(&self, file: &str, sha256: &str) -> Result<PathBuf, String> {
            let place = HubFile::from_str(&format!("someone/weights/{file}")).unwrap();
            self.hub.fetch(&place, sha256, &mut Unwatched).map_err(|failure| match failure {
                Failure::Hub(message) => message,
                other => format!("another failure: {other:?}"),
            })
        }

        /// The file that is fetched, but not whole.
        fn part(&self) -> PathBuf {
            self.home.path().join("hub/models--someone--weights/blobs/tag.part")
        }
    }

    fn answer(mut stream: TcpStream) {
        let mut lines =
            BufReader::new(&stream).lines().map(Result::unwrap).take_while(|line| !line.is_empty());
        let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_string();
        let headers: Vec<String> = lines.map(|line| line.to_ascii_lowercase()).collect();
        let range = headers.iter().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
        let (first, last) = range.split_once('-').unwrap();
        let (first, end) =
            (first.parse::<usize>().unwrap(), last.parse().map_or(WEIGHTS.len(), |last: usize| last + 1));
        let reply = match path.as_str() {
            "/someone/weights/resolve/main/a/weights.pth" => {
                "HTTP/1.1 302 Found\r\nlocation: /store\r\netag: \"tag\"\r\nx-repo-commit: abc\r\n"
                    .to_string()
            }
            "/store" => format!(
                "HTTP/1.1 206 Partial Content\r\netag: \"tag\"\r\nx-repo-commit: abc\r\n\
                 content-range: bytes {first}-{}/{}\r\n",
                end - 1,
                WEIGHTS.len()
            ),
            "/someone/weights/resolve/main/page" => "HTTP/1.1 200 OK\r\n".into(),
            _ => "HTTP/1.1 404 Not Found\r\n".into(),
        };
        let body = if path == "/store" { &WEIGHTS[first..end] } else { b"" };
        let head = format!("{reply}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    }

    fn sha256() -> String {
        Sha256::digest(WEIGHTS).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_file_is_fetched_once_and_kept() {
        let local = Local::new();
        let path = local.fetch("a/weights.pth", &sha256()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), WEIGHTS);
        let requests = local.requests.load(Ordering::SeqCst);
        assert_eq!(local.fetch("a/weights.pth", &sha256()).unwrap(), path);
        assert_eq!(local.requests.load(Ordering::SeqCst), requests, "the second one needs no network");
        fs::write(&path, "damaged").unwrap();
        let error = local.fetch("a/weights.pth", &sha256()).unwrap_err();
        assert!(error.contains("abc/a/weights.pth") && error.contains("remove it"), "{error}");
    }

    #[test]
    fn a_fetch_that_was_cut_off_goes_on() {
        let local = Local::new();
        fs::create_dir_all(local.part().parent().unwrap()).unwrap();
        fs::write(local.part(), &WEIGHTS[..10]).unwrap();
        assert_eq!(fs::read(local.fetch("a/weights.pth", &sha256()).unwrap()).unwrap(), WEIGHTS);
    }

    #[test]
    fn other_bytes_are_refused_and_not_kept() {
        let local = Local::new();
        for _ in 0..2 {
            let error = local.fetch("a/weights.pth", INCEPTION_SHA256).unwrap_err();
            for word in [&sha256(), INCEPTION_SHA256, "/a/weights.pth", "not kept"] {
                assert!(error.contains(word), "{word} is missing in: {error}");
            }
        }
        assert_eq!(fs::read_dir(local.part().parent().unwrap()).unwrap().count(), 1, "only the lock is left");
    }

    #[test]
    fn what_is_wrong_with_the_hub_is_said() {
        let mut local = Local::new();
        let error = local.fetch("missing.pth", &sha256()).unwrap_err();
        assert!(error.contains("resolve/main/missing.pth") && error.contains("404"), "{error}");
        let error = local.fetch("page", &sha256()).unwrap_err();
        assert!(error.contains("is HF_ENDPOINT a hub?"), "{error}");
        // A port that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        local.hub.endpoint = format!("http://{free}");
        let error = local.fetch("a/weights.pth", &sha256()).unwrap_err();
        assert!(error.contains("check the connection and HF_ENDPOINT"), "{error}");
        local.hub.endpoint = "no address".into();
        assert!(local.fetch("a/weights.pth", &sha256()).unwrap_err().contains("no address"));
    }

    #[test]
    fn a_place_on_the_hub_is_a_repository_and_a_file() {
        let place = HubFile::from_str("someone/weights/folder/file.pth").unwrap();
        assert_eq!((&*place.repository, &*place.file), ("someone/weights", "folder/file.pth"));
        assert_eq!(HubFile::from_str(TORCH_FIDELITY).unwrap(), HubFile::default());
        for wrong in ["", "file.pth", "someone/weights", "a//b", "a/b/", "a/b/../c"] {
            assert!(HubFile::from_str(wrong).unwrap_err().contains("OWNER/REPOSITORY/FILE"), "{wrong}");
        }
    }
}
