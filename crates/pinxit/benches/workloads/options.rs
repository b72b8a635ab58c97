//! The command line.

pub(crate) struct Options {
    pub(crate) name: String,
    /// Further names, for `ops`.
    pub(crate) names: Vec<String>,
    pub(crate) threads: usize,
    pub(crate) batch: Option<usize>,
    pub(crate) steps: usize,
    pub(crate) warm: usize,
    pub(crate) check: bool,
    pub(crate) serve: bool,
}

impl Options {
    pub(crate) fn read(args: impl Iterator<Item = String>) -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options = Self {
            name: String::new(),
            names: Vec::new(),
            threads,
            batch: None,
            steps: 5,
            warm: 2,
            check: false,
            serve: false,
        };
        let mut names = Vec::new();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            let mut number = || {
                let value = args.next().and_then(|value| value.parse().ok());
                value.unwrap_or_else(|| panic!("{arg} wants a number"))
            };
            match arg.as_str() {
                "--threads" => options.threads = number(),
                "--batch" => options.batch = Some(number()),
                "--steps" => options.steps = number(),
                "--warm" => options.warm = number(),
                "--check" => options.check = true,
                "--serve" => options.serve = true,
                "--bench" => {} // what `cargo bench` adds
                flag if flag.starts_with('-') => panic!("{flag} is not an option"),
                _ => names.push(arg),
            }
        }
        let mut names = names.into_iter();
        options.name = names.next().expect("a workload: A, B, C, C-inference, D, E, ops or peaks");
        options.names = names.collect();
        options
    }
}
