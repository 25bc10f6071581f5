//! The base id: two processes that would share addresses without knowing do not both start.
//!
//! Listeners are bound with SO_REUSEPORT, so the kernel would deal the connections out between two
//! processes of one configuration. As in Envoy a process holds a Unix socket named after its base
//! id for as long as it lives; whoever finds the name taken does not start.
//!
//! The kernel frees an abstract name (`@..`) with its process. A socket file outlives it, so one
//! that nobody holds any more is taken over.

use std::fs;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use crate::options::Options;

/// A base id that this process holds until this is dropped.
#[derive(Debug)]
pub(crate) struct BaseId {
    id: u32,
    _socket: UnixDatagram,
    /// To be removed at the end.
    file: Option<PathBuf>,
}

/// How many ids `--use-dynamic-base-id` tries before it gives up.
const DYNAMIC_TRIES_MAX: u32 = 1000;

impl BaseId {
    /// Takes the base id that the options ask for; `None` with `--disable-hot-restart`.
    ///
    /// # Errors
    /// Why not, in words, and what to do.
    pub(crate) fn take(options: &Options, random: u64) -> Result<Option<Self>, String> {
        if options.disable_hot_restart {
            return Ok(None);
        }
        let taken = if options.use_dynamic_base_id {
            Self::take_any(options, random)?
        } else {
            Self::bind(options, options.base_id)
                .map_err(|error| refusal(options, options.base_id, &error))?
        };
        if let Some(path) = &options.base_id_path {
            // As Envoy: the number and nothing else.
            fs::write(path, taken.id.to_string()).map_err(|error| {
                let path = path.display();
                format!("--base-id-path: cannot write {path}: {error}; check the path")
            })?;
        }
        Ok(Some(taken))
    }

    /// Ids scattered by chance, so that many processes that start together seldom meet.
    fn take_any(options: &Options, random: u64) -> Result<Self, String> {
        for attempt in 0..DYNAMIC_TRIES_MAX {
            let mixed = random.wrapping_add(u64::from(attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            // The upper half is the better mixed one; below 2^28 as Envoy's.
            let id = u32::try_from(mixed >> 36).unwrap_or_default();
            match Self::bind(options, id) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound.map_err(|error| refusal(options, id, &error)),
            }
        }
        Err(format!("--use-dynamic-base-id: none of {DYNAMIC_TRIES_MAX} base ids was free"))
    }

    fn bind(options: &Options, id: u32) -> io::Result<Self> {
        let path = name(options, id);
        if let Some(name) = path.strip_prefix('@') {
            let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
            return Ok(Self { id, _socket: socket, file: None });
        }
        let path = PathBuf::from(path);
        let socket = bind_file(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(options.socket_mode))?;
        Ok(Self { id, _socket: socket, file: Some(path) })
    }

    /// The id in effect.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }
}

impl Drop for BaseId {
    fn drop(&mut self) {
        if let Some(path) = &self.file {
            // If it stays, the next process takes it over.
            drop(fs::remove_file(path));
        }
    }
}

fn name(options: &Options, id: u32) -> String {
    format!("{}_{id}", options.socket_path)
}

/// A socket file that nobody listens on any more is replaced.
fn bind_file(path: &Path) -> io::Result<UnixDatagram> {
    match UnixDatagram::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_abandoned(path) => {
            fs::remove_file(path)?;
            UnixDatagram::bind(path)
        }
        bound => bound,
    }
}

fn is_abandoned(path: &Path) -> bool {
    let answer = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
    answer.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

fn refusal(options: &Options, id: u32, error: &io::Error) -> String {
    let name = name(options, id);
    if error.kind() == io::ErrorKind::AddrInUse {
        format!(
            "base id {id} is taken: another nuncio runs here and holds the socket '{name}'; \
             give this one another --base-id, or --use-dynamic-base-id"
        )
    } else {
        format!(
            "cannot hold base id {id} by the socket '{name}': {error}; see --socket-path, or \
             switch this off with --disable-hot-restart"
        )
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    /// Each test has names of its own.
    fn options(test: &str, line: &str) -> Options {
        let socket = format!("@nuncio_test_{test}_{}", std::process::id());
        let arguments = ["nuncio", "--socket-path", &socket];
        let more = line.split_whitespace();
        Options::try_parse_from(arguments.into_iter().chain(more)).unwrap()
    }

    fn folder(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("nuncio-base-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn an_id_is_held_by_one_and_free_again_after_it() {
        let options = options("held", "--base-id 7");
        let held = BaseId::take(&options, 0).unwrap().unwrap();
        assert_eq!(held.id(), 7);
        let refusal = BaseId::take(&options, 0).unwrap_err();
        assert!(refusal.starts_with("base id 7 is taken"), "{refusal}");
        assert!(refusal.contains("--use-dynamic-base-id"), "{refusal}");
        drop(held);
        BaseId::take(&options, 0).unwrap().unwrap();
    }

    #[test]
    fn without_hot_restart_nothing_is_held() {
        let options = options("off", "--disable-hot-restart");
        assert!(BaseId::take(&options, 0).unwrap().is_none());
        assert!(BaseId::take(&options, 0).unwrap().is_none());
    }

    #[test]
    fn a_dynamic_id_avoids_the_ones_in_use_and_is_written_down() {
        let folder = folder("dynamic");
        let file = folder.join("id");
        let line = format!("--use-dynamic-base-id --base-id-path {}", file.display());
        let options = options("dynamic", &line);
        // The same chance, twice.
        let first = BaseId::take(&options, 1).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), first.id().to_string());
        let second = BaseId::take(&options, 1).unwrap().unwrap();
        assert_ne!(first.id(), second.id());
        assert_eq!(fs::read_to_string(&file).unwrap(), second.id().to_string());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_socket_file_has_its_mode_and_is_taken_over_from_the_dead() {
        let folder = folder("file");
        let socket = folder.join("socket");
        let line = ["nuncio", "--socket-path", socket.to_str().unwrap(), "--socket-mode", "640"];
        let options = Options::try_parse_from(line).unwrap();
        let held = BaseId::take(&options, 0).unwrap().unwrap();
        let file = folder.join("socket_0");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(BaseId::take(&options, 0).is_err());
        drop(held);
        assert!(!file.exists());
        // What a killed process leaves.
        drop(UnixDatagram::bind(&file).unwrap());
        assert!(file.exists());
        BaseId::take(&options, 0).unwrap().unwrap();
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_socket_that_cannot_be_made_names_the_option() {
        let line = ["nuncio", "--socket-path", "/nonexistent/socket"];
        let options = Options::try_parse_from(line).unwrap();
        let refusal = BaseId::take(&options, 0).unwrap_err();
        assert!(refusal.contains("--socket-path") && refusal.contains("No such"), "{refusal}");
    }
}
