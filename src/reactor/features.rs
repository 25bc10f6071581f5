//! What the running kernel's io_uring offers beyond the required minimum (Linux 6.1).
//!
//! Each feature is found by trying it, not by the kernel's version, and each can be switched off by
//! name, so that tests can run a new kernel as an old one.
#![forbid(unsafe_code)]

use std::fmt;

use crate::RingError;

/// Optional ring features, each on only if the kernel has it and nobody switched it off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// `inc`: a provided buffer is filled by several receives (`IOU_PBUF_RING_INC`, Linux 6.12).
    pub incremental_buffers: bool,
    /// `recv_limit`: a multishot receive ends by itself after a number of bytes (Linux 6.17).
    /// Without it, each receive is a single shot.
    pub recv_limit: bool,
    /// `ring_fd`: the ring's descriptor is registered, which spares a lookup on each enter
    /// (Linux 5.18).
    pub registered_ring_fd: bool,
    /// `silent_send`: a send that moved every byte posts no completion
    /// (`IOSQE_CQE_SKIP_SUCCESS`, Linux 5.17, and the short count of a `MSG_WAITALL` send).
    pub silent_send: bool,
    /// `min_wait`: a wait may let completions gather for some microseconds
    /// (`IORING_FEAT_MIN_TIMEOUT`, Linux 6.12).
    pub minimum_wait: bool,
}

impl Features {
    /// The names that `NUNCIO_RING_FEATURES` knows.
    pub const NAMES: [&'static str; 5] =
        ["inc", "recv_limit", "ring_fd", "silent_send", "min_wait"];

    /// Every optional feature off: the oldest kernel that Nuncio runs on.
    pub const fn minimal() -> Self {
        Self {
            incremental_buffers: false,
            recv_limit: false,
            registered_ring_fd: false,
            silent_send: false,
            minimum_wait: false,
        }
    }

    /// Switches features off as a list such as `-inc,-recv_limit` says. An empty list changes
    /// nothing. A feature cannot be forced on: the kernel either has it or not.
    ///
    /// # Errors
    /// [`RingError::FeatureList`] names the word that is no switch.
    pub fn without(mut self, list: &str) -> Result<Self, RingError> {
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let switch = match word.strip_prefix('-') {
                Some("inc") => &mut self.incremental_buffers,
                Some("recv_limit") => &mut self.recv_limit,
                Some("ring_fd") => &mut self.registered_ring_fd,
                Some("silent_send") => &mut self.silent_send,
                Some("min_wait") => &mut self.minimum_wait,
                _ => {
                    return Err(RingError::FeatureList {
                        word: word.to_owned(),
                        known: &Self::NAMES,
                    });
                }
            };
            *switch = false;
        }
        Ok(self)
    }

    /// Each feature's name and whether it is on, in the order of [`Features::NAMES`].
    pub fn switches(self) -> [(&'static str, bool); 5] {
        let [inc, recv_limit, ring_fd, silent_send, min_wait] = Self::NAMES;
        [
            (inc, self.incremental_buffers),
            (recv_limit, self.recv_limit),
            (ring_fd, self.registered_ring_fd),
            (silent_send, self.silent_send),
            (min_wait, self.minimum_wait),
        ]
    }
}

impl fmt::Display for Features {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, on)) in self.switches().into_iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(f, "{separator}{}{name}", if on { '+' } else { '-' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Features = Features {
        incremental_buffers: true,
        recv_limit: true,
        registered_ring_fd: true,
        silent_send: true,
        minimum_wait: true,
    };

    #[test]
    fn a_list_switches_off_what_it_names_and_nothing_else() {
        let features = ALL.without(" -inc, -recv_limit,").unwrap();
        assert_eq!(features.to_string(), "-inc,-recv_limit,+ring_fd,+silent_send,+min_wait");
        assert_eq!(ALL.without("").unwrap(), ALL);
        assert_eq!(
            ALL.without("-inc,-recv_limit,-ring_fd,-silent_send,-min_wait").unwrap(),
            Features::minimal()
        );
    }

    #[test]
    fn a_word_that_is_no_switch_is_named_with_the_known_ones() {
        for list in ["inc", "+inc", "-incremental", "-inc,-"] {
            let error = ALL.without(list).unwrap_err().to_string();
            assert!(
                error.contains("known: inc, recv_limit, ring_fd, silent_send, min_wait"),
                "{error}"
            );
        }
    }
}
