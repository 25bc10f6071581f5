//! The log from events to a file, without being the log of the process.

use std::fs;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A log into a file of its own.
struct Logged {
    log: Arc<Log>,
    path: PathBuf,
}

impl Logged {
    fn start(name: &str, level: LogLevel, format: LogFormat) -> Self {
        let file = format!("nuncio-logging-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        let settings = Settings {
            level,
            component_levels: vec![("upstream".to_owned(), LogLevel::Debug)],
            format,
            escaped: false,
            path: Some(path.clone()),
        };
        let log = Log::new(&settings, Sink::file(&path).unwrap()).unwrap();
        Self { log, path }
    }

    /// Runs `work` with this log, and answers what the file has then.
    fn during(&self, work: impl FnOnce()) -> Vec<String> {
        let dispatch = Dispatch::new(Installed(Arc::clone(&self.log)));
        dispatcher::with_default(&dispatch, work);
        self.log.queue.flush(20 * SECOND);
        fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Drop for Logged {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

fn text(pattern: &str) -> LogFormat {
    LogFormat::Text(pattern.to_owned())
}

#[test]
fn levels_hold_for_each_component_and_change_while_running() {
    let logged = Logged::start("levels", LogLevel::Info, text("%l %n %v"));
    let log = Arc::clone(&logged.log);
    let lines = logged.during(|| {
        tracing::debug!("not wanted");
        tracing::debug!(target: "upstream", connection_id = 7, host = "h 1", "wanted");
        tracing::warn!(count = 2, "wanted too");
        assert!(log.set_level("main", LogLevel::Debug));
        assert!(!log.set_level("nobody", LogLevel::Debug));
        tracing::debug!("now it is");
        log.set_all_levels(LogLevel::Off);
        tracing::error!("nothing any more");
    });
    assert_eq!(
        lines,
        [
            "debug upstream [Tags: \"ConnectionId\":\"7\"] wanted host=\"h 1\"",
            "warning main wanted too count=2",
            "debug main now it is",
        ]
    );
}

#[test]
fn a_json_log_is_one_object_per_line() {
    let object = r#"{"level":"%l","what":"%j"}"#.to_owned();
    let logged = Logged::start("json", LogLevel::Info, LogFormat::Json(object));
    let lines = logged.during(|| tracing::info!(connection_id = 1, "two\n\"lines\""));
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(value["level"], "info");
    assert_eq!(value["what"], "two\n\"lines\"");
    assert_eq!(value["ConnectionId"], "1");
}

#[test]
fn a_place_that_repeats_itself_is_cut_and_counted_and_debug_is_not() {
    let logged = Logged::start("limit", LogLevel::Debug, text("%v"));
    logged.log.limit();
    let max = limiter::SITE_LINES_PER_SECOND_MAX;
    let more = 10 * max;
    let lines = logged.during(|| {
        for number in 0..more {
            tracing::warn!(number, "again");
        }
        for number in 0..more {
            tracing::debug!(number, "each");
        }
    });
    let count = |what: &str| lines.iter().filter(|line| line.starts_with(what)).count() as u64;
    let LogLosses { suppressed, dropped, failed_writes } = logged.log.losses();
    assert_eq!(count("again") + suppressed, u64::from(more));
    // A slow machine may have begun another second.
    assert!(suppressed > 0);
    assert_eq!((count("each"), dropped, failed_writes), (u64::from(more), 0, 0));
}

#[test]
fn the_start_may_say_as_much_as_it_has_to() {
    let logged = Logged::start("start", LogLevel::Info, text("%v"));
    let warnings = 2 * limiter::SITE_LINES_PER_SECOND_MAX;
    let lines = logged.during(|| {
        for number in 0..warnings {
            tracing::warn!(number, "ignored");
        }
    });
    assert_eq!(lines.len(), usize::try_from(warnings).unwrap());
    assert_eq!(logged.log.losses(), LogLosses::default());
}

#[test]
fn what_was_left_out_is_said_in_the_format_of_the_log() {
    let logged = Logged::start("overdue", LogLevel::Info, text("<%l> %v"));
    logged.log.limit();
    logged.during(|| {
        for _ in 0..=limiter::SITE_LINES_PER_SECOND_MAX {
            tracing::warn!("again");
        }
    });
    let overdue = logged.log.lines.overdue(now() + SECOND, 4);
    assert_eq!(
        overdue,
        [
            "<warning> suppressed 1 more lines from here within a second",
            "4 lines of the log were dropped: nobody took them",
        ]
    );
}
