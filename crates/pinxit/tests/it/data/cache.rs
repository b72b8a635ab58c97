//! Decoded pictures are kept, found again, and made again when they must be.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use pinxit::data;
use pinxit::recipe::{DataRecipe, Fit};
use pinxit::watch::Watch;

use super::{Scene, bytes, colourful, error_of, values};

fn scene_of(count: u32) -> Scene {
    let scene = Scene::new();
    for number in 0..count {
        scene.save(&format!("{number:03}.png"), &colourful(16, 16, number));
    }
    scene
}

fn cache_files(scene: &Scene) -> Vec<PathBuf> {
    fs::read_dir(scene.cache.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn the_second_opening_reads_the_cache_and_gives_the_same() {
    let scene = scene_of(20);
    scene.write("broken.png", b"broken");
    let (first, second) = (scene.open(), scene.open());
    assert!(!first.report.cached && second.report.cached);
    assert_eq!(first.report.rejects, second.report.rejects);
    for index in 0..20 {
        assert_eq!(bytes(&*first.dataset, index), bytes(&*second.dataset, index));
        assert_eq!(first.dataset.content_hash(index), second.dataset.content_hash(index));
        assert_eq!(first.dataset.name(index), second.dataset.name(index));
    }
    let files = cache_files(&scene);
    assert_eq!(files.len(), 1);
    assert!(fs::metadata(&files[0]).unwrap().len() < 20 * (3 * 16 * 16 + 300) + 3000, "one byte a value");
}

/// Analytic case: a part of a picture is cut out of the whole, whatever the depth of the file.
#[test]
fn a_part_is_read_as_it_lies_in_the_whole() {
    for deep in [false, true] {
        let scene = Scene::new();
        for number in 0..3 {
            let picture = colourful(14, 11, number);
            let picture = if deep { picture.into_rgb16().into() } else { picture };
            scene.save(&format!("{number}.png"), &picture);
        }
        let whole = scene.open().dataset;
        let recipe = DataRecipe { crop: Some([4, 5]), ..scene.recipe() };
        let parts = scene.open_with(&recipe).unwrap().dataset;
        let [top, left] = parts.room();
        let (all, [height, width]) = (values(&*whole, 1), [top + 4, left + 5]);
        let mut part = vec![0.0; 3 * 4 * 5];
        parts.read_at(1, [top, left], &mut part);
        for (i, value) in part.into_iter().enumerate() {
            let (channel, y, x) = (i / 20, i / 5 % 4, i % 5);
            assert_eq!(value, all[(channel * height + top + y) * width + left + x]);
        }
    }
}

#[test]
fn a_changed_file_or_setting_makes_it_anew() {
    let scene = scene_of(3);
    scene.open();
    for recipe in [
        DataRecipe { size: Some([8, 8]), ..scene.recipe() },
        DataRecipe { channels: Some(1), ..scene.recipe() },
        DataRecipe { fit: Fit::Letterbox, ..scene.recipe() },
        DataRecipe { background: 3, ..scene.recipe() },
        DataRecipe { labels: false, ..scene.recipe() },
    ] {
        assert!(!scene.open_with(&recipe).unwrap().report.cached, "{recipe:?}");
    }
    // What is done to a batch changes nothing that is stored.
    assert!(
        scene.open_with(&DataRecipe { flip: true, holdout: 0.5, ..scene.recipe() }).unwrap().report.cached
    );
    scene.save("003.png", &colourful(16, 16, 9));
    let more = scene.open();
    assert!(!more.report.cached && more.dataset.len() == 4);
    fs::remove_file(scene.path("000.png")).unwrap();
    let fewer = scene.open();
    assert!(!fewer.report.cached && fewer.dataset.len() == 3);
}

#[test]
fn a_damaged_cache_is_noticed_and_made_again() {
    struct Notices(Vec<String>);
    impl Watch for Notices {
        fn notice(&mut self, message: &str) {
            self.0.push(message.into());
        }
    }
    let scene = scene_of(3);
    scene.open();
    let path = cache_files(&scene).remove(0);
    let whole = fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let last = whole.len() - 1;
    let cases: [(Vec<u8>, &str); 8] = [
        (Vec::new(), "too short"),
        (whole[..60].to_vec(), "too short"),
        (whole[..last].to_vec(), "cut off"),
        (flipped(0), "no picture cache"),
        (flipped(8), "version"),
        (flipped(17), "cut off"),
        (flipped(40), "checksum"),
        (flipped(last - 5), "checksum"),
    ];
    for (damaged, said) in cases {
        // A new file: the old one may still be mapped.
        fs::remove_file(&path).unwrap();
        fs::write(&path, &damaged).unwrap();
        let mut notices = Notices(Vec::new());
        let opened = data::open(&scene.recipe(), scene.cache.path(), &mut notices).unwrap();
        assert!(!opened.report.cached && opened.dataset.len() == 3, "{said}");
        assert!(notices.0.len() == 1 && notices.0[0].contains(said), "{said}: {:?}", notices.0);
        assert_eq!(fs::read(&path).unwrap(), whole, "made again as it was");
    }
}

/// Determinism: the file does not depend on the number of threads.
#[test]
fn one_thread_makes_the_same_cache() {
    let scene = scene_of(40);
    scene.open();
    let path = cache_files(&scene).remove(0);
    let many = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| scene.open());
    assert_eq!(fs::read(&path).unwrap(), many);
}

#[test]
fn a_watcher_sees_progress_and_can_stop_it() {
    struct StopAt(u64, Vec<(String, u64, u64)>);
    impl Watch for StopAt {
        fn progress(&mut self, task: &str, done: u64, total: u64) {
            self.1.push((task.into(), done, total));
        }
        fn stopped(&self) -> bool {
            self.1.iter().any(|(task, done, _)| task == "reading pictures" && *done >= self.0)
        }
    }
    let scene = scene_of(64);
    let mut watch = StopAt(1, Vec::new());
    let error = error_of(data::open(&scene.recipe(), scene.cache.path(), &mut watch));
    assert_eq!(error, "stopped");
    assert!(cache_files(&scene).is_empty(), "no half file is left");
    let mut watch = StopAt(u64::MAX, Vec::new());
    data::open(&scene.recipe(), scene.cache.path(), &mut watch).unwrap();
    assert_eq!(watch.1.last(), Some(&("reading pictures".into(), 64, 64)));
}

#[test]
fn a_cache_that_cant_be_written_is_one_clear_error() {
    let scene = scene_of(1);
    let blocked = scene.write("file", b"in the way");
    let error = error_of(data::open(&scene.recipe(), &blocked.join("cache"), &mut pinxit::watch::Unwatched));
    assert!(error.contains("PINXIT_CACHE"), "{error}");
}

/// A killed process leaves its half file behind; the next writer removes what is older than a day.
#[test]
fn old_leftovers_are_removed() {
    let scene = scene_of(1);
    let leftover = |name: &str, hours: u64| {
        let path = scene.cache.path().join(name);
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
        path
    };
    let (old, recent, foreign) =
        (leftover(".a.1.tmp", 30), leftover(".b.2.tmp", 1), leftover("notes.txt", 30));
    scene.open();
    assert!(!old.exists() && recent.exists() && foreign.exists());
}

/// Two threads that open the same set at once get the same pictures.
#[test]
fn openings_at_the_same_time_do_not_disturb_each_other() {
    let scene = scene_of(50);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| scene.open())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for index in 0..50 {
        let first = bytes(&*opened[0].dataset, index);
        assert!(opened.iter().all(|other| bytes(&*other.dataset, index) == first));
    }
    assert_eq!(cache_files(&scene).len(), 1);
}
