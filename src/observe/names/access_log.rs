//! `filesystem.*`: what becomes of access-log lines, and what Nuncio adds below `nuncio`.
//!
//! All are counted by the workers that write the lines.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/overview>

crate::stats! {
    /// Stats of files that are written.
    pub enum FilesystemStat {
        /// Times a line was put into a buffer.
        WriteBuffered => counter "write_buffered",
        /// Times a buffer, or a part of one, was written to a file.
        WriteCompleted => counter "write_completed",
        /// Writes that failed; what they held is lost.
        WriteFailed => counter "write_failed",
        /// Times buffers were written because the flush interval was over.
        FlushedByTimer => counter "flushed_by_timer",
        /// Times a file could not be opened anew; the old one is written on.
        ReopenFailed => counter "reopen_failed",
        /// Bytes in buffers, not written yet.
        WriteTotalBuffered => gauge "write_total_buffered",
    }
}

crate::stats! {
    /// Stats of access logs that Envoy has no word for.
    pub enum AccessLogStat {
        /// Lines left out because the buffer was full: the file takes them too slowly.
        LinesDropped => counter "lines_dropped",
        /// Lines cut because a pipe or a terminal takes no longer ones in one piece.
        LinesCut => counter "lines_cut",
    }
}

/// The prefix of [`FilesystemStat`].
pub const FILESYSTEM_PREFIX: &str = "filesystem";
/// The prefix of [`AccessLogStat`].
pub const ACCESS_LOG_PREFIX: &str = "nuncio.access_log";
