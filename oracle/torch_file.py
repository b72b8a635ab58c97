"""Golden files for crates/pinxit/src/metrics/extract/torch_file.rs: state dicts as PyTorch saves them.

Requirements: torch==2.15.0
Run: python oracle/torch_file.py
Writes oracle/golden/weights.pth and oracle/golden/weights_legacy.pth, the form before PyTorch 1.6.
"""

from collections import OrderedDict
from pathlib import Path

import torch

base = torch.arange(24, dtype=torch.float32) / 4
STATE = OrderedDict(
    whole=base.reshape(2, 3, 4),
    part=base[6:18].reshape(3, 4),
    turned=base.reshape(4, 6).t(),
    half=torch.tensor([1.5, -2.0, 65504.0, 2.0**-24]).half(),
    double=torch.tensor([[0.1], [0.2]], dtype=torch.float64),
    parameter=torch.nn.Parameter(torch.tensor([3.0])),
    count=torch.tensor(7),
    empty=torch.zeros(0, 5),
)
folder = Path(__file__).parent / "golden"
torch.save(STATE, folder / "weights.pth")
torch.save({"epoch": 3, "state_dict": STATE}, folder / "weights_legacy.pth", _use_new_zipfile_serialization=False)
