//! Outcomes of finished trials in a directory, so that a sweep that was killed goes on where it was.
//!
//! A file is named for a hash of all that an outcome follows from: the bytes of the trace, and of the traces its
//! process was forked from; the trial and the range; and the bytes of the executable that replays. So what another
//! version has kept is not taken for one's own, and a trace that has changed is replayed anew. In the file the trial
//! and the range stand once more, and are compared. Where all was measured of a run, that does for who wants less. A file is put in its place when it is whole; one that cannot be
//! read is as if it were not there.

use crate::detail::Detail;
use crate::outcome::Outcome;
use crate::range::Range;
use crate::run::Job;
use crate::trial::Trial;
use crate::worker::Launcher;
use malloscope_traces::Reader;
use malloscope_traces::header::Origin;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// A directory of outcomes, for one trace and one executable.
#[derive(Debug)]
pub struct Kept {
    directory: PathBuf,
    /// The hash of the trace and the executable.
    origin: u64,
}

/// What is in a file.
#[derive(Serialize, Deserialize)]
struct Entry {
    trial: Trial,
    range: Option<Range>,
    outcome: Outcome,
}

impl Kept {
    /// A directory for the outcomes of this trace as this executable replays it; it is made if it is not there.
    ///
    /// # Errors
    ///
    /// When the directory cannot be made, or the trace or the executable cannot be read.
    pub fn open(directory: &Path, trace: &Path, launcher: &Launcher) -> io::Result<Kept> {
        fs::create_dir_all(directory)?;
        let mut hasher = DefaultHasher::new();
        hash_file(&launcher.program, &mut hasher)?;
        hash_lineage(trace, &mut hasher)?;
        Ok(Kept { directory: directory.to_owned(), origin: hasher.finish() })
    }

    /// The outcome of a job, if it is kept.
    pub fn find(&self, job: &Job) -> Option<Outcome> {
        let details = [job.detail, Detail::Weighed, Detail::Whole].into_iter();
        details.filter(|&detail| detail >= job.detail).find_map(|detail| self.find_with(job, detail))
    }

    fn find_with(&self, job: &Job, detail: Detail) -> Option<Outcome> {
        let text = fs::read(self.file_of(job, detail)?).ok()?;
        let entry: Entry = serde_json::from_slice(&text).ok()?;
        (entry.trial == job.trial && entry.range == job.range).then_some(entry.outcome)
    }

    /// Keeps the outcome of a job.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn keep(&self, job: &Job, outcome: &Outcome) -> io::Result<()> {
        let Some(file) = self.file_of(job, job.detail) else { return Ok(()) };
        let entry = Entry { trial: job.trial.clone(), range: job.range, outcome: outcome.clone() };
        // Another sweep may keep the same at the same time.
        let unfinished = file.with_extension(format!("{}.unfinished", std::process::id()));
        let mut out = BufWriter::new(File::create(&unfinished)?);
        serde_json::to_writer(&mut out, &entry)?;
        out.flush()?;
        fs::rename(unfinished, file)
    }

    fn file_of(&self, job: &Job, detail: Detail) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.origin);
        hasher.write(&serde_json::to_vec(&(&job.trial, job.range, detail)).ok()?);
        Some(self.directory.join(format!("{:016x}{:016x}.json", self.origin, hasher.finish())))
    }
}

/// The traces of a process and of those it was forked from.
fn hash_lineage(trace: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    let mut path = trace.to_owned();
    // A hostile trace may name itself as its parent.
    for _ in 0..64 {
        hash_file(&path, hasher)?;
        let reader = Reader::open_file(&path).map_err(io::Error::other)?;
        let Origin::Forked { trace, .. } = &reader.header().origin else { break };
        path = path.with_file_name(trace);
    }
    Ok(())
}

fn hash_file(path: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    let mut file = File::open(path)?;
    hasher.write_u64(file.metadata()?.len());
    let mut piece = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(());
        }
        hasher.write(&piece[..length]);
    }
}
