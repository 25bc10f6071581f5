//! Runs `--mode validate` on many files, a few at a time.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;

use crate::environment::{Kind, Program};

/// How many processes validate at a time.
const AT_A_TIME: usize = 4;

/// What `program --mode validate` answers to each of `files`, run in `folder`; by name.
pub(crate) fn validate(
    program: &Program,
    folder: &Path,
    files: &[String],
) -> Vec<(String, Output)> {
    let answers = Mutex::new(Vec::with_capacity(files.len()));
    let next = Mutex::new(files.iter());
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some(file) = next.lock().unwrap().next() else {
                        return;
                    };
                    let answer = (file.clone(), validate_one(program, folder, file));
                    answers.lock().unwrap().push(answer);
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap();
    answers.sort_by(|(a, _), (b, _)| a.cmp(b));
    answers
}

fn validate_one(program: &Program, folder: &Path, file: &str) -> Output {
    let mut command = Command::new(&program.path);
    command.current_dir(folder).args(["--mode", "validate", "-c", file]);
    if program.kind == Kind::Envoy {
        command.args(["--use-dynamic-base-id", "--log-level", "critical"]);
    }
    command.stdin(Stdio::null()).output().unwrap()
}
