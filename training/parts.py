"""A batch's rows in parts of like length, each padded to its own longest row.

Batches are drawn at random, as plain training draws them. Grouping rows of like length in one batch saves as much padding, but
where tasks differ in length each step then sees one task: after 100 steps on three of them the validation loss was 0.53
where it is 0.34 with batches drawn at random (and 0.68 with transformers' own grouping, which goes from long to short).
"""

from collections.abc import Sequence

# What a part costs beside its tokens, in tokens: starting its operations, and elsewhere what a small product leaves unused.
OVERHEAD_ON_CPU, OVERHEAD_ELSEWHERE = 24, 512


def parts(lengths: Sequence[int], overhead: int) -> list[list[int]]:
    """Rows by part, long ones first, so that padded tokens and `overhead` for each part come to the least.

    By dynamic programming over the distinct lengths: a part that begins with a length takes the rows of some next ones too.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    starts = [at for at, row in enumerate(order) if at == 0 or lengths[row] != lengths[order[at - 1]]]
    ends = [*starts[1:], len(order)]
    # By the place where what is left begins: the least cost of it, and where its first part ends.
    best: dict[int, tuple[int, int]] = {len(order): (0, 0)}
    for start in reversed(starts):
        best[start] = min(((end - start) * lengths[order[start]] + overhead + best[end][0], end) for end in ends if end > start)
    found, at = [], 0
    while at < len(order):
        end = best[at][1]
        found.append(order[at:end])
        at = end
    return found
