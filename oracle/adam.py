"""Golden file of PyTorch's AdamW with clip_grad_norm_: five steps of a two-layer network.

Requirements: numpy==2.4.6 safetensors==0.8.0 torch==2.15.0
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

GOLDEN = Path(__file__).parent / "golden"
LRS = [1e-2, 2e-2, 2e-2, 1e-2, 5e-3]
CLIP = 2.0
SETTINGS = dict(betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear_1 = torch.nn.Linear(3, 4)
        self.linear_2 = torch.nn.Linear(4, 4)

    def forward(self, x):
        return self.linear_2(torch.nn.functional.silu(self.linear_1(x)))


if __name__ == "__main__":
    torch.manual_seed(0)
    net = Net()
    tensors = {f"weights/0/{k}": v.clone() for k, v in net.state_dict().items()}
    net = net.double()
    optimizer = torch.optim.AdamW(net.parameters(), lr=LRS[0], **SETTINGS)
    norms = []
    for step, lr in enumerate(LRS):
        # Some batches have a small gradient, so that not every step is clipped.
        x = torch.randn(6, 3) * (1.0 if step % 2 == 0 else 0.2)
        target = torch.randn(6, 4) * (1.0 if step % 2 == 0 else 0.2)
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad()
        (net(x.double()) - target.double()).square().mean(dim=0).sum().backward()
        norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP))
        optimizer.step()
        tensors |= {f"x/{step}": x, f"target/{step}": target}
        tensors |= {f"weights/{step + 1}/{k}": v.clone() for k, v in net.state_dict().items()}
    assert min(norms) < CLIP < max(norms)
    tensors["norms"] = torch.stack(norms)
    settings = dict(lrs=LRS, clip=CLIP, **SETTINGS)
    tensors = {k: v.detach().float().contiguous() for k, v in tensors.items()}
    save_file(tensors, GOLDEN / "adam.safetensors", metadata={"settings": json.dumps(settings)})
