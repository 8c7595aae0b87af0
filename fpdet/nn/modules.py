"""torch.nn's convolution modules with an `arithmetic`."""

import torch

from fpdet import _stream
from fpdet._arithmetic import as_arithmetic
from fpdet._padding import padded
from fpdet.nn import functional


class _Arithmetic:
    """What these modules have beyond torch's: the attribute `arithmetic` and, if it draws, a stream."""

    _arithmetic = None
    _always_draws = False  # whether it draws random numbers besides roundings

    @property
    def arithmetic(self):
        """The `fpdet.Arithmetic` or `fpdet.PassArithmetic` of this module; None: the default."""
        return self._arithmetic

    @arithmetic.setter
    def arithmetic(self, value):
        self.set_arithmetic(value)

    def set_arithmetic(self, value, stream_seed=None):
        """Set `arithmetic`; `stream_seed` seeds the stream in place of the Arithmetic's own seed."""
        self._arithmetic = None if value is None else as_arithmetic(value)
        chosen = as_arithmetic(value)
        self._buffers.pop("stream", None)
        if value is not None and (chosen.draws or self._always_draws):
            seed = chosen.seed if stream_seed is None else stream_seed
            device = next((tensor.device for tensor in self.parameters(recurse=False)), None)
            self.register_buffer("stream", _stream.new(seed).to(device))

    def drop_arithmetic(self):
        """Forget arithmetic and stream: what is left is a module of torch's."""
        self._buffers.pop("stream", None)
        self.__dict__.pop("_arithmetic", None)

    def _numbers(self):
        return {"arithmetic": self._arithmetic, "stream": self._buffers.get("stream")}

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, *rest):
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, *rest)
        if prefix + "stream" in missing:  # torch's own checkpoint: the stream goes on as it is
            missing.remove(prefix + "stream")

    def extra_repr(self):
        chosen = "" if self._arithmetic is None else f", arithmetic='{self._arithmetic}'"
        return super().extra_repr() + chosen


class _Conv(_Arithmetic):
    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
        *,
        arithmetic=None,
    ):
        chosen = as_arithmetic(arithmetic)  # a bad one raises before any work
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )
        self.arithmetic = None if arithmetic is None else chosen

    def _conv_forward(self, input, weight, bias):
        if self.padding_mode == "zeros":
            return self._convolution(
                input,
                weight,
                bias,
                self.stride,
                self.padding,
                self.dilation,
                self.groups,
                **self._numbers(),
            )
        batched = input.dim() == weight.dim()
        x = input if batched else input.unsqueeze(0)
        pad = self._reversed_padding_repeated_twice
        x = padded(x, pad, self.padding_mode, as_arithmetic(self._arithmetic))
        y = self._convolution(x, weight, bias, self.stride, 0, self.dilation, self.groups, **self._numbers())
        return y if batched else y.squeeze(0)


class _ConvTranspose(_Arithmetic):
    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
        *,
        arithmetic=None,
    ):
        chosen = as_arithmetic(arithmetic)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            bias,
            dilation,
            padding_mode,
            device,
            dtype,
        )
        self.arithmetic = None if arithmetic is None else chosen

    def forward(self, input, output_size=None):
        """As torch's; `output_size` picks one of the sizes that the stride leaves open."""
        spatial = len(self.kernel_size)
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, spatial, self.dilation
        )
        return self._convolution(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            output_padding,
            self.groups,
            self.dilation,
            **self._numbers(),
        )


class Conv1d(_Conv, torch.nn.Conv1d):
    """torch.nn.Conv1d with ``arithmetic=``; input (N, C, L) or (C, L)."""

    _convolution = staticmethod(functional.conv1d)


class Conv2d(_Conv, torch.nn.Conv2d):
    """torch.nn.Conv2d with ``arithmetic=``; input (N, C, H, W) or (C, H, W)."""

    _convolution = staticmethod(functional.conv2d)


class Conv3d(_Conv, torch.nn.Conv3d):
    """torch.nn.Conv3d with ``arithmetic=``; input (N, C, D, H, W) or (C, D, H, W)."""

    _convolution = staticmethod(functional.conv3d)


class ConvTranspose1d(_ConvTranspose, torch.nn.ConvTranspose1d):
    """torch.nn.ConvTranspose1d with ``arithmetic=``; input (N, C, L) or (C, L)."""

    _convolution = staticmethod(functional.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose, torch.nn.ConvTranspose2d):
    """torch.nn.ConvTranspose2d with ``arithmetic=``; input (N, C, H, W) or (C, H, W)."""

    _convolution = staticmethod(functional.conv_transpose2d)


class ConvTranspose3d(_ConvTranspose, torch.nn.ConvTranspose3d):
    """torch.nn.ConvTranspose3d with ``arithmetic=``; input (N, C, D, H, W) or (C, D, H, W)."""

    _convolution = staticmethod(functional.conv_transpose3d)
