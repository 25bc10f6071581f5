//! Start-up errors of the ring: what failed, the likely cause, and the cure.
#![forbid(unsafe_code)]

use std::{fmt, io};

/// Why a reactor could not be built. Display gives the likely cause and what to try.
#[derive(Debug)]
#[non_exhaustive]
pub enum RingError {
    /// `io_uring_setup(2)` failed.
    Setup(io::Error),
    /// The kernel lacks a feature that Nuncio cannot work without.
    MissingFeature(&'static str),
    /// The receive buffers could not be mapped.
    BufferMemory {
        /// Bytes asked for.
        bytes: usize,
        /// What `mmap(2)` said.
        source: io::Error,
    },
    /// The receive buffers could not be registered with the ring.
    BufferRing(io::Error),
    /// An eventfd for the mailbox could not be made.
    EventFd(io::Error),
    /// Every worker number is taken.
    TooManyReactors,
    /// `NUNCIO_RING_FEATURES` (or the same text given by a caller) could not be read.
    FeatureList {
        /// The word that is no feature switch.
        word: String,
        /// The names it may give.
        known: &'static [&'static str],
    },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(error) => {
                write!(f, "io_uring is not available: {error}; ")?;
                f.write_str(match error.raw_os_error() {
                    Some(libc::ENOSYS) => {
                        "the kernel was built without io_uring, or a seccomp filter hides it; \
                         run Linux 6.1 or newer, and allow io_uring_setup, io_uring_enter and \
                         io_uring_register in the container's seccomp profile"
                    }
                    Some(libc::EPERM) => {
                        "likely cause: sysctl kernel.io_uring_disabled, or a container's seccomp \
                         profile; try 'sysctl -w kernel.io_uring_disabled=0', or allow \
                         io_uring_setup, io_uring_enter and io_uring_register in the profile"
                    }
                    Some(libc::ENOMEM) => {
                        "likely cause: RLIMIT_MEMLOCK is too low for the ring; try \
                         'ulimit -l unlimited', LimitMEMLOCK=infinity in the unit file, or \
                         fewer workers with --concurrency"
                    }
                    Some(libc::EINVAL) => {
                        "likely cause: the kernel is older than Linux 6.1 and lacks \
                         IORING_SETUP_DEFER_TASKRUN; run Linux 6.1 or newer"
                    }
                    Some(libc::EMFILE) => {
                        "the process is out of descriptors; raise 'ulimit -n' or LimitNOFILE"
                    }
                    Some(libc::ENFILE) => {
                        "the system is out of descriptors; raise sysctl fs.file-max"
                    }
                    _ => "see io_uring_setup(2) for this error",
                })
            }
            Self::MissingFeature(feature) => {
                write!(f, "the kernel's io_uring lacks {feature}; run Linux 6.1 or newer")
            }
            Self::BufferMemory { bytes, source } => write!(
                f,
                "cannot map {bytes} bytes of receive buffers: {source}; free memory, or run fewer \
                 workers with --concurrency"
            ),
            Self::BufferRing(error) => {
                write!(f, "cannot register the receive buffer ring: {error}; ")?;
                f.write_str(match error.raw_os_error() {
                    Some(libc::ENOMEM) => {
                        "likely cause: RLIMIT_MEMLOCK; try 'ulimit -l unlimited' or \
                         LimitMEMLOCK=infinity in the unit file"
                    }
                    _ => "provided buffer rings need Linux 5.19 or newer",
                })
            }
            Self::EventFd(error) => {
                write!(f, "cannot make an eventfd: {error}; raise 'ulimit -n' or LimitNOFILE")
            }
            Self::TooManyReactors => {
                write!(f, "more than {} reactors in one process", base::WorkerId::COUNT_MAX)
            }
            Self::FeatureList { word, known } => write!(
                f,
                "NUNCIO_RING_FEATURES: cannot read '{word}'; give a comma-separated list of \
                 switches such as '-inc,-recv_limit' (known: {})",
                known.join(", ")
            ),
        }
    }
}

impl std::error::Error for RingError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a person sees at start: what failed, the likely cause, and what to try.
    #[test]
    fn each_error_names_its_cause_and_a_cure() {
        let setup = |errno| RingError::Setup(io::Error::from_raw_os_error(errno));
        let cases = [
            (setup(libc::ENOSYS), ["built without io_uring", "seccomp profile"]),
            (setup(libc::EPERM), ["kernel.io_uring_disabled", "sysctl -w"]),
            (setup(libc::ENOMEM), ["RLIMIT_MEMLOCK", "ulimit -l unlimited"]),
            (setup(libc::EINVAL), ["IORING_SETUP_DEFER_TASKRUN", "Linux 6.1 or newer"]),
            (setup(libc::EMFILE), ["out of descriptors", "ulimit -n"]),
            (setup(libc::ENFILE), ["out of descriptors", "fs.file-max"]),
            (RingError::MissingFeature("X"), ["lacks X", "Linux 6.1 or newer"]),
            (
                RingError::BufferRing(io::Error::from_raw_os_error(libc::ENOMEM)),
                ["receive buffer ring", "ulimit -l unlimited"],
            ),
            (
                RingError::BufferMemory {
                    bytes: 7,
                    source: io::Error::from_raw_os_error(libc::ENOMEM),
                },
                ["7 bytes of receive buffers", "--concurrency"],
            ),
            (
                RingError::EventFd(io::Error::from_raw_os_error(libc::EMFILE)),
                ["eventfd", "ulimit -n"],
            ),
        ];
        for (error, expected) in cases {
            let text = error.to_string();
            for part in expected {
                assert!(text.contains(part), "'{part}' is missing in: {text}");
            }
        }
    }
}
