"""Pinxit beside PyTorch on this machine: `just bench-torch VENV [PART...] [--threads N...] [--rounds N]`.

PART is `check`, `A`, `B`, `C`, `C-inference`, `C-inference-1`, `D`, `E` or `ops`, all of them if none is named. `check`
holds both sides to the same losses and gradients; the others are timed in turn, step after step, in processes that
live side by side. What is found goes into `benches/runs/DATE-COMMIT.json` and `.md`; parts of one commit and day add
up. Needs nothing but the standard library; VENV has PyTorch.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
# Steps that a workload takes before its turn ends.
WORKLOADS = {"A": 20, "B": 1, "C": 1, "C-inference": 2, "C-inference-1": 10, "D": 1, "E": 3}
SIDES = ["pinxit", "torch", "channels_last"]
LOSS_TOLERANCE, GRADIENT_TOLERANCE = 1e-3, 1e-4
CHECK_STEPS = 20


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def build():
    """Builds the Rust side and says where it is."""
    lines = output("cargo", "bench", "--workspace", "--bench", "workloads", "--no-run", "--message-format=json")
    found = [json.loads(line).get("executable") for line in lines.splitlines() if '"workloads"' in line]
    return [path for path in found if path][-1]


class Sides:
    """How each side is started."""

    def __init__(self, venv):
        self.rust, self.python = build(), str(Path(venv) / "bin" / "python")

    def command(self, side, name, threads, *more):
        name, *batch = name.split("-1")
        more = [*more, "--threads", str(threads)] + (["--batch", "1"] if batch else [])
        if side == "pinxit":
            return [self.rust, name, *more]
        layout = ["--channels-last"] if side == "channels_last" else []
        return [self.python, str(HERE / "torch_workloads.py"), name, *layout, *more]

    def check(self, side, name, threads):
        command = self.command(side, name, threads, "--check", "--steps", str(CHECK_STEPS))
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


class Worker:
    """A process that answers a line with a line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def hear(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{' '.join(self.process.args)} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, question):
        self.process.stdin.write(f"{question}\n")
        self.process.stdin.flush()
        return self.hear()

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def start(sides, name, threads):
    """A worker for each side, and what each said first."""
    workers = {side: Worker(sides.command(side, name, threads, "--serve")) for side in SIDES}
    return workers, {side: worker.hear() for side, worker in workers.items()}


def turns(first):
    """The sides, each beginning once in a while."""
    return SIDES[first % len(SIDES):] + SIDES[: first % len(SIDES)]


def time_workload(sides, name, threads, rounds):
    workers, _ = start(sides, name, threads)
    found = {side: {"first_ms": worker.ask(1)["ms"][0]} for side, worker in workers.items()}
    for worker in workers.values():
        worker.ask(2)
    times = {side: [] for side in SIDES}
    for r in range(rounds):
        for side in turns(r):
            answer = workers[side].ask(WORKLOADS[name])
            times[side] += answer["ms"]
            found[side]["peak_mib"] = answer["peak_mib"]
    for side, worker in workers.items():
        found[side]["ms"] = statistics.median(times[side])
        found[side]["fastest_ms"] = min(times[side])
        worker.end()
    return found


def time_operations(sides, names, threads, rounds):
    workers, ready = start(sides, "ops", threads)
    found = {}
    for operation in ready["pinxit"]["operations"]:
        name = operation.pop("name")
        if names and not any(name.startswith(n) for n in names):
            continue
        times = {side: [] for side in SIDES}
        for r in range(rounds):
            for side in turns(r):
                times[side].append(workers[side].ask(name)["ms"])
        found[name] = operation | {side: statistics.median(times[side]) for side in SIDES}
        print(f"  {name}: " + ", ".join(f"{side} {found[name][side]:.3f} ms" for side in SIDES), flush=True)
    for worker in workers.values():
        worker.end()
    return found


def relative(a, b):
    return abs(a - b) / max(abs(b), 1e-30)


def compare(sides, name, threads):
    """The largest relative distances of losses over the steps, and of first gradients, from PyTorch's; those of
    PyTorch's other layout are the yardstick."""
    answers = {side: sides.check(side, name, threads) for side in SIDES}
    expected = answers["torch"]
    found = {"steps": CHECK_STEPS, "multiply_adds": expected["multiply_adds"]}
    for side in ("pinxit", "channels_last"):
        losses = [relative(a, b) for x, y in zip(answers[side]["losses"], expected["losses"]) for a, b in zip(x, y)]
        gradients = [relative(a, b) for a, b in zip(answers[side]["gradients"], expected["gradients"])]
        found[side] = {"losses": max(losses), "gradients": max(gradients)}
    ours = found["pinxit"]
    found["holds"] = ours["losses"] <= LOSS_TOLERANCE and ours["gradients"] <= GRADIENT_TOLERANCE
    return found


def machine():
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {"cpu": cpu, "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}


def versions(sides):
    version = "import torch; print(torch.__version__)"
    return {
        "rustc": output("rustc", "--version"),
        "torch": output(sides.python, "-c", version),
        "python": output(sides.python, "--version"),
    }


def better(row, key=None):
    """The better of PyTorch's two."""
    value = lambda side: row[side][key] if key else row[side]
    return min(value("torch"), value("channels_last"))


def workload_rows(run):
    for key, row in sorted(run["workloads"].items()):
        name, threads = key.split("/")
        ours = row["pinxit"]
        share = ""
        direct = run["checks"].get(name, {}).get("multiply_adds")
        peak = run["peaks"].get(threads)
        if direct and peak:
            share = f"{100 * direct / (ours['ms'] / 1e3) / peak['multiply_adds_per_second']:.0f} %"
        first, memory = better(row, "first_ms"), better(row, "peak_mib")
        yield (
            f"| {name} | {threads} | {ours['ms']:.1f} | {row['torch']['ms']:.1f} | {row['channels_last']['ms']:.1f} "
            f"| **{ours['ms'] / better(row, 'ms'):.2f}** | {ours['first_ms']:.0f} / {first:.0f} "
            f"| {ours['peak_mib']:.0f} / {memory:.0f} = {ours['peak_mib'] / memory:.2f} | {share} |"
        )


def operation_rows(run):
    for key, row in run["operations"].items():
        name, threads = key.split("/")
        peak = run["peaks"][threads]
        done, most = (
            (row["multiply_adds"], peak["multiply_adds_per_second"])
            if row["multiply_adds"]
            else (row["bytes"], peak["bytes_per_second"])
        )
        what = "multiply-adds" if row["multiply_adds"] else "bytes"
        share = 100 * done / (row["pinxit"] / 1e3) / most
        yield (
            f"| {name} | {threads} | {row['pinxit']:.3f} | {row['torch']:.3f} | {row['channels_last']:.3f} "
            f"| **{row['pinxit'] / better(row):.2f}** | {share:.0f} % of {what} |"
        )


def speedup_rows(run):
    for name in WORKLOADS:
        one, two = (run["workloads"].get(f"{name}/{n}") for n in (1, 2))
        if one and two:
            ratios = [f"{one[side]['ms'] / two[side]['ms']:.2f}" for side in SIDES]
            yield f"| {name} | " + " | ".join(ratios) + " |"


def table(run):
    m, v = run["machine"], run["versions"]
    lines = [
        f"# Pinxit {run['commit']} beside PyTorch {v['torch']}, {run['date']}",
        "",
        f"{m['cpu']}, {m['cores']} cores, {m['system']}; {v['rustc']}; {v['python']}. `just bench-torch`: medians of "
        "steps taken in turn; the ratio is to the better of PyTorch's eager mode in its two memory layouts. Below 1 "
        "Pinxit is faster or smaller. Only ratios travel: the machine is shared.",
        "",
    ]
    for threads, peak in sorted(run["peaks"].items()):
        lines.append(
            f"- Measured most on {threads} thread{'s' * (threads != '1')}: "
            f"{2 * peak['multiply_adds_per_second'] / 1e9:.0f} GFLOP/s, triad {peak['bytes_per_second'] / 1e9:.1f} GB/s."
        )
    lines += [
        "- Both sides have the same weights, inputs and losses (below). Pinxit does not compute the gradients of the "
        "discriminator's weights in the generator's step (A, B), which PyTorch's usual script computes and throws away, "
        "nor the products with the masked taps of D.",
        "- Shares of the measured most count the multiply-adds of the direct algorithm, so that one that needs fewer "
        "can pass 100 %.",
        "- `adam_10m`: PyTorch's column is its default, the one of channels_last its fused Adam.",
    ]
    if run["workloads"]:
        lines += ["", "| workload | threads | Pinxit ms | PyTorch ms | channels_last ms | ratio | first step ms "
                  "| peak MiB | share of multiply-adds |", "|---|---|---|---|---|---|---|---|---|", *workload_rows(run)]
    speedups = list(speedup_rows(run))
    if speedups:
        lines += ["", "| 1 thread / 2 threads | Pinxit | PyTorch | channels_last |", "|---|---|---|---|", *speedups]
    if run["checks"]:
        lines += ["", f"Largest relative distance from PyTorch's eager mode over {CHECK_STEPS} steps; in brackets that of "
                  "PyTorch's own other layout:", "", "| | losses | gradients of the first step | holds |", "|---|---|---|---|"]
        for name, row in sorted(run["checks"].items()):
            ours, other = row["pinxit"], row["channels_last"]
            lines.append(
                f"| {name} | {ours['losses']:.1e} ({other['losses']:.1e}) | {ours['gradients']:.1e} "
                f"({other['gradients']:.1e}) | {'yes' if row['holds'] else '**no**'} |"
            )
    if run["operations"]:
        lines += ["", "| operation | threads | Pinxit ms | PyTorch ms | channels_last ms | ratio | share of the most |",
                  "|---|---|---|---|---|---|---|", *operation_rows(run)]
    return "\n".join(lines) + "\n"


def open_run(sides):
    """This commit's and day's run so far, and where it is kept."""
    commit = output("git", "rev-parse", "--short", "HEAD") + ("-changed" if output("git", "status", "--porcelain", "-uno") else "")
    date = datetime.date.today().isoformat()
    path = HERE / "runs" / f"{date}-{commit}.json"
    if path.exists():
        return json.loads(path.read_text()), path
    path.parent.mkdir(exist_ok=True)
    empty = {"peaks": {}, "checks": {}, "workloads": {}, "operations": {}}
    return {"commit": commit, "date": date, "machine": machine(), "versions": versions(sides)} | empty, path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("venv")
    parser.add_argument("parts", nargs="*", help="parts; after `ops` also the beginnings of operations' names")
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    known = ["check", *WORKLOADS, "ops"]
    parts = [part for part in options.parts if part in known] or ([] if options.parts else known)
    names = [part for part in options.parts if part not in known]
    if names and "ops" not in parts:
        sys.exit(f"{names[0]} is not a part: {', '.join(known)}")

    sides = Sides(options.venv)
    run, path = open_run(sides)

    def keep():
        path.write_text(json.dumps(run, indent=1) + "\n")
        path.with_suffix(".md").write_text(table(run))

    if "check" in parts:
        for name in "ABCDE":
            run["checks"][name] = compare(sides, name, max(options.threads))
            print(f"check {name}: {run['checks'][name]}", flush=True)
            keep()
    for threads in options.threads:
        if not set(parts) - {"check"}:
            break
        run["peaks"][str(threads)] = json.loads(output(*sides.command("pinxit", "peaks", threads)))
        for name in WORKLOADS:
            if name in parts:
                row = run["workloads"][f"{name}/{threads}"] = time_workload(sides, name, threads, options.rounds)
                print(f"{name}, {threads} threads: ratio {row['pinxit']['ms'] / better(row, 'ms'):.2f}", flush=True)
                keep()
        if "ops" in parts:
            for name, row in time_operations(sides, names, threads, min(options.rounds, 3)).items():
                run["operations"][f"{name}/{threads}"] = row
            keep()
    print(f"{path.with_suffix('.md').relative_to(ROOT)}:\n\n{table(run)}")


if __name__ == "__main__":
    main()
