//! The direction of the architecture, read from the source: who may name whom.

use std::fs;
use std::path::{Path, PathBuf};

use pinxit::families::FAMILIES;

fn sources(folder: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/");
                files.push((name, code(&fs::read_to_string(&path).unwrap())));
            }
        }
    }
    assert!(files.len() > 5, "{} holds no sources", folder.display());
    files
}

/// The text without comments and without what stands after the first test module.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect()
}

fn crate_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Asserts that no file that `applies` contains any of `words`.
fn forbid(applies: impl Fn(&str) -> bool, words: &[&str], why: &str) {
    let mut seen = 0;
    for (name, text) in sources(&crate_folder("pinxit/src")) {
        if applies(&name) {
            seen += 1;
            for word in words {
                assert!(!text.contains(word), "{name} contains `{word}`: {why}");
            }
        }
    }
    assert!(seen > 0, "the rule \"{why}\" applies to no file");
}

#[test]
fn each_layer_names_only_those_below_it() {
    let upper = ["crate::train", "crate::sample", "crate::run", "crate::report", "crate::recipe"];
    let within = |folder: &'static str| move |name: &str| name.starts_with(folder);
    forbid(within("nn/"), &upper, "layers know no run");
    forbid(
        within("nn/"),
        &["crate::diffusion", "crate::adversarial", "crate::families", "crate::model"],
        "layers know no objective",
    );
    forbid(
        within("diffusion/"),
        &["crate::families", "crate::adversarial", "crate::train", "crate::sample", "crate::run"],
        "objectives know no family",
    );
    forbid(
        within("adversarial/"),
        &["crate::families", "crate::diffusion", "crate::train", "crate::sample", "crate::run"],
        "objectives know no family",
    );
    forbid(
        within("likelihood/"),
        &["crate::families", "crate::diffusion", "crate::adversarial", "crate::train"],
        "likelihoods are below",
    );
    forbid(
        within("data/"),
        &["crate::nn", "crate::families", "crate::train", "crate::diffusion", "crate::adversarial"],
        "data knows no model",
    );
    let traits_only = |name: &str| {
        name.starts_with("train/")
            || name.starts_with("metrics/") && !name.starts_with("metrics/extract/")
            || ["sample.rs", "run.rs", "report.rs"].contains(&name)
    };
    forbid(traits_only, &["crate::diffusion", "crate::adversarial", "crate::nn"], "it knows traits only");
}

#[test]
fn families_are_named_in_their_file_and_their_row_alone() {
    for family in FAMILIES {
        let module = format!("{}::", family.name.replace('-', "_"));
        let own = format!("families/{}.rs", family.name.replace('-', "_"));
        let elsewhere =
            |name: &str| name.starts_with("families/") && name != "families/mod.rs" && name != own;
        if FAMILIES.len() > 1 {
            forbid(
                elsewhere,
                &[&format!("super::{module}"), &format!("families::{module}")],
                "families never import each other",
            );
        }
        let quoted = format!("\"{}\"", family.name);
        forbid(
            |name: &str| name.starts_with("train/") || ["sample.rs", "recipe.rs", "run.rs"].contains(&name),
            &[&quoted],
            "only the registry names a family",
        );
    }
}

#[test]
fn the_library_neither_prints_nor_is_unsafe_and_calls_kernels_in_one_place() {
    forbid(|_| true, &["println!", "print!(", "dbg!", "unsafe "], "the library is safe and silent");
    let not_the_place = |name: &str| !["nn/ops.rs", "data/cache.rs", "memory.rs"].contains(&name);
    let why = "nn/ops.rs calls kernels, data/cache.rs maps its file, memory.rs hands on the allocator";
    forbid(not_the_place, &["pinxit_kernels"], why);
}

#[test]
fn the_command_line_holds_no_mathematics() {
    let manifest = fs::read_to_string(crate_folder("pinxit-cli/Cargo.toml")).unwrap();
    assert!(!manifest.contains("burn"), "pinxit-cli must not depend on burn");
    for (name, text) in sources(&crate_folder("pinxit-cli/src")) {
        assert!(!text.contains("Tensor"), "{name} works with tensors");
    }
}
