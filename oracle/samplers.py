"""Trajectories of diffusers' schedulers and of EDM's algorithms: the oracle of
crates/pinxit/tests/it/samplers.rs.

The network is a fixed linear function, the same in Rust; all noise is written down.

Requirements: torch==2.15.0 diffusers==0.42.1 numpy
Run from the repository's root: python oracle/samplers.py
"""

import json
from pathlib import Path

import diffusers.schedulers.scheduling_ddpm as scheduling_ddpm
import numpy as np
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)

SHAPE = (2, 1, 3, 4)
STEPS = 8
rng = np.random.default_rng(7)
START = rng.standard_normal(SHAPE).astype(np.float32)
NOISE = rng.standard_normal((STEPS, *SHAPE)).astype(np.float32)


def network(x, noise):
    """F(x; c_noise): mixes each pixel with its mirror image and leans on the noise level."""
    return 0.8 * x + 0.15 * x[..., ::-1] + 0.0001 * noise


def torch_network(x, noise):
    return torch.from_numpy(network(x.numpy(), float(noise)).astype(np.float32))


def flat(x):
    return [float(v) for v in np.asarray(x, dtype=np.float64).ravel()]


def walk(scheduler, x, step):
    """States before every step, and the last one."""
    states = [x.clone()]
    for i, t in enumerate(scheduler.timesteps):
        x = step(i, t, x)
        states.append(x.clone())
    return [flat(state) for state in states]


def ddpm(clip):
    scheduler = DDPMScheduler(clip_sample=clip)
    scheduler.set_timesteps(STEPS)

    def step(i, t, x):
        scheduling_ddpm.randn_tensor = lambda *args, **kwargs: torch.from_numpy(NOISE[i])
        return scheduler.step(torch_network(x, t), t, x).prev_sample

    return walk(scheduler, torch.from_numpy(START), step)


def ddim(eta, **config):
    scheduler = DDIMScheduler(clip_sample=False, **config)
    scheduler.set_timesteps(STEPS)

    def step(i, t, x):
        noise = torch.from_numpy(NOISE[i])
        return scheduler.step(torch_network(x, t), t, x, eta=eta, variance_noise=noise).prev_sample

    return walk(scheduler, torch.from_numpy(START), step)


def euler():
    scheduler = EulerDiscreteScheduler()
    scheduler.set_timesteps(STEPS)

    def step(_, t, x):
        return scheduler.step(torch_network(scheduler.scale_model_input(x, t), t), t, x).prev_sample

    return walk(scheduler, torch.from_numpy(START) * scheduler.init_noise_sigma, step)


def dpmpp_2m():
    scheduler = DPMSolverMultistepScheduler()
    scheduler.set_timesteps(STEPS)
    return walk(
        scheduler,
        torch.from_numpy(START),
        lambda _, t, x: scheduler.step(torch_network(x, t), t, x).prev_sample,
    )


def flow(shift):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 1.0 / STEPS, STEPS).tolist())
    return walk(
        scheduler,
        torch.from_numpy(START),
        lambda _, t, x: scheduler.step(torch_network(x, t), t, x).prev_sample,
    )


def edm(churn=0.0, low=0.0, high=np.inf, noise=1.0):
    """Karras et al. 2022: algorithm 2 with the preconditioning of table 1, sigma_data = 0.5."""

    def denoise(x, sigma):
        total = sigma**2 + 0.25
        inner = network(x / np.sqrt(total), np.log(sigma) / 4)
        return 0.25 / total * x + sigma * 0.5 / np.sqrt(total) * inner

    i = np.arange(STEPS)
    t = (80 ** (1 / 7) + i / (STEPS - 1) * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    t = np.append(t, 0.0)
    x = START.astype(np.float64) * t[0]
    states = [x]
    for i in range(STEPS):
        gamma = min(churn / STEPS, np.sqrt(2) - 1) if low <= t[i] <= high else 0.0
        t_hat = t[i] + gamma * t[i]
        x_hat = x + np.sqrt(t_hat**2 - t[i] ** 2) * noise * NOISE[i]
        d = (x_hat - denoise(x_hat, t_hat)) / t_hat
        x = x_hat + (t[i + 1] - t_hat) * d
        if t[i + 1] != 0:
            d_next = (x - denoise(x, t[i + 1])) / t[i + 1]
            x = x_hat + (t[i + 1] - t_hat) * (d / 2 + d_next / 2)
        states.append(x)
    return [flat(state) for state in states]


if __name__ == "__main__":
    golden = {
        "shape": SHAPE,
        "start": flat(START),
        "noise": [flat(noise) for noise in NOISE],
        "ddpm": ddpm(clip=False),
        "ddpm_clamped": ddpm(clip=True),
        "ddim_0": ddim(0.0),
        "ddim_half": ddim(0.5),
        "ddim_v": ddim(0.0, prediction_type="v_prediction", timestep_spacing="trailing"),
        "ddim_x0": ddim(0.0, prediction_type="sample", beta_schedule="squaredcos_cap_v2"),
        "euler": euler(),
        "dpmpp_2m": dpmpp_2m(),
        "flow_1": flow(1.0),
        "flow_3": flow(3.0),
        "edm_heun": edm(),
        "edm_churn": edm(churn=4.0, low=0.05, high=50.0, noise=1.003),
    }
    path = Path(__file__).parent / "golden" / "samplers.json"
    path.write_text(json.dumps(golden) + "\n")
