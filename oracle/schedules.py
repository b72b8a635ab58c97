"""Noise schedules of diffusers: the oracle of crates/pinxit/tests/it/schedules.rs.

Requirements: torch==2.15.0 diffusers==0.42.1 numpy
Run from the repository's root: python oracle/schedules.py
"""

import json
from pathlib import Path

import numpy as np
from diffusers import (
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)

BETAS = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
PROBES = [0, 1, 10, 250, 500, 900, 998, 999]


def floats(values):
    return [float(v) for v in values]


def alpha_bars():
    """alpha_bar of DDPM's steps."""
    tables = {name: DDPMScheduler(beta_schedule=beta).alphas_cumprod for name, beta in BETAS.items()}
    return {"steps": PROBES, **{name: floats(table[PROBES]) for name, table in tables.items()}}


def spacings():
    """Noise levels of every spacing, from the alphas_cumprod at the scheduler's timesteps."""
    cases = []
    for steps in [1, 5, 7, 50]:
        for spacing in ["leading", "trailing"]:
            scheduler = DDPMScheduler(timestep_spacing=spacing)
            scheduler.set_timesteps(steps)
            signal = scheduler.alphas_cumprod[scheduler.timesteps].double()
            sigmas = floats(((1 - signal) / signal).sqrt()) + [0.0]
            cases.append({"spacing": spacing, "steps": steps, "sigmas": sigmas})
    for steps in [5, 7, 50]:
        euler = EulerDiscreteScheduler(timestep_spacing="linspace")
        euler.set_timesteps(steps)
        cases.append({"spacing": "linspace", "steps": steps, "sigmas": floats(euler.sigmas)})
        multistep = DPMSolverMultistepScheduler()
        multistep.set_timesteps(steps)
        cases.append({"spacing": "multistep", "steps": steps, "sigmas": floats(multistep.sigmas)})
    return cases


def karras():
    cases = []
    for steps, rho in [(5, 7.0), (18, 7.0), (10, 3.0)]:
        scheduler = EDMEulerScheduler(sigma_min=0.002, sigma_max=80.0, rho=rho)
        scheduler.set_timesteps(steps)
        cases.append({"steps": steps, "rho": rho, "sigmas": floats(scheduler.sigmas)})
    return cases


def flow():
    """Times of a rectified flow, as the pipelines call it: evenly spaced sigmas, then the shift."""
    cases = []
    for steps, shift in [(5, 1.0), (5, 3.0), (28, 3.0), (7, 0.5)]:
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
        scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / steps, steps).tolist())
        cases.append({"steps": steps, "shift": shift, "times": floats(scheduler.sigmas)})
    return cases


if __name__ == "__main__":
    golden = {"alpha_bar": alpha_bars(), "spacings": spacings(), "karras": karras(), "flow": flow()}
    path = Path(__file__).parent / "golden" / "schedules.json"
    path.write_text(json.dumps(golden, indent=1) + "\n")
