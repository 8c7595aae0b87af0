"""The linearised flow, its operator, and both weight-decay bounds.

dK/dt = -(a/2) (S + beta A K) - alpha K with S the sum of all patches of the image and A = sum of patch patch^T, what
"(K*I)*I" is for a valid convolution. One Euler step multiplies an eigenvector of A with eigenvalue w by

    1 - lr (alpha + (a/2) beta w),

so K stays bounded iff alpha >= -(a/2) beta max w (a < 0) and alpha <= 2/lr - (a/2) beta min w.
"""

import numpy as np


def checkerboard(size):
    """+1 and -1 alternating."""
    return np.where(np.add.outer(np.arange(size), np.arange(size)) % 2 == 0, 1.0, -1.0)


def start(kernel, seed):
    """Standard normal weights from a counter-based generator."""
    return np.random.Generator(np.random.Philox(key=[seed, 0x1D])).standard_normal((kernel, kernel))


def operator(image, kernel):
    """A as a matrix, (kernel^2, kernel^2), from the patches that the valid convolution really reads."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (kernel, kernel))
    found = np.zeros((kernel * kernel,) * 2)
    for row in windows:  # a row of positions at a time, to stay small
        patches = row.reshape(-1, kernel * kernel)
        found += patches.T @ patches
    return found


def spectrum(matrix, kernel):
    """(w per frequency (row, column) of the kernel's DFT, largest entry of `matrix` that couples two frequencies).

    Without coupling the DFT's waves are the eigenvectors and w the eigenvalues: so it is for a checkerboard and an even
    kernel, whose patches are all one wave, up to sign.
    """
    size = kernel * kernel
    halves = np.fft.fft2(matrix.reshape(size, kernel, kernel), axes=(1, 2)).reshape(size, size)
    both = np.fft.ifft2(halves.T.reshape(size, kernel, kernel), axes=(1, 2)).reshape(size, size)
    diagonal = both.diagonal().real.copy()
    np.fill_diagonal(both, 0)
    return diagonal.reshape(kernel, kernel), float(np.abs(both).max())


def bounds(eigenvalues, a, beta, lr):
    """(least, most) stable weight decay."""
    return float(-0.5 * a * beta * eigenvalues.max()), float(2 / lr - 0.5 * a * beta * eigenvalues.min())


def full_image_bound(image, a, beta):
    """The lower bound with max |FFT of the image|^2 in the place of the operator's largest eigenvalue."""
    return float(-0.5 * a * beta * (np.abs(np.fft.fft2(image)) ** 2).max())


class Flow:
    """The iteration in a machine's arithmetic."""

    def __init__(self, machine, settings, alpha):
        self.machine = machine
        self.image = machine.round(checkerboard(settings.image))
        ones = machine.round(np.ones((settings.image - settings.kernel + 1,) * 2))
        self.patches = machine.correlate(self.image, ones)  # S
        self.beta = machine.number(settings.beta)
        self.half_a = machine.number(settings.a / 2)
        self.alpha = machine.number(alpha)
        self.rate = machine.number(-settings.lr)

    def step(self, k):
        """K after one step."""
        m = self.machine
        data = m.correlate(self.image, m.correlate(self.image, k))
        data = m.fma(self.beta, data, self.patches)
        slope = m.fma(self.alpha, k, m.mul(self.half_a, data))
        return m.fma(self.rate, slope, k)
