//! Writers on real files, a full disk and a pipe without reader; the data path is played here.

use std::io::Read;

use super::*;

/// Remembers each write apart.
#[derive(Default)]
struct Writes(Vec<Vec<u8>>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn buffer(lines: &[String]) -> Buffer {
    let mut buffer = Buffer::default();
    for line in lines {
        buffer.bytes.extend_from_slice(line.as_bytes());
        buffer.line_ends.push(buffer.bytes.len());
    }
    buffer
}

fn line(letter: &str, bytes: usize) -> String {
    format!("{}\n", letter.repeat(bytes - 1))
}

#[test]
fn writes_hold_whole_lines_up_to_the_limit() {
    let lines = [line("a", 2000), line("b", 2096), line("c", 1), line("d", 4096)];
    let mut writes = Writes::default();
    let outcome = write_lines(&mut writes, &mut buffer(&lines), PIPE_WRITE_BYTES_MAX);
    assert_eq!(outcome, Outcome { completed: 3, failed: 0, lines_cut: 0 });
    let lengths: Vec<usize> = writes.0.iter().map(Vec::len).collect();
    assert_eq!(lengths, [4096, 1, 4096]);
    assert_eq!(writes.0.concat(), lines.concat().into_bytes());
}

#[test]
fn a_line_too_long_for_a_pipe_is_cut_and_a_file_takes_it_whole() {
    let lines = [line("a", 10), line("b", 5000), line("c", 10)];
    let mut writes = Writes::default();
    let outcome = write_lines(&mut writes, &mut buffer(&lines), PIPE_WRITE_BYTES_MAX);
    assert_eq!(outcome, Outcome { completed: 3, failed: 0, lines_cut: 1 });
    assert_eq!(writes.0[1], line("b", 4096).into_bytes());
    assert_eq!(writes.0[2], line("c", 10).into_bytes());

    let long = [line("a", 10), line("b", 70_000)];
    let mut writes = Writes::default();
    let outcome = write_lines(&mut writes, &mut buffer(&long), FILE_WRITE_BYTES_MAX);
    assert_eq!(outcome, Outcome { completed: 2, failed: 0, lines_cut: 0 });
    assert_eq!(writes.0.concat(), long.concat().into_bytes());
}

/// `/dev/full` fails every write as a full disk does.
#[test]
fn a_full_disk_loses_the_batch_and_is_counted() {
    let mut full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let lines = [line("a", 40_000), line("b", 40_000), line("c", 10)];
    let outcome = write_lines(&mut full, &mut buffer(&lines), FILE_WRITE_BYTES_MAX);
    assert_eq!(outcome, Outcome { completed: 0, failed: 1, lines_cut: 0 });
}

fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("access-log-{}-{name}", std::process::id()));
    drop(fs::remove_dir_all(&folder));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn sink(path: &Path) -> AccessLogSink {
    AccessLogSink::File(path.to_str().unwrap().to_owned())
}

/// One worker's side of the writers.
struct Desk {
    writers: Writers,
    outlets: Outlets,
}

impl Desk {
    fn open(sinks: &[AccessLogSink]) -> Self {
        let targets = sinks.iter().map(|sink| Target::open(sink).unwrap()).collect();
        let (returns, _inbox) = reactor::channel(4).unwrap();
        let writers = Writers::start(Targets(targets), &[returns]).unwrap();
        let outlets = writers.outlets();
        Self { writers, outlets }
    }

    fn write(&self, sink: usize, text: &str) {
        let buffer = buffer(&[text.to_owned()]);
        self.outlets[sink].send(Batch { worker: 0, buffer }).unwrap();
    }

    fn finish(self) {
        drop(self.outlets);
        self.writers.finish();
    }
}

#[test]
fn lines_are_appended_and_a_rotated_file_is_opened_anew() {
    let folder = scratch("rotate");
    let (path, rotated) = (folder.join("log"), folder.join("log.1"));
    fs::write(&path, "before\n").unwrap();
    let desk = Desk::open(&[sink(&path)]);
    desk.write(0, "one\n");
    // The next write is behind the first one, so the file is there with both.
    desk.write(0, "two\n");
    wait_until(|| fs::read_to_string(&path).unwrap() == "before\none\ntwo\n");
    fs::rename(&path, &rotated).unwrap();
    desk.writers.reopener().reopen();
    wait_until(|| path.exists());
    desk.write(0, "three\n");
    desk.finish();
    assert_eq!(fs::read_to_string(&rotated).unwrap(), "before\none\ntwo\n");
    assert_eq!(fs::read_to_string(&path).unwrap(), "three\n");
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_file_that_cannot_be_opened_anew_is_written_on() {
    let folder = scratch("gone");
    let path = folder.join("log");
    let mut target = Target::open(&sink(&path)).unwrap();
    let mut kept = File::open(&path).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    assert_eq!(target.reopen().unwrap_err().kind(), io::ErrorKind::NotFound);
    target.file.write_all(b"still here\n").unwrap();
    let mut text = String::new();
    kept.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here\n");
}

/// A pipe without reader takes 64 KiB and then nothing: opening it must not wait, and the end of
/// the process must not either.
#[test]
fn a_pipe_without_reader_holds_up_nobody() {
    let folder = scratch("pipe");
    let pipe = folder.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let other = folder.join("other");
    let desk = Desk::open(&[sink(&pipe), sink(&other)]);
    let text = "x".repeat(4095) + "\n";
    for _ in 0..20 {
        // The pipe's writer sticks sooner or later; then its queue is full, and that is all.
        let buffer = buffer(std::slice::from_ref(&text));
        drop(desk.outlets[0].try_send(Batch { worker: 0, buffer }));
    }
    desk.write(1, "the other log\n");
    wait_until(|| fs::read_to_string(&other).unwrap() == "the other log\n");
    desk.finish();
    fs::remove_dir_all(folder).unwrap();
}

fn wait_until(mut holds: impl FnMut() -> bool) {
    let deadline = now() + Duration::from_secs(30);
    while !holds() {
        assert!(now() < deadline, "it never came");
        thread::yield_now();
    }
}
