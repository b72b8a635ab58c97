"""Writes assets/digits/digits.bin from scikit-learn's copy of the UCI digits.

Needs: scikit-learn==1.9.1

Record: 1 byte class, then 64 bytes of ink 0..16, row by row. 1,797 records in
scikit-learn's order. Prints the class counts and the SHA-256 that the tests
of the crate hold the file to.
"""

import hashlib
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

digits = load_digits()
records = np.column_stack([digits.target, digits.data]).astype(np.uint8)
assert records.shape == (1797, 65) and records[:, 1:].max() == 16

path = Path(__file__).parent.parent / "assets" / "digits" / "digits.bin"
path.write_bytes(records.tobytes())
print(np.bincount(digits.target).tolist())
print(hashlib.sha256(records.tobytes()).hexdigest())
