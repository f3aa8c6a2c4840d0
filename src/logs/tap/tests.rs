use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver as Heard, channel};
use std::sync::{Arc, Mutex};

use rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

use super::*;
use crate::logs::archives;
use crate::logs::times::Index;

/// Runs a body on a runtime like the log thread's.
fn on_log_thread<T>(body: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(body)
}

/// An app's end of a tap, and what the tap tells.
struct Story {
    _home: tempfile::TempDir,
    log: PathBuf,
    app: Option<File>,
    pipe: Option<OwnedFd>,
    news: Heard<News>,
    target: Option<Target>,
}

impl Story {
    fn new(rules: Rules) -> Self {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("logs/web.log");
        Self::at(home, log, rules)
    }

    fn at(home: tempfile::TempDir, log: PathBuf, rules: Rules) -> Self {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (tell, news) = channel();
        let tell = Box::new(move |word| tell.send(word).unwrap_or(()));
        let target = Target { path: log.clone(), home: home.path().to_owned(), rules, mirrors: Vec::new(), tell };
        Self { _home: home, log, app: Some(writer.into()), pipe: Some(reader), news, target: Some(target) }
    }

    fn tap(&mut self) -> Box<dyn Tap> {
        open(self.pipe.take().unwrap(), self.target.take().unwrap()).unwrap()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.app.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    fn archived(&self) -> Vec<Vec<u8>> {
        let read = |archive: &archives::Archive| fs::read(archive.path()).unwrap();
        archives::list(&self.log).unwrap().all.iter().map(read).collect()
    }
}

/// What a mirror has been shown.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Mirror for Screen {
    fn show(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

impl Screen {
    /// One that shows what comes out of this pipe.
    fn of(story: &mut Story) -> Self {
        let screen = Self::default();
        story.target.as_mut().unwrap().mirrors.push(Box::new(screen.clone()));
        screen
    }

    fn shown(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// Puts a FIFO in the place of the log.
fn make_fifo(story: &Story) {
    fs::create_dir(story.log.parent().unwrap()).unwrap();
    nix::unistd::mkfifo(&story.log, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
}

/// Moves everything that is there.
async fn drain(tap: &mut Box<dyn Tap>) -> Pumped {
    tap.ready().await.unwrap();
    loop {
        match tap.pump().unwrap() {
            end @ (Pumped::Empty | Pumped::End) => return end,
            Pumped::Little | Pumped::Some | Pumped::Full => {}
        }
    }
}

fn sized(max_size: u64) -> Rules {
    Rules { max_size: Some(max_size), ..Rules::default() }
}

#[test]
fn output_is_appended_and_follows_the_name_of_the_file() {
    let mut story = Story::new(Rules::default());
    let dir = story.log.parent().unwrap().to_owned();
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o3710)).unwrap();
    fs::write(&story.log, "before\n").unwrap();
    on_log_thread(async {
        let mut tap = story.tap();
        story.write(b"one\n");
        tap.ready().await.unwrap();
        assert_eq!(tap.pump().unwrap(), Pumped::Little);
        assert_eq!(story.read(), "before\none\n");

        fs::rename(&story.log, dir.join("moved")).unwrap();
        story.write(b"two\n");
        assert_eq!(drain(&mut tap).await, Pumped::Empty);
        assert_eq!(story.read(), "two\n");
        assert_eq!(fs::read_to_string(dir.join("moved")).unwrap(), "before\none\n");

        fs::write(&story.log, "").unwrap();
        story.write(b"three\n");
        drain(&mut tap).await;
        assert_eq!(story.read(), "three\n");

        // Its directory gone, and what comes in its place is like it.
        fs::rename(&dir, dir.with_extension("moved")).unwrap();
        story.write(b"four\n");
        drain(&mut tap).await;
        assert_eq!(story.read(), "four\n", "begun anew where there was another one");
        assert_eq!(dir.metadata().unwrap().mode() & 0o7777, 0o3710);

        fs::remove_dir_all(&dir).unwrap();
        story.write(b"five\n");
        story.app = None;
        assert_eq!(drain(&mut tap).await, Pumped::End);
        assert_eq!(story.read(), "five\n");
    });
}

#[test]
fn a_log_that_is_removed_comes_back_with_its_owner_and_mode() {
    let mut story = Story::new(Rules::default());
    on_log_thread(async {
        let mut tap = story.tap();
        story.write(b"one\n");
        drain(&mut tap).await;
        fs::set_permissions(&story.log, fs::Permissions::from_mode(0o604)).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(&story.log, Some(12), Some(34)).unwrap();
        }
        // Seen with the next line, and remembered.
        story.write(b"two\n");
        drain(&mut tap).await;
        fs::remove_file(&story.log).unwrap();
        story.write(b"three\n");
        drain(&mut tap).await;
        assert_eq!(story.read(), "three\n");
        let now = story.log.metadata().unwrap();
        assert_eq!(now.mode() & 0o7777, 0o604);
        assert!(!is_root || (now.uid(), now.gid()) == (12, 34), "{now:?}");
    });
}

#[test]
fn an_index_that_is_removed_begins_anew() {
    let mut story = Story::new(Rules::default());
    on_log_thread(async {
        let mut tap = story.tap();
        story.write(b"one\n");
        drain(&mut tap).await;
        let index = crate::logs::times::beside(&story.log);
        fs::remove_file(&index).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        // What comes within a millisecond of the first line has its time, and needs no index.
        while !index.exists() {
            assert!(Instant::now() < deadline, "it has not begun anew");
            story.write(b"two\n");
            drain(&mut tap).await;
        }
        let meta = story.log.metadata().unwrap();
        let index = Index::open(&story.log, meta.ino(), meta.len()).unwrap().expect("an index");
        assert_eq!(index.at(0).unwrap().time, None);
        assert!(index.at(meta.len() - 1).unwrap().time.is_some());
    });
}

#[test]
fn a_device_takes_output_too_and_a_full_one_does_not_stop_the_app() {
    for (device, lost, watched) in
        [("/dev/null", false, false), ("/dev/full", true, false), ("/dev/null", false, true), ("/dev/full", true, true)]
    {
        let mut story = Story::at(tempfile::tempdir().unwrap(), device.into(), sized(2));
        let screen = watched.then(|| Screen::of(&mut story));
        on_log_thread(async {
            let mut tap = story.tap();
            story.write(b"one\n");
            story.app = None;
            assert_eq!(drain(&mut tap).await, Pumped::End, "{device}");
        });
        let heard: Vec<_> = story.news.iter().collect();
        assert_eq!(matches!(heard[..], [News::Dropping { .. }, News::Dropped { bytes: 4, .. }]), lost, "{heard:?}");
        assert_eq!(heard.is_empty(), !lost, "{heard:?}");
        assert!(screen.is_none_or(|screen| screen.shown() == b"one\n"), "it is shown all the same, once");
    }
}

#[test]
fn files_are_cut_at_ends_of_lines_and_their_times_go_with_them() {
    let mut story = Story::new(sized(100_000));
    let mut all = Vec::new();
    on_log_thread(async {
        let mut tap = story.tap();
        for number in 0..40_000 {
            let line = format!("{number:09}\n");
            all.extend_from_slice(line.as_bytes());
        }
        for piece in all.chunks(33_333) {
            story.write(piece);
            drain(&mut tap).await;
        }
    });
    let mut files = story.archived();
    assert_eq!(files.len(), 4, "as few as there can be, but for room left at ends");
    for archive in archives::list(&story.log).unwrap().all {
        let meta = archive.path().metadata().unwrap();
        assert!(Index::open(&archive.path(), meta.ino(), meta.len()).unwrap().unwrap().at(0).unwrap().time.is_some());
    }
    files.push(fs::read(&story.log).unwrap());
    for file in &files {
        assert!(file.ends_with(b"\n") && file.len() <= 100_000, "{}", file.len());
    }
    assert!(files.concat() == all, "nothing is lost, doubled or moved");
}

#[test]
fn whoever_sees_bytes_sees_their_time() {
    const NEAR: u64 = 1000;
    let mut story = Story::new(Rules::default());
    let log = story.log.clone();
    let sent = [const { AtomicU64::new(0) }; 500];
    let now = || SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros() as u64;
    fs::create_dir(log.parent().unwrap()).unwrap();
    fs::write(&log, "").unwrap();
    std::thread::scope(|scope| {
        // It looks as soon as there is something.
        let reader = scope.spawn(|| {
            let file = File::open(&log).unwrap();
            for (length, sent) in (1..).zip(&sent) {
                while file.metadata().unwrap().len() < length {
                    std::hint::spin_loop();
                }
                let index = Index::open(&log, file.metadata().unwrap().ino(), length).unwrap().expect("an index");
                let time = index.at(length - 1).unwrap().time.expect("a time");
                assert!(time + NEAR > sent.load(Ordering::SeqCst), "byte {length} has the time of what came before");
            }
        });
        on_log_thread(async {
            let mut tap = story.tap();
            for sent in &sent {
                let begun = now();
                // Sooner, the times of two batches would be one.
                while now() < begun + 2 * NEAR && !reader.is_finished() {
                    std::thread::yield_now();
                }
                sent.store(now(), Ordering::SeqCst);
                story.write(b"\n");
                drain(&mut tap).await;
            }
        });
    });
}

#[test]
fn any_bytes_and_a_line_of_any_length_are_kept_as_they_are() {
    let mut story = Story::new(sized(200_000));
    let noise: Vec<u8> = (0..3_000_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let line = vec![b'x'; 2_000_000];
    let all = [&noise[..], b"\n", &line, b"\nend\n"].concat();
    on_log_thread(async {
        let mut tap = story.tap();
        for piece in all.chunks(60_000) {
            story.write(piece);
            drain(&mut tap).await;
        }
    });
    let files = [story.archived(), vec![fs::read(&story.log).unwrap()]].concat();
    assert!(files.concat() == all);
    assert!(files.iter().any(|file| file.len() > 2_000_000), "the line is whole");
}

#[test]
fn two_streams_share_a_file_and_its_rotation() {
    let mut out = Story::new(sized(1000));
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let home = out._home.path().to_owned();
    let target =
        Target { path: out.log.clone(), home, rules: sized(1000), mirrors: Vec::new(), tell: Box::new(|_| ()) };
    let mut err = File::from(writer);
    on_log_thread(async {
        let (mut first, mut second) = (out.tap(), open(reader, target).unwrap());
        for number in 0..200 {
            out.write(format!("out {number:03}\n").as_bytes());
            err.write_all(format!("err {number:03}\n").as_bytes()).unwrap();
            drain(&mut first).await;
            drain(&mut second).await;
        }
    });
    let files = [out.archived(), vec![fs::read(&out.log).unwrap()]].concat();
    assert!(files.iter().all(|file| file.len() <= 1000 && file.ends_with(b"\n")));
    let expected: String = (0..200).map(|number| format!("out {number:03}\nerr {number:03}\n")).collect();
    assert_eq!(String::from_utf8(files.concat()).unwrap(), expected);
    let times = archives::list(&out.log).unwrap().all;
    let meta = times[0].path().metadata().unwrap();
    assert!(Index::open(&times[0].path(), meta.ino(), meta.len()).unwrap().is_some());
}

#[test]
fn a_link_stays_and_its_target_is_rotated() {
    let home = tempfile::tempdir().unwrap();
    let (link, target) = (home.path().join("web.log"), home.path().join("elsewhere.log"));
    symlink(&target, &link).unwrap();
    let mut story = Story::at(home, link.clone(), sized(8));
    on_log_thread(async {
        let mut tap = story.tap();
        for line in [b"one\n", b"two\n", b"3 3\n"] {
            story.write(line);
            drain(&mut tap).await;
        }
    });
    assert!(link.is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), "3 3\n");
    assert_eq!(archives::list(&target).unwrap().all.len(), 1);
}

#[test]
fn a_stream_rests_near_the_end_of_a_file_as_anywhere() {
    let mut story = Story::new(sized(1000));
    on_log_thread(async {
        let mut tap = story.tap();
        story.write(b"one\n");
        tap.ready().await.unwrap();
        assert_eq!(tap.pump().unwrap(), Pumped::Little, "all of it was moved, so there is no more");
        story.write(&[b'x'; 990]);
        story.write(b"\nthree\n");
        assert_eq!(tap.pump().unwrap(), Pumped::Full, "what does not fit waits");
        assert_eq!(tap.pump().unwrap(), Pumped::Little);
    });
    assert_eq!(story.read(), "three\n");
}

#[test]
fn near_the_end_of_a_file_a_look_at_a_wide_pipe_does_not_see_all() {
    let mut story = Story::new(sized(200_000));
    fcntl_setpipe_size(story.app.as_ref().unwrap(), 1 << 20).unwrap();
    on_log_thread(async {
        let mut tap = story.tap();
        story.write(b"one\n");
        tap.ready().await.unwrap();
        assert_eq!(tap.pump().unwrap(), Pumped::Little);
        // Pages of a pipe that are not full: sixteen of them are fewer bytes than can be looked at.
        for _ in 0..40 {
            story.write(&[[b'x'; 2999].as_slice(), b"\n"].concat());
        }
        assert_eq!(tap.pump().unwrap(), Pumped::Full, "there is more");
        assert_eq!(tap.pump().unwrap(), Pumped::Full);
        assert_eq!(tap.pump().unwrap(), Pumped::Some);
        assert_eq!(tap.pump().unwrap(), Pumped::Empty);
    });
    assert_eq!(story.read().len(), 4 + 120_000);
}

#[test]
fn a_pipe_that_is_crowded_at_every_third_look_is_widened() {
    let mut story = Story::new(Rules::default());
    on_log_thread(async {
        let mut tap = story.tap();
        let size = |story: &Story| fcntl_getpipe_size(story.app.as_ref().unwrap()).unwrap();
        let usual = size(&story);
        for round in 0..12 {
            story.write(&vec![b'x'; if round % 3 == 0 { usual / 2 } else { usual / 3 }]);
            tap.pump().unwrap();
        }
        assert_eq!(size(&story), usual, "it may have been a burst");
        for round in 0..30 {
            story.write(&vec![b'x'; if round % 3 == 0 { usual / 2 } else { usual / 3 }]);
            tap.pump().unwrap();
        }
        assert_eq!(size(&story), 1 << 20);
    });
}

#[test]
fn a_flood_widens_its_pipe_and_silence_narrows_it() {
    let mut story = Story::new(Rules::default());
    on_log_thread(async {
        let mut tap = story.tap();
        assert_eq!(tap.chore(), None, "a quiet app costs nothing");
        let size = |story: &Story| fcntl_getpipe_size(story.app.as_ref().unwrap()).unwrap();
        let usual = size(&story);
        for _ in 0..10 {
            let full = vec![b'x'; usual];
            story.write(&full);
            drain(&mut tap).await;
        }
        assert_eq!(size(&story), 1 << 20);
        assert!(tap.chore().is_some());
        tap.tidy();
        assert_eq!((size(&story), tap.chore()), (usual, None));
    });
}

#[test]
fn a_fifo_that_nobody_reads_holds_up_neither_app_nor_screen() {
    for watched in [false, true] {
        on_log_thread(async {
            let mut story = Story::new(Rules::default());
            make_fifo(&story);
            let screen = watched.then(|| Screen::of(&mut story));
            let mut tap = story.tap();
            let mut app = story.app.take().unwrap();
            // More than fits into the pipe, the FIFO and our hands.
            let writer = std::thread::spawn(move || app.write_all(&[b'x'; 1 << 20]));
            let deadline = Instant::now() + Duration::from_secs(30);
            while !writer.is_finished() {
                assert!(Instant::now() < deadline, "the app is held up");
                if tap.pump().unwrap() == Pumped::Little {
                    std::thread::yield_now();
                }
            }
            writer.join().unwrap().unwrap();
            assert_eq!(story.news.recv().unwrap(), News::Dropping { why: "nobody reads it".into() });
            assert_eq!(drain(&mut tap).await, Pumped::End);
            assert!(screen.is_none_or(|screen| screen.shown() == vec![b'x'; 1 << 20]), "all of it is shown, once");
        });
    }
}

#[test]
fn a_fifo_that_is_read_slowly_loses_nothing() {
    for watched in [false, true] {
        on_log_thread(async {
            let mut story = Story::new(Rules::default());
            make_fifo(&story);
            let mut fifo = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&story.log).unwrap();
            let screen = watched.then(|| Screen::of(&mut story));
            let mut tap = story.tap();
            let all: Vec<u8> = (0..60_000).flat_map(|number| format!("{number:09}\n").into_bytes()).collect();
            let (mut app, written) = (story.app.take().unwrap(), all.clone());
            let writer = std::thread::spawn(move || app.write_all(&written));
            let (mut page, mut read) = ([0; 4096], Vec::<u8>::new());
            let deadline = Instant::now() + Duration::from_secs(30);
            while read.len() < all.len() {
                assert!(Instant::now() < deadline, "{} of {} bytes", read.len(), all.len());
                tap.pump().unwrap();
                // A page for each look, so that the FIFO is full most of the time.
                read.extend(fifo.read(&mut page).map_or(&[][..], |bytes| &page[..bytes]));
            }
            writer.join().unwrap().unwrap();
            assert!(read == all, "they are what was written");
            assert!(screen.is_none_or(|screen| screen.shown() == all), "and shown once");
            drop(tap);
            assert_eq!(story.news.try_iter().collect::<Vec<_>>(), []);
        });
    }
}

#[test]
fn nobody_waits_for_the_reader_of_a_fifo_in_a_hurry() {
    on_log_thread(async {
        let mut story = Story::new(Rules::default());
        make_fifo(&story);
        let mut tap = story.tap();
        tap.hurry();
        for _ in 0..4 {
            story.write(&[b'x'; 32 << 10]);
            assert_eq!(drain(&mut tap).await, Pumped::Empty);
        }
        drop(tap);
        let heard: Vec<_> = story.news.try_iter().collect();
        assert!(matches!(heard[..], [News::Dropping { .. }, News::Dropped { bytes: 1.., .. }]), "{heard:?}");
    });
}

#[test]
fn all_apps_that_share_a_log_hear_of_it_once() {
    let mut one = Story::new(sized(8));
    // A log of which an archive has the last name that there is cannot be rotated.
    let planted = one.log.with_file_name("web.log.9999-12-31-235959.4294967295");
    fs::create_dir(one.log.parent().unwrap()).unwrap();
    fs::write(&planted, "").unwrap();
    let another = |log: &Path| Story::at(tempfile::tempdir().unwrap(), log.to_owned(), sized(8));
    let (mut two, mut late, mut stderr) = (another(&one.log), another(&one.log), another(&one.log));
    stderr.target.as_mut().unwrap().home = one._home.path().to_owned();
    on_log_thread(async {
        let (mut first, mut second, _err) = (one.tap(), two.tap(), stderr.tap());
        for line in [b"line 1\n", b"line 2\n"] {
            one.write(line);
            drain(&mut first).await;
        }
        let _third = late.tap();
        for story in [&one, &two, &late] {
            assert!(matches!(story.news.try_recv(), Ok(News::NotRotated { .. })));
        }
        fs::remove_file(&planted).unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while one.archived().is_empty() {
            assert!(Instant::now() < deadline, "it is not rotated");
            two.write(b"more\n");
            drain(&mut second).await;
        }
        for story in [&one, &two, &late] {
            assert_eq!(story.news.try_recv(), Ok(News::Rotated));
        }
        drop(first);
    });
    for story in [&one, &two, &late, &stderr] {
        assert_eq!(story.news.try_iter().collect::<Vec<_>>(), []);
    }
}

#[test]
fn what_waits_in_a_fifo_that_nobody_has_read_goes_to_the_file_that_comes_after_it() {
    on_log_thread(async {
        let mut story = Story::new(Rules::default());
        make_fifo(&story);
        prepare(&story.log).unwrap();
        let mut tap = story.tap();
        story.write(b"one\n");
        drain(&mut tap).await;
        fs::remove_file(&story.log).unwrap();
        story.write(b"two\n");
        drain(&mut tap).await;
        assert_eq!(fs::read(&story.log).unwrap(), b"one\ntwo\n");
    });
}

#[test]
fn who_waits_at_a_fifo_waits_on_when_it_is_prepared() {
    let story = Story::new(Rules::default());
    make_fifo(&story);
    let mut fifo = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&story.log).unwrap();
    prepare(&story.log).unwrap();
    // The end has been seen by whoever polls it: what was never open for writing has none.
    let poll = |fifo: &File| {
        let mut polled = [nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(fifo), nix::poll::PollFlags::POLLIN)];
        nix::poll::poll(&mut polled, nix::poll::PollTimeout::ZERO).unwrap()
    };
    assert_eq!(poll(&fifo), 0, "nobody has come and gone");
    on_log_thread(async {
        let mut story = story;
        let mut tap = story.tap();
        story.write(b"one\n");
        drain(&mut tap).await;
        let mut read = [0; 8];
        assert_eq!(fifo.read(&mut read).unwrap(), 4);
    });
}
