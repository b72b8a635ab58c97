"""Prints how many digits a k-NN on pixels recognises, for crates/pinxit/tests/it/builtin.rs.

Needs: scikit-learn==1.9.1

Five folds: digit i is in fold i % 5 and is compared with the four other folds. The vote is that of
pinxit: most neighbours, ties to the class of the nearest.
"""

from collections import Counter

import numpy as np
from sklearn.datasets import load_digits
from sklearn.neighbors import NearestNeighbors

digits = load_digits()
fold = np.arange(len(digits.data)) % 5
for k in (1, 2, 3, 5):
    correct = 0
    for test in range(5):
        known = digits.target[fold != test]
        index = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(digits.data[fold != test])
        for row, truth in zip(index.kneighbors(digits.data[fold == test])[1], digits.target[fold == test]):
            votes = Counter(known[row].tolist())  # in the order of first appearance: nearest first
            correct += max(votes, key=votes.get) == truth
    print(f"k = {k}: {correct} of {len(fold)}, {correct / len(fold):.2%}")
