# The commands of the project; `just` lists them.

default:
    @just --list

# Train the demo: handwritten digits in about two minutes
demo:
    cargo run --release -- demo

# Every test
test:
    cargo test --release --workspace

# The tables of docs/scores.md and README: a run of each recipe of digits and glyphs in FOLDER, trained where it is missing
table FOLDER="runs/table" *FLAGS="":
    cargo run --release --workspace --example score_table -- {{FOLDER}} {{datetime("%Y-%m-%d")}} {{FLAGS}}

# docs/translation.md and its sheets, from the runs in FOLDER that make pictures from pictures
sheets FOLDER="runs":
    cargo run --release --workspace --example sheets -- {{FOLDER}} {{datetime("%Y-%m-%d")}}

# What CI runs
ci:
    bash .ci/run

# Format and lint
lint:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets -- -D warnings

# The slow checks: figures of the demo, 50 kills, full disk
slow:
    cargo test --release --workspace -- --ignored --nocapture

# Speed of the kernels against Burn's own operations
bench:
    cargo bench -p pinxit-kernels

# Speed of training steps and operations beside PyTorch (VENV: a Python environment with it, outside the repository)
bench-torch VENV *PARTS:
    {{VENV}}/bin/python benches/bench_torch.py {{VENV}} {{PARTS}}

# Speed of scores beside torch-fidelity and SciPy (WEIGHTS: the file that oracle/inception.py writes)
bench-judge VENV WEIGHTS:
    cargo build --release --workspace --bins --example frechet_speed
    {{VENV}}/bin/python benches/bench_frechet.py
    {{VENV}}/bin/python benches/bench_fid.py target/release/pinxit {{WEIGHTS}}

# Write the golden files again (VENV: a Python environment outside the repository)
oracle VENV:
    {{VENV}}/bin/pip install -r oracle/requirements.txt
    for script in unet layers norms adam adversarial gans translation schedules samplers vlb likelihood autoregressive resize pictures event_file metrics pairs inception torch_file knn; do {{VENV}}/bin/python oracle/$script.py; done
