use crate::program::Place;

const COMMANDS: [&str; 12] = [
    "demo",
    "train",
    "sample",
    "encode",
    "decode",
    "data",
    "runs",
    "families",
    "recipes",
    "doctor",
    "bench",
    "completions",
];

#[test]
fn every_command_has_help_with_examples() {
    let place = Place::new();
    let all = place.pinxit(&["--help"]);
    assert_eq!(all.code(), Some(0));
    for command in COMMANDS {
        assert!(all.out().contains(command), "{command} is missing in the overview");
        let help = place.pinxit(&[command, "--help"]);
        assert_eq!(help.code(), Some(0));
        assert!(help.out().contains("Example"), "{command} has no examples");
        assert!(help.out().contains(&format!("pinxit {command}")), "{command}");
    }
}

#[test]
fn every_example_of_the_help_is_a_command_line_that_is_understood() {
    let place = Place::new();
    let mut examples = 0;
    for command in COMMANDS {
        let help = place.pinxit(&[command, "--help"]).out();
        let (_, text) = help.split_once("Examples:").unwrap();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("pinxit ")) {
            // Words up to the redirection or the explanation.
            let words = line.split("  ").next().unwrap().split(" > ").next().unwrap();
            let mut words: Vec<&str> = words.split_whitespace().collect();
            words.push("--no-such-flag");
            let ended = place.pinxit(&words);
            assert_eq!(ended.code(), Some(2));
            assert!(ended.err().contains("unexpected argument '--no-such-flag'"), "{line}: {}", ended.err());
            examples += 1;
        }
    }
    assert!(examples > 20, "{examples}");
}

#[test]
fn no_colours_where_there_is_no_terminal() {
    let place = Place::new();
    for arguments in [&["--help"][..], &["families"], &["doctor"], &["train"], &["train", "--dat", "x"]] {
        let ended = place.pinxit(arguments);
        assert!(!ended.out().contains('\u{1b}') && !ended.err().contains('\u{1b}'), "{arguments:?}");
    }
}

#[test]
fn every_shell_gets_its_completions() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = place.pinxit(&["completions", shell]);
        assert_eq!(script.code(), Some(0));
        assert!(script.out().contains("pinxit") && script.out().contains("guidance"), "{shell}");
    }
    place.pinxit(&["completions", "tcsh"]).fails(2, &["tcsh", "bash"]);
}
