"""Philox4x32-10 and the random bits of one rounding.

Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011; docs/semantics.md section 6.
"""

LOW32, LOW64 = 2**32 - 1, 2**64 - 1


def philox(key, counter) -> tuple[int, int, int, int]:
    """Philox4x32-10: two key words and four counter words in, four 32-bit words out."""
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        first, second = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (second >> 32) ^ c1 ^ k0, second & LOW32, (first >> 32) ^ c3 ^ k1, first & LOW32
        k0, k1 = (k0 + 0x9E3779B9) & LOW32, (k1 + 0xBB67AE85) & LOW32
    return c0, c1, c2, c3


def halves(x: int) -> tuple[int, int]:
    """(low, high) 32-bit words of a 64-bit integer; negative numbers in two's complement."""
    x &= LOW64
    return x & LOW32, x >> 32


def sample_key(seed, counter, pass_tag, n) -> tuple[int, int, int, int]:
    """The four words k1 that stand for sample n of one pass."""
    return philox(halves(seed), (*halves(counter), pass_tag & LOW32, n & LOW32))


def element_key(seed, counter, pass_tag, n, element) -> tuple[int, int, int, int]:
    """The four words k2 that stand for one output element (sample n, flat index ``element``) of one pass."""
    k1 = sample_key(seed, counter, pass_tag, n)
    return philox(k1[:2], (*halves(element), *k1[2:]))


def lane_width(bits: int) -> int:
    """8, 16 or 32: the bits of Philox output that one event consumes."""
    if not 1 <= bits <= 32:
        raise ValueError(f"bits: expected 1 ... 32, got {bits}")
    return 8 if bits <= 8 else 16 if bits <= 16 else 32


def lane_bits(words, lane: int, bits: int) -> int:
    """The top ``bits`` bits of a lane of a block's four words."""
    width = lane_width(bits)
    all_128 = sum(word << (32 * i) for i, word in enumerate(words))
    return (all_128 >> (lane * width)) % 2**width >> (width - bits)


def random_bits(k2, event: int, bits: int) -> int:
    """Of a reduction: the ``bits``-bit integer of event number ``event`` under element key ``k2``."""
    block, lane = divmod(event, 128 // lane_width(bits))
    return lane_bits(philox(k2[:2], (*halves(block), *k2[2:])), lane, bits)


def elementwise_bits(k1, position: int, event: int, bits: int) -> int:
    """Of an elementwise op: the ``bits``-bit integer of the element at ``position`` at event number ``event``."""
    block, lane = divmod(position & LOW64, 128 // lane_width(bits))
    return lane_bits(philox(k1[:2], (*halves(block), k1[2] ^ event, k1[3])), lane, bits)
